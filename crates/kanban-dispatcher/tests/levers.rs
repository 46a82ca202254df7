//! What an operator does from another process holds: over a restart, without a dispatcher, and against a claim that was made already.

mod support;

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kanban_dispatcher::{
    BoardState, ErrorKind, Health, HeldReason, Job, Levers, Outcome, Status, WorkerCommand, plan,
};
use support::{Fleet, LONG, Result, kill, outcomes, until, value};

fn levers(fleet: &Fleet) -> Result<Levers> {
    Ok(Levers::open(&fleet.root, &fleet.clock)?)
}

fn sleeper() -> WorkerCommand {
    WorkerCommand {
        argv: LONG.map(Into::into).to_vec(),
        env: Vec::new(),
    }
}

// ===== pause =====

#[test]
fn a_paused_board_starts_nothing_also_over_a_restart_and_the_others_go_on() -> Result {
    let fleet = Fleet::new()?;
    let ids = fleet.ready("alpha", 3)?;
    fleet.ready("beta", 1)?;
    let alpha = fleet.slug("alpha").parse()?;
    let one = |config: &mut kanban_dispatcher::Config| {
        config.max_spawn = Some(1.try_into().expect("not zero"));
        config.failure_limit = 9.try_into().expect("not zero");
    };
    let mut dispatcher = fleet.builder(one).build();
    assert_eq!(dispatcher.tick().started(), 2);

    fleet.advance(10);
    let pause = levers(&fleet)?.pause(&alpha, Some(" new disk "))?;
    assert_eq!(pause.reason.as_deref(), Some("new disk"));
    // Its worker's end is recorded, and nothing takes its place.
    let sql = format!("SELECT worker_pid FROM tasks WHERE id = '{}'", ids[0]);
    let worker: i64 = value(&fleet.connect("alpha")?, &sql)?;
    kill(worker)?;
    until("the end is recorded", || {
        let report = dispatcher.tick();
        assert_eq!(report.started(), 0);
        Ok(fleet.part(&report, "alpha")?.failed == 1)
    })?;
    for restart in [false, true] {
        if restart {
            drop(dispatcher);
            dispatcher = fleet.builder(one).build();
        }
        fleet.advance(60);
        let report = dispatcher.tick();
        let part = fleet.part(&report, "alpha")?;
        assert_eq!((part.outcome, part.started.len()), (Outcome::Ticked, 0));
        assert_eq!(part.held.get(&HeldReason::Paused), Some(&1), "{part:?}");
        assert_eq!(part.held.get(&HeldReason::BoardCap), Some(&2));
    }
    let attempts = fleet.show("alpha", &ids[0])?;
    assert_eq!(outcomes(&attempts), ["crashed"], "not even claimed");
    let status = fleet.status("alpha")?;
    assert_eq!(status.state, BoardState::Paused);
    assert_eq!(status.reason.as_deref(), Some("new disk"));
    assert_eq!(status.since, Some(support::START + 10));
    assert_eq!(status.held["paused"], 1);
    let whole = Status::read(&fleet.root, &fleet.clock)?;
    assert_eq!(whole.health(), Health::Healthy, "somebody wants it so");
    assert_eq!(fleet.status("beta")?.state, BoardState::Ok);
    let plans = plan(&fleet.root, &fleet.config())?;
    let plan = plans
        .iter()
        .find(|plan| plan.slug == alpha)
        .ok_or("no plan")?;
    assert_eq!(plan.would_start, [] as [&str; 0]);
    assert_eq!(plan.held.get(&HeldReason::Paused), Some(&3));

    // Paused again: since the first time, for the new reason.
    let pause = levers(&fleet)?.pause(&alpha, Some("newer disk"))?;
    assert_eq!(
        (pause.since, pause.reason.as_deref()),
        (support::START + 10, Some("newer disk"))
    );
    assert_eq!(levers(&fleet)?.pause(&alpha, None)?, pause);
    assert_eq!(levers(&fleet)?.resume(&alpha)?, Some(pause));
    assert_eq!(levers(&fleet)?.resume(&alpha)?, None);
    assert_eq!(dispatcher.tick().started(), 1);
    assert_eq!(fleet.status("alpha")?.state, BoardState::Ok);
    let told: Vec<String> = fleet
        .lines_of("alpha")
        .into_iter()
        .map(|line| line.message)
        .collect();
    let count = |text: &str| told.iter().filter(|line| line.contains(text)).count();
    assert_eq!(
        (count("is paused"), count("is resumed")),
        (2, 1),
        "{told:#?}"
    );
    Ok(())
}

#[test]
fn a_pause_that_is_committed_after_the_claim_still_keeps_the_worker_from_starting() -> Result {
    let fleet = Fleet::new()?;
    let ids = fleet.ready("alpha", 2)?;
    fleet.ready("beta", 1)?;
    // The launcher is asked between the claim and the start: the operator could not be later.
    let (root, clock, alpha) = (fleet.root.clone(), fleet.clock.clone(), fleet.slug("alpha"));
    let is_late = AtomicBool::new(true);
    let mut dispatcher = fleet
        .builder(|_| ())
        .launcher(move |job: &Job<'_>| {
            let slug = job.board.slug();
            if slug.as_str() == alpha && is_late.swap(false, Ordering::SeqCst) {
                let paused =
                    Levers::open(&root, &clock).and_then(|mut levers| levers.pause(slug, None));
                assert!(paused.is_ok(), "{paused:?}");
            }
            Ok(sleeper())
        })
        .build();
    let report = dispatcher.tick();
    let part = fleet.part(&report, "alpha")?;
    assert_eq!((part.outcome, part.started.len()), (Outcome::Ticked, 0));
    assert_eq!(part.held.get(&HeldReason::Paused), Some(&2), "{part:?}");
    assert_eq!((part.ready, part.running, part.failed), (2, 0, 0));
    assert_eq!(fleet.part(&report, "beta")?.started.len(), 1);
    fleet.has_processes(1)?;
    assert!(fleet.complaints().is_empty(), "{:#?}", fleet.complaints());
    for id in &ids {
        let detail = fleet.show("alpha", id)?;
        assert_eq!(detail.task.status, "ready");
        assert_eq!(detail.task.consecutive_failures, 0, "nobody is charged");
        assert_eq!(outcomes(&detail), ["reclaimed"]);
    }
    assert_eq!(dispatcher.tick().started(), 0);
    levers(&fleet)?.resume(&fleet.slug("alpha").parse()?)?;
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.started, ids);
    Ok(())
}

#[test]
fn a_pause_is_told_of_a_board_that_would_have_had_no_turn() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 2)?;
    let one = |config: &mut kanban_dispatcher::Config| {
        config.workers_max = 1.try_into().expect("not zero");
    };
    let mut dispatcher = fleet.builder(one).build();
    until("it is quiet", || {
        fleet.advance(1);
        Ok(fleet.part(&dispatcher.tick(), "alpha").is_err())
    })?;
    levers(&fleet)?.pause(&fleet.slug("alpha").parse()?, None)?;
    let report = dispatcher.tick();
    let part = fleet.part(&report, "alpha")?;
    assert_eq!(part.held.get(&HeldReason::Paused), Some(&1), "{part:?}");
    Ok(())
}

#[test]
fn a_board_is_paused_before_any_dispatcher_ran() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 1)?;
    assert!(!fleet.root.ledger().exists());
    let alpha = fleet.slug("alpha").parse()?;
    levers(&fleet)?.pause(&alpha, None)?;
    let status = fleet.status("alpha")?;
    assert_eq!((status.state, status.last_tick), (BoardState::Paused, None));
    let mut dispatcher = fleet.dispatcher();
    assert_eq!(dispatcher.tick().started(), 0);
    let error = levers(&fleet)?
        .pause(&"misspelled".parse()?, None)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    Ok(())
}

#[test]
fn a_ledger_that_is_deleted_under_the_dispatcher_resumes_nothing() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 1)?;
    let alpha = fleet.slug("alpha").parse()?;
    let mut dispatcher = fleet.dispatcher();
    levers(&fleet)?.pause(&alpha, Some("new disk"))?;
    assert_eq!(dispatcher.tick().started(), 0);
    let dir = fleet
        .root
        .ledger()
        .parent()
        .ok_or("no directory")?
        .to_owned();
    fs::remove_dir_all(&dir)?;
    for _ in 0..2 {
        assert_eq!(dispatcher.tick().started(), 0);
    }
    assert_eq!(fleet.status("alpha")?.reason.as_deref(), Some("new disk"));
    drop(dispatcher);
    let mut dispatcher = fleet.dispatcher();
    assert_eq!(dispatcher.tick().started(), 0, "the new one knows it");

    // And one that cannot be used at all changes nothing of what is known.
    let aside = fleet.path().join("aside");
    fs::rename(&dir, &aside)?;
    fs::create_dir_all(fleet.root.ledger())?;
    for _ in 0..2 {
        assert_eq!(dispatcher.tick().started(), 0);
    }
    let error = Levers::open(&fleet.root, &fleet.clock).unwrap_err();
    assert!(
        error.chain().contains("open the ledger"),
        "{}",
        error.chain()
    );
    fs::remove_dir_all(&dir)?;
    fs::rename(&aside, &dir)?;
    levers(&fleet)?.resume(&alpha)?;
    assert_eq!(dispatcher.tick().started(), 1);
    Ok(())
}

#[test]
fn a_lever_that_the_ledger_refuses_says_that_nothing_was_done() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 1)?;
    let mut levers = levers(&fleet)?;
    let other = support::connect(&fleet.root.ledger())?;
    other.execute_batch(
        "CREATE TRIGGER full BEFORE INSERT ON pauses BEGIN SELECT RAISE(ABORT, 'no room'); END",
    )?;
    let error = levers
        .pause(&fleet.slug("alpha").parse()?, None)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Sqlite);
    assert!(error.chain().contains("took no write"), "{}", error.chain());
    assert_eq!(fleet.dispatcher().tick().started(), 1);
    Ok(())
}

// ===== release, repair =====

#[test]
fn a_released_board_is_looked_at_within_one_tick_and_one_more_repair_is_one_more() -> Result {
    let fleet = Fleet::new()?;
    let ids = fleet.ready("alpha", 1)?;
    fleet.ready("beta", 1)?;
    // The repair fails at its end: the name of an index is taken.
    fleet.sql(
        "alpha",
        "ALTER TABLE tasks DROP COLUMN goal_mode; DROP INDEX idx_events_run; CREATE TABLE idx_events_run (x)",
    )?;
    fleet.grow_old("alpha")?;
    let alpha = fleet.slug("alpha").parse()?;
    let mut dispatcher = fleet
        .builder(|config| {
            config.repair.attempts_max = 1.try_into().expect("not zero");
            config.quarantine.first_retry_seconds = Duration::from_secs(1_000_000);
            config.quarantine.max_retry_seconds = Duration::from_secs(1_000_000);
        })
        .build();
    let mut held = |looks: u64, attempts: i64| -> Result {
        for _ in 0..3 {
            let report = dispatcher.tick();
            assert_eq!(fleet.part(&report, "alpha")?.outcome, Outcome::Held);
            fleet.advance(60);
        }
        assert_eq!(dispatcher.log_totals().observed, looks);
        assert_eq!(fleet.status("alpha")?.repair_attempts, attempts);
        Ok(())
    };
    held(1, 1)?;
    levers(&fleet)?.release(&alpha)?;
    held(2, 1)?;
    levers(&fleet)?.repair(&alpha)?;
    held(3, 2)?;
    // The cause is mended; but the one repair of this drift is over, and so is the number of attempts.
    fleet.sql("alpha", "DROP TABLE idx_events_run")?;
    fleet.grow_old("alpha")?;
    held(4, 2)?;

    levers(&fleet)?.repair(&alpha)?;
    let report = dispatcher.tick();
    let part = fleet.part(&report, "alpha")?;
    assert_eq!((part.outcome, &part.started), (Outcome::Ticked, &ids));
    assert_eq!(part.repaired.len(), 1, "{part:?}");
    assert_eq!(fleet.status("alpha")?.repair_attempts, 3);
    let beta = fleet.turn(&report, "beta")?;
    assert!(beta.is_none_or(|beta| beta.outcome == Outcome::Ticked));
    Ok(())
}

#[test]
fn a_repair_that_is_asked_for_while_no_dispatcher_runs_is_made_by_the_next_one() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 1)?;
    let damage = "ALTER TABLE tasks DROP COLUMN goal_mode; DROP INDEX idx_events_run; CREATE TABLE idx_events_run (x)";
    fleet.sql("alpha", damage)?;
    fleet.grow_old("alpha")?;
    let attempts = |fleet: &Fleet| -> Result<i64> {
        let mut dispatcher = fleet
            .builder(|config| config.repair.attempts_max = 1.try_into().expect("not zero"))
            .build();
        dispatcher.tick();
        Ok(fleet.status("alpha")?.repair_attempts)
    };
    assert_eq!([attempts(&fleet)?, attempts(&fleet)?], [1, 0]);
    levers(&fleet)?.repair(&fleet.slug("alpha").parse()?)?;
    assert_eq!([attempts(&fleet)?, attempts(&fleet)?], [1, 0]);
    Ok(())
}
