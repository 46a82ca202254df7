//! Another program that works on a log which was deleted under it is told, and shown, until it has ended. A real process with a real
//! connection.

mod support;

use std::fs;
use std::path::Path;

use kanban_dispatcher::{BoardState, Health, Outcome, Status};
use support::child::{self, Role};
use support::{Fleet, Result, connect, value};
use tracing::Level;

/// The other process: see [`support::child`].
#[test]
fn as_child() -> Result {
    match child::role().as_deref() {
        Some("keep a board open") => {
            let db = connect(Path::new(&child::variable("TEST_DB")?))?;
            let _: i64 = value(&db, "SELECT count(*) FROM tasks")?;
            child::say_ready()?;
            child::wait_for_go()
        }
        _ => Ok(()),
    }
}

#[test]
fn a_process_that_works_on_a_deleted_log_is_told_and_shown_until_it_ends() -> Result {
    let fleet = Fleet::new()?;
    let ids = fleet.ready("alpha", 1)?;
    fleet.ready("beta", 1)?;
    // Reached by a link: the kernel tells where the file was.
    let dir = fleet.board("alpha")?.dir().to_owned();
    let aside = fleet.path().join("aside");
    fs::rename(&dir, &aside)?;
    std::os::unix::fs::symlink(&aside, &dir)?;

    let mut dispatcher = fleet.dispatcher();
    assert_eq!(dispatcher.tick().started(), 2);
    let db = fleet.db("alpha")?;
    let other = Role::start("keep a board open", &[("TEST_DB", &db.to_string_lossy())])?.ready()?;
    fleet.advance(60);
    dispatcher.tick();
    assert_eq!(fleet.status("alpha")?.risk, None, "that is nothing");

    // Nothing is lost here: the log is empty by then.
    fleet.sql("alpha", "PRAGMA wal_checkpoint(TRUNCATE)")?;
    for ending in ["-wal", "-shm"] {
        let name = format!("kanban.db{ending}");
        fs::remove_file(dir.join(name))?;
    }
    fleet.advance(59);
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.outcome, Outcome::Ticked);
    assert_eq!(fleet.status("alpha")?.risk, None, "looked at seldom");
    let pid = format!("process {} (", other.child.id());
    for minute in 0..3 {
        fleet.advance(if minute == 0 { 1 } else { 60 });
        dispatcher.tick();
        let status = fleet.status("alpha")?;
        let risk = status.risk.as_deref().unwrap_or_default();
        assert!(risk.starts_with(&pid), "{risk}");
        assert_eq!(status.state, BoardState::Ok, "it works");
        assert_eq!(fleet.status("beta")?.risk, None);
        let health = Status::read(&fleet.root, &fleet.clock)?.health();
        assert_eq!(health, Health::Degraded);
    }
    let told = |level: Level, text: &str| {
        let lines = fleet.lines_of("alpha");
        let is_it = |line: &&support::log::Line| line.level == level && line.message.contains(text);
        lines.iter().filter(is_it).count()
    };
    assert_eq!(
        told(Level::WARN, "deleted write-ahead log"),
        3,
        "one a minute"
    );

    drop(other);
    fleet.advance(60);
    dispatcher.tick();
    assert_eq!(fleet.status("alpha")?.risk, None);
    assert_eq!(told(Level::INFO, "any more"), 1);
    let health = Status::read(&fleet.root, &fleet.clock)?.health();
    assert_eq!(health, Health::Healthy);
    assert_eq!(fleet.show("alpha", &ids[0])?.task.status, "running");
    Ok(())
}
