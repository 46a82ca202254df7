//! Which changes of a real file its stamp shows, and that looking leaves no trace.
#![cfg(unix)]

use std::fs::{self, File, FileTimes};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fingerprint_quarantine::{
    Admission, Backoff, FileState, Hold, Quarantine, Reason, SqliteFiles, SqliteStamp,
};
use tempfile::TempDir;

type Result = io::Result<()>;

/// So long after any write here that no stamp is young.
fn later() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(10_000_000_000)
}

fn look(path: &Path) -> FileState {
    FileState::of_at(path, later())
}

/// Writes `content` in place and puts mtime back to `mtime`, until ctime has moved: it only does with the kernel's clock tick.
fn rewrite_with_mtime(path: &Path, content: &str, mtime: SystemTime) -> Result {
    let before = fs::metadata(path)?;
    loop {
        let mut file = File::options().write(true).truncate(true).open(path)?;
        file.write_all(content.as_bytes())?;
        file.set_times(FileTimes::new().set_modified(mtime))?;
        let after = fs::metadata(path)?;
        if (after.ctime(), after.ctime_nsec()) != (before.ctime(), before.ctime_nsec()) {
            return Ok(());
        }
    }
}

#[test]
fn absent_unreadable_empty_and_present_are_four_states() -> Result {
    let dir = TempDir::new()?;
    let file = dir.path().join("a");
    assert!(look(&file).is_absent());
    assert_eq!(look(&file).stamp(), None);
    fs::write(&file, "")?;
    assert!(look(&file).is_empty_file());
    fs::write(&file, "content")?;
    let present = look(&file);
    assert!(!present.is_empty_file() && !present.is_absent());
    assert_eq!(present.stamp().map(|stamp| stamp.len), Some(7));
    // A file where a directory should be: nobody, root included, gets beyond it.
    let beyond = look(&file.join("b"));
    assert_eq!(beyond, FileState::Unreadable(io::ErrorKind::NotADirectory));
    assert!(!beyond.is_absent());
    Ok(())
}

#[test]
fn times_are_told_to_the_nanosecond_and_the_place_by_device_and_inode() -> Result {
    let dir = TempDir::new()?;
    let path = dir.path().join("a");
    fs::write(&path, "content")?;
    let mtime = Duration::new(1_700_000_000, 123_456_789);
    let file = File::options().write(true).open(&path)?;
    file.set_times(FileTimes::new().set_modified(UNIX_EPOCH + mtime))?;
    let metadata = fs::metadata(&path)?;
    let ctime = i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec());
    let state = look(&path);
    let times = state.stamp().map(|stamp| (stamp.mtime_ns, stamp.ctime_ns));
    assert_eq!(times, Some((1_700_000_000_123_456_789, ctime)));
    let place = state.stamp().map(|stamp| (stamp.dev, stamp.ino));
    assert_eq!(place, Some((metadata.dev(), metadata.ino())));
    Ok(())
}

#[test]
fn a_directory_that_may_not_be_entered_is_a_state_that_can_last() -> Result {
    let dir = TempDir::new()?;
    let closed = dir.path().join("closed");
    fs::create_dir(&closed)?;
    let file = closed.join("a");
    fs::write(&file, "content")?;
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000))?;
    let state = look(&file);
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700))?;
    // Root may enter all the same.
    if state.stamp().is_none() {
        assert_eq!(
            state,
            FileState::Unreadable(io::ErrorKind::PermissionDenied)
        );
        let boards = Quarantine::<&str, FileState>::new();
        let attempt = boards.admit_stamped(&"a", state).go().unwrap();
        attempt.failed(&Hold::until_changed(), |same| *same);
        assert!(boards.admit_stamped(&"a", state).go().is_none());
        assert!(boards.admit_stamped(&"a", look(&file)).go().is_some());
    }
    Ok(())
}

#[test]
fn a_file_renamed_into_place_with_the_same_length_and_times_is_seen() -> Result {
    let dir = TempDir::new()?;
    let (file, other) = (dir.path().join("a"), dir.path().join("b"));
    fs::write(&file, "one")?;
    fs::write(&other, "two")?;
    let before = look(&file);
    let mtime = fs::metadata(&file)?.modified()?;
    File::options()
        .write(true)
        .open(&other)?
        .set_times(FileTimes::new().set_modified(mtime))?;
    fs::rename(&other, &file)?;
    let (FileState::Present(before), FileState::Present(after)) = (before, look(&file)) else {
        panic!("both are there")
    };
    assert_eq!((before.len, before.mtime_ns), (after.len, after.mtime_ns));
    assert_ne!(before.ino, after.ino);
    assert_ne!(before, after);
    Ok(())
}

#[test]
fn a_file_written_in_place_with_its_mtime_put_back_is_seen() -> Result {
    let dir = TempDir::new()?;
    let file = dir.path().join("a");
    fs::write(&file, "one")?;
    let before = look(&file);
    rewrite_with_mtime(&file, "two", fs::metadata(&file)?.modified()?)?;
    let (FileState::Present(before), FileState::Present(after)) = (before, look(&file)) else {
        panic!("both are there")
    };
    assert_eq!(
        (before.ino, before.len, before.mtime_ns),
        (after.ino, after.len, after.mtime_ns)
    );
    assert_ne!(before, after);
    Ok(())
}

#[test]
fn a_link_that_leads_elsewhere_now_is_seen() -> Result {
    let dir = TempDir::new()?;
    let link = dir.path().join("link");
    for name in ["a", "b"] {
        fs::write(dir.path().join(name), "same")?;
    }
    symlink("a", &link)?;
    let before = look(&link);
    assert_eq!(before, look(&dir.path().join("a")), "links are followed");
    fs::remove_file(&link)?;
    symlink("b", &link)?;
    assert_ne!(look(&link), before);
    fs::remove_file(dir.path().join("b"))?;
    assert!(look(&link).is_absent(), "it leads nowhere");
    Ok(())
}

#[test]
fn a_look_changes_no_time_of_the_file() -> Result {
    let dir = TempDir::new()?;
    let file = dir.path().join("a");
    fs::write(&file, "content")?;
    let before = fs::metadata(&file)?;
    for _ in 0..3 {
        let _ = SqliteStamp::of(&file);
    }
    let after = fs::metadata(&file)?;
    assert_eq!(before.accessed()?, after.accessed()?);
    assert_eq!(fs::read_dir(dir.path())?.count(), 1);
    Ok(())
}

#[test]
fn a_young_stamp_costs_one_attempt_when_it_is_old_and_then_no_more() -> Result {
    let dir = TempDir::new()?;
    let file = dir.path().join("a");
    let written = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    fs::write(&file, "content")?;
    // `written` is long before the file's time: as if it had just been written.
    let young = FileState::of_at(&file, written);
    assert!(young.is_young() && !look(&file).is_young());

    let boards = Quarantine::<&str, FileState>::new();
    let hold = Hold::until_changed().or_retry(Backoff::every(Duration::from_secs(1_000)));
    boards
        .admit_stamped(&"a", young)
        .go()
        .unwrap()
        .failed(&hold, |same| *same);
    assert!(matches!(
        boards.admit_stamped(&"a", young),
        Admission::Held(_)
    ));
    let again = boards.admit(&"a", || look(&file)).go().unwrap();
    assert_eq!(again.why(), Reason::Changed);
    again.failed(&hold, |same| *same);
    for _ in 0..5 {
        assert!(boards.admit(&"a", || look(&file)).go().is_none());
    }
    Ok(())
}

#[test]
fn a_file_just_written_is_young_by_the_system_s_clock() -> Result {
    let dir = TempDir::new()?;
    let file = dir.path().join("a");
    // The machine may pause between the two for longer than a file is young.
    let young = (0..100).any(|_| fs::write(&file, "x").is_ok() && FileState::of(&file).is_young());
    assert!(young);
    Ok(())
}

#[test]
fn the_log_of_a_linked_database_lies_beside_the_file_it_leads_to() -> Result {
    let dir = TempDir::new()?;
    let (real, link) = (dir.path().join("real"), dir.path().join("link"));
    fs::create_dir(&real)?;
    fs::write(real.join("a.db"), "content")?;
    symlink("real/a.db", &link)?;
    let files = SqliteFiles::new(&link);
    assert_eq!(files.main(), link);
    assert_eq!(files.wal(), real.join("a.db-wal"));
    let before = files.observe_at(later());
    fs::write(real.join("a.db-wal"), "frame")?;
    assert_ne!(files.observe_at(later()), before);
    // A link to itself has an end all the same.
    let round = dir.path().join("round");
    symlink("round", &round)?;
    assert!(matches!(
        SqliteFiles::new(&round).observe().main,
        FileState::Unreadable(_)
    ));
    Ok(())
}
