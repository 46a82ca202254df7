//! A ledger that is there and fails, as a whole or one table of it, may hold a pause that cannot be read. Until it can be read again
//! nothing starts, what was paused stays paused, and nobody is charged.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};

use kanban_dispatcher::{HeldReason, Job, Levers, WorkerCommand};
use support::{Fleet, LONG, Result, connect, log, outcomes, task};

/// Every table of the ledger.
const TABLES: [&str; 11] = [
    "clocks",
    "pauses",
    "mark",
    "requests",
    "workers",
    "at_gate",
    "breakers",
    "repairs",
    "boards",
    "dispatcher",
    "home",
];

fn pause(fleet: &Fleet, board: &str) -> Result {
    let mut levers = Levers::open(&fleet.root, &fleet.clock)?;
    levers.pause(&fleet.slug(board).parse()?, Some("new disk"))?;
    Ok(())
}

fn ledger(fleet: &Fleet, sql: &str) -> Result {
    Ok(connect(&fleet.root.ledger())?.execute_batch(sql)?)
}

/// How often it was told that the ledger fails in this way; other tests of this process may have others.
fn told(why: &str) -> usize {
    log::lines(|line| line.message.contains("ledger cannot be used") && line.message.contains(why))
        .len()
}

#[test]
fn a_ledger_that_fails_in_the_middle_of_a_tick_lets_no_other_board_start_without_it() -> Result {
    let fleet = Fleet::new()?;
    fleet.store("alpha")?;
    fleet.store("beta")?;
    let (root, clock) = (fleet.root.clone(), fleet.clock.clone());
    // Between the claim and the start of whoever is first: a pause of beta, and the ledger takes no worker any more.
    let is_first = AtomicBool::new(true);
    let beta = fleet.slug("beta");
    let mut dispatcher = fleet
        .builder(|config| config.lanes = 1.try_into().expect("not zero"))
        .launcher(move |job: &Job<'_>| {
            if is_first.swap(false, Ordering::SeqCst) {
                assert_ne!(job.board.slug().as_str(), beta, "it is the second");
                let mut levers = Levers::open(&root, &clock).expect("a ledger");
                let paused = levers.pause(&beta.parse().expect("a name"), None);
                assert!(paused.is_ok(), "{paused:?}");
                let renamed = connect(&root.ledger())
                    .and_then(|db| Ok(db.execute_batch("ALTER TABLE workers RENAME TO mid_tick")?));
                assert!(renamed.is_ok(), "{renamed:?}");
            }
            Ok(WorkerCommand {
                argv: LONG.map(Into::into).to_vec(),
                env: Vec::new(),
            })
        })
        .build();
    // Another one is first each time: its third tick begins with alpha.
    dispatcher.tick();
    dispatcher.tick();
    let (alphas, betas) = (fleet.ready("alpha", 1)?, fleet.ready("beta", 1)?);
    let report = dispatcher.tick();
    assert_eq!(report.started(), 0, "{report:?}");
    fleet.has_processes(0)?;
    for (board, id) in [("alpha", &alphas[0]), ("beta", &betas[0])] {
        let detail = fleet.show(board, id)?;
        assert_eq!(
            detail.runs.last().and_then(|run| run.worker_pid),
            None,
            "{board}"
        );
    }

    // The next one makes what is missing; who waits and why is known again.
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.started, alphas);
    let part = fleet.part(&report, "beta")?;
    assert_eq!(part.started, [] as [&str; 0]);
    assert_eq!(part.held.get(&HeldReason::Paused), Some(&1), "{part:?}");
    for (board, id) in [("alpha", &alphas[0]), ("beta", &betas[0])] {
        let detail = fleet.show(board, id)?;
        assert_eq!(detail.task.consecutive_failures, 0, "{board}");
        assert_eq!(outcomes(&detail)[0], "reclaimed", "{board}");
    }
    Ok(())
}

#[test]
fn a_table_that_is_dropped_under_the_dispatcher_resumes_and_loses_nobody() -> Result {
    for table in TABLES {
        let fleet = Fleet::new()?;
        fleet.ready("alpha", 1)?;
        let first = fleet.ready("beta", 1)?;
        let mut dispatcher = fleet.dispatcher();
        pause(&fleet, "alpha")?;
        assert_eq!(dispatcher.tick().started(), 1);
        ledger(&fleet, &format!("DROP TABLE {table}"))?;
        let second = fleet.store("beta")?.create(&task(0))?;
        let mut started = Vec::new();
        for _ in 0..3 {
            let report = dispatcher.tick();
            started.extend(report.boards.into_iter().flat_map(|board| board.started));
        }
        assert_eq!(started, [second], "{table}");
        drop(dispatcher);
        let mut dispatcher = fleet.dispatcher();
        for _ in 0..2 {
            assert_eq!(dispatcher.tick().started(), 0, "{table}");
        }
        assert_eq!(dispatcher.workers_alive(), 2, "{table}");
        fleet.has_processes(2)?;
        let reason = fleet.status("alpha")?.reason;
        assert_eq!(reason.as_deref(), Some("new disk"), "{table}");
        assert_eq!(outcomes(&fleet.show("beta", &first[0])?), ["open"]);
        let is_told = |text| {
            fleet
                .lines_of("alpha")
                .iter()
                .any(|line| line.message.contains(text))
        };
        assert!(!is_told("is resumed"), "{table}");
    }
    assert!(told("no such table: pauses") > 0);
    Ok(())
}

#[test]
fn while_pauses_cannot_be_read_nothing_starts_and_it_is_told_once() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 1)?;
    let ids = fleet.ready("beta", 1)?;
    pause(&fleet, "alpha")?;
    ledger(&fleet, "ALTER TABLE pauses RENAME COLUMN slug TO who_knows")?;
    let mut dispatcher = fleet.dispatcher();
    for _ in 0..3 {
        let report = dispatcher.tick();
        assert_eq!(report.started(), 0);
        let part = fleet.part(&report, "beta")?;
        assert_eq!(part.held.get(&HeldReason::NoWorker), Some(&1), "{part:?}");
    }
    assert_eq!(told("no such column: slug"), 1);
    ledger(&fleet, "ALTER TABLE pauses RENAME COLUMN who_knows TO slug")?;
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "beta")?.started, ids);
    assert_eq!(fleet.part(&report, "alpha")?.started.len(), 0);
    Ok(())
}

#[test]
fn a_ledger_that_cannot_be_read_is_not_taken_for_one_that_is_not_there() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 1)?;
    pause(&fleet, "alpha")?;
    ledger(&fleet, "ALTER TABLE workers RENAME COLUMN pid TO nobody")?;
    let mut dispatcher = fleet.dispatcher();
    let ids = fleet.ready("beta", 1)?;
    for _ in 0..3 {
        assert_eq!(dispatcher.tick().started(), 0);
    }
    assert_eq!(told("no such column: pid"), 1);
    ledger(&fleet, "ALTER TABLE workers RENAME COLUMN nobody TO pid")?;
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "beta")?.started, ids);
    assert_eq!(fleet.part(&report, "alpha")?.started.len(), 0);
    Ok(())
}
