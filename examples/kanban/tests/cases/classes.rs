//! What a failure is taken for: the code decides, and the file system where the code does not say.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::symlink;

use serde_json::Value;

use super::case::{Case, FAULTY, Result};

/// A board that something was done to before the daemon's start, and what status must say of it then.
struct Situation {
    slug: &'static str,
    state: &'static str,
    class: Option<&'static str>,
    code: Option<i64>,
    /// In the reason, or in what is missing.
    words: &'static str,
    repairs: i64,
}

const fn situation(slug: &'static str, state: &'static str, class: &'static str) -> Situation {
    Situation {
        slug,
        state,
        class: Some(class),
        code: None,
        words: "",
        repairs: 0,
    }
}

const SITUATIONS: [Situation; 9] = [
    Situation {
        code: Some(5),
        words: "locked",
        ..situation("locked", "busy", "busy")
    },
    Situation {
        code: Some(26),
        words: "not a database",
        ..situation("no-header", "held", "corrupt")
    },
    Situation {
        code: Some(11),
        words: "malformed",
        ..situation("cut", "held", "corrupt")
    },
    Situation {
        words: "empty",
        ..situation("emptied", "held", "emptied")
    },
    Situation {
        code: Some(14),
        words: "open",
        ..situation("directory", "failing", "misuse")
    },
    Situation {
        words: "task_links",
        repairs: 1,
        ..situation("lost-table", "held", "schema_drift")
    },
    Situation {
        words: "tasks.priority",
        repairs: 1,
        ..situation("lost-column", "held", "schema_drift")
    },
    Situation {
        class: None,
        ..situation("nowhere", "absent", "")
    },
    Situation {
        class: None,
        repairs: 1,
        ..situation("drifted", "ok", "")
    },
];

// What no other program can bring about from outside is made by real SQLite, and held against the same table, in the tests of
// error-classify: LOCKED, BUSY_SNAPSHOT, FULL, READONLY, INTERRUPT and 522 in `files.rs`, CORRUPT_VTAB there too, PERM and PROTOCOL in
// `rare.rs`, SCHEMA and constraints in `hooks.rs`, "duplicate column" and each message of code 1 in `golden.rs`, CANTOPEN by mode, mount
// and descriptors in `refused.rs`. What each leads to here, bare and wrapped in two layers, is the table in `resilience/tests.rs` of
// kanban-dispatcher. READONLY and CANTOPEN by mount and mode are C15, FULL is C16, 522 is C17; EMFILE of an open is also in `faults.rs`.
case! {
    c10_each_code_has_its_class_and_leads_to_what_the_table_says,
    injects: "nine boards: locked (5), no header (26), cut (11), empty, a directory in the file's place (14), a base table and a base column \
              gone, a link to nowhere, a column gone that can be made",
    holds: "state, class and code in status as in the table; repaired or held or left to the next tick accordingly; 5 more ticks change \
            nothing; the lock's board starts when it is free",
    |case| {
        for situation in &SITUATIONS {
            case.make_board(situation.slug)?;
        }
        case.add("locked", "waits")?;
        for slug in ["no-header", "cut", "emptied", "directory"] {
            case.expect_damage(slug);
        }
        case.expect_damage("nowhere");
        spoil(case)?;
        let db = case.db("locked")?;
        db.execute_batch("BEGIN IMMEDIATE")?;
        case.start_unwell()?;
        for situation in &SITUATIONS {
            is_as(case, situation)?;
        }
        case.let_ticks_pass(5)?;
        for situation in &SITUATIONS {
            is_as(case, situation)?;
        }
        assert_eq!(case.house.say(&["status"])?.code, Some(4));
        case.start_soon_after(&["locked"], |_| Ok(db.execute_batch("ROLLBACK")?))
    }
}

/// Does to each board what its name says. No daemon runs.
fn spoil(case: &Case) -> Result {
    for situation in &SITUATIONS {
        // Damage below a page that the log has too would not be seen.
        let db = case.db(situation.slug)?;
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    }
    case.db("drifted")?
        .execute_batch("ALTER TABLE tasks DROP COLUMN skills")?;
    case.db("lost-table")?
        .execute_batch("DROP TABLE task_links")?;
    case.db("lost-column")?
        .execute_batch("ALTER TABLE tasks DROP COLUMN priority")?;
    let mut file = File::options().write(true).open(case.file("no-header"))?;
    file.seek(SeekFrom::Start(5))?;
    file.write_all(&[0x17, 0x03, 0x03, 0x00, 0x45])?;
    for (slug, cut) in [("cut", 4096), ("emptied", u64::MAX)] {
        let length = fs::metadata(case.file(slug))?.len();
        File::options()
            .write(true)
            .open(case.file(slug))?
            .set_len(length.saturating_sub(cut))?;
    }
    fs::remove_file(case.file("directory"))?;
    fs::create_dir(case.file("directory"))?;
    fs::remove_file(case.file("nowhere"))?;
    Ok(symlink(
        case.dir("nowhere").join("no/such.db"),
        case.file("nowhere"),
    )?)
}

fn is_as(case: &Case, situation: &Situation) -> Result {
    case.until(situation.slug, |case| {
        let board = case.board_status(situation.slug)?;
        let told = format!("{} {}", board["reason"], board["missing"]);
        let is_as = board["state"] == situation.state
            && board["class"].as_str() == situation.class
            && board["code"].as_i64() == situation.code
            && told.contains(situation.words)
            && board["repair_attempts"] == situation.repairs
            && (board["next_retry"] != Value::Null) == (situation.state == "held");
        match is_as {
            true => Ok(()),
            false => Err(board.to_string().into()),
        }
    })
}

case! {
    c11_words_in_a_task_or_in_another_language_decide_nothing,
    injects: "tasks whose titles are SQLite's messages; workers that say them; triggers that raise them, in German too, and one that fails with code 1 and the word malformed",
    holds: "never held, repaired or called damaged; the other tasks start, and only the rows that were refused are bad rows; code 1 is unknown, until the trigger is gone",
    |case| {
        const MALFORMED: &str = "database disk image is malformed";
        const WORDS: [&str; 5] = [MALFORMED, "no such column: priority", "no such table: tasks", "Datenbank ist gesperrt", "file is not a database"];
        // As the worker's own last words, which are kept as its task's last failure.
        case.settings(&format!("echo '{MALFORMED}' >&2; {}", super::case::DONE), "", "")?;
        case.house.ok(&["pause", FAULTY])?;
        case.start()?;
        let mut refused = Vec::new();
        for words in WORDS {
            case.add(FAULTY, words)?;
            let id = case.add(FAULTY, "refused")?;
            case.db(FAULTY)?.execute_batch(&format!(
                "CREATE TRIGGER \"{id}\" BEFORE UPDATE ON tasks WHEN OLD.id = '{id}' BEGIN SELECT RAISE(ABORT, '{words}'); END",
            ))?;
            refused.push(id);
        }
        case.house.ok(&["resume", FAULTY])?;
        let done = "SELECT count(*) FROM tasks WHERE status = 'done' AND title <> ?1";
        case.until("the others are done", |case| {
            match case.query::<u32>(FAULTY, done, "refused")? {
                5 => Ok(()),
                n => Err(format!("{n}, {}", case.board_status(FAULTY)?).into()),
            }
        })?;
        case.let_ticks_pass(3)?;
        let board = case.state(FAULTY, "ok")?;
        assert_eq!(board["held"]["bad_row"], refused.len(), "{board}");
        assert_eq!(board["repair_attempts"], 0, "{board}");
        let lines = case.lines_about(FAULTY)?;
        assert!(!lines.iter().any(|line| line.is_above_info()), "{lines:#?}");
        // Code 1, as a missing column has, and the word of damage: it fails the turn, and is no damage.
        case.house.ok(&["pause", FAULTY])?;
        case.let_ticks_pass(1)?;
        let id = case.add(FAULTY, "refused")?;
        case.db(FAULTY)?.execute_batch(&format!(
            "CREATE TRIGGER \"{id}\" BEFORE UPDATE ON tasks WHEN OLD.id = '{id}' BEGIN SELECT json('{MALFORMED}'); END",
        ))?;
        case.house.ok(&["resume", FAULTY])?;
        let board = case.state(FAULTY, "failing")?;
        assert_eq!((&board["class"], &board["code"]), (&"unknown".into(), &1.into()), "{board}");
        assert_eq!(board["repair_attempts"], 0, "{board}");
        case.start_soon_after(&[FAULTY], |case| {
            Ok(case.db(FAULTY)?.execute_batch(&format!("DROP TRIGGER \"{id}\""))?)
        })?;
        for id in refused {
            let untouched = "SELECT status || consecutive_failures FROM tasks WHERE id = ?1";
            assert_eq!(case.query::<String>(FAULTY, untouched, &id)?, "ready0");
        }
        Ok(())
    }
}
