//! What another process sees, and what the daemon costs.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use super::case::{DONE, FAULTY, Result, T, WAITS};

case! {
    c42_status_tells_all_of_it_and_its_exit_code_whether_something_is_wrong,
    injects: "a board that is well, one that is damaged, one that is locked",
    holds: "per board: state, class, code, reason, since, next retry, attempts, last tick, counts, held by reason, suppressed; exit code 0, or 4",
    |case| {
        case.first_retry *= 600;
        case.settings("true", "busy_timeout_ms = 10", "")?;
        case.start()?;
        assert_eq!(case.house.say(&["status", "--json"])?.code, Some(0));
        case.spoil(FAULTY)?;
        let held = case.state(FAULTY, "held")?;
        assert_eq!(case.house.say(&["status", "--json"])?.code, Some(4));
        for key in [
            "slug", "state", "class", "code", "reason", "missing", "since", "next_retry", "repair_attempts", "last_tick", "ready",
            "running", "held", "suppressed", "guarded", "risk", "paused",
        ] {
            assert!(held.get(key).is_some(), "{key}: {held}");
        }
        assert_eq!((&held["class"], &held["code"]), (&"corrupt".into(), &26.into()));
        assert!(held["since"].is_number() && held["next_retry"].is_number(), "{held}");

        let db = case.db("other-1")?;
        case.house.ok(&["--board", "other-1", "add", "nobody's"])?;
        case.add("other-1", "waits")?;
        db.execute_batch("BEGIN IMMEDIATE")?;
        let failing = case.until("its failures", |case| match case.board_status("other-1")? {
            board if board["suppressed"].as_u64() > Some(0) => Ok(board),
            board => Err(board.to_string().into()),
        })?;
        assert_eq!((&failing["state"], &failing["class"]), (&"busy".into(), &"busy".into()));
        db.execute_batch("ROLLBACK")?;
        let well = case.state("other-1", "ok")?;
        assert_eq!(well["held"]["unassigned"], 1, "{well}");
        assert!(well["class"].is_null() && well["since"].is_null() && well["suppressed"] == 0, "{well}");
        Ok(())
    }
}

case! {
    c43_a_daemon_that_is_stopped_is_seen_to_be,
    injects: "SIGSTOP for more than 3 T, then SIGCONT",
    holds: "status from another process says stale, exit code 3; after SIGCONT healthy within 2 T",
    |case| {
        case.start()?;
        let daemon = case.daemon()?;
        daemon.signal(Signal::STOP)?;
        let said = case.until("a stale dispatcher", |case| {
            let said = case.house.say(&["status", "--json"])?;
            match said.json()?["dispatcher"]["state"] == "stale" {
                true => Ok(said),
                false => Err(said.out.into()),
            }
        })?;
        assert_eq!(said.code, Some(3));
        let before = case.ticks()?;
        daemon.signal(Signal::CONT)?;
        // Whatever the moment of the look: two passes later it is not stale any more.
        let said = case.until("a healthy one, or two passes", |case| {
            let said = case.house.say(&["status", "--json"])?;
            let ticks = said.json()?["dispatcher"]["ticks"].as_u64();
            match said.code {
                Some(0) => Ok(said),
                _ if ticks >= Some(before + 2) => Ok(said),
                _ => Err(said.out.into()),
            }
        })?;
        assert_eq!(said.code, Some(0), "{said:?}");
        Ok(())
    }
}

case! {
    c44_tasks_that_wait_for_a_reason_are_counted_and_only_a_missing_program_is_an_alarm,
    injects: "tasks that nobody has, that a stranger has, beyond the cap, guarded, on a paused board; then a worker program that is not there",
    holds: "a count for each reason and no line above INFO; then one line that names board and cause",
    |case| {
        case.requires_profile = true;
        case.settings(WAITS, "max_in_progress = 1", "")?;
        fs::create_dir_all(case.house.root().join("profiles/anyone"))?;
        let add = |args: &[&str]| -> Result<String> {
            Ok(case.house.ok(&[&["--board", FAULTY, "add"], args].concat())?.out.trim().to_owned())
        };
        add(&["first", "--assignee", "anyone", "--priority", "9"])?;
        add(&["second", "--assignee", "anyone"])?;
        add(&["nobody's"])?;
        add(&["a stranger's", "--assignee", "stranger"])?;
        let guarded = case.add("other-3", "guarded")?;
        let link = "see https://github.com/owner/repo/pull/7";
        case.house
            .ok(&["--board", "other-3", "comment", &guarded, link])?;
        case.house.ok(&["pause", "other-1"])?;
        case.add("other-1", "paused")?;
        case.start()?;
        let held = case.until("every reason", |case| {
            let board = case.board_status(FAULTY)?;
            match board["running"] == 1 && board["held"].as_object().is_some_and(|held| held.len() == 3) {
                true => Ok(board["held"].clone()),
                false => Err(board.to_string().into()),
            }
        })?;
        for reason in ["board_cap", "unassigned", "unknown_assignee"] {
            assert_eq!(held[reason], 1, "{held}");
        }
        assert_eq!(case.board_status("other-1")?["held"]["paused"], 1);
        assert_eq!(case.board_status("other-3")?["held"]["active_pr"], 1);
        case.let_ticks_pass(10)?;
        assert!(!case.lines()?.iter().any(|line| line.is_above_info()), "{:#?}", case.lines()?);
        case.house.ok(&["resume", "other-1"])?;
        case.go(None)?;
        case.until("its turn", |case| match case.board_status("other-1")?["ready"] == 0 {
            true => Ok(()),
            false => Err("not yet".into()),
        })?;

        case.program(&["/nowhere/worker"])?;
        case.let_settings_apply()?;
        case.add("other-2", "nobody to do it")?;
        let line = case.line("other-2", "not found")?;
        assert!(line.is_above_info() && line.message().contains("/nowhere/worker"), "{line:?}");
        case.settle()
    }
}

case! {
    c52_boards_that_cannot_be_opened_leak_nothing,
    injects: "20 boards, 5 of which have a directory in the place of their file, for 1,000 T",
    holds: "descriptors at most 5 and memory at most 20 MB above the start",
    |case| {
        case.interval = T / 10;
        case.settings(DONE, "", "")?;
        for n in 0..10 {
            case.make_board(&format!("more-{n}"))?;
        }
        case.start()?;
        for n in 0..5 {
            let slug = format!("more-{n}");
            case.expect_damage(&slug);
            fs::rename(case.file(&slug), case.dir(&slug).join("away"))?;
            fs::create_dir(case.file(&slug))?;
        }
        case.until("five that fail", |case| {
            let failing = |board: &&Value| board["state"] != "ok";
            let status = case.status()?;
            let boards = status["boards"].as_array().ok_or("no boards")?;
            match boards.iter().filter(failing).filter(|board| board["slug"] != "default").count() {
                5 => Ok(()),
                n => Err(format!("{n}: {status}").into()),
            }
        })?;
        // What it uses is asked at every case's end.
        case.let_ticks_pass(1000)
    }
}

case! {
    c53_idle_boards_are_not_opened_again_at_each_tick,
    injects: "100 idle boards, 20 ticks, every open counted by strace",
    holds: "no idle board is opened or has a turn",
    |case| {
        for n in 0..90 {
            case.make_board(&format!("idle-{n}"))?;
        }
        case.start()?;
        let opened = case.house.beside("opened");
        let mut strace = Command::new("strace")
            .args(["-f", "-q", "-e", "trace=open,openat,openat2", "-o"])
            .arg(&opened)
            .args(["-p", &case.daemon()?.pid().to_string()])
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("strace is needed (apt install strace): {error}"))?;
        let count = |path: &PathBuf| -> Result<(u64, u64)> {
            let text = fs::read_to_string(path)?;
            let opens = |name: &str| text.lines().filter(|line| line.contains(name)).count() as u64;
            // Each turn takes the board's tick lock: so many turns were there at least.
            Ok((opens("kanban.db\""), opens("kanban.db.dispatch.lock\"")))
        };
        // One that has a turn each time shows that the trace sees turns.
        case.until("a traced turn", |case| {
            case.add(FAULTY, "pulse")?;
            match count(&opened)?.1 {
                0 => Err("none".into()),
                _ => Ok(()),
            }
        })?;
        case.until("quiet boards", |case| {
            let before = count(&opened)?;
            case.let_ticks_pass(3)?;
            match count(&opened)?.1 - before.1 {
                0 => Ok(()),
                n => Err(format!("{n} turns in 3 ticks").into()),
            }
        })?;
        let before = count(&opened)?;
        case.let_ticks_pass(20)?;
        let after = count(&opened)?;
        strace.kill()?;
        strace.wait()?;
        assert!(after.0 - before.0 <= 20, "{before:?}, {after:?}");
        assert!(after.1 - before.1 <= 20, "{before:?}, {after:?}");
        Ok(())
    }
}
