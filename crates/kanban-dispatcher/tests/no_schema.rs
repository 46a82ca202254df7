//! Loss is not taken for drift: a file without tables is held and left as it is, whoever looks at it. Only `Store::init` makes
//! a schema from nothing, in a file that was not there before, and a fresh board does not live in its log alone. What a repair
//! adds to a board does not cut off who works on it.

mod support;

use std::fs;
use std::path::Path;

use kanban_dispatcher::{
    BoardState, Clock, Complete, ErrorKind, Outcome, RepairKey, Root, Slug, Store, repair,
};
use once_per_key_repair::{RepairGate, Turn};
use rusqlite::{Connection, OpenFlags};
use support::child::{self, Role};
use support::{Fleet, Result, bytes, connect, names, task, value};

/// The other process: see [`support::child`].
#[test]
fn as_child() -> Result {
    if child::role().as_deref() != Some("make a board") {
        return Ok(());
    }
    let (clock, root) = (Clock::system(), Root::at(child::variable("TEST_ROOT")?));
    let board = root.board(&child::variable("TEST_BOARD")?.parse()?);
    child::say_ready()?;
    child::wait_for_go()?;
    Store::init(&board, &clock)?.create(&task(0))?;
    Ok(())
}

fn new_file(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    Ok(Connection::open_with_flags(path, flags)?)
}

/// What a board looks like to SQLite when its log was deleted before anything was moved out of it.
fn make_bare(path: &Path) -> Result {
    let db = new_file(path)?;
    db.execute_batch("PRAGMA journal_mode = wal; CREATE TABLE x (y); DROP TABLE x")?;
    Ok(())
}

/// Puts another file in the board's place.
fn put(file: &Path, db: &Path) -> Result {
    for log in ["db-wal", "db-shm"] {
        let _ = fs::remove_file(db.with_extension(log));
    }
    Ok(fs::rename(file, db)?)
}

fn repair_once(db: &mut Connection) -> std::result::Result<usize, kanban_dispatcher::Error> {
    let gate = RepairGate::new();
    let key = RepairKey {
        slug: Slug::default(),
        file: (0, 0),
        missing: String::new(),
    };
    let Turn::Yours(permit) = gate.enter(&key) else {
        unreachable!("nobody else knows this gate")
    };
    permit.run(|token| repair(token, db, 1).map(|made| made.len()))
}

#[test]
fn a_served_board_that_loses_its_tables_is_held_until_a_backup_takes_its_place() -> Result {
    let fleet = Fleet::new()?;
    for board in ["alpha", "other"] {
        fleet.ready(board, 1)?;
    }
    let mut dispatcher = fleet.dispatcher();
    assert_eq!(dispatcher.tick().started(), 2);

    let (board, db) = (fleet.board("alpha")?, fleet.db("alpha")?);
    let (backup, bare) = (db.with_extension("backup"), db.with_extension("bare"));
    fleet.sql("alpha", &format!("VACUUM INTO '{}'", backup.display()))?;
    make_bare(&bare)?;
    put(&bare, &db)?;
    fleet.grow_old("alpha")?;
    let before = bytes(&db)?;
    for _ in 0..4 {
        let report = dispatcher.tick();
        let alpha = fleet.part(&report, "alpha")?;
        assert_eq!(alpha.outcome, Outcome::Held, "{alpha:?}");
        assert_eq!(alpha.repaired, [""; 0]);
        let failure = alpha.failure.as_ref().ok_or("no failure")?;
        assert_eq!(failure.class.as_str(), "schema_drift", "{failure:?}");
        assert!(failure.reason.contains("table tasks"), "{failure:?}");
        assert!(failure.reason.contains("restore a backup"), "{failure:?}");
        assert_eq!(fleet.part(&report, "other")?.outcome, Outcome::Ticked);
        fleet.advance(1);
    }
    for opened in [
        Store::open(&board, &fleet.clock),
        Store::init(&board, &fleet.clock),
    ] {
        let error = opened.err().ok_or("a board without tables was opened")?;
        assert_eq!(error.kind(), ErrorKind::Drift);
        for part in ["table tasks", "restore a backup"] {
            assert!(error.to_string().contains(part), "{error}");
        }
    }
    assert!(bytes(&db)? == before, "nobody wrote to it");
    let status = fleet.status("alpha")?;
    assert_eq!(status.state, BoardState::Held, "{status:?}");
    let complaints = fleet.complaints();
    assert_eq!(complaints.len(), 1, "{complaints:#?}");

    put(&backup, &db)?;
    let report = dispatcher.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!(alpha.outcome, Outcome::Ticked, "{alpha:?}");
    assert_eq!(alpha.running, 1, "the worker goes on");
    Ok(())
}

#[test]
fn a_repair_adds_to_a_board_and_never_begins_one() -> Result {
    let dir = tempfile::tempdir()?;
    for (file, content) in [
        ("nothing", ""),
        ("something else", "CREATE TABLE recipes (x)"),
        (
            "runs only",
            "CREATE TABLE task_runs (id INTEGER PRIMARY KEY)",
        ),
    ] {
        let mut db = new_file(&dir.path().join(file))?;
        db.execute_batch(content)?;
        let objects = "SELECT count(*) FROM sqlite_schema";
        let before: i64 = value(&db, objects)?;
        let error = repair_once(&mut db).expect_err(file);
        assert_eq!(error.kind(), ErrorKind::Drift, "{file}: {error}");
        assert!(error.to_string().contains("table tasks"), "{error}");
        assert!(error.to_string().contains("restore a backup"), "{error}");
        assert_eq!(value::<i64>(&db, objects)?, before, "{file}");
    }
    Ok(())
}

#[test]
fn making_a_board_where_an_empty_file_lies_is_refused_and_leaves_it() -> Result {
    let fleet = Fleet::new()?;
    let board = fleet.board("emptied")?;
    fs::create_dir_all(board.dir())?;
    fs::write(board.db(), "")?;
    for _ in 0..2 {
        let error = Store::init(&board, &fleet.clock).expect_err("an empty file");
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert_eq!(fs::metadata(board.db())?.len(), 0);
        assert_eq!(names(board.dir())?, ["kanban.db", "kanban.db.init.lock"]);
    }
    Ok(())
}

#[test]
fn eight_processes_that_make_one_board_at_once_all_succeed() -> Result {
    let fleet = Fleet::new()?;
    let root = fleet.path().to_string_lossy().into_owned();
    for round in 0..3 {
        let name = format!("new-{round}");
        let slug = fleet.slug(&name);
        let variables = [("TEST_ROOT", &*root), ("TEST_BOARD", &*slug)];
        let mut children = Vec::new();
        for _ in 0..8 {
            children.push(Role::start("make a board", &variables)?);
        }
        let mut children: Vec<Role> = children
            .into_iter()
            .map(Role::ready)
            .collect::<Result<_>>()?;
        children.iter_mut().for_each(Role::go);
        for child in children {
            let (ok, said) = child.finish()?;
            assert!(ok, "{said}");
        }
        let db = fleet.connect(&name)?;
        assert_eq!(value::<i64>(&db, "SELECT count(*) FROM tasks")?, 8);
        assert_eq!(value::<String>(&db, "PRAGMA integrity_check")?, "ok");
        let metadata = fs::read_to_string(fleet.board(&name)?.metadata())?;
        assert!(metadata.ends_with("}\n"), "{metadata}");
    }
    Ok(())
}

#[test]
fn a_fresh_board_survives_the_loss_of_its_log() -> Result {
    let fleet = Fleet::new()?;
    drop(fleet.store("alpha")?);
    let db = fleet.db("alpha")?;
    assert!(db.with_extension("db-wal").exists(), "nothing to lose");
    for log in ["db-wal", "db-shm"] {
        fs::remove_file(db.with_extension(log))?;
    }
    let mut store = Store::open(&fleet.board("alpha")?, &fleet.clock)?;
    store.create(&task(0))?;
    assert_eq!(store.list(None)?.len(), 1);
    assert_eq!(
        value::<String>(&connect(&db)?, "PRAGMA journal_mode")?,
        "wal"
    );
    Ok(())
}

#[test]
fn a_live_worker_stays_the_current_attempt_when_its_boards_column_is_put_back() -> Result {
    let fleet = Fleet::new()?;
    let id = fleet.ready("alpha", 1)?.remove(0);
    let mut dispatcher = fleet.dispatcher();
    assert_eq!(dispatcher.tick().started(), 1);
    let run = fleet.store("alpha")?.show(&id)?.runs[0].id;
    // An earlier attempt that somebody left open, and a closed one of another task, are not it.
    fleet.sql(
        "alpha",
        &format!(
            "UPDATE task_runs SET id = id + 10; UPDATE tasks SET current_run_id = current_run_id + 10;
             INSERT INTO task_runs (id, task_id, status, started_at) VALUES (1, '{id}', 'running', 1);
             INSERT INTO task_runs (id, task_id, status, started_at, ended_at) VALUES (99, '{id}', 'crashed', 1, 2);
             INSERT INTO task_runs (id, task_id, status, started_at) VALUES (98, 't_other', 'running', 1);"
        ),
    )?;
    let run = run + 10;
    fleet.drop_column("alpha", "tasks", "current_run_id")?;
    let mut store = fleet.store("alpha")?;
    let db = fleet.connect("alpha")?;
    assert_eq!(
        value::<i64>(&db, "SELECT current_run_id FROM tasks")?,
        run,
        "the number that its worker knows"
    );
    assert_eq!(value::<i64>(&db, "SELECT count(*) FROM task_runs")?, 4);
    let report = |run| Complete {
        run: Some(run),
        ..Complete::default()
    };
    store.complete(&id, &report(run))?;
    Ok(())
}
