//! A board that is damaged is left alone, and comes back.

use std::fs;

use super::case::{B, Case, DONE, FAULTY, Line, Opens, Reads, Result};

/// Longer than any case takes: then no timer is what ended a hold.
const NEVER: &str = "600";

/// What a daemon has said of a board above INFO.
fn complaints(case: &Case, slug: &str) -> Result<Vec<Line>> {
    let mut lines = case.lines_about(slug)?;
    lines.retain(Line::is_above_info);
    Ok(lines)
}

/// Its lines about holds of this board, once there are so many.
fn holds(case: &Case, count: usize) -> Result<Vec<Line>> {
    case.until("more holds", |case| {
        let mut lines = case.lines_about(FAULTY)?;
        lines.retain(|line| line.message().starts_with("board held"));
        match lines.len() >= count {
            true => Ok(lines),
            false => Err(format!("{lines:#?}").into()),
        }
    })
}

/// Nothing but a change or an operator ends a hold.
fn hold_for_good(case: &Case) -> Result {
    case.set("max_retry_seconds", NEVER)?;
    case.set("first_retry_seconds", NEVER)
}

/// Every failure is told.
fn tell_all(case: &Case) -> Result {
    case.set("window_seconds", "0.01")
}

case! {
    c30_a_damaged_board_is_told_once_and_in_full,
    injects: "the page that a board's tasks begin on, overwritten",
    holds: "one ERROR with slug, path, class, reason, next retry and what to do; the others go on",
    |case| {
        hold_for_good(case)?;
        case.start()?;
        case.damage(FAULTY)?;
        let board = case.state(FAULTY, "held")?;
        case.others_go_on()?;
        // Two windows.
        case.let_ticks_pass(20)?;
        let lines = complaints(case, FAULTY)?;
        let [line] = &lines[..] else {
            return Err(format!("not one line: {lines:#?}").into());
        };
        assert_eq!(line.level(), "ERROR");
        assert_eq!(line.text("db"), case.file(FAULTY).to_str());
        assert_eq!(line.text("class"), Some("corrupt"));
        assert!((540..=600).contains(&line.number("retry_seconds")), "{line:?}");
        let release = format!("kanban release {FAULTY}");
        for words in ["malformed", "restore a backup", ".recover", &release] {
            assert!(line.message().contains(words), "{words}: {line:?}");
        }
        assert_eq!(board["class"], "corrupt");
        assert!(board["next_retry"].is_i64(), "{board}");
        Ok(())
    }
}

case! {
    c31_probes_of_a_board_that_stays_damaged_become_rarer,
    injects: "damage that stays",
    holds: "probes after B, 2B, 4B and 4B, each within 2 ticks of its time; at most one copy",
    |case| {
        // A board that tells of each tick: its lock is taken, and it has something to write.
        case.settings(DONE, "busy_timeout_ms = 1", "")?;
        tell_all(case)?;
        case.make_board("beat")?;
        case.start()?;
        let beat = case.db("beat")?;
        beat.execute_batch("BEGIN IMMEDIATE")?;
        beat.execute_batch(
            "INSERT INTO tasks (id, title, assignee, status, created_at) VALUES ('t_beat', 'beat', 'anyone', 'ready', 1)",
        )?;
        beat.execute_batch("COMMIT; BEGIN IMMEDIATE")?;
        case.damage(FAULTY)?;
        let told = holds(case, 5)?;
        let retries: Vec<u64> = told.iter().map(|line| line.number("retry_seconds")).collect();
        // Up to a tenth is taken off, and whole seconds are told.
        assert_eq!(retries, [0, 1, 3, 3, 3]);
        let mut beats = Vec::new();
        for line in case.lines_about("beat")?.iter().filter(|line| line.is_above_info()) {
            beats.push(line.at()?);
        }
        for (pair, round) in told.windows(2).zip([1, 2, 4, 4]) {
            let (failed, probed) = (pair[0].at()?, pair[1].at()?);
            let wait = B * round;
            let waited = failed.duration_until(probed).unsigned_abs();
            assert!(waited > wait * 3 / 4, "{round} B: {pair:?}");
            let due = failed + wait;
            let late = beats.iter().filter(|at| due < **at && **at < probed).count();
            assert!(late <= 2, "{round} B, {late} ticks late: {pair:?}");
        }
        assert!(case.copies(FAULTY)? <= 1);
        beat.execute_batch("ROLLBACK")?;
        Ok(())
    }
}

case! {
    c32_a_sound_file_in_the_place_of_a_damaged_one_is_served,
    injects: "damage, and a sound file in its place",
    holds: "its task starts within 2 ticks, without a restart",
    |case| {
        hold_for_good(case)?;
        case.add(FAULTY, "waits")?;
        let sound = case.damage(FAULTY)?;
        case.start_unwell()?;
        case.state(FAULTY, "held")?;
        case.start_soon_after(&[FAULTY], |case| case.put(FAULTY, &sound))?;
        case.state(FAULTY, "ok")?;
        Ok(())
    }
}

case! {
    c33_a_cause_that_left_no_trace_is_over_at_the_next_probe,
    injects: "reads of a sound file that come back spoilt, and then do not",
    holds: "the file looks the same, and its task starts at the next probe",
    |case| {
        tell_all(case)?;
        case.set("first_retry_seconds", "2")?;
        case.add(FAULTY, "waits")?;
        case.content(FAULTY)?;
        let reads = Reads::of(case, FAULTY)?;
        reads.spoil_all()?;
        reads.start(case)?;
        let held = holds(case, 1)?.remove(0);
        assert_eq!(held.text("class"), Some("corrupt"), "{held:?}");
        let before = case.look(FAULTY)?;
        reads.spoil_none()?;
        let probes = holds(case, 1)?.len();
        assert_eq!(case.look(FAULTY)?, before);
        let started = case.until("a start", |case| {
            let lines = case.lines_about(FAULTY)?;
            let started = lines.iter().find(|line| line.started() > 0).cloned();
            started.ok_or_else(|| format!("{lines:#?}").into())
        })?;
        let waited = held.at()?.duration_until(started.at()?).unsigned_abs();
        assert!(waited > B * 3 / 2, "not the timer: {waited:?}");
        assert_eq!(holds(case, 1)?.len(), probes, "the next probe");
        Ok(())
    }
}

case! {
    c34_after_a_success_the_first_wait_is_the_first_again,
    injects: "damage for three probes, a sound file, damage again",
    holds: "waits of B, 2B and 4B, and then of B",
    |case| {
        tell_all(case)?;
        case.start()?;
        let sound = case.damage(FAULTY)?;
        holds(case, 3)?;
        case.put(FAULTY, &sound)?;
        case.state(FAULTY, "ok")?;
        let before = holds(case, 3)?.len();
        case.damage(FAULTY)?;
        let lines = holds(case, before + 1)?;
        let retries: Vec<u64> = lines.iter().map(|line| line.number("retry_seconds")).collect();
        assert_eq!((&retries[..3], retries[before]), (&[0, 1, 3][..], 0));
        Ok(())
    }
}

case! {
    c35_between_probes_a_held_board_is_not_opened,
    injects: "damage; the kernel tells of every open of the board's files",
    holds: "none in 20 ticks, and one at the next probe",
    |case| {
        hold_for_good(case)?;
        case.start()?;
        case.damage(FAULTY)?;
        case.state(FAULTY, "held")?;
        let opens = Opens::of(case, FAULTY)?;
        case.let_ticks_pass(20)?;
        assert_eq!(opens.seen()?, [""; 0]);
        // And it would have been told.
        case.house.ok(&["release", FAULTY])?;
        case.until("an open", |_| match opens.seen()?.contains(&"kanban.db".to_owned()) {
            true => Ok(()),
            false => Err("none".into()),
        })
    }
}

case! {
    c36_a_repair_that_stays_in_the_log_is_noticed,
    injects: "a lost column that no repair can make, added by another program in the write-ahead log alone",
    holds: "the main file looks the same, and its task starts within 2 ticks",
    |case| {
        hold_for_good(case)?;
        case.add(FAULTY, "waits")?;
        case.db(FAULTY)?.execute_batch("ALTER TABLE tasks DROP COLUMN body")?;
        case.content(FAULTY)?;
        case.start_unwell()?;
        let board = case.state(FAULTY, "held")?;
        assert_eq!((&board["class"], &board["missing"]), (&"schema_drift".into(), &"column tasks.body".into()));
        let before = main_file(case)?;
        let other = case.db(FAULTY)?;
        other.pragma_update(None, "wal_autocheckpoint", 0)?;
        case.start_soon_after(&[FAULTY], |case| {
            other.execute_batch("ALTER TABLE tasks ADD COLUMN body TEXT")?;
            assert_eq!(main_file(case)?, before);
            Ok(())
        })
    }
}

case! {
    c37_a_release_by_an_operator_is_a_probe_at_once,
    injects: "a cause that left no trace, and `kanban release` from another process",
    holds: "nothing before, and the start within a tick of the release",
    |case| {
        hold_for_good(case)?;
        case.add(FAULTY, "waits")?;
        case.content(FAULTY)?;
        let reads = Reads::of(case, FAULTY)?;
        reads.spoil_all()?;
        reads.start(case)?;
        case.state(FAULTY, "held")?;
        reads.spoil_none()?;
        case.let_ticks_pass(5)?;
        case.state(FAULTY, "held")?;
        case.start_soon_after(&[FAULTY], |case| case.house.ok(&["release", FAULTY]).map(drop))
    }
}

case! {
    c38_a_new_board_under_the_name_of_a_held_one_starts_clean,
    injects: "a board that is damaged for three probes, paused, removed, and made anew under its name",
    holds: "nothing of the old one in status, its task starts within 2 ticks, its first failure waits B",
    |case| {
        tell_all(case)?;
        // With its jitter the first wait is one whole second and a half or a little less, and no other one is.
        case.set("first_retry_seconds", "1.5")?;
        case.start()?;
        case.damage(FAULTY)?;
        holds(case, 3)?;
        case.state(FAULTY, "held")?;
        case.house.ok(&["pause", FAULTY])?;
        fs::remove_dir_all(case.dir(FAULTY))?;
        case.line(FAULTY, "board was removed")?;
        let before = holds(case, 3)?.len();
        // A new one that fails at once: whatever is left of the old one would show.
        case.make_board("next")?;
        let sound = case.damage("next")?;
        fs::rename(case.dir("next"), case.dir(FAULTY))?;
        case.expect_gone("next");
        let line = holds(case, before + 1)?.remove(before);
        assert_eq!((line.number("retry_seconds"), line.suppressed()), (1, 0), "{line:?}");
        case.put(FAULTY, &sound)?;
        let board = case.state(FAULTY, "ok")?;
        for field in ["class", "code", "reason", "missing", "since", "next_retry", "risk", "breaker_round", "paused"] {
            assert!(board[field].is_null(), "{field}: {board}");
        }
        for field in ["repair_attempts", "ready", "running", "suppressed"] {
            assert_eq!(board[field], 0, "{field}: {board}");
        }
        case.start_within_two_ticks(&[FAULTY])?;
        Ok(())
    }
}

case! {
    c39_one_failed_read_is_no_damage,
    injects: "one read of a page that comes back spoilt",
    holds: "no hold and no copy; the file is not written to; its task starts",
    |case| {
        hold_for_good(case)?;
        case.add(FAULTY, "waits")?;
        let page = case.tasks_page(FAULTY)?;
        case.content(FAULTY)?;
        let reads = Reads::of(case, FAULTY)?;
        reads.spoil_one(page)?;
        reads.start(case)?;
        case.until("a spoilt read", |_| match reads.is_one_spoilt() {
            true => Ok(()),
            false => Err("not yet".into()),
        })?;
        case.until("a start", |case| {
            let lines = case.lines_about(FAULTY)?;
            match lines.iter().any(|line| line.started() > 0) {
                true => Ok(()),
                false => Err(format!("{lines:#?}").into()),
            }
        })?;
        let lines = case.lines_about(FAULTY)?;
        assert!(!lines.iter().any(|line| line.message().starts_with("board held")), "{lines:#?}");
        assert_eq!(case.copies(FAULTY)?, 0);
        Ok(())
    }
}

/// What the main file looks like, without the log.
fn main_file(case: &Case) -> Result<String> {
    let look = case.look(FAULTY)?;
    let (main, _) = look.rsplit_once(' ').ok_or("no log in it")?;
    Ok(main.to_owned())
}
