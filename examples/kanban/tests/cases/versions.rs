//! Files that went away under the daemon, and files of a later time.

use std::fs;

use super::case::{FAULTY, Result};

case! {
    c17_a_log_unlinked_under_the_daemon_is_noticed_and_nothing_else_happens,
    injects: "DB-wal and DB-shm are unlinked while the daemon has the board open, three times, also when it has nothing to do there",
    holds: "opened anew within a tick, nothing above INFO, no hold; started within 2 ticks, all acknowledged rows there, integrity ok",
    |case| {
        case.start()?;
        let mut ids = Vec::new();
        for round in 1..=3 {
            let id = case.add(FAULTY, "acknowledged")?;
            // At first while its worker is being started, then on a board that has nothing to do.
            let is_quiet = round > 1;
            if is_quiet {
                case.task(FAULTY, &id, "done")?;
                case.let_ticks_pass(2)?;
            }
            ids.push(id);
            let busy: i64 = case.db(FAULTY)?.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
            assert_eq!(busy, 0, "what is in the log alone is lost with it");
            if is_quiet {
                // The turn that the checkpoint brings is over: an empty log is gone, and no stamp shows it.
                case.let_ticks_pass(2)?;
            }
            for name in ["kanban.db-wal", "kanban.db-shm"] {
                fs::remove_file(case.dir(FAULTY).join(name))?;
            }
            case.until("another connection", |case| {
                let lines = case.lines_about(FAULTY)?;
                let anew = lines.iter().filter(|line| line.message().ends_with("opened anew"));
                match anew.count() {
                    n if n >= round => Ok(()),
                    n => Err(format!("{n} of {round}").into()),
                }
            })?;
            case.start_within_two_ticks(&[FAULTY])?;
            case.state(FAULTY, "ok")?;
        }
        let lines = case.lines_about(FAULTY)?;
        assert!(!lines.iter().any(|line| line.is_above_info()), "{lines:#?}");
        for id in ids {
            let there = case.query::<i64>(FAULTY, "SELECT count(*) FROM tasks WHERE id = ?1", &id)?;
            assert_eq!(there, 1, "{id}");
        }
        Ok(())
    }
}

case! {
    c19_a_board_of_a_later_version_is_refused_and_stays_as_it_is,
    injects: "user_version 7 on a board with a ready task that also lacks a column, under the daemon and at its start",
    holds: "held as unsupported, both versions named, no repair, the verbs refuse it too, the file is byte-identical; served when the version is the known one",
    |case| {
        case.house.ok(&["pause", FAULTY])?;
        case.add(FAULTY, "waits")?;
        case.start()?;
        let db = case.db(FAULTY)?;
        db.execute_batch("PRAGMA user_version = 7; ALTER TABLE tasks DROP COLUMN skills")?;
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        drop(db);
        let before = bytes(case)?;
        case.house.ok(&["resume", FAULTY])?;
        for _ in 0..2 {
            let board = case.state(FAULTY, "held")?;
            assert_eq!(board["class"], "unsupported", "{board}");
            assert_eq!(board["repair_attempts"], 0, "{board}");
            let reason = board["reason"].as_str().unwrap_or_default();
            assert!(reason.contains("version 7") && reason.contains("version 0"), "{reason}");
            case.let_ticks_pass(3)?;
            let said = case.house.say(&["--board", FAULTY, "add", "more"])?;
            assert_eq!(said.code, Some(1));
            assert!(said.err.contains("version 7"), "{}", said.err);
            case.stop()?;
            assert_eq!(bytes(case)?, before);
            // At its start it is no other.
            case.start_unwell()?;
        }
        case.start_soon_after(&[FAULTY], |case| {
            Ok(case.db(FAULTY)?.execute_batch("PRAGMA user_version = 0")?)
        })?;
        let board = case.state(FAULTY, "ok")?;
        assert_eq!(board["repair_attempts"], 1, "{board}");
        Ok(())
    }
}

/// The database and what its log has, by another program: a descriptor of ours, closed, would drop our locks.
fn bytes(case: &super::case::Case) -> Result<Vec<u8>> {
    let output = std::process::Command::new("cat")
        .arg(case.file(FAULTY))
        .output()?;
    Ok(output.stdout)
}
