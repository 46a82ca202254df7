//! Where one part of the dispatcher meets another: what one has noted must not be lost when the other's turn fails or is late.

mod support;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use kanban_dispatcher::{BoardState, HeldReason, Job, Levers, Outcome, WorkerCommand, why};
use rustix::io::Errno;
use support::{Fleet, LONG, Result, connect, outcomes, script, until};

fn command(words: &[&str]) -> WorkerCommand {
    WorkerCommand {
        argv: words.iter().map(Into::into).collect(),
        env: Vec::new(),
    }
}

/// Waits until everybody who was started on a board is dead.
fn all_dead(fleet: &Fleet) -> Result {
    until("they are dead", || Ok(fleet.processes().is_empty()))
}

#[test]
fn a_breaker_that_trips_in_a_turn_that_cannot_be_written_trips_in_the_next() -> Result {
    let fleet = Fleet::new()?;
    let ids = fleet.ready("alpha", 6)?;
    let mut dispatcher = fleet
        .builder(|config| config.worker.command = Some(script("exit 3")))
        .build();
    assert_eq!(dispatcher.tick().started(), 6);
    all_dead(&fleet)?;
    let other = fleet.connect("alpha")?;
    other.execute_batch("BEGIN IMMEDIATE")?;
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.outcome, Outcome::Busy);
    other.execute_batch("COMMIT")?;

    fleet.advance(1);
    let report = dispatcher.tick();
    let part = fleet.part(&report, "alpha")?;
    assert_eq!((part.failed, part.started.len()), (6, 0), "{part:?}");
    for id in &ids {
        let task = fleet.show("alpha", id)?.task;
        assert_eq!(
            (task.status.as_str(), task.consecutive_failures),
            ("ready", 0)
        );
    }
    let status = fleet.status("alpha")?;
    assert_eq!(
        (status.state, status.breaker_round),
        (BoardState::Paused, Some(0))
    );
    Ok(())
}

#[test]
fn a_start_that_fails_is_not_tried_twice_in_one_tick() -> Result {
    let fleet = Fleet::new()?;
    let ids = fleet.ready("alpha", 3)?;
    let broken = ids[0].clone();
    let mut dispatcher = fleet
        .builder(|config| config.workers_max = 2.try_into().expect("not zero"))
        .launcher(move |job: &Job<'_>| match job.work.task == broken {
            true => Err(io::Error::other("no such thing")),
            false => Ok(command(&LONG)),
        })
        .build();
    let report = dispatcher.tick();
    let first = fleet.show("alpha", &ids[0])?;
    assert_eq!(outcomes(&first), ["spawn_failed"]);
    assert_eq!(first.task.status, "ready");
    // Its place is the next one's, in the tick's second turn.
    assert_eq!(fleet.part(&report, "alpha")?.started, ids[1..]);
    Ok(())
}

#[test]
fn a_release_that_comes_while_the_board_is_away_is_done_when_it_is_back() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 6)?;
    let (go, gate) = mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let waits = Arc::new(AtomicBool::new(false));
    let hang = Arc::clone(&waits);
    let mut dispatcher = fleet
        .builder(|config| {
            config.board_deadline_seconds = Duration::from_secs(2);
            config.breaker.deaths = 6;
        })
        .launcher(move |_: &Job<'_>| {
            if !hang.load(Ordering::Relaxed) {
                return Ok(command(&["sh", "-c", "exit 3"]));
            }
            let _ = gate.lock().unwrap().recv();
            // Lives on: six that died at once would trip the breaker anew.
            Ok(command(&LONG))
        })
        .build();
    assert_eq!(dispatcher.tick().started(), 6);
    all_dead(&fleet)?;
    dispatcher.tick();
    assert_eq!(fleet.status("alpha")?.breaker_round, Some(0));
    // The one task that is tried hangs at its start.
    waits.store(true, Ordering::Relaxed);
    fleet.advance(61);
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.outcome, Outcome::Busy);
    let slug = fleet.slug("alpha").parse()?;
    Levers::open(&fleet.root, &fleet.clock)?.resume(&slug)?;
    dispatcher.tick();
    drop(go);
    until("it is back", || {
        let report = dispatcher.tick();
        Ok(fleet.part(&report, "alpha")?.outcome == Outcome::Ticked)
    })?;
    let report = dispatcher.tick();
    let held = &fleet.part(&report, "alpha")?.held;
    assert_eq!(held.get(&HeldReason::Breaker), None, "{held:?}");
    Ok(())
}

#[test]
fn a_worker_whose_workspace_took_long_dies_at_its_start_all_the_same() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 6)?;
    let clock = fleet.clock.clone();
    let mut dispatcher = fleet
        .builder(|_| ())
        .launcher(move |_: &Job<'_>| {
            clock.advance(Duration::from_secs(20));
            Ok(command(&["sh", "-c", "exit 3"]))
        })
        .build();
    assert_eq!(dispatcher.tick().started(), 6);
    all_dead(&fleet)?;
    dispatcher.tick();
    assert_eq!(fleet.status("alpha")?.breaker_round, Some(0));
    Ok(())
}

#[test]
fn a_boards_full_or_read_only_disk_costs_no_other_board_a_start() -> Result {
    for error in [Errno::ROFS, Errno::NOSPC] {
        let fleet = Fleet::new()?;
        let broken = fleet.ready("alpha", 1)?.remove(0);
        let full = fleet.slug("alpha");
        let is_full = Arc::new(AtomicBool::new(true));
        let still = Arc::clone(&is_full);
        let mut dispatcher = fleet
            .builder(|_| ())
            .launcher(move |job: &Job<'_>| {
                match job.board.slug().as_str() == full && still.load(Ordering::Relaxed) {
                    true => Err(error.into()),
                    false => Ok(command(&LONG)),
                }
            })
            .build();
        dispatcher.tick();
        for tick in 1..4 {
            for board in ["beta", "gamma", "delta"] {
                fleet.ready(board, 1)?;
            }
            fleet.advance(1);
            assert_eq!(dispatcher.tick().started(), 3, "{error}, tick {tick}");
        }
        let held = fleet.status("alpha")?.held;
        assert_eq!(held["no_worker"], 1, "it rests: {held}");
        let task = fleet.show("alpha", &broken)?.task;
        assert_eq!(
            (task.status.as_str(), task.consecutive_failures),
            ("ready", 0)
        );
        assert_eq!(
            outcomes(&fleet.show("alpha", &broken)?),
            ["reclaimed"],
            "one try"
        );
        is_full.store(false, Ordering::Relaxed);
        fleet.advance(5);
        let report = dispatcher.tick();
        assert_eq!(fleet.part(&report, "alpha")?.started, [broken]);
    }
    Ok(())
}

#[test]
fn a_breaker_that_trips_in_a_turn_that_is_paused_is_known_afterwards() -> Result {
    let fleet = Fleet::new()?;
    let ids = fleet.ready("alpha", 7)?;
    let (last, slug) = (ids[6].clone(), fleet.slug("alpha").parse()?);
    let (root, clock) = (fleet.root.clone(), fleet.clock.clone());
    let mut dispatcher = fleet
        .builder(|_| ())
        .launcher(move |job: &Job<'_>| {
            if job.work.task != last {
                return Err(io::Error::other("no such place"));
            }
            let paused =
                Levers::open(&root, &clock).and_then(|mut levers| levers.pause(&slug, None));
            paused.map_err(|error| io::Error::other(error.to_string()))?;
            Ok(command(&LONG))
        })
        .build();
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.held[&HeldReason::Paused], 1);
    assert_eq!(fleet.status("alpha")?.breaker_round, Some(0));
    Ok(())
}

#[test]
fn the_question_for_one_task_and_the_tick_name_the_same_of_two_reasons() -> Result {
    let fleet = Fleet::new()?;
    let ids = fleet.ready("alpha", 6)?;
    let mut dispatcher = fleet
        .builder(|config| config.worker.command = Some(script("exit 3")))
        .build();
    dispatcher.tick();
    all_dead(&fleet)?;
    dispatcher.tick();
    let slug = fleet.slug("alpha").parse()?;
    Levers::open(&fleet.root, &fleet.clock)?.pause(&slug, None)?;
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.held[&HeldReason::Paused], 6);
    let board = fleet.board("alpha")?;
    let answer = why(&fleet.root, &fleet.config(), &fleet.clock, &board, &ids[0])?;
    assert_eq!(answer.reason.as_str(), "paused");
    Ok(())
}

#[test]
fn a_lever_waits_for_whoever_writes_to_the_ledger() -> Result {
    let fleet = Fleet::new()?;
    fleet.store("alpha")?;
    fleet.dispatcher().tick();
    let slug = fleet.slug("alpha").parse()?;
    let ledger = fleet.root.ledger();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| -> Result {
        scope.spawn(|| {
            let Ok(db) = connect(&ledger) else { return };
            while !is_over.load(Ordering::Relaxed) {
                let _ = db.execute("UPDATE dispatcher SET last_tick = last_tick + 1", []);
                std::thread::park_timeout(Duration::from_micros(200));
            }
        });
        let pauses = || -> Result {
            for _ in 0..200 {
                Levers::open(&fleet.root, &fleet.clock)?.pause(&slug, None)?;
            }
            Ok(())
        };
        let result = pauses();
        is_over.store(true, Ordering::Relaxed);
        result
    })
}
