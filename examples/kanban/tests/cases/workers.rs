//! Workers: how many at a time, how they end, and who may report.

use std::fs;

use rustix::process::Signal;

use super::case::{Case, FAULTY, Result, T, WAITS};
use crate::house::is_alive;

case! {
    c50_never_more_workers_than_the_cap,
    injects: "2 boards with 9 ready tasks each, and a cap of 9",
    holds: "9 run at once, never one more, and all 18 get done",
    |case| {
        case.workers_max = 9;
        // Each worker counts those that live when it begins, itself among them.
        let counts = "n=0; for pid in \"$1/../live\"/*; do kill -0 $(cat \"$pid\") 2>/dev/null && n=$((n+1)); done; \
                      echo $n >>\"$1/../alive\"\n";
        case.settings(&format!("{counts}{WAITS}"), "", "")?;
        for _ in 0..9 {
            case.add(FAULTY, "work")?;
            case.add("other-1", "work")?;
        }
        case.start()?;
        let counted = |case: &Case| -> Result<Vec<u32>> {
            let text = fs::read_to_string(case.house.beside("alive"))?;
            Ok(text.lines().map(str::parse).collect::<std::result::Result<_, _>>()?)
        };
        case.until("nine workers", |case| match counted(case)?.len() {
            9.. => Ok(()),
            n => Err(format!("{n}").into()),
        })?;
        case.let_ticks_pass(10)?;
        assert_eq!(counted(case)?.len(), 9, "a cap is no aim");
        case.go(None)?;
        case.until("every task done", |case| {
            let open = "SELECT count(*) FROM tasks WHERE status <> 'done' OR id = ?1";
            match case.query::<i64>(FAULTY, open, "")? + case.query::<i64>("other-1", open, "")? {
                0 => Ok(()),
                n => Err(format!("{n} open").into()),
            }
        })?;
        assert_eq!(counted(case)?.into_iter().max(), Some(9));
        case.settle()
    }
}

case! {
    c51_a_single_task_waits_for_two_freed_slots_at_most,
    injects: "a cap of 2, taken by a board with endless work; then one task of another board",
    holds: "it starts within 2 freed slots",
    |case| {
        case.workers_max = 2;
        case.settings(WAITS, "", "")?;
        for n in 0..8 {
            case.add(FAULTY, &format!("endless {n}"))?;
        }
        case.start()?;
        let running = |case: &Case| -> Result<Vec<String>> {
            let db = case.db(FAULTY)?;
            let mut ids = db.prepare("SELECT id FROM tasks WHERE status = 'running'")?;
            let ids = ids.query_map([], |row| row.get(0))?;
            Ok(ids.collect::<rusqlite::Result<_>>()?)
        };
        let first = case.until("both slots taken", |case| match running(case)? {
            ids if ids.len() == 2 => Ok(ids),
            ids => Err(format!("{ids:?}").into()),
        })?;
        let single = case.add("other-1", "urgent")?;
        case.let_ticks_pass(2)?;
        for id in &first {
            case.go(Some(id))?;
            case.task(FAULTY, id, "done")?;
        }
        // Two slots are free or given to somebody by now: one of them is its own.
        case.task("other-1", &single, "running")?;
        let others: i64 = case.query(
            FAULTY,
            "SELECT count(*) FROM task_runs WHERE outcome IS NOT ?1 AND ended_at IS NULL",
            "",
        )?;
        assert!(others <= 1, "{others} of the endless ones run beside it");
        let runs: i64 = case.query(FAULTY, "SELECT count(*) FROM task_runs WHERE id <> ?1", "")?;
        assert!(runs <= 3, "{runs} of the endless ones were started, it was not among the first two");
        case.go(None)?;
        case.settle()
    }
}

case! {
    c54_fifty_ends_at_once_are_all_recorded_and_none_stays_a_zombie,
    injects: "50 workers that end in the same moment, by code 4 or by a signal",
    holds: "0 zombies, each attempt's end recorded with its own cause",
    |case| {
        let script = "while [ -d \"$1/kanban\" ] && [ ! -e \"$1/go\" ]; do sleep 0.05; done; \
                      [ $(($$ % 2)) = 0 ] && exit 4; kill -SEGV $$";
        case.settings(script, "", "[breaker]\ndeaths = 0\n")?;
        let ids: Vec<String> = (0..50)
            .map(|_| Ok(case.house.ok(&["--board", FAULTY, "add", "work", "--assignee", "anyone", "--max-retries", "1"])?.out.trim().to_owned()))
            .collect::<Result<_>>()?;
        case.start()?;
        let pids: Vec<u32> = ids.iter().map(|id| case.house.worker(id)).collect::<Result<_>>()?;
        case.go(None)?;
        case.until("every end recorded", |case| {
            let open = "SELECT count(*) FROM task_runs WHERE ended_at IS NULL OR outcome = ?1";
            match case.query::<i64>(FAULTY, open, "")? {
                0 => Ok(()),
                n => Err(format!("{n} open").into()),
            }
        })?;
        assert_eq!(case.daemon()?.zombies()?.len(), 0);
        for (id, pid) in ids.iter().zip(&pids) {
            let cause = match pid % 2 {
                0 => "exited with code 4",
                _ => "killed by signal 11",
            };
            let error: String = case.query(FAULTY, "SELECT error FROM task_runs WHERE task_id = ?1", id)?;
            assert!(error.contains(cause), "{id}: {error}, {cause} expected");
        }
        // The others' workers, which are asked for in the end, do their work.
        case.settle()
    }
}

case! {
    c55_a_task_that_fails_at_once_is_given_up_and_left_alone,
    injects: "a worker that fails at once, each time",
    holds: "after the limit no start in 100 T, one give-up event with the last attempt's own error",
    |case| {
        case.interval = T / 4;
        case.settings("echo no such model >&2; exit 9", "failure_limit = 3", "[breaker]\ndeaths = 0\n")?;
        let id = case.add(FAULTY, "fails")?;
        case.start()?;
        case.task(FAULTY, &id, "blocked")?;
        case.let_ticks_pass(100)?;
        let runs: i64 = case.query(FAULTY, "SELECT count(*) FROM task_runs WHERE task_id = ?1", &id)?;
        assert_eq!(runs, 3);
        let given_up: i64 = case.query(FAULTY, "SELECT count(*) FROM task_events WHERE task_id = ?1 AND kind = 'gave_up'", &id)?;
        assert_eq!(given_up, 1);
        let payload: String = case.query(FAULTY, "SELECT payload FROM task_events WHERE task_id = ?1 AND kind = 'gave_up'", &id)?;
        assert!(payload.contains("exited with code 9"), "{payload}");
        case.settle()
    }
}

case! {
    c56_a_given_up_task_is_tried_once_after_the_cool_down_and_then_later_and_later,
    injects: "a worker that always fails, and a cool-down of 1 s",
    holds: "one attempt after 1 s, the next after twice the time, and so on",
    |case| {
        case.settings(
            "date +%s.%N >>\"$1/../starts\"; exit 9",
            "failure_limit = 1\ngive_up_cooldown_seconds = 1",
            "[breaker]\ndeaths = 0\n",
        )?;
        case.add(FAULTY, "fails")?;
        case.start()?;
        let starts = case.until("four starts", |case| {
            let text = fs::read_to_string(case.house.beside("starts"))?;
            let starts: Vec<f64> = text.lines().map(str::parse).collect::<std::result::Result<_, _>>()?;
            match starts.len() {
                4.. => Ok(starts),
                n => Err(format!("{n} starts").into()),
            }
        })?;
        let gaps: Vec<f64> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
        // The board's times are whole seconds, so each may seem up to one shorter.
        for (gap, at_least) in gaps.iter().zip([0.0, 1.0, 3.0]) {
            assert!(*gap > at_least, "{gaps:?}");
        }
        case.settle()
    }
}

/// Workers of the faulty board die at once; the healthy ones complete.
const DIES: &str = "case \"$HERMES_KANBAN_BOARD\" in faulty) exit 9;; esac\n\"$2\" complete \"$HERMES_KANBAN_TASK\"";

/// Starts the dispatcher over six tasks of the faulty board.
fn six_that_die(case: &mut Case) -> Result<Vec<String>> {
    let ids = (0..6)
        .map(|n| case.add(FAULTY, &format!("dies {n}")))
        .collect::<Result<_>>()?;
    case.start_unwell()?;
    Ok(ids)
}

/// Also not some ticks later.
fn nobody_is_charged(case: &Case, ids: &[String]) -> Result<()> {
    case.let_ticks_pass(10)?;
    for id in ids {
        let sql = "SELECT consecutive_failures FROM tasks WHERE id = ?1";
        let failures: i64 = case.query(FAULTY, sql, id)?;
        assert_eq!(failures, 0, "{:#?}", case.lines_about(FAULTY)?);
        case.task(FAULTY, id, "ready")?;
    }
    Ok(())
}

case! {
    c57_a_board_whose_workers_die_at_their_start_rests,
    injects: "6 different tasks of one board whose workers die at once in the same way",
    holds: "the board is paused with the reason and the next retry, and its tasks are not charged",
    |case| {
        case.settings(DIES, "", "[breaker]\nfirst_retry_seconds = 600\nmax_retry_seconds = 600\n")?;
        let ids = six_that_die(case)?;
        let board = case.state(FAULTY, "paused")?;
        let reason = board["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("6 tasks") && reason.contains("exit code 9"), "{board}");
        assert!(board["next_retry"].is_number() && board["paused"].is_null(), "{board}");
        assert_eq!(case.house.say(&["status"])?.code, Some(4));
        let line = case.line(FAULTY, "board rests")?;
        assert!(line.is_above_info() && line.number("retry_seconds") > 0, "{line:?}");
        nobody_is_charged(case, &ids)
    }
}

case! {
    c57_a_board_with_two_places_rests_before_any_task_is_tried_twice,
    injects: "the same 6 tasks, of which 2 run at a time and are given up after 2 failures",
    holds: "each is tried once; the board is paused, and its tasks are neither charged nor given up",
    |case| {
        case.workers_max = 2;
        case.settings(DIES, "", "[breaker]\nfirst_retry_seconds = 600\nmax_retry_seconds = 600\n")?;
        let ids = six_that_die(case)?;
        case.state(FAULTY, "paused")?;
        nobody_is_charged(case, &ids)?;
        for id in &ids {
            let sql = "SELECT group_concat(outcome) FROM task_runs WHERE task_id = ?1";
            let outcomes: String = case.query(FAULTY, sql, id)?;
            assert_eq!(outcomes, "crashed", "{:#?}", case.lines_about(FAULTY)?);
        }
        // For two places all boards would wait in line.
        case.settle()
    }
}

case! {
    c58_an_old_sign_of_life_does_not_end_a_fresh_claim,
    injects: "a task whose last sign of life is 2 h old, claimed anew; its claim runs out again and again",
    holds: "its live worker goes on, in one attempt",
    |case| {
        case.settings(WAITS, "claim_ttl_seconds = 1", "")?;
        let id = case.add(FAULTY, "work")?;
        case.db(FAULTY)?.execute(
            "UPDATE tasks SET last_heartbeat_at = unixepoch() - 7200, started_at = unixepoch() - 9000 WHERE id = ?1",
            [&id],
        )?;
        case.start()?;
        let worker = case.house.worker(&id)?;
        let first: i64 = case.query(FAULTY, "SELECT claim_expires FROM tasks WHERE id = ?1", &id)?;
        case.until("a claim renewed three times over", |case| {
            match case.query::<i64>(FAULTY, "SELECT claim_expires FROM tasks WHERE id = ?1", &id)? {
                now if now >= first + 3 => Ok(()),
                now => Err(format!("{first}, {now}").into()),
            }
        })?;
        assert!(is_alive(worker));
        assert_eq!(case.query::<i64>(FAULTY, "SELECT count(*) FROM task_runs WHERE task_id = ?1", &id)?, 1);
        case.go(None)?;
        case.task(FAULTY, &id, "done")
    }
}

case! {
    c59_a_stale_attempts_report_is_refused,
    injects: "an attempt that was reclaimed reports completion while the next one is at work",
    holds: "it is refused, and the current attempt goes on and completes",
    |case| {
        case.settings(WAITS, "", "")?;
        let id = case.add(FAULTY, "work")?;
        case.start()?;
        let first = case.house.worker(&id)?;
        case.house.ok(&["--board", FAULTY, "reclaim", &id])?;
        let second = case.until("the next attempt", |case| match case.house.worker(&id)? {
            pid if pid != first => Ok(pid),
            pid => Err(format!("still {pid}").into()),
        })?;
        assert!(!is_alive(first));
        let stale = [("HERMES_KANBAN_BOARD", FAULTY), ("HERMES_KANBAN_TASK", &id), ("HERMES_KANBAN_RUN_ID", "1")];
        case.house.say_with(&stale, &["complete", &id])?.fails(1, &["attempt 1"]);
        case.let_ticks_pass(3)?;
        assert!(is_alive(second));
        case.task(FAULTY, &id, "running")?;
        case.go(None)?;
        case.task(FAULTY, &id, "done")?;
        let done: i64 = case.query(FAULTY, "SELECT count(*) FROM task_runs WHERE task_id = ?1 AND outcome = 'completed'", &id)?;
        assert_eq!(done, 1);
        Ok(())
    }
}

case! {
    c60_after_sigterm_nothing_is_claimed_and_the_next_daemon_adopts,
    injects: "SIGTERM with running workers; then a place becomes free and a task ready",
    holds: "no claim after the signal, an end by itself, survivors adopted, nothing started twice",
    |case| {
        case.workers_max = 3;
        case.settings(WAITS, "", "")?;
        let ids: Vec<String> = (0..3).map(|n| case.add(FAULTY, &format!("work {n}"))).collect::<Result<_>>()?;
        case.start()?;
        let workers: Vec<u32> = ids.iter().map(|id| case.house.worker(id)).collect::<Result<_>>()?;
        case.daemon()?.signal(Signal::TERM)?;
        // One that could start at once if anybody still claimed: its place is free.
        case.go(Some(&ids[0]))?;
        let late = case.add("other-1", "late")?;
        let lines = case.stop()?;
        let told = lines.iter().position(|line| line.message().contains("told to stop")).ok_or("no word")?;
        assert!(lines[told..].iter().all(|line| line.started() == 0), "{lines:#?}");
        assert_eq!(case.query::<i64>("other-1", "SELECT count(*) FROM task_runs WHERE task_id = ?1", &late)?, 0);

        case.start_unwell()?;
        case.task("other-1", &late, "running")?;
        assert!(workers[1..].iter().all(|worker| is_alive(*worker)));
        case.go(None)?;
        for id in &ids {
            case.task(FAULTY, id, "done")?;
            assert_eq!(case.query::<i64>(FAULTY, "SELECT count(*) FROM task_runs WHERE task_id = ?1", id)?, 1);
        }
        case.settle()
    }
}
