//! How often it wakes, and what it says when it cannot go on.

use std::fs;
use std::sync::mpsc::{RecvTimeoutError, channel};

use super::*;

#[test]
fn one_burst_wakes_once() -> Result {
    let mut fleet = Fleet::of(10)?;
    for burst in 0..3 {
        fleet.write(0, "kanban.db")?;
        fleet.wait()?;
        for n in 0..1_000 {
            fleet.write(n % 10, "kanban.db-wal")?;
        }
        let mut changed = fleet.changed();
        changed.sort_unstable();
        assert_eq!(changed, (0..10).collect::<Vec<_>>(), "burst {burst}");
    }
    let Fleet { watch, woken, .. } = fleet;
    drop(watch);
    assert_eq!(woken.iter().count(), 0, "more than one for a burst");
    Ok(())
}

#[test]
fn a_panic_of_the_closure_ends_the_trust() -> Result {
    let dir = tempfile::tempdir()?;
    let (called, calls) = channel::<()>();
    let mut watch = Watch::new(move || {
        let _ = &called;
        panic!("of the test's own")
    })?;
    watch.follow(1, dir.path(), Followed::Board)?;
    fs::write(dir.path().join("kanban.db"), "x")?;
    // Closed when the thread has unwound.
    let ended = calls.recv_timeout(Duration::from_secs(60));
    assert_eq!(ended, Err(RecvTimeoutError::Disconnected));
    assert_eq!(watch.drain(&mut Vec::new()), Trust::Over);
    Ok(())
}

// ===== limits =====

#[test]
fn more_events_than_the_kernel_keeps_are_told_as_a_gap() -> Result {
    let mut fleet = Fleet::of(1)?;
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events")?;
    let limit = limit.trim().parse::<usize>()?;
    let files = [fleet.file(0, "kanban.db"), fleet.file(0, "board.json")];
    let files = files.map(fs::File::create_new);
    let [Ok(db), Ok(metadata)] = files else {
        panic!("{files:?}");
    };
    // From here on the thread rests, and nobody reads.
    fleet.wait()?;
    for _ in 0..limit / 2 + 100 {
        // In turns: equal events in a row are one.
        db.set_len(1)?;
        metadata.set_len(1)?;
    }
    let mut changed = Vec::new();
    assert_eq!(fleet.watch.drain(&mut changed), Trust::Gap);
    fleet.follow(0)?;
    db.set_len(2)?;
    assert_eq!(fleet.changed(), [0], "after a gap it goes on");
    Ok(())
}

#[test]
fn a_directory_that_cannot_be_followed_is_an_error_that_names_it() -> Result {
    let mut fleet = Fleet::of(1)?;
    fs::write(fleet.path(1), "a file")?;
    for board in [1, 2] {
        let error = fleet.follow(board).expect_err("no directory");
        let text = error.chain();
        assert!(
            text.contains(fleet.path(board).to_str().expect("text")),
            "{text}"
        );
        assert!(!fleet.watch.follows(board));
    }
    fleet
        .watch
        .follow(0, &fleet.dir.path().join("absent"), Followed::Board)
        .expect_err("absent");
    fleet.write(0, "kanban.db")?;
    assert_eq!(fleet.changed(), [0; 0], "the key stands for nothing now");
    Ok(())
}

#[test]
fn limits_that_are_reached_are_named_with_where_to_look() {
    let text = follow_failed(Path::new("/boards/shop"), Errno::NOSPC).chain();
    assert!(text.contains("/boards/shop") && text.contains("sysctl fs.inotify.max_user_watches"));
    assert!(!text.to_lowercase().contains("no space left"), "{text}");
    let text = new_failed(Errno::MFILE).chain();
    assert!(text.contains("sysctl fs.inotify.max_user_instances") && text.contains("ulimit -n"));
}

#[test]
fn a_started_program_gets_no_descriptor_of_the_watch() -> Result {
    let _fleet = Fleet::of(1)?;
    let ours = std::process::Command::new("ls")
        .args(["-l", "/proc/self/fd"])
        .output()?;
    let text = String::from_utf8(ours.stdout)?;
    assert!(text.contains(" 1 -> "), "{text}");
    assert!(!text.contains("anon_inode"), "{text}");
    Ok(())
}

#[test]
fn only_local_files_with_one_path_are_seen() -> Result {
    let fleet = Fleet::of(1)?;
    assert!(
        Watch::sees(&fleet.path(0)),
        "a directory without files, on ext4, tmpfs or the like"
    );
    assert!(!Watch::sees(Path::new("/proc")));
    assert!(!Watch::sees(&fleet.path(9)), "absent");
    fs::write(fleet.file(0, "real"), "x")?;
    assert!(Watch::sees(&fleet.path(0)));
    std::os::unix::fs::symlink(fleet.file(0, "real"), fleet.file(0, "kanban.db"))?;
    assert!(!Watch::sees(&fleet.path(0)), "a link to elsewhere");
    fs::remove_file(fleet.file(0, "kanban.db"))?;
    fs::hard_link(fleet.file(0, "real"), fleet.file(0, "kanban.db"))?;
    assert!(!Watch::sees(&fleet.path(0)), "a file of two names");
    for remote in [
        0x6969_u32,
        0xFE53_4D42,
        0xFF53_4D42,
        0x6573_5546,
        0x0102_1997,
    ] {
        assert!(!queue::is_local(remote), "nfs, smb2, cifs, fuse, 9p");
    }
    Ok(())
}
