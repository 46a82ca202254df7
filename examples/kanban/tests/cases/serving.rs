//! Boards come and go, rows are odd, and operators change their minds, while it serves.

use std::fs;

use rusqlite::{Connection, OpenFlags};

use super::case::{Case, DONE, FAULTY, Line, Result};

/// Stays until it is let go, or the installation is gone.
const WAITS: &str = "while [ -d \"$1/kanban\" ] && [ ! -e \"$1/../go\" ]; do sleep 0.05; done; \
     \"$2\" complete \"$HERMES_KANBAN_TASK\"";

/// What is said of starts on the board, after so many lines.
fn starts(case: &Case, after: usize) -> Result<Vec<Line>> {
    let lines = case.lines()?.split_off(after);
    let starts = lines
        .into_iter()
        .filter(|line| line.board() == Some(FAULTY) && line.started() > 0);
    Ok(starts.collect())
}

/// Waits until so many tasks of the board have this status.
fn there_are(case: &Case, count: i64, status: &str) -> Result {
    case.until(&format!("{count} {status}"), |case| {
        let sql = "SELECT count(*) FROM tasks WHERE status = ?1";
        match case.query::<i64>(FAULTY, sql, status)? {
            n if n == count => Ok(()),
            n => Err(format!("{n} {status}").into()),
        }
    })
}

case! {
    c40_a_new_board_is_served,
    injects: "a board that is made while the daemon runs",
    holds: "its task starts within 2 ticks, without a restart",
    |case| {
        case.start()?;
        case.make_board("new")?;
        case.start_within_two_ticks(&["new"])
    }
}

case! {
    c41_an_archived_board_is_not_made_again,
    injects: "a board's directory, moved to the archive while its workers work and its tasks wait",
    holds: "not there again in 60 ticks, gone from status, the archived file sound",
    |case| {
        case.settings(&format!("sleep 0.3; {DONE}"), "max_in_progress = 2", "")?;
        for n in 0..20 {
            case.add(FAULTY, &n.to_string())?;
        }
        case.start()?;
        case.line(FAULTY, "board ticked")?;
        let archive = case.house.root().join("kanban/boards/_archived/faulty-1");
        fs::create_dir_all(archive.parent().ok_or("no parent")?)?;
        case.expect_gone(FAULTY);
        fs::rename(case.dir(FAULTY), &archive)?;
        case.let_ticks_pass(60)?;
        assert!(!case.dir(FAULTY).exists());
        assert!(case.board_status(FAULTY).is_err());
        let db = Connection::open_with_flags(archive.join("kanban.db"), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let says: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
        assert_eq!(says, "ok");
        Ok(())
    }
}

case! {
    c47_a_claim_that_cannot_be_taken_back_stops_nothing_else,
    injects: "an expired claim whose row a trigger protects, with a task to promote and one to start",
    holds: "both start in the same tick, the protected row stays as it was and is counted as bad_row",
    |case| {
        case.start()?;
        let db = case.db(FAULTY)?;
        case.start_soon_after(&[FAULTY], |_| Ok(db.execute_batch(
            "BEGIN IMMEDIATE;
             CREATE TRIGGER protects BEFORE UPDATE ON tasks WHEN old.id = 't_stale'
             BEGIN SELECT RAISE(ABORT, 'hands off'); END;
             INSERT INTO tasks (id, title, assignee, status, created_at, claim_lock, claim_expires) VALUES
                 ('t_stale', 'stale', 'anyone', 'running', 1, 'elsewhere:1', 5);
             INSERT INTO tasks (id, title, assignee, status, created_at) VALUES
                 ('t_parent', 'parent', 'anyone', 'done', 1), ('t_child', 'child', 'anyone', 'todo', 1),
                 ('t_ready', 'ready', 'anyone', 'ready', 1);
             INSERT INTO task_links VALUES ('t_parent', 't_child');
             COMMIT",
        )?))?;
        let line = case.line(FAULTY, "board ticked")?;
        assert_eq!((line.number("promoted"), line.started()), (1, 2), "{line:?}");
        assert_eq!(line.number("reclaimed"), 0, "{line:?}");
        there_are(case, 3, "done")?;
        let lock: String = case.query(FAULTY, "SELECT claim_lock FROM tasks WHERE id = ?1", "t_stale")?;
        assert_eq!(lock, "elsewhere:1");
        case.until("a bad row in status", |case| {
            let board = case.board_status(FAULTY)?;
            match board["held"]["bad_row"] == 1 && board["state"] == "ok" {
                true => Ok(()),
                false => Err(board.to_string().into()),
            }
        })
    }
}

case! {
    c48_a_lower_cap_applies_at_once_and_a_bad_one_not_at_all,
    injects: "`max_in_progress` lowered from 4 to 2 with 4 at work, and then `\"many\"`",
    holds: "the four go on, no start above two from then on; one ERROR for the bad value, and two it stays",
    |case| {
        case.settings(WAITS, "max_in_progress = 4", "")?;
        for n in 0..12 {
            case.add(FAULTY, &n.to_string())?;
        }
        case.start()?;
        there_are(case, 4, "running")?;
        case.set("max_in_progress", "2")?;
        let said = |case: &Case, words: &str| -> Result<usize> {
            Ok(case.lines()?.iter().filter(|line| line.message().contains(words)).count())
        };
        case.until("new settings", |case| match said(case, "settings changed")? {
            1 => Ok(()),
            n => Err(format!("{n} lines").into()),
        })?;
        case.let_ticks_pass(10)?;
        there_are(case, 4, "running")?;
        let lowered = case.lines()?.len();
        case.set("max_in_progress", "\"many\"")?;
        let is_kept = |case: &Case| said(case, "settings stay as they were");
        case.until("a complaint", |case| match is_kept(case)? {
            0 => Err("none".into()),
            _ => Ok(()),
        })?;
        assert_eq!(starts(case, lowered)?.len(), 0, "four are two too many");
        fs::write(case.house.beside("go"), "")?;
        there_are(case, 12, "done")?;
        // The line of a turn comes after what it starts.
        let started = case.until("all starts told", |case| {
            let started = starts(case, lowered)?;
            match started.iter().map(Line::started).sum::<u64>() {
                8.. => Ok(started),
                n => Err(format!("{n} of 8").into()),
            }
        })?;
        for line in &started {
            assert!(line.number("running") <= 2, "{line:?}");
        }
        case.let_ticks_pass(5)?;
        assert_eq!(starts(case, lowered)?.iter().map(Line::started).sum::<u64>(), 8);
        assert_eq!(is_kept(case)?, 1);
        assert_eq!(said(case, "worker is asked to stop")?, 0);
        Ok(())
    }
}

case! {
    c49_a_paused_board_starts_nothing_also_after_a_restart,
    injects: "`kanban pause` while tasks start one after another, and a restart",
    holds: "no start in any tick after the pause, the others go on; starts within 2 ticks of `kanban resume`",
    |case| {
        case.settings(DONE, "max_in_progress = 1", "")?;
        for n in 0..100 {
            case.add(FAULTY, &n.to_string())?;
        }
        case.start()?;
        case.line(FAULTY, "board ticked")?;
        case.house.ok(&["pause", FAULTY, "--reason", "spring cleaning"])?;
        // The pass that was under way had no start left to commit; what it had committed it may still tell.
        let last = case.ticks()? + 1;
        case.others_go_on()?;
        case.let_ticks_pass(10)?;
        let late: Vec<_> = starts(case, 0)?.into_iter().filter(|line| line.number("tick") > last).collect();
        assert!(late.is_empty(), "{late:#?}");
        let board = case.state(FAULTY, "paused")?;
        assert_eq!(board["reason"], "spring cleaning");
        let waiting: i64 = case.query(FAULTY, "SELECT count(*) FROM tasks WHERE status = ?1", "ready")?;
        assert!(waiting > 0, "there was nothing left to start");
        assert_eq!(board["held"]["paused"].as_i64().unwrap_or(0) + board["held"]["board_cap"].as_i64().unwrap_or(0), waiting);

        case.stop()?;
        case.start()?;
        case.let_ticks_pass(10)?;
        assert_eq!(starts(case, 0)?.len(), 0);
        case.start_soon_after(&[FAULTY], |case| case.house.ok(&["resume", FAULTY]).map(drop))
    }
}

case! {
    c45_an_unknown_assignee_that_appears_is_served,
    injects: "a task for a profile that is not there, which is made later",
    holds: "one event that says so in 20 ticks, and the start within 2 ticks of the profile's appearance",
    |case| {
        let profiles = case.house.root().join("profiles");
        fs::create_dir_all(profiles.join("anyone"))?;
        case.set("require_profile", "true")?;
        let args = ["--board", FAULTY, "add", "waits", "--assignee", "newcomer"];
        let task = case.house.ok(&args)?.out.trim().to_owned();
        case.start()?;
        case.let_ticks_pass(20)?;
        assert_eq!(case.board_status(FAULTY)?["held"]["unknown_assignee"], 1);
        let told = "SELECT group_concat(kind || ' ' || COALESCE(payload ->> 'reason', '-')) FROM task_events \
             WHERE task_id = ?1 AND kind <> 'created'";
        let told: String = case.query(FAULTY, told, &task)?;
        assert_eq!(told, "respawn_guarded unknown_assignee");
        case.start_soon_after(&[FAULTY], |_| Ok(fs::create_dir(profiles.join("newcomer"))?))
    }
}

case! {
    c46_a_malformed_row_is_blocked_and_the_others_start,
    injects: "ready rows with text in an integer column, without a title, and with skills that are no JSON",
    holds: "each is blocked with a reason that names the column, the others start within 2 ticks, and it too once it is mended",
    |case| {
        // As a board may have it that another program made.
        case.db(FAULTY)?.execute_batch(
            "PRAGMA writable_schema = on;
             UPDATE sqlite_schema SET sql = replace(sql, 'title TEXT NOT NULL', 'title TEXT') WHERE name = 'tasks'",
        )?;
        case.start()?;
        let db = case.db(FAULTY)?;
        case.start_soon_after(&[FAULTY], |_| Ok(db.execute_batch(
            "INSERT INTO tasks (id, title, assignee, status, created_at, max_retries, skills) VALUES
                 ('t_text', 'a', 'anyone', 'ready', 1, 'often', NULL), ('t_null', NULL, 'anyone', 'ready', 1, NULL, NULL),
                 ('t_json', 'a', 'anyone', 'ready', 1, NULL, '[\"cook'), ('t_good', 'a', 'anyone', 'ready', 1, NULL, '[]')",
        )?))?;
        for (task, column) in [("t_text", "max_retries"), ("t_null", "title"), ("t_json", "skills")] {
            let event = "SELECT t.status || ' ' || e.kind || ' ' || (e.payload ->> 'reason') FROM tasks t \
                 JOIN task_events e ON e.task_id = t.id WHERE t.id = ?1";
            let said: String = case.query(FAULTY, event, task)?;
            assert!(said.starts_with(&format!("blocked blocked {column} is not ")), "{task}: {said}");
        }
        there_are(case, 1, "done")?;
        case.start_soon_after(&[FAULTY], |case| {
            db.execute_batch("UPDATE tasks SET max_retries = NULL WHERE id = 't_text'")?;
            case.house.ok(&["--board", FAULTY, "unblock", "t_text"]).map(drop)
        })
    }
}
