//! Workers and tasks can come apart: a person takes a task back, a row becomes unreadable, a board vanishes, the lock is lost. A
//! worker is stopped only when it is certain that nothing waits for it, and a task gets its next one only when the last is gone.

mod support;

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

// ===== boards =====

#[test]
fn a_board_that_cannot_be_looked_at_is_not_taken_for_removed() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 1)?;
    let mut dispatcher = fleet.dispatcher();
    dispatcher.tick();
    let workers = fleet.processes();
    let dir = fleet.board("alpha")?.dir().to_owned();
    let aside = fleet.path().join("aside");
    fs::rename(&dir, &aside)?;
    // A link to itself: every look at what is behind it fails.
    symlink(&dir, &dir)?;
    for _ in 0..3 {
        let report = dispatcher.tick();
        let alpha = fleet.part(&report, "alpha")?;
        assert_eq!((alpha.outcome, alpha.stopped), (Outcome::Failed, 0));
        assert!(alpha.failure.is_some());
        assert_eq!(fleet.processes(), workers);
        fleet.advance(1);
    }
    assert!(fleet.status("alpha")?.is_degraded());
    assert_eq!(fleet.complaints().len(), 1, "{:#?}", fleet.complaints());

    fs::remove_file(&dir)?;
    fs::rename(&aside, &dir)?;
    let next = fleet.store("alpha")?.create(&task(0))?;
    let report = dispatcher.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!((&alpha.started, alpha.running), (&vec![next], 2));
    assert_eq!(
        (dispatcher.workers_alive(), fleet.processes().len()),
        (2, 2)
    );
    Ok(())
}

#[test]
fn a_root_that_is_moved_away_is_waited_for_and_not_made_again() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 1)?;
    let board = fleet.root.board(&Slug::default());
    Store::init(&board, &fleet.clock)?.create(&task(0))?;
    let mut dispatcher = fleet.dispatcher();
    assert_eq!(dispatcher.tick().started(), 2);
    let workers = fleet.processes();
    let (kanban, aside) = (fleet.path().join("kanban"), fleet.path().join("aside"));
    fs::rename(&kanban, &aside)?;
    for _ in 0..3 {
        let report = dispatcher.tick();
        assert!(report.standby.is_some() && report.boards.is_empty());
        assert!(!kanban.exists());
        assert_eq!(fleet.processes(), workers);
        fleet.advance(60);
    }
    assert_eq!(fleet.complaints().len(), 1, "{:#?}", fleet.complaints());

    fs::rename(&aside, &kanban)?;
    let next = fleet.store("alpha")?.create(&task(0))?;
    let report = dispatcher.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!((report.standby.as_ref(), report.started()), (None, 1));
    assert_eq!((&alpha.started, alpha.running), (&vec![next], 2));
    assert_eq!(
        (dispatcher.workers_alive(), fleet.processes().len()),
        (3, 3)
    );
    Ok(())
}

#[test]
fn the_workers_of_a_board_that_was_removed_while_nobody_looked_are_stopped() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 2)?;
    fleet.ready("other", 1)?;
    let mut first = fleet.dispatcher();
    assert_eq!(first.tick().started(), 3);
    drop(first);
    let dir = fleet.board("alpha")?.dir().to_owned();
    fs::remove_dir_all(&dir)?;

    let mut second = fleet.dispatcher();
    let report = second.tick();
    assert!(report.board(&fleet.slug("alpha")).is_none());
    until("its workers are gone", || {
        second.tick();
        Ok(second.workers_alive() == 1)
    })?;
    assert_eq!(fleet.processes().len(), 1);
    second.tick();
    assert_eq!(workers_in_ledger(&fleet)?, 3, "the board may come back");
    fleet.advance(3_600);
    second.tick();
    assert_eq!(workers_in_ledger(&fleet)?, 1, "and forgotten");
    assert!(!dir.exists());
    Ok(())
}

#[test]
fn the_end_of_a_worker_is_known_when_its_board_comes_back_whatever_pid_its_row_has_by_then()
-> Result {
    let fleet = Fleet::new()?;
    // By its start time it may be the worker: the claim is younger.
    let innocent = Innocent::start()?;
    fleet.advance(10_000_000_000);
    let id = fleet.ready("alpha", 1)?.remove(0);
    let mut first = fleet.dispatcher();
    assert_eq!(first.tick().started(), 1);
    let dir = fleet.board("alpha")?.dir().to_owned();
    let aside = dir.with_file_name("aside!");
    fs::rename(&dir, &aside)?;
    until("its worker is gone", || {
        first.tick();
        Ok(first.workers_alive() == 0)
    })?;
    drop(first);
    fs::rename(&aside, &dir)?;
    fleet
        .connect("alpha")?
        .execute("UPDATE tasks SET worker_pid = ?1", [innocent.0.id()])?;

    let mut second = fleet.dispatcher();
    for _ in 0..3 {
        fleet.advance(60);
        second.tick();
    }
    assert_eq!(fleet.show("alpha", &id)?.runs.len(), 2);
    assert_ne!(state(innocent.0.id().into()), Some('Z'));
    Ok(())
}

#[test]
fn the_workers_of_a_board_whose_database_was_removed_while_nobody_looked_are_stopped() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 2)?;
    let mut first = fleet.dispatcher();
    assert_eq!(first.tick().started(), 2);
    drop(first);
    let board = fleet.board("alpha")?;
    for name in names(board.dir())? {
        if name.starts_with("kanban.db") {
            fs::remove_file(board.dir().join(name))?;
        }
    }
    let before = names(board.dir())?;
    assert!(before.contains(&"board.json".to_owned()), "{before:?}");

    let mut second = fleet.dispatcher();
    let report = second.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!((alpha.outcome, alpha.stopped), (Outcome::Absent, 2));
    until("its workers are gone", || {
        let report = second.tick();
        assert_eq!(fleet.part(&report, "alpha")?.outcome, Outcome::Absent);
        Ok(second.workers_alive() == 0)
    })?;
    assert_eq!(fleet.processes(), [] as [i32; 0]);
    assert_eq!(names(board.dir())?, before, "nothing is made again");
    Ok(())
}

// ===== locks =====

#[test]
fn workers_that_end_while_the_lock_is_lost_are_no_zombies_and_their_ends_are_recorded_later()
-> Result {
    let fleet = Fleet::new()?;
    let ids = fleet.ready("alpha", 2)?;
    let mut dispatcher = fleet.dispatcher();
    assert_eq!(dispatcher.tick().started(), 2);
    let path = fleet.root.dispatcher_lock();
    fs::remove_file(&path)?;
    let other = FileLock::try_acquire(&path)?.ok_or("not free")?;
    assert!(dispatcher.tick().standby.is_some());

    let ended = pid(&fleet, &ids[0])?;
    kill(ended)?;
    until("it waits to be reaped", || Ok(state(ended) == Some('Z')))?;
    let report = dispatcher.tick();
    assert!(report.standby.is_some());
    assert_eq!(state(ended), None);
    assert_eq!(dispatcher.workers_alive(), 1);
    let detail = fleet.show("alpha", &ids[0])?;
    assert_eq!(
        detail.task.status, "running",
        "the board is somebody else's"
    );

    drop(other);
    let report = dispatcher.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!((alpha.failed, &alpha.started), (1, &vec![ids[0].clone()]));
    assert_eq!(
        outcomes(&fleet.show("alpha", &ids[0])?),
        ["crashed", "open"]
    );
    assert_eq!(fleet.processes().len(), 2);
    Ok(())
}

#[test]
fn no_two_attempts_at_a_task_have_the_same_claim_text_whichever_dispatcher_made_them() -> Result {
    let fleet = Fleet::new()?;
    for board in ["alpha", "beta"] {
        fleet.ready(board, 3)?;
    }
    // All within one second of the board's clock, and by one dispatcher after another.
    for _ in 0..3 {
        let mut dispatcher = fleet
            .builder(|config| {
                config.worker.command = Some(script("exit 75"));
                config.rate_limit_cooldown_seconds = 0;
                // How those end that are still at work at a change, nobody knows.
                config.failure_limit = 1000.try_into().expect("not zero");
            })
            .build();
        let mut started = 0;
        until("every task has been started twice", || {
            started += dispatcher.tick().started();
            Ok(started >= 12)
        })?;
    }
    let mut claims = 0;
    for board in ["alpha", "beta"] {
        for task in fleet.store(board)?.list(None)? {
            let mut texts = BTreeSet::new();
            for event in fleet.show(board, &task.id)?.events {
                if event.kind == "claimed" {
                    claims += 1;
                    let text = event.payload["lock"].to_string();
                    assert!(texts.insert(text), "{event:?} was there before");
                }
            }
        }
    }
    assert!(claims >= 36, "{claims}");
    Ok(())
}

#[test]
fn a_directory_of_boards_that_goes_away_and_comes_back_stops_nobody() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 2)?;
    let mut dispatcher = fleet.dispatcher();
    assert_eq!(dispatcher.tick().started(), 2);
    let workers = fleet.processes();
    let (boards, away) = (fleet.root.boards_dir(), fleet.path().join("away"));
    fs::rename(&boards, &away)?;
    for _ in 0..2 {
        assert!(dispatcher.tick().standby.is_some());
        fleet.advance(60);
    }
    assert!(!boards.exists(), "nothing is made by looking");
    fs::rename(&away, &boards)?;
    let report = dispatcher.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!((alpha.running, alpha.stopped, alpha.failed), (2, 0, 0));
    assert_eq!(fleet.processes(), workers);
    Ok(())
}
