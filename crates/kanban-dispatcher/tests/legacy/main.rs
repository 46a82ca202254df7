//! Boards of every age are served on the first tick, and nothing is said of it but what was repaired: boards with the base
//! columns only, with any one additive column or table missing, with old names and old types. What is additive is read off a
//! board that the library makes; what is base is the format's own list.

#[path = "../support/mod.rs"]
mod support;

mod crowd;
mod newer;
mod types;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use kanban_dispatcher::{
    Clock, Config, ErrorKind, NewTask, Outcome, RepairKey, Root, Store, repair,
};
use once_per_key_repair::{RepairGate, Turn};
use rusqlite::{Connection, OpenFlags};
use support::child::{self, Role};
use support::log::Line;
use support::{Fleet, Result, START, connect, task, value};
use tracing::Level;

/// What even the first boards had, and no migration adds.
const BASE: [(&str, &[&str]); 4] = [
    (
        "tasks",
        &[
            "id",
            "title",
            "body",
            "assignee",
            "status",
            "priority",
            "created_by",
            "created_at",
            "started_at",
            "completed_at",
            "workspace_kind",
            "workspace_path",
            "claim_lock",
            "claim_expires",
        ],
    ),
    ("task_links", &["parent_id", "child_id"]),
    (
        "task_comments",
        &["id", "task_id", "author", "body", "created_at"],
    ),
    (
        "task_events",
        &["id", "task_id", "kind", "payload", "created_at"],
    ),
];

/// Tables that came later as a whole, and the one column that came later still.
const LATER_TABLES: [&str; 3] = ["task_runs", "task_attachments", "kanban_notify_subs"];
const LATER_COLUMN: (&str, &str) = ("kanban_notify_subs", "notifier_profile");

/// The statements that made a board in the beginning, with the two columns that have other names now.
const FIRST_BOARD: &str = "
    CREATE TABLE tasks (id TEXT PRIMARY KEY, title TEXT NOT NULL, body TEXT, assignee TEXT, status TEXT NOT NULL,
        priority INTEGER DEFAULT 0, created_by TEXT, created_at INTEGER NOT NULL, started_at INTEGER, completed_at INTEGER,
        workspace_kind TEXT NOT NULL DEFAULT 'scratch', workspace_path TEXT, claim_lock TEXT, claim_expires INTEGER,
        spawn_failures INTEGER, last_spawn_error TEXT);
    CREATE TABLE task_links (parent_id TEXT NOT NULL, child_id TEXT NOT NULL, PRIMARY KEY (parent_id, child_id));
    CREATE TABLE task_comments (id INTEGER PRIMARY KEY AUTOINCREMENT, task_id TEXT NOT NULL, author TEXT NOT NULL,
        body TEXT NOT NULL, created_at INTEGER NOT NULL);
    CREATE TABLE task_events (id INTEGER PRIMARY KEY AUTOINCREMENT, task_id TEXT NOT NULL, kind TEXT NOT NULL,
        payload TEXT, created_at INTEGER NOT NULL);";

/// The other process: see [`support::child`].
#[test]
fn as_child() -> Result {
    if child::role().as_deref() != Some("open a board") {
        return Ok(());
    }
    let (clock, root) = (Clock::system(), Root::at(child::variable("TEST_ROOT")?));
    let board = root.board(&child::variable("TEST_BOARD")?.parse()?);
    child::say_ready()?;
    child::wait_for_go()?;
    Store::open(&board, &clock)?.create(&task(0))?;
    Ok(())
}

/// Every column of a board as this library makes it: (table, column).
fn real_schema() -> Result<Vec<(String, String)>> {
    let fleet = Fleet::new()?;
    fleet.store("model")?;
    columns(&fleet.connect("model")?)
}

fn columns(db: &Connection) -> Result<Vec<(String, String)>> {
    let mut statement = db.prepare(
        "SELECT t.name, c.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c \
         WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' ORDER BY 1, 2",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<std::result::Result<_, _>>()?)
}

fn schema_objects(db: &Connection) -> Result<BTreeSet<String>> {
    let mut statement =
        db.prepare("SELECT type || ' ' || name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<std::result::Result<_, _>>()?)
}

/// What a board of today has that the first boards did not, table by table.
fn additive_columns() -> Result<Vec<(String, String)>> {
    let is_additive = |table: &str, column: &str| {
        let base = BASE.iter().find(|(name, _)| *name == table);
        base.is_some_and(|(_, columns)| !columns.contains(&column))
            || (table, column) == LATER_COLUMN
    };
    let mut columns = real_schema()?;
    columns.retain(|(table, column)| is_additive(table, column));
    Ok(columns)
}

/// The one line that is allowed on the way, and that it is there.
fn only_the_repair_is_told(fleet: &Fleet, board: &str) {
    let lines = fleet.lines_of(board);
    let above = lines.iter().filter(|line| line.is_above_info()).count();
    assert_eq!(above, 0, "{lines:#?}");
    let told: Vec<&Line> = lines
        .iter()
        .filter(|line| line.message == "board repaired")
        .collect();
    assert_eq!(told.len(), 1, "{lines:#?}");
    assert_eq!(told[0].level, Level::INFO);
}

#[test]
fn a_board_with_only_the_base_columns_is_served_on_the_first_tick() -> Result {
    let fleet = Fleet::new()?;
    let board = fleet.board("old")?;
    std::fs::create_dir_all(board.dir())?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let db = Connection::open_with_flags(board.db(), flags)?;
    db.execute_batch(FIRST_BOARD)?;
    db.execute_batch(&format!(
        "INSERT INTO tasks (id, title, assignee, status, created_at, spawn_failures, last_spawn_error) VALUES
            ('t_1', 'failed once', 'coder', 'ready', 1, 1, 'no such program'),
            ('t_2', 'never failed', 'coder', 'ready', 2, NULL, NULL),
            ('t_4', 'waits', 'coder', 'todo', 4, 0, NULL);
         INSERT INTO tasks (id, title, assignee, status, created_at, started_at, claim_lock, claim_expires) VALUES
            ('t_3', 'somebody is at it', 'coder', 'running', 3, 77, 'elsewhere:1', {});
         INSERT INTO task_links VALUES ('t_3', 't_4');
         INSERT INTO task_comments (task_id, author, body, created_at) VALUES ('t_1', 'me', 'hello', 5);
         INSERT INTO task_events (task_id, kind, payload, created_at) VALUES
            ('t_1', 'created', NULL, 1), ('t_1', 'ready', NULL, 2), ('t_1', 'priority', '{{\"priority\": 1}}', 3),
            ('t_1', 'spawn_auto_blocked', NULL, 4);",
        START + 900,
    ))?;
    drop(db);

    // Somebody has been at one of them since 1970, which is what `dispatch_stale_timeout_seconds` is for.
    let mut dispatcher = fleet
        .builder(|config| config.dispatch_stale_timeout_seconds = 0)
        .build();
    let report = dispatcher.tick();
    let old = fleet.part(&report, "old")?;
    assert_eq!(old.outcome, Outcome::Ticked, "{old:?}");
    assert_eq!(old.started, ["t_1", "t_2"]);
    only_the_repair_is_told(&fleet, "old");

    let db = fleet.connect("old")?;
    let text = |sql: &str| value::<String>(&db, sql);
    assert_eq!(
        text("SELECT group_concat(id || consecutive_failures, ' ') FROM tasks ORDER BY id")?,
        "t_11 t_20 t_40 t_30"
    );
    assert_eq!(
        text("SELECT last_failure_error FROM tasks WHERE id = 't_1'")?,
        "no such program"
    );
    assert_eq!(
        text("SELECT group_concat(kind, ' ') FROM task_events WHERE id <= 4")?,
        "created promoted reprioritized gave_up"
    );
    assert_eq!(
        text(
            "SELECT r.status || ' ' || r.profile || ' ' || r.claim_lock || ' ' || r.started_at FROM task_runs r \
             JOIN tasks t ON t.current_run_id = r.id WHERE t.id = 't_3' AND r.ended_at IS NULL"
        )?,
        "running coder elsewhere:1 77"
    );
    assert_eq!(text("SELECT body FROM task_comments")?, "hello");

    // Nothing of today's format is missing, and nothing of the old file is gone.
    let mut expected = real_schema()?;
    for old_name in ["spawn_failures", "last_spawn_error"] {
        expected.push(("tasks".to_owned(), old_name.to_owned()));
    }
    expected.sort();
    assert_eq!(columns(&db)?, expected);
    let model = Fleet::new()?;
    model.store("model")?;
    assert_eq!(
        schema_objects(&db)?,
        schema_objects(&model.connect("model")?)?
    );
    Ok(())
}

#[test]
fn every_single_additive_column_is_put_back_on_the_first_tick() -> Result {
    let columns = additive_columns()?;
    assert_eq!(columns.len(), 23, "{columns:?}");
    let fleet = Fleet::new()?;
    for (n, (table, column)) in columns.iter().enumerate() {
        let board = format!("c{n}");
        fleet.ready(&board, 1)?;
        fleet.drop_column(&board, table, column)?;
    }
    let report = fleet.dispatcher().tick();
    for (n, (table, column)) in columns.iter().enumerate() {
        let board = format!("c{n}");
        let part = fleet.part(&report, &board)?;
        assert_eq!(
            part.repaired,
            [format!("column {table}.{column}")],
            "{:?}",
            part.failure
        );
        assert_eq!(
            (part.outcome, part.started.len()),
            (Outcome::Ticked, 1),
            "{column}: {part:?}"
        );
        only_the_repair_is_told(&fleet, &board);
    }
    assert!(fleet.complaints().is_empty());
    Ok(())
}

#[test]
fn every_single_additive_table_is_put_back_on_the_first_tick() -> Result {
    let model: BTreeSet<String> = real_schema()?.into_iter().map(|(table, _)| table).collect();
    let base = BASE.map(|(table, _)| table);
    let known: BTreeSet<String> = base
        .into_iter()
        .chain(LATER_TABLES)
        .map(str::to_owned)
        .collect();
    assert_eq!(model, known, "a new table belongs to one of the two lists");

    let fleet = Fleet::new()?;
    for table in LATER_TABLES {
        fleet.ready(table, 1)?;
        fleet.sql(table, &format!("DROP TABLE {table}"))?;
    }
    let report = fleet.dispatcher().tick();
    for table in LATER_TABLES {
        let part = fleet.part(&report, table)?;
        assert_eq!(part.repaired, [format!("table {table}")]);
        assert_eq!(
            (part.outcome, part.started.len()),
            (Outcome::Ticked, 1),
            "{part:?}"
        );
        only_the_repair_is_told(&fleet, table);
    }
    assert!(fleet.complaints().is_empty());
    Ok(())
}

#[test]
fn a_base_table_or_column_that_is_gone_is_loss_and_is_not_made_again() -> Result {
    let fleet = Fleet::new()?;
    let boards: Vec<(String, String)> = BASE
        .iter()
        .map(|(table, _)| (format!("table-{table}"), format!("DROP TABLE {table}")))
        .chain(LATER_TABLES.iter().flat_map(|table| {
            // Made as a whole; a column of theirs was never added alone.
            let column = if *table == "task_runs" {
                "outcome"
            } else {
                "created_at"
            };
            let drop = format!(
                "DROP INDEX IF EXISTS idx_attachments_task; ALTER TABLE {table} DROP COLUMN {column}"
            );
            [(format!("column-{table}"), drop)]
        }))
        .collect();
    for (board, damage) in &boards {
        fleet.ready(board, 1)?;
        fleet.sql(board, damage)?;
    }
    let mut dispatcher = fleet.dispatcher();
    for _ in 0..2 {
        let report = dispatcher.tick();
        for (board, damage) in &boards {
            let part = fleet.part(&report, board)?;
            assert_eq!(part.outcome, Outcome::Held, "{damage}: {part:?}");
            assert!(
                part.failure
                    .as_ref()
                    .is_some_and(|failure| failure.missing.is_some())
            );
        }
        assert_eq!(report.started(), 0);
    }
    Ok(())
}

/// A person's command repairs an old board on its way, as well as a tick does.
#[test]
fn a_command_brings_an_old_board_up_to_date() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 1)?;
    for (table, column) in additive_columns()? {
        fleet.drop_column("alpha", &table, &column)?;
    }
    let mut store = Store::open(&fleet.board("alpha")?, &fleet.clock)?;
    store.create(&NewTask {
        tenant: Some("me".to_owned()),
        skills: vec!["rust".to_owned()],
        ..task(1)
    })?;
    assert_eq!(store.list(None)?.len(), 2);
    let report = fleet.dispatcher().tick();
    let part = fleet.part(&report, "alpha")?;
    assert_eq!((part.started.len(), part.repaired.len()), (2, 0));
    assert!(Path::new(&fleet.board("alpha")?.init_lock()).exists());
    Ok(())
}
