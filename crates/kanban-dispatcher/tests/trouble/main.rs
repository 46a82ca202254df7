//! Trouble around a board - its log deleted under us, its row locked by a trigger, its lock held, its turn hung, its worker program
//! missing - costs that board some time and no task its life; it is told once a window, and is over as soon as its cause is.

#[path = "../support/mod.rs"]
mod support;

mod locks;
mod pace;
mod programs;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use kanban_dispatcher::{
    BoardState, Clock, Complete, FileLock, Health, HeldReason, Job, NewTask, Outcome, Status, Wake,
    WorkerCommand,
};
use rusqlite::Connection;
use support::child::{self, Role};
use support::{Fleet, LONG, Result, START, connect, names, outcomes, task, until, value};
use tracing::Level;

/// The other processes: see [`support::child`].
#[test]
fn as_child() -> Result {
    match child::role().as_deref() {
        Some("use a board") => {
            let db = connect(Path::new(&child::variable("TEST_DB")?))?;
            run(&db, &child::variable("TEST_SQL")?)?;
            child::say_ready()?;
            child::wait_for_go()
        }
        Some("tick a board") => {
            let path = child::variable("TEST_LOCK")?;
            let _lock = FileLock::try_acquire(Path::new(&path))?.ok_or("not free")?;
            child::say_ready()?;
            child::wait_for_go()
        }
        _ => Ok(()),
    }
}

/// Runs statements, and asserts that a check among them says ok.
fn run(db: &Connection, sql: &str) -> Result {
    for statement in sql
        .split(';')
        .filter(|statement| !statement.trim().is_empty())
    {
        let mut statement = db.prepare(statement)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            if let Ok(text) = row.get::<_, String>(0) {
                assert_eq!(text, "ok");
            }
        }
    }
    Ok(())
}

/// Another process that has run this SQL on a board, and keeps its connection until it is told to go on. This process's own
/// connections all share one view of the files beside a database.
fn other(fleet: &Fleet, board: &str, sql: &str) -> Result<Role> {
    let db = fleet.db(board)?.to_string_lossy().into_owned();
    Role::start("use a board", &[("TEST_DB", &db), ("TEST_SQL", sql)])?.ready()
}

/// The same, and it is gone again.
fn by_another(fleet: &Fleet, board: &str, sql: &str) -> Result {
    let (is_ok, said) = other(fleet, board, sql)?.finish()?;
    if is_ok { Ok(()) } else { Err(said.into()) }
}

// ===== files =====

#[test]
fn a_log_that_is_deleted_under_an_open_board_is_noticed_and_nothing_is_lost_or_doubled() -> Result {
    // What was only in the log is lost with it, a claim for one; what was in the database is not.
    let checkpoint = "PRAGMA wal_checkpoint(PASSIVE)";
    for is_claim_kept in [true, false] {
        let fleet = Fleet::new()?;
        let first = fleet.ready("alpha", 1)?.remove(0);
        by_another(&fleet, "alpha", checkpoint)?;
        let mut dispatcher = fleet.dispatcher();
        assert_eq!(dispatcher.tick().started(), 1);
        if is_claim_kept {
            by_another(&fleet, "alpha", checkpoint)?;
        }
        let db = fleet.db("alpha")?;
        for file in ["kanban.db-wal", "kanban.db-shm"] {
            fs::remove_file(db.with_file_name(file))?;
        }
        by_another(
            &fleet,
            "alpha",
            "INSERT INTO tasks (id, title, assignee, status, created_at, priority) \
             VALUES ('t_new', 'x', 'coder', 'ready', 1, 9)",
        )?;

        let mut started: Vec<String> = Vec::new();
        for _ in 0..2 {
            let report = dispatcher.tick();
            let alpha = fleet.part(&report, "alpha")?;
            assert_eq!(alpha.outcome, Outcome::Ticked, "{alpha:?}");
            started.extend_from_slice(&alpha.started);
            fleet.advance(60);
        }
        assert!(started.contains(&"t_new".to_owned()), "{started:?}");
        until("both are at work", || {
            dispatcher.tick();
            assert!(fleet.processes().len() <= 2);
            Ok(fleet.store("alpha")?.list(Some("running"))?.len() == 2)
        })?;
        for _ in 0..3 {
            assert_eq!(dispatcher.tick().started(), 0);
        }
        assert_eq!(
            (dispatcher.workers_alive(), fleet.processes().len()),
            (2, 2)
        );
        let kept = started.iter().all(|id| *id != first);
        assert_eq!(kept, is_claim_kept, "{started:?}");
        assert!(fleet.complaints().is_empty(), "{:#?}", fleet.complaints());

        // Others see what was written since, and the file is whole.
        let check = "PRAGMA integrity_check; \
                     SELECT CASE count(*) WHEN 2 THEN 'ok' ELSE 'not ok' END FROM tasks \
                     WHERE status = 'running' AND worker_pid IS NOT NULL";
        by_another(&fleet, "alpha", check)?;
        drop(dispatcher);
        by_another(&fleet, "alpha", check)?;
    }
    Ok(())
}

#[test]
fn a_drifted_board_that_is_also_locked_costs_the_others_no_time() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("drifted", 1)?;
    fleet.drop_column("drifted", "tasks", "skills")?;
    let sound: Vec<String> = (0..8).map(|n| format!("sound-{n}")).collect();
    for board in &sound {
        fleet.store(board)?;
    }
    let locked = other(&fleet, "drifted", "BEGIN IMMEDIATE")?;
    let mut dispatcher = fleet
        .builder(|config| config.lanes = 1.try_into().expect("not zero"))
        .build();
    for _ in 0..3 {
        let ids = sound
            .iter()
            .map(|board| Ok(fleet.ready(board, 1)?.remove(0)));
        let ids = ids.collect::<Result<Vec<String>>>()?;
        let watch = Clock::system();
        let report = dispatcher.tick();
        let took = watch.monotonic();
        assert!(took < Duration::from_secs(2), "{took:?}");
        for (board, id) in sound.iter().zip(ids) {
            assert_eq!(fleet.part(&report, board)?.started, [id]);
        }
        let drifted = fleet.part(&report, "drifted")?;
        assert_eq!(drifted.outcome, Outcome::Busy, "{drifted:?}");
        fleet.advance(1);
    }
    assert_eq!(
        fleet.ledger_attempts("drifted")?,
        0,
        "none of that was a repair"
    );
    drop(locked);
    let report = dispatcher.tick();
    let drifted = fleet.part(&report, "drifted")?;
    assert_eq!(drifted.repaired.len(), 1, "{drifted:?}");
    assert_eq!(drifted.started.len(), 1);
    Ok(())
}

// ===== rows =====

#[test]
fn a_row_that_refuses_its_claim_does_not_take_the_others_place() -> Result {
    let fleet = Fleet::new()?;
    let ids = fleet.ready("alpha", 3)?;
    fleet.sql(
        "alpha",
        &format!(
            "CREATE TRIGGER frozen BEFORE UPDATE ON tasks WHEN OLD.id = '{}' BEGIN SELECT RAISE(ABORT, 'frozen'); END",
            ids[0]
        ),
    )?;
    let mut dispatcher = fleet
        .builder(|config| config.max_spawn = 1.try_into().ok())
        .build();
    let mut started: Vec<String> = Vec::new();
    for _ in 0..2 {
        let report = dispatcher.tick();
        started.extend_from_slice(&fleet.part(&report, "alpha")?.started);
        fleet.advance(60);
    }
    assert_eq!(started, ids[1..2]);
    fleet
        .store("alpha")?
        .complete(&ids[1], &Complete::default())?;
    let report = dispatcher.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!(alpha.started, ids[2..]);
    assert_eq!(alpha.held.get(&HeldReason::BadRow), Some(&1));
    assert_eq!(fleet.show("alpha", &ids[0])?.runs, []);

    // It is asked again, by and by.
    fleet
        .store("alpha")?
        .complete(&ids[2], &Complete::default())?;
    fleet.sql("alpha", "DROP TRIGGER frozen")?;
    fleet.advance(600);
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.started, ids[..1]);
    Ok(())
}

#[test]
fn a_task_whose_id_is_no_file_name_is_given_up_and_leads_nowhere() -> Result {
    let fleet = Fleet::new()?;
    fleet.store("alpha")?;
    let absolute = fleet.path().join("outside").to_string_lossy().into_owned();
    let ids = ["../../x", "..", ".", "a/b", "a/", "", &absolute];
    let db = fleet.connect("alpha")?;
    for id in ids {
        db.execute(
            "INSERT INTO tasks (id, title, assignee, status, created_at) VALUES (?1, 'x', 'coder', 'ready', 1)",
            [id],
        )?;
    }
    let everything = || -> Result<Vec<Vec<String>>> {
        let board = fleet.board("alpha")?;
        let dirs = [
            fleet.path(),
            &fleet.path().join("kanban"),
            &fleet.root.boards_dir(),
            board.dir(),
        ];
        dirs.into_iter().map(names).collect()
    };
    let mut dispatcher = fleet.dispatcher();
    let report = dispatcher.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!((alpha.started.len(), alpha.failed), (0, 6), "{alpha:?}");
    assert_eq!(
        alpha.held.get(&HeldReason::BadRow),
        Some(&1),
        "no id at all"
    );
    let before = everything()?;
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.gave_up, 6);
    assert_eq!(dispatcher.tick().started(), 0);
    assert_eq!(everything()?, before);
    let allowed = BTreeSet::from(["board.json", "kanban.db", "kanban.db-wal", "kanban.db-shm"]);
    for name in before.last().ok_or("no names")? {
        assert!(
            allowed.contains(&**name) || name.ends_with(".lock"),
            "{name}"
        );
    }
    assert_eq!(names(fleet.path())?, ["kanban"]);
    for id in ids.into_iter().filter(|id| !id.is_empty()) {
        let detail = fleet.show("alpha", id)?;
        assert_eq!(detail.task.status, "blocked", "{id}");
        let error = detail.task.last_failure_error.unwrap_or_default();
        assert!(error.contains("is no file name"), "{error}");
    }
    assert_eq!(fleet.processes(), [] as [i32; 0]);
    Ok(())
}
