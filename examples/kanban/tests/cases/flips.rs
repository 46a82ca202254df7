//! Damage of every kind, one board each, and one verdict each: held and left as it is, or repaired with every row there, or no damage
//! at all.

use std::fs;

use super::case::{Case, FAULTY, Result};

/// What must become of a board.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Verdict {
    /// Held as corrupt; database file and log byte for byte as they were.
    Held,
    /// Its index is rebuilt after one copy, and every row is there.
    Repaired,
    /// SQLite reads past it by design: it works, and every row is there that was in the database file.
    Works,
}

use Verdict::{Held, Repaired, Works};

/// Where a board is damaged.
enum Place {
    /// The n-th page of a kind that belongs to this table or index, at this byte.
    Page(&'static str, &'static str, u64),
    /// The database file at this byte.
    File(u64),
    /// The first page of the list of free ones, at this byte.
    Free(u64),
    /// The log at this byte.
    Log(u64),
}

use Place::{File, Free, Log, Page};

const FLIPS: &[(&str, Place, Verdict)] = &[
    ("magic", File(3), Held),
    ("page-size", File(16), Held),
    ("schema-cells", File(101), Held),
    ("schema-kind", File(100), Held),
    ("free-list-length", File(39), Held),
    ("table-interior-kind", Page("tasks", "internal", 0), Held),
    ("table-interior-child", Page("tasks", "internal", 11), Held),
    ("table-leaf-kind", Page("tasks", "leaf", 0), Held),
    ("table-leaf-cell", Page("tasks", "leaf", 8), Held),
    ("events-leaf-count", Page("task_events", "leaf", 3), Held),
    ("overflow-chain", Page("tasks", "overflow", 1), Held),
    (
        "index-interior-kind",
        Page("idx_events_task", "internal", 0),
        Repaired,
    ),
    (
        "index-interior-child",
        Page("idx_events_task", "internal", 11),
        Repaired,
    ),
    (
        "index-leaf-kind",
        Page("idx_events_task", "leaf", 0),
        Repaired,
    ),
    (
        "index-leaf-cell",
        Page("idx_tasks_status", "leaf", 8),
        Repaired,
    ),
    (
        "key-interior-kind",
        Page("sqlite_autoindex_tasks_1", "internal", 0),
        Repaired,
    ),
    (
        "key-leaf-kind",
        Page("sqlite_autoindex_tasks_1", "leaf", 0),
        Repaired,
    ),
    ("free-list-count", Free(7), Held),
    ("free-list-leaf", Free(11), Held),
    ("log-magic", Log(0), Works),
    ("log-frame", Log(32 + 24 + 500), Works),
    ("log-checksum", Log(32 + 17), Works),
];

/// Rows in the database file of each board.
const TASKS: i64 = 400;
const EVENTS: i64 = 4_000;

case! {
    c13_a_flipped_byte_of_every_kind_is_held_or_repaired,
    injects: "22 boards with one byte inverted each: header, schema, interior, leaf and overflow pages of tables and indexes, free pages, log",
    holds: "damaged tables are held as corrupt, byte for byte as they were; damaged indexes are rebuilt once, after one copy, with every row there; a damaged log loses nothing of the file; others go on",
    |case| {
        fill(case)?;
        case.settings(super::case::DONE, "", "[check]\ninterval_seconds = 1")?;
        let mut before = Vec::new();
        for (slug, place, verdict) in FLIPS {
            case.copy_board(FAULTY, slug)?;
            let at = offset(case, place)?;
            let name = match place {
                Log(_) => "kanban.db-wal",
                _ => "kanban.db",
            };
            if let Log(_) = place {
                fs::copy(case.house.beside("log"), case.dir(slug).join(name))?;
            }
            let path = case.dir(slug).join(name);
            let mut bytes = fs::read(&path)?;
            bytes[at] ^= 0xff;
            fs::write(&path, bytes)?;
            if *verdict == Held {
                case.expect_damage(slug);
            }
            before.push(case.bytes(slug)?);
        }
        case.start_unwell()?;
        for ((slug, _, verdict), before) in FLIPS.iter().zip(&before) {
            judge(case, slug, *verdict, before).map_err(|error| format!("{slug}: {error}"))?;
        }
        Ok(())
    }
}

case! {
    c14_an_index_that_points_into_its_table_takes_no_row_along,
    injects: "an index page whose first child is a page of the table",
    holds: "the index is rebuilt without a look at its old pages; every row is there",
    |case| {
        fill(case)?;
        case.settings(super::case::DONE, "", "[check]\ninterval_seconds = 0.5")?;
        let start = offset(case, &Page("idx_events_task", "internal", 0))?;
        let leaf = offset(case, &Page("task_events", "leaf", 0))? / 4096 + 1;
        let file = fs::read(case.file(FAULTY))?;
        // Behind the header of twelve bytes is where the first cell is, which begins with its child.
        let cell = usize::from(u16::from_be_bytes(file[start + 12..start + 14].try_into()?));
        let child = u32::try_from(leaf)?.to_be_bytes();
        case.overwrite(FAULTY, start as u64 / 4096 + 1, cell as u64, &child)?;
        let before = case.bytes(FAULTY)?;
        case.start_unwell()?;
        judge(case, FAULTY, Repaired, &before)
    }
}

fn judge(case: &Case, slug: &str, verdict: Verdict, before: &[Vec<u8>; 2]) -> Result {
    match verdict {
        Held => {
            let status = case.state(slug, "held")?;
            assert_eq!(status["class"], "corrupt", "{slug}: {status}");
            assert_eq!(status["repair_attempts"], 0, "{slug}: {status}");
            assert!(case.bytes(slug)? == *before, "{slug} was written to");
            assert_eq!(case.kept(slug)?.len(), 1, "{slug}");
            return Ok(());
        }
        Repaired => {
            case.line(slug, "board repaired")?;
            case.counts_repairs(slug, 1)?;
            let copies = case.kept(slug)?;
            assert_eq!(copies.len(), 1, "{slug}");
            assert!(fs::read(&copies[0])? == before[0], "{slug}");
        }
        Works => {
            case.state(slug, "ok")?;
        }
    }
    for (table, rows) in [("tasks", TASKS), ("task_events", EVENTS)] {
        let sql = format!("SELECT count(*) FROM {table} NOT INDEXED WHERE ?1 = ''");
        assert_eq!(case.query::<i64>(slug, &sql, "")?, rows, "{slug}: {table}");
    }
    Ok(())
}

/// Enough for each kind of page; and a log that is left beside `root` for boards with the same file.
fn fill(case: &Case) -> Result {
    case.db(FAULTY)?.execute_batch(&format!(
        "BEGIN IMMEDIATE; CREATE TEMP TABLE n AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {EVENTS}) SELECT i FROM n; \
         INSERT INTO tasks(id, title, status, created_at, body) \
         SELECT printf('t_%08x', i), 'old', 'done', 1, iif(i = 7, hex(zeroblob(9000)), 'a body') FROM n LIMIT {TASKS}; \
         INSERT INTO task_events(task_id, kind, created_at) SELECT printf('t_%08x', i), 'created', 1 FROM n; \
         CREATE TABLE spare AS SELECT hex(zeroblob(3000)) FROM n LIMIT 20; COMMIT; DROP TABLE spare",
    ))?;
    case.checkpoint(FAULTY)?;
    // A log as it is after a commit: taken while its connection is open, by the copy that another process makes.
    let db = case.db(FAULTY)?;
    db.execute_batch("UPDATE task_events SET payload = 'later' WHERE id < 50")?;
    let mut copy = std::process::Command::new("cp");
    copy.arg(case.dir(FAULTY).join("kanban.db-wal"))
        .arg(case.house.beside("log"));
    assert!(copy.status()?.success());
    drop(db);
    case.checkpoint(FAULTY)
}

/// Where that is in the file.
fn offset(case: &Case, place: &Place) -> Result<usize> {
    let offset = match place {
        File(at) | Log(at) => *at,
        Free(at) => {
            let header = fs::read(case.file(FAULTY))?;
            let trunk = u32::from_be_bytes(header[32..36].try_into()?);
            (u64::from(trunk) - 1) * 4096 + at
        }
        Page(name, kind, at) => {
            let sql =
                format!("SELECT min(pageno) FROM dbstat WHERE name = '{name}' AND pagetype = ?1");
            let page: i64 = case.query(FAULTY, &sql, kind)?;
            (page.unsigned_abs() - 1) * 4096 + at
        }
    };
    Ok(usize::try_from(offset)?)
}
