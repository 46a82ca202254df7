//! What an attempt's end is taken for.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::case::{Case, FAULTY, Result};

/// Ends as the next line of `$1/../how.TASK` says, which a test writes before the task can start; without one, completes.
const AS_TOLD: &str = "\
how=\"$1/../how.$HERMES_KANBAN_TASK\"
read -r next <\"$how\" && sed -i 1d \"$how\"
case \"$next\" in
    killed) kill -KILL $$ ;;
    stays) while [ -d \"$1/kanban\" ]; do sleep 0.05; done ;;
    done) exec \"$2\" complete \"$HERMES_KANBAN_TASK\" ;;
    *) exit \"$next\" ;;
esac";

case! {
    c18_each_end_of_a_worker_is_counted_as_what_it_is,
    injects: "workers that exit 75, 78, 1, 0 without a word, or are killed by SIGKILL; one that gets SIGTERM while the daemon is told to stop",
    holds: "75: again after the cool-down, uncounted; 78: blocked after one; 1: counted, blocked after 2; 0: blocked after 3; \
            SIGKILL: infrastructure, given up after 5 and never counted; SIGTERM at a stop: ready again, uncounted",
    |case| {
        case.settings(AS_TOLD, "busy_timeout_ms = 60000\nboard_deadline_seconds = 60", "")?;
        // What is counted shows in the next attempt, which stays.
        let later = task(case, "75\nstays\n")?;
        let crashed_once = task(case, "1\nstays\n")?;
        let silent_once = task(case, "0\nstays\n")?;
        let killed_once = task(case, "killed\nstays\n")?;
        let hopeless = task(case, "78\n")?;
        let crashes = task(case, &"1\n".repeat(9))?;
        let silent = task(case, &"0\n".repeat(9))?;
        let killed = task(case, &"killed\n".repeat(9))?;
        case.start()?;

        ends(case, &later, "running", &["rate_limited", "open"], 0)?;
        let rested = runs(case, &later)?;
        let rests = rested[1]["started_at"].as_i64() > rested[0]["ended_at"].as_i64();
        assert!(rests, "a second of rest: {rested}");
        ends(case, &crashed_once, "running", &["crashed", "open"], 1)?;
        ends(case, &silent_once, "running", &["crashed", "open"], 0)?;
        ends(case, &killed_once, "running", &["crashed", "open"], 0)?;
        // Who is given up has at least the number that either program compares with.
        ends(case, &hopeless, "blocked", &["crashed"], 2)?;
        ends(case, &crashes, "blocked", &["crashed"; 2], 2)?;
        ends(case, &silent, "blocked", &["crashed"; 3], 2)?;
        ends(case, &killed, "blocked", &["crashed"; 5], 5)?;
        for (task, what) in [(&silent_once, "protocol_violation"), (&killed_once, "infrastructure")] {
            let run = &runs(case, task)?[0];
            assert_eq!(run["metadata"][what], true, "{run}");
        }

        // A turn that waits for the board keeps the daemon from its end until the worker is gone.
        let worker = case.house.worker(&later)?;
        let db = case.db(FAULTY)?;
        db.execute_batch("BEGIN IMMEDIATE")?;
        case.daemon()?.signal(Signal::TERM)?;
        case.daemon()?.says(&case.house, "told to stop")?;
        let pid = Pid::from_raw(worker.cast_signed()).ok_or("no pid")?;
        kill_process(pid, Signal::TERM)?;
        case.until("the worker's end", |_| match is_running(worker) {
            false => Ok(()),
            true => Err("it lives".into()),
        })?;
        db.execute_batch("ROLLBACK")?;
        drop(db);
        case.stop()?;
        ends(case, &later, "ready", &["rate_limited", "reclaimed"], 0)
    }
}

/// A task whose workers end like this, one line each.
fn task(case: &Case, how: &str) -> Result<String> {
    case.house.ok(&["pause", FAULTY])?;
    let id = case.add(FAULTY, "ends")?;
    fs::write(case.house.beside(&format!("how.{id}")), how)?;
    case.house.ok(&["resume", FAULTY])?;
    Ok(id)
}

fn runs(case: &Case, task: &str) -> Result<Value> {
    let said = case
        .house
        .ok(&["--board", FAULTY, "show", task, "--json"])?
        .json()?;
    Ok(said["runs"].clone())
}

/// Waits until a task stands like this, its attempts have ended like this, and so many are counted.
fn ends(case: &Case, task: &str, status: &str, outcomes: &[&str], counted: i64) -> Result {
    let stands = "SELECT status || ' ' || consecutive_failures FROM tasks WHERE id = ?1";
    case.until(&format!("{task} {status}"), |case| {
        let found: String = case.query(FAULTY, stands, task)?;
        let runs = runs(case, task)?;
        let found_outcomes: Vec<&str> = runs
            .as_array()
            .into_iter()
            .flatten()
            .map(|run| run["outcome"].as_str().unwrap_or("open"))
            .collect();
        match found == format!("{status} {counted}") && found_outcomes == outcomes {
            true => Ok(()),
            false => Err(format!("{found} {found_outcomes:?} {runs}").into()),
        }
    })
}

/// Also false for a zombie.
fn is_running(pid: u32) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z"))
}
