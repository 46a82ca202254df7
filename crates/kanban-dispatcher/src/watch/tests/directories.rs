//! Directories that come, go, move, or are known by two names.

use std::fs;

use rustix::fs::inotify::ReadFlags;

use super::*;

#[test]
fn a_directory_made_anew_is_told_from_when_it_is_followed_anew() -> Result {
    let mut fleet = Fleet::of(2)?;
    fleet.write(0, "kanban.db")?;
    fleet.changed();
    for round in 0..100 {
        fs::remove_dir_all(fleet.path(0))?;
        fs::create_dir(fleet.path(0))?;
        // The events of the old directory are still unread when the new one is followed.
        fleet.watch.forget(0);
        fleet.follow(0)?;
        assert_eq!(fleet.changed(), [0; 0], "round {round}");
        fleet.write(0, "kanban.db")?;
        assert_eq!(fleet.changed(), [0], "round {round}");
        assert!(fleet.watch.follows(0));
    }
    Ok(())
}

#[test]
fn a_directory_that_is_removed_or_renamed_is_told_once_and_not_followed() -> Result {
    let mut fleet = Fleet::of(2)?;
    fs::remove_dir(fleet.path(0))?;
    fs::rename(fleet.path(1), fleet.path(9))?;
    assert_eq!(fleet.changed(), [0, 1]);
    assert!(!fleet.watch.follows(0) && !fleet.watch.follows(1));
    fleet.write(9, "kanban.db")?;
    assert_eq!(fleet.changed(), [0; 0]);
    assert_eq!(fleet.kept()?, (0, 0), "of either side");
    Ok(())
}

#[test]
fn an_unmounted_directory_is_told_and_not_followed() -> Result {
    let fleet = Fleet::of(0)?;
    let inotify = &fleet.watch.shared.inotify;
    for flags in [ReadFlags::UNMOUNT, ReadFlags::IGNORED] {
        let mut queue = Queue::default();
        queue.insert(inotify, 5, 1_000_000, Followed::Board);
        queue.insert(inotify, 6, 1_000_000, Followed::Board);
        queue.note(inotify, 1_000_000, flags, None);
        let mut changed = Vec::new();
        assert_eq!(queue.take(&mut changed), Trust::Whole);
        assert_eq!(changed, [5, 6]);
        assert!(!queue.follows(5) && !queue.follows(6));
        assert_eq!(queue.followed(), 0);
    }
    Ok(())
}

#[test]
fn two_keys_of_one_directory_are_both_told_until_each_is_forgotten() -> Result {
    let mut fleet = Fleet::of(1)?;
    let link = fleet.path(1);
    std::os::unix::fs::symlink(fleet.path(0), &link)?;
    fleet.follow(1)?;
    fleet.watch.follow(2, &link, Followed::Board)?;
    fleet.write(0, "board.json")?;
    let mut changed = fleet.changed();
    changed.sort_unstable();
    assert_eq!(changed, [0, 1, 2]);
    fleet.watch.forget(0);
    fs::write(link.join("board.json"), "y")?;
    let mut changed = fleet.changed();
    changed.sort_unstable();
    assert_eq!(changed, [1, 2]);
    assert_eq!(fleet.kept()?, (2, 1), "two keys of one directory");
    fleet.watch.forget(1);
    fleet.watch.forget(2);
    assert_eq!(fleet.kept()?, (0, 0), "of either side");
    fleet.write(0, "board.json")?;
    assert_eq!(fleet.changed(), [0; 0]);
    Ok(())
}

#[test]
fn a_forgotten_key_is_not_told_and_one_followed_again_is_told_once() -> Result {
    let mut fleet = Fleet::of(2)?;
    fleet.write(0, "kanban.db")?;
    fleet.write(1, "kanban.db")?;
    // So both are news of the watch, and not of the kernel any more.
    fleet.wait()?;
    fleet.watch.forget(0);
    fleet.follow(1)?;
    assert_eq!(fleet.changed(), [1]);
    fleet.follow(0)?;
    fleet.write(0, "kanban.db")?;
    assert_eq!(fleet.changed(), [0]);
    Ok(())
}

#[test]
fn a_key_that_moves_to_another_directory_leaves_the_first() -> Result {
    let mut fleet = Fleet::of(2)?;
    let other = fleet.path(1);
    fleet.watch.forget(1);
    fleet.watch.follow(0, &other, Followed::Board)?;
    assert_eq!(fleet.kept()?, (1, 1));
    fleet.write(0, "kanban.db")?;
    assert_eq!(fleet.changed(), [0; 0]);
    fleet.write(1, "kanban.db")?;
    assert_eq!(fleet.changed(), [0]);
    Ok(())
}

#[test]
fn a_thousand_changes_of_one_directory_are_kept_as_one() -> Result {
    let fleet = Fleet::of(0)?;
    let mut queue = Queue::default();
    queue.insert(&fleet.watch.shared.inotify, 5, 1_000_000, Followed::Board);
    for _ in 0..1_000 {
        queue.note(
            &fleet.watch.shared.inotify,
            1_000_000,
            ReadFlags::MODIFY,
            Some(b"kanban.db"),
        );
    }
    assert_eq!(queue.untold(), 1);
    Ok(())
}
