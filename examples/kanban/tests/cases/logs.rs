//! What is said, and how often.

use std::fs;

use jiff::SignedDuration;
use rusqlite::Connection;
use serde_json::Value;
use torture::wall::WallClock;

use super::case::{B, Case, Daemon, FAULTY, Line, Result, T, W};

case! {
    c01_equal_failures_are_told_at_once_and_then_once_a_window,
    injects: "a board's write lock, held by another program for 5 W",
    holds: "at most 6 lines, the first at once, each later one with the number held back",
    |case| {
        let db = locked(case)?;
        // Six lines in no less than five windows are at most six lines in five.
        let lines = case.until("six lines", |case| {
            let lines = troubles(case)?;
            match lines.len() {
                6.. => Ok(lines),
                n => Err(format!("{n} lines").into()),
            }
        })?;
        assert_eq!((lines[0].level(), lines[0].suppressed()), ("WARN", 0));
        for pair in lines.windows(2) {
            assert!(pair[1].suppressed() > 0, "{pair:?}");
            let apart = pair[0].at()?.duration_until(pair[1].at()?);
            assert!(apart.unsigned_abs() >= W, "{pair:?}");
        }
        db.execute_batch("ROLLBACK")?;
        Ok(())
    }
}

case! {
    c02_another_cause_is_told_at_once_in_the_same_window,
    injects: "within one window a base column is renamed, then another one as well: two failures of one class",
    holds: "each cause has its line at once, and each names what is missing",
    |case| {
        case.window = 600 * W;
        case.settings("true", "", "")?;
        case.start()?;
        let db = case.db(FAULTY)?;
        for (column, words) in [("body", "tasks.body"), ("title", "tasks.title")] {
            db.execute_batch(&format!("ALTER TABLE tasks RENAME COLUMN {column} TO {column}_"))?;
            let line = case.line(FAULTY, words)?;
            assert_eq!((line.level(), line.suppressed()), ("ERROR", 0));
            db.execute_batch(&format!("ALTER TABLE tasks RENAME COLUMN {column}_ TO {column}"))?;
            case.state(FAULTY, "ok")?;
        }
        Ok(())
    }
}

case! {
    c03_after_silence_a_summary_tells_what_was_held_back,
    injects: "25 equal failures within a window; then a failure of another kind, and silence",
    holds: "one summary with their number when the window is over, at their level",
    |case| {
        case.window = 6 * W;
        case.first_retry = 100 * B;
        let db = locked(case)?;
        fail_often(case)?;
        // Where the window was over meanwhile, its line has told them all.
        case.until("some held back", |case| match case.log_count("pending")? {
            3.. => Ok(()),
            n => Err(format!("{n}").into()),
        })?;
        // Held from now on: nobody looks at it any more. The lock stays on the file that was there, for a turn that is under way.
        case.spoil(FAULTY)?;
        case.line(FAULTY, "board held")?;
        db.execute_batch("ROLLBACK")?;
        let observed = case.log_count("observed")?;
        case.line(FAULTY, "more of the same")?;
        let told = troubles(case)?;
        let summary = told.last().ok_or("no line")?;
        assert!(summary.message().contains("more of the same"), "{told:?}");
        assert_eq!((summary.level(), summary.text("class")), ("WARN", Some("busy")));
        let lines = told.len() as u64 - 1;
        assert_eq!(told.iter().map(Line::suppressed).sum::<u64>(), observed - lines);
        Ok(())
    }
}

case! {
    c04_a_board_that_works_again_has_one_line_with_count_and_duration,
    injects: "a board's write lock, held by another program, and given back",
    holds: "exactly one line, with the number of failures, those that had no line, and how long it lasted",
    |case| {
        case.window = 600 * W;
        let db = locked(case)?;
        fail_often(case)?;
        db.execute_batch("ROLLBACK")?;
        let line = case.line(FAULTY, "board works again")?;
        assert_eq!(line.level(), "INFO");
        assert_eq!(line.number("failures"), case.log_count("observed")?);
        assert_eq!(line.suppressed(), line.number("failures") - 1);
        assert!(line.number("lasted_seconds") >= 2, "{line:?}");
        case.let_ticks_pass(10)?;
        let mut lines = case.lines_about(FAULTY)?;
        lines.retain(|line| line.message().contains("works again"));
        assert_eq!(lines.len(), 1, "{lines:?}");
        Ok(())
    }
}

case! {
    c05_sigterm_tells_what_is_outstanding_first,
    injects: "SIGTERM while a board's failures are held back",
    holds: "their number is logged before the end: failures = lines + held back",
    |case| {
        case.window = 600 * W;
        let db = locked(case)?;
        fail_often(case)?;
        let at_least = case.log_count("observed")?;
        let mut lines = case.stop()?;
        lines.retain(|line| line.board() == Some(FAULTY) && line.is_above_info());
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[1].suppressed() + 1 >= at_least, "{lines:?}, {at_least} failures");
        // The ledger has the last word, of the dispatcher that has ended.
        assert_eq!(case.log_count("observed")?, case.log_count("logged")? + case.log_count("reported")?);
        db.execute_batch("ROLLBACK")?;
        Ok(())
    }
}

case! {
    c06_a_wall_clock_that_is_set_back_changes_no_rate,
    injects: "the daemon's wall clock set back by 1 h while a board fails",
    holds: "lines go on, and no two are nearer than a window",
    |case| {
        let clock = WallClock::new(&case.house.beside(""))?;
        case.settings("true", "busy_timeout_ms = 10", "")?;
        let mut command = case.house.command(&["run", "--log-format", "json"]);
        clock.rule(&mut command);
        case.begin(Daemon::spawn(&case.house, &mut command)?)?;
        let db = lock(case)?;
        let lines = |n: usize| case.until(&format!("{n} lines"), |case| match troubles(case)? {
            lines if lines.len() >= n => Ok(lines),
            lines => Err(format!("{lines:?}").into()),
        });
        let before = lines(3)?.len();
        clock.set(-3600)?;
        let lines = lines(before + 4)?;
        let mut steps = 0;
        for pair in lines.windows(2) {
            let mut apart = pair[0].at()?.duration_until(pair[1].at()?);
            if apart.is_negative() {
                apart += SignedDuration::from_hours(1);
                steps += 1;
            }
            assert!(apart.unsigned_abs() >= W, "{pair:?}");
        }
        assert_eq!(steps, 1, "{lines:?}");
        db.execute_batch("ROLLBACK")?;
        // The checks at the end compare with the machine's own time.
        clock.set(0)
    }
}

case! {
    c07_ten_thousand_boards_that_come_fail_and_go_leave_nothing_behind,
    injects: "10,000 boards that are no databases, 500 at a time, made, held and removed",
    holds: "the pairs that are told apart stay below their bound, those let go are counted, memory stays within 20 MB",
    |case| {
        // Without copies of ten thousand files, which others tell of.
        case.settings("true", "guard_connections_max = 16", "[evidence]\ncopies_max = 0")?;
        case.start()?;
        let keys_max = 4096;
        for round in 0..20 {
            let slugs: Vec<String> = (0..500).map(|n| format!("gone-{round}-{n}")).collect();
            for slug in &slugs {
                fs::create_dir(case.dir(slug))?;
                fs::write(case.file(slug), "no database at all\n".repeat(64))?;
            }
            case.until("every board held", |case| {
                let status = case.status()?;
                let boards = status["boards"].as_array().ok_or("no boards")?;
                // Those of the round before may still be there.
                let of_round = format!("gone-{round}-");
                let is_of_round = |board: &&Value| board["slug"].as_str().is_some_and(|slug| slug.starts_with(&of_round));
                let held = boards.iter().filter(is_of_round).filter(|board| board["state"] == "held").count();
                match held == slugs.len() && case.log_count("keys")? <= keys_max {
                    true => Ok(()),
                    false => Err(format!("{held} held").into()),
                }
            })?;
            for slug in &slugs {
                // In one step: the daemon may be about to make a file in it.
                fs::rename(case.dir(slug), case.house.beside(slug))?;
                fs::remove_dir_all(case.house.beside(slug))?;
            }
        }
        case.until("every pair let go", |case| match case.log_count("keys")? {
            0 => Ok(()),
            n => Err(format!("{n} pairs").into()),
        })?;
        let evicted = case.log_count("evicted")?;
        assert!(evicted >= 10_000, "{evicted}");
        // That memory is flat is asked at every case's end.
        Ok(())
    }
}

case! {
    c08_a_tick_with_crashes_alone_has_its_line,
    injects: "a worker that dies while its board is paused: the tick that sees it starts nothing",
    holds: "a line for that board with the failure, and no start",
    |case| {
        case.settings("while [ ! -e \"$1/die\" ]; do sleep 0.05; done; exit 1", "", "")?;
        case.start()?;
        let id = case.add(FAULTY, "dies")?;
        case.house.worker(&id)?;
        case.house.ok(&["pause", FAULTY])?;
        case.line(FAULTY, "paused")?;
        fs::write(case.house.root().join("die"), "")?;
        let line = case.until("the crash", |case| {
            let lines = case.lines_about(FAULTY)?;
            let found = lines.iter().find(|line| line.number("failed") > 0).cloned();
            found.ok_or_else(|| format!("{lines:?}").into())
        })?;
        assert_eq!((line.message(), line.started()), ("board ticked", 0));
        case.house.ok(&["resume", FAULTY])?;
        Ok(())
    }
}

case! {
    c09_a_task_that_is_held_for_long_adds_no_rows,
    injects: "a task that names a pull request, held for 1,000 T",
    holds: "one event that says why, and none after it",
    |case| {
        case.interval = T / 10;
        case.settings("true", "", "")?;
        // Before anybody could start it.
        let id = case.add(FAULTY, "waits")?;
        case.house.ok(&["--board", FAULTY, "comment", &id, "see https://github.com/owner/repo/pull/7"])?;
        case.start()?;
        case.until("the task held", |case| {
            let board = case.board_status(FAULTY)?;
            match board["held"]["active_pr"] == 1 {
                true => Ok(()),
                false => Err(board.to_string().into()),
            }
        })?;
        let events = |case: &Case| case.query::<i64>(FAULTY, "SELECT count(*) FROM task_events WHERE task_id = ?1", &id);
        let before = events(case)?;
        case.let_ticks_pass(1000)?;
        assert_eq!(events(case)?, before);
        let guarded: i64 = case.query(
            FAULTY,
            "SELECT count(*) FROM task_events WHERE task_id = ?1 AND kind = 'respawn_guarded'",
            &id,
        )?;
        assert_eq!(guarded, 1);
        Ok(())
    }
}

/// The daemon on ten boards, one of which has work to do and somebody else's write lock on it.
fn locked(case: &mut Case) -> Result<Connection> {
    case.settings("true", "busy_timeout_ms = 10", "")?;
    case.start()?;
    lock(case)
}

fn lock(case: &Case) -> Result<Connection> {
    let db = case.db(FAULTY)?;
    // The task appears behind the lock.
    db.execute_batch(
        "BEGIN IMMEDIATE; \
         INSERT INTO tasks (id, title, assignee, status, created_at) VALUES ('t_00000001', 'waits', 'anyone', 'ready', 1); \
         COMMIT; BEGIN IMMEDIATE",
    )?;
    case.line(FAULTY, "board failed")?;
    Ok(db)
}

/// Waits for so many failures that most had no line.
fn fail_often(case: &Case) -> Result {
    case.until("25 failures", |case| match case.log_count("observed")? {
        n if n >= 25 => Ok(()),
        n => Err(format!("{n} failures").into()),
    })
}

/// Lines about the faulty board that are above INFO.
fn troubles(case: &Case) -> Result<Vec<Line>> {
    let mut lines = case.lines_about(FAULTY)?;
    lines.retain(Line::is_above_info);
    Ok(lines)
}
