//! The machine gives no more descriptors.

use std::process::Command;

use super::case::{Case, FAULTY, Result};

case! {
    faults_descriptors_run_out,
    injects: "the daemon's limit of descriptors, lowered below what it has open, with tasks on four boards; then raised again",
    holds: "nothing held, given up or charged; it says so, and status too; every task is done once when there are descriptors again",
    |case| {
        case.start()?;
        limit(case, 14)?;
        let boards = [FAULTY, "other-1", "other-2", "other-3"];
        let tasks = boards
            .iter()
            .map(|slug| Ok((*slug, case.add(slug, "waits")?)))
            .collect::<Result<Vec<_>>>()?;
        case.until("a word of it", |case| {
            let lines = case.lines()?;
            let said = lines.iter().find(|line| line.is_above_info());
            said.map(|_| ()).ok_or_else(|| "not a word".into())
        })?;
        // Stale, if the ledger cannot be opened either; else degraded.
        case.until("a status that says so", |case| match case.house.say(&["status"])?.code {
            Some(0) => Err("healthy".into()),
            _ => Ok(()),
        })?;
        let held = case.lines()?.into_iter().find(|line| line.message().starts_with("board held"));
        assert!(held.is_none(), "{held:?}");

        limit(case, 1024)?;
        for (slug, id) in &tasks {
            case.task(slug, id, "done")?;
            let failures: i64 = case.query(slug, "SELECT consecutive_failures FROM tasks WHERE id = ?1", id)?;
            let done: i64 = case.query(slug, "SELECT count(*) FROM task_runs WHERE task_id = ?1 AND outcome = 'completed'", id)?;
            assert_eq!((failures, done), (0, 1), "{slug}");
        }
        // Claiming rests for a while after such trouble, everywhere.
        case.state(FAULTY, "ok")?;
        Ok(())
    }
}

/// Sets the limit of the running daemon.
fn limit(case: &Case, descriptors: u32) -> Result {
    let status = Command::new("prlimit")
        .args(["--pid", &case.daemon()?.pid().to_string()])
        .arg(format!("--nofile={descriptors}:"))
        .status()
        .map_err(|error| format!("prlimit is needed (apt-get install util-linux): {error}"))?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("prlimit: {status}").into()),
    }
}
