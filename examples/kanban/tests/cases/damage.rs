//! Damaged files: what is found, what is kept, what is rebuilt.

use std::fs;

use super::case::{DONE, FAULTY, Line};

case! {
    c12_a_tls_record_in_the_header_is_damage_and_named,
    injects: "a TLS record at offset 5 of a board's file",
    holds: "held as corrupt, the record named; no repair; the file as it was; after three looks one copy, of the same bytes",
    |case| {
        case.add(FAULTY, "kept")?;
        case.checkpoint(FAULTY)?;
        case.expect_damage(FAULTY);
        case.overwrite(FAULTY, 1, 5, &[0x16, 3, 3, 0, 0x50])?;
        let before = case.bytes(FAULTY)?;
        case.start_unwell()?;
        let line = case.line(FAULTY, "board held")?;
        assert_eq!((line.level(), line.text("class")), ("ERROR", Some("corrupt")));
        for words in ["TLS record is at offset 5", "restore a backup", "a copy is kept at"] {
            assert!(line.message().contains(words), "{line:?}");
        }
        // Once a window: each is another look.
        case.until("three looks", |case| {
            let mut lines = case.lines_about(FAULTY)?;
            lines.retain(|line| line.message().starts_with("board held"));
            (lines.len() >= 3).then_some(()).ok_or_else(|| format!("{lines:#?}").into())
        })?;
        let copies = case.kept(FAULTY)?;
        assert_eq!(copies.len(), 1, "{copies:?}");
        assert!(line.message().contains(&*copies[0].to_string_lossy()), "{line:?}");
        assert!(fs::read(&copies[0])? == before[0]);
        let status = case.board_status(FAULTY)?;
        assert_eq!((&status["state"], &status["code"]), (&"held".into(), &26.into()));
        assert_eq!(status["repair_attempts"], 0);
        assert!(case.bytes(FAULTY)? == before);
        Ok(())
    }
}

case! {
    c13_a_file_cut_by_a_page_is_seen_by_the_next_tick,
    injects: "the last page of a board's file, cut off under the daemon, which would never read it",
    holds: "held as corrupt by the first tick after it; one copy; no repair",
    |case| {
        case.start_telling_passes()?;
        let task = case.add(FAULTY, "done")?;
        case.task(FAULTY, &task, "done")?;
        case.let_ticks_pass(1)?;
        // The log tells the file's length to whoever reads it: something is in it.
        case.checkpoint(FAULTY)?;
        case.house.ok(&["--board", FAULTY, "comment", &task, "last"])?;
        // How long the file is now, it has seen.
        case.let_ticks_pass(1)?;
        case.expect_damage(FAULTY);
        case.cut(FAULTY)?;
        let line = case.line_before(FAULTY, "board held", case.passes()? + 2)?;
        assert_eq!((line.level(), line.text("class")), ("ERROR", Some("corrupt")));
        assert_eq!(case.kept(FAULTY)?.len(), 1);
        assert_eq!(case.state(FAULTY, "held")?["repair_attempts"], 0);
        Ok(())
    }
}

case! {
    c14_a_destroyed_index_that_no_work_meets_is_found_and_rebuilt,
    injects: "nonsense all over an index page that no tick reads",
    holds: "found by the look at healthy boards within its interval; rebuilt once, after one copy; no row lost; dispatch goes on",
    |case| {
        case.settings(DONE, "", "[check]\ninterval_seconds = 1")?;
        for n in 0..20 {
            case.add(FAULTY, &format!("task {n}"))?;
        }
        case.start_telling_passes()?;
        let done = "SELECT count(*) FROM tasks WHERE status = 'done' AND ?1 = ''";
        case.until("all done", |case| match case.query::<i64>(FAULTY, done, "")? {
            20 => Ok(()),
            n => Err(format!("{n} of 20").into()),
        })?;
        case.checkpoint(FAULTY)?;
        let page = case.page(FAULTY, "idx_tasks_session_id")?;
        case.destroy(FAULTY, page)?;
        // Its time comes within ten ticks, and then that of one board after the other.
        let line = case.line_before(FAULTY, "board repaired", case.passes()? + 2 + 10 + 10)?;
        assert_eq!(line.level(), "INFO");
        assert_eq!(line.text("repaired"), Some("index idx_tasks_session_id"));
        let copies = case.kept(FAULTY)?;
        assert_eq!(copies.len(), 1, "{copies:?}");
        assert_eq!(line.text("copy"), copies[0].to_str());
        let start = usize::try_from((page - 1) * 4096)?;
        assert!(fs::read(&copies[0])?[start..start + 4096] == [0xa5; 4096]);
        let by_index = "SELECT count(*) FROM tasks INDEXED BY idx_tasks_session_id WHERE session_id IS NULL AND ?1 = ''";
        assert_eq!(case.query::<i64>(FAULTY, by_index, "")?, 20);
        case.start_within_two_ticks(&[FAULTY])?;
        case.counts_repairs(FAULTY, 1)?;
        let lines = case.lines_about(FAULTY)?;
        assert!(!lines.iter().any(Line::is_above_info), "{lines:#?}");
        Ok(())
    }
}

case! {
    c24_an_index_that_cannot_be_rebuilt_leaves_everything_as_it_was,
    injects: "a destroyed unique index, whose table holds the same value twice",
    holds: "held with the reason and the way out; database file and log byte for byte as before; one try, also after later looks",
    |case| {
        case.db(FAULTY)?.execute_batch(
            "INSERT INTO tasks(id, title, status, created_at) VALUES ('t_1', 'same', 'done', 1), ('t_2', 'same', 'done', 1); \
             CREATE INDEX extra ON tasks(title); PRAGMA writable_schema = ON; \
             UPDATE sqlite_schema SET sql = 'CREATE UNIQUE INDEX extra ON tasks(title)' WHERE name = 'extra'",
        )?;
        case.settings(DONE, "", "[check]\ninterval_seconds = 0.5")?;
        let page = case.page(FAULTY, "extra")?;
        case.checkpoint(FAULTY)?;
        case.destroy(FAULTY, page)?;
        case.expect_damage(FAULTY);
        let before = case.bytes(FAULTY)?;
        case.start_unwell()?;
        let line = case.line(FAULTY, "board held")?;
        for words in ["could not be rebuilt", "UNIQUE constraint failed", "restore a backup", "a copy is kept at"] {
            assert!(line.message().contains(words), "{words}: {line:?}");
        }
        case.until("three looks", |case| {
            let mut lines = case.lines_about(FAULTY)?;
            lines.retain(|line| line.message().starts_with("board held"));
            (lines.len() >= 3).then_some(()).ok_or_else(|| format!("{lines:#?}").into())
        })?;
        let status = case.state(FAULTY, "held")?;
        assert_eq!((&status["class"], &status["repair_attempts"]), (&"corrupt".into(), &1.into()));
        assert_eq!(case.kept(FAULTY)?.len(), 1);
        assert!(case.bytes(FAULTY)? == before);
        Ok(())
    }
}
