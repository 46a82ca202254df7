//! Workers and tasks can come apart: a person takes a task back, a row becomes unreadable, a board vanishes, the lock is lost. A
//! worker is stopped only when it is certain that nothing waits for it, and a task gets its next one only when the last is gone.

#[path = "../support/mod.rs"]
mod support;

mod boards;
mod locks;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Child, Command};

use kanban_dispatcher::{Block, BoardReport, Clock, FileLock, HeldReason, Outcome, Slug, Store};
use support::{Fleet, LONG, Result, connect, kill, names, outcomes, script, task, until, value};

/// A process that has nothing to do with any board; ended when it is dropped.
struct Innocent(Child);

impl Innocent {
    fn start() -> Result<Self> {
        Ok(Self(Command::new(LONG[0]).arg(LONG[1]).spawn()?))
    }
}

impl Drop for Innocent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The state of a process in one letter; `None` when it is gone.
fn state(pid: i64) -> Option<char> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text[text.rfind(')')? + 1..].trim_start().chars().next()
}

fn pid(fleet: &Fleet, id: &str) -> Result<i64> {
    let runs = fleet.show("alpha", id)?.runs;
    let run = runs.last().ok_or("no run")?;
    Ok(run.worker_pid.ok_or("no pid")?)
}

fn workers_in_ledger(fleet: &Fleet) -> Result<i64> {
    value(
        &connect(&fleet.root.ledger())?,
        "SELECT count(*) FROM workers",
    )
}

/// Nothing happened to any worker or task.
fn is_calm(part: &BoardReport) -> bool {
    let counts = [part.stopped, part.failed, part.reclaimed, part.gave_up];
    part.started.is_empty() && counts == [0; 4]
}

// ===== strangers =====

#[test]
fn a_silent_process_that_may_be_the_worker_keeps_its_claim_and_gets_no_second_beside_it() -> Result
{
    let mut fleet = Fleet::new()?;
    // Real processes start at real times.
    fleet.clock = Clock::manual(Clock::system().unix());
    let now = fleet.clock.unix();
    let innocent = Innocent::start()?;
    let ids = fleet.ready("alpha", 4)?;
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let (peers, ours) = (format!("{host}:999"), format!("rs.{host}:1:0"));
    let db = fleet.connect("alpha")?;
    // Begun before the attempt; at about its time; and long after it, so that only the id is the same.
    let attempts = [
        (&ids[0], &peers, now + 5),
        (&ids[1], &ours, now - 200),
        (&ids[2], &peers, now - 10_000),
        (&ids[3], &ours, now - 10_000),
    ];
    for (id, lock, started_at) in attempts {
        db.execute(
            "INSERT INTO task_runs (task_id, status, claim_lock, worker_pid, started_at) VALUES (?1, 'running', ?2, ?3, ?4)",
            (id, lock, innocent.0.id(), started_at),
        )?;
        db.execute(
            "UPDATE tasks SET status = 'running', claim_lock = ?2, worker_pid = ?3, claim_expires = ?4, started_at = ?5, \
             last_heartbeat_at = ?5, current_run_id = ?6 WHERE id = ?1",
            (id, lock, innocent.0.id(), now + 900, started_at, db.last_insert_rowid()),
        )?;
    }
    let mut dispatcher = fleet.dispatcher();
    let report = dispatcher.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!((&alpha.started, alpha.failed), (&ids[2..].to_vec(), 2));

    // Silent for more than an hour, and the claims have run out.
    for _ in 0..3 {
        fleet.advance(4000);
        let report = dispatcher.tick();
        let alpha = fleet.part(&report, "alpha")?;
        assert!(is_calm(alpha) && alpha.running == 4, "{alpha:?}");
    }
    for id in &ids[..2] {
        let detail = fleet.show("alpha", id)?;
        assert_eq!(outcomes(&detail), ["open"]);
        let kinds: Vec<_> = detail.events.iter().map(|event| &*event.kind).collect();
        assert_eq!(kinds[1..], ["claim_extended"; 3]);
    }
    assert_eq!(state(innocent.0.id().into()), Some('S'), "never signalled");
    assert_eq!(fleet.processes().len(), 2);

    // Gone: now there is nobody to be doubled.
    drop(innocent);
    let report = dispatcher.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!((&alpha.started, alpha.failed), (&ids[..2].to_vec(), 2));
    Ok(())
}

#[test]
fn workers_whose_ledger_was_lost_between_two_dispatchers_get_no_second_beside_them() -> Result {
    let mut fleet = Fleet::new()?;
    fleet.clock = Clock::manual(Clock::system().unix());
    let ids = fleet.ready("alpha", 2)?;
    let mut first = fleet.dispatcher();
    assert_eq!(first.tick().started(), 2);
    for id in &ids {
        fleet.store("alpha")?.heartbeat(id, None, None, None)?;
    }
    drop(first);
    fs::remove_dir_all(fleet.root.ledger().parent().ok_or("no directory")?)?;
    let mut second = fleet.dispatcher();
    for _ in 0..3 {
        fleet.advance(4000);
        let report = second.tick();
        let alpha = fleet.part(&report, "alpha")?;
        assert!(is_calm(alpha) && alpha.running == 2, "{alpha:?}");
        assert_eq!(fleet.processes().len(), 2);
    }
    Ok(())
}

// ===== rows =====

#[test]
fn a_running_row_that_becomes_unreadable_keeps_its_worker_and_gets_no_second() -> Result {
    let fleet = Fleet::new()?;
    let ids = fleet.ready("alpha", 2)?;
    let mut dispatcher = fleet.dispatcher();
    assert_eq!(dispatcher.tick().started(), 2);
    let workers = fleet.processes();
    fleet.sql(
        "alpha",
        &format!(
            "UPDATE tasks SET priority = 'urgent' WHERE id = '{}'",
            ids[0]
        ),
    )?;
    for _ in 0..5 {
        let report = dispatcher.tick();
        let alpha = fleet.part(&report, "alpha")?;
        assert!(is_calm(alpha), "{alpha:?}");
        assert_eq!(alpha.held.get(&HeldReason::BadRow), Some(&1));
        assert_eq!(fleet.processes(), workers);
        fleet.advance(1000);
    }

    // Its end is kept until it can be recorded.
    kill(pid(&fleet, &ids[0])?)?;
    until("it has ended", || {
        assert_eq!(dispatcher.tick().started(), 0);
        Ok(dispatcher.workers_alive() == 1)
    })?;
    fleet.sql("alpha", "UPDATE tasks SET priority = 0")?;
    let report = dispatcher.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!((alpha.failed, &alpha.started), (1, &vec![ids[0].clone()]));
    assert_eq!(
        outcomes(&fleet.show("alpha", &ids[0])?),
        ["crashed", "open"]
    );
    assert_eq!(outcomes(&fleet.show("alpha", &ids[1])?), ["open"]);
    assert_eq!(fleet.processes().len(), 2);
    Ok(())
}

#[test]
fn a_worker_that_lives_on_after_its_report_is_stopped_and_then_its_task_starts_again_once() -> Result
{
    let fleet = Fleet::new()?;
    let id = fleet.ready("alpha", 1)?.remove(0);
    let mut dispatcher = fleet
        .builder(|config| config.worker.linger_seconds = std::time::Duration::from_secs(20))
        .build();
    dispatcher.tick();
    let lingers = fleet.processes();
    let mut store = fleet.store("alpha")?;
    let block = Block {
        reason: Some("which colour?".to_owned()),
        kind: Some("needs_input".to_owned()),
        ..Block::default()
    };
    store.block(&id, &block)?;
    dispatcher.tick();
    store.unblock(&id)?;
    for _ in 0..2 {
        let report = dispatcher.tick();
        let alpha = fleet.part(&report, "alpha")?;
        assert!(is_calm(alpha), "it may tidy up: {alpha:?}");
        assert_eq!(alpha.held.get(&HeldReason::WorkerEnding), Some(&1));
        fleet.advance(10);
    }
    assert_eq!(fleet.processes(), lingers);
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.stopped, 1);
    let mut started = 0;
    until("the task is started again", || {
        started += dispatcher.tick().started();
        assert!(fleet.processes().len() <= 1);
        Ok(started == 1)
    })?;
    for _ in 0..3 {
        fleet.advance(60);
        assert!(fleet.turn(&dispatcher.tick(), "alpha")?.is_none_or(is_calm));
    }
    let processes = fleet.processes();
    assert_eq!(processes.len(), 1);
    assert_ne!(processes, lingers);
    let detail = fleet.show("alpha", &id)?;
    assert_eq!(outcomes(&detail), ["blocked", "open"]);
    assert_eq!(detail.task.consecutive_failures, 0);
    Ok(())
}
