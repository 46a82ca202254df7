//! The ledger is what one dispatcher knows of the workers that another one started. Whatever happens to it - in use at the start or
//! in the middle, deleted, unusable, holding more than it should - no worker runs unknown to it, and no task gets a second one.

mod support;

use std::fs;

use kanban_dispatcher::{DispatcherState, HeldReason, Outcome, StandbyReason, Status};
use support::{Fleet, Result, connect, kill, outcomes, script, task, until};
use tracing::Level;

/// The tasks whose workers the ledger knows, in their order.
fn recorded(fleet: &Fleet) -> Result<Vec<String>> {
    let db = connect(&fleet.root.ledger())?;
    let mut statement = db.prepare("SELECT task FROM workers ORDER BY task")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<std::result::Result<_, _>>()?)
}

fn sorted(ids: &[String]) -> Vec<String> {
    let mut ids = ids.to_vec();
    ids.sort();
    ids
}

// ===== in use =====

#[test]
fn a_ledger_in_use_at_the_start_is_waited_for_and_nothing_is_started_twice() -> Result {
    let fleet = Fleet::new()?;
    let ids = fleet.ready("alpha", 2)?;
    let mut first = fleet.dispatcher();
    assert_eq!(first.tick().started(), 2);
    drop(first);
    let survivors = fleet.processes();
    let next = fleet.store("alpha")?.create(&task(9))?;

    let other = connect(&fleet.root.ledger())?;
    other.execute_batch("PRAGMA locking_mode = exclusive; BEGIN EXCLUSIVE")?;
    let mut second = fleet.dispatcher();
    let report = second.tick();
    let standby = report.standby.as_ref().ok_or("it serves")?;
    assert_eq!(standby.reason, StandbyReason::LedgerBusy);
    assert!(standby.text.contains("open the ledger"), "{report:?}");
    assert!(report.boards.is_empty());
    let waiting = fleet.show("alpha", &next)?;
    assert_eq!(waiting.task.status, "ready");
    assert_eq!(waiting.events.len(), 1, "created, and nothing else");
    assert_eq!(fleet.processes(), survivors);
    drop(other);

    // Known again, so a person who takes a task back gets no second worker beside the first.
    fleet.take_back("alpha", &ids[0])?;
    let report = second.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!((&alpha.started, alpha.stopped), (&vec![next], 1));
    assert_eq!(alpha.held.get(&HeldReason::WorkerEnding), Some(&1));
    assert_eq!(second.workers_alive(), 3);
    let mut started = 0;
    until("the task is started again", || {
        started += second.tick().started();
        assert!(fleet.processes().len() <= 3);
        Ok(started == 1)
    })?;
    for _ in 0..3 {
        assert_eq!(second.tick().started(), 0);
    }
    assert_eq!(fleet.processes().len(), 3);
    let taken_back = fleet.show("alpha", &ids[0])?;
    assert_eq!(outcomes(&taken_back), ["reclaimed", "open"]);
    assert_eq!(outcomes(&fleet.show("alpha", &ids[1])?), ["open"]);
    Ok(())
}

#[test]
fn while_the_ledger_takes_no_write_nothing_is_claimed() -> Result {
    let fleet = Fleet::new()?;
    fleet.store("alpha")?;
    let mut dispatcher = fleet.dispatcher();
    dispatcher.tick();
    let ids = fleet.ready("alpha", 2)?;
    let other = connect(&fleet.root.ledger())?;
    other.execute_batch("BEGIN IMMEDIATE")?;
    for _ in 0..2 {
        let report = dispatcher.tick();
        let alpha = fleet.part(&report, "alpha")?;
        assert_eq!(alpha.held.get(&HeldReason::NoWorker), Some(&2));
    }
    other.execute_batch("COMMIT")?;
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.started, ids);
    for id in &ids {
        assert_eq!(outcomes(&fleet.show("alpha", id)?), ["open"], "one attempt");
    }
    Ok(())
}

#[test]
fn a_worker_that_the_ledger_refuses_does_not_pass_its_gate_and_is_not_charged() -> Result {
    let fleet = Fleet::new()?;
    fleet.store("alpha")?;
    let ran = fleet.path().join("ran");
    let command = script(&format!("echo ran >> {}; exec sleep 120", ran.display()));
    let mut dispatcher = fleet
        .builder(|config| config.worker.command = Some(command))
        .build();
    dispatcher.tick();
    let ids = fleet.ready("alpha", 2)?;

    let other = connect(&fleet.root.ledger())?;
    other.execute_batch(
        "CREATE TRIGGER no_room BEFORE INSERT ON workers BEGIN SELECT RAISE(ABORT, 'no room'); END",
    )?;
    let report = dispatcher.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!((alpha.outcome, alpha.started.len()), (Outcome::Busy, 0));
    let failure = alpha.failure.as_ref().ok_or("no failure")?;
    assert_eq!(failure.class.as_str(), "busy");
    assert!(failure.reason.contains("ledger"), "{}", failure.reason);
    assert_eq!(fleet.processes(), [] as [i32; 0]);
    assert_eq!(dispatcher.workers_alive(), 0);
    other.execute_batch("DROP TRIGGER no_room")?;
    assert_eq!(recorded(&fleet)?, [] as [&str; 0]);

    let report = dispatcher.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!((alpha.reclaimed, &alpha.started), (2, &ids));
    assert_eq!(recorded(&fleet)?, sorted(&ids));
    until("both work", || {
        let said = fs::read_to_string(&ran).unwrap_or_default();
        assert!(said.lines().count() <= 2, "one of the first two ran");
        Ok(said.lines().count() == 2)
    })?;
    for id in &ids {
        let detail = fleet.show("alpha", id)?;
        assert_eq!(outcomes(&detail), ["reclaimed", "open"]);
        assert_eq!(detail.task.consecutive_failures, 0);
    }
    Ok(())
}

// ===== gone =====

#[test]
fn a_ledger_that_was_deleted_is_made_anew_and_knows_everyone() -> Result {
    let fleet = Fleet::new()?;
    let ids = fleet.ready("alpha", 2)?;
    let mut dispatcher = fleet.dispatcher();
    assert_eq!(dispatcher.tick().started(), 2);
    fs::remove_dir_all(fleet.root.ledger().parent().ok_or("no directory")?)?;
    let report = dispatcher.tick();
    assert_eq!((report.standby.as_ref(), report.started()), (None, 0));
    assert_eq!(recorded(&fleet)?, sorted(&ids));
    let status = Status::read(&fleet.root, &fleet.clock)?;
    assert_eq!(status.dispatcher.state, DispatcherState::Serving);
    assert_eq!(fleet.status("alpha")?.running, 2);

    // So the next dispatcher adopts them as if nothing had happened.
    drop(dispatcher);
    let mut next = fleet.dispatcher();
    assert_eq!(next.tick().started(), 0);
    assert_eq!((next.workers_alive(), fleet.processes().len()), (2, 2));
    Ok(())
}

#[test]
fn a_ledger_that_cannot_be_made_is_told_once_and_work_goes_on_without_it() -> Result {
    let fleet = Fleet::new()?;
    let ids = fleet.ready("alpha", 1)?;
    let dir = fleet.root.ledger();
    let dir = dir.parent().ok_or("no directory")?;
    fs::write(dir, "a file where a directory should be")?;
    let mut dispatcher = fleet.dispatcher();
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.started, ids);
    for _ in 0..3 {
        assert_eq!(dispatcher.tick().started(), 0);
    }
    let complaints = fleet.complaints();
    assert_eq!(complaints.len(), 1, "{complaints:#?}");
    assert_eq!(complaints[0].level, Level::ERROR);

    fs::remove_file(dir)?;
    dispatcher.tick();
    assert_eq!(recorded(&fleet)?, ids, "put in as soon as there is one");
    Ok(())
}

// ===== more than it should hold =====

#[test]
fn of_several_attempts_in_the_ledger_the_newest_is_adopted() -> Result {
    let fleet = Fleet::new()?;
    let ids = fleet.ready("alpha", 3)?;
    let mut first = fleet.dispatcher();
    assert_eq!(first.tick().started(), 3);
    drop(first);
    // Older attempts before and behind the newest, as a dispatcher leaves them that dies at the wrong moment.
    connect(&fleet.root.ledger())?.execute_batch(
        "CREATE TEMP TABLE newest AS SELECT * FROM workers; DELETE FROM workers; \
         INSERT INTO workers SELECT slug, task, run - 10, 1, 1, boot_id FROM newest; \
         INSERT INTO workers SELECT * FROM newest; \
         INSERT INTO workers SELECT slug, task, run - 20, 1, 1, boot_id FROM newest",
    )?;
    let mut second = fleet.dispatcher();
    for _ in 0..3 {
        let report = second.tick();
        if let Some(alpha) = fleet.turn(&report, "alpha")? {
            assert_eq!((alpha.failed, alpha.reclaimed), (0, 0));
        }
        assert_eq!(report.started(), 0);
        assert_eq!(second.workers_alive(), 3);
    }

    // It is the one that is watched: its end is recorded.
    let pid = fleet.show("alpha", &ids[0])?.runs[0].worker_pid;
    kill(pid.ok_or("no pid")?)?;
    until("it is started again", || Ok(second.tick().started() == 1))?;
    let detail = fleet.show("alpha", &ids[0])?;
    assert_eq!(outcomes(&detail), ["crashed", "open"]);
    assert_eq!(fleet.processes().len(), 3);
    Ok(())
}

#[test]
fn identities_that_the_board_refuses_are_taken_out_of_the_ledger_again() -> Result {
    let fleet = Fleet::new()?;
    let ids = fleet.ready("alpha", 2)?;
    fleet.sql(
        "alpha",
        "CREATE TRIGGER refuse BEFORE UPDATE OF worker_pid ON tasks WHEN NEW.worker_pid IS NOT NULL \
         BEGIN SELECT RAISE(ABORT, 'no'); END",
    )?;
    let mut dispatcher = fleet.dispatcher();
    for _ in 0..2 {
        let report = dispatcher.tick();
        assert_eq!(fleet.part(&report, "alpha")?.outcome, Outcome::Failed);
        assert_eq!(recorded(&fleet)?, [] as [&str; 0]);
        assert_eq!(fleet.processes(), [] as [i32; 0]);
    }
    fleet.sql("alpha", "DROP TRIGGER refuse")?;
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.started, ids);
    assert_eq!(recorded(&fleet)?, sorted(&ids));
    Ok(())
}

#[test]
fn a_dispatcher_that_comes_back_adopts_what_another_started_meanwhile() -> Result {
    let fleet = Fleet::new()?;
    let mut first = fleet.dispatcher();
    first.tick();
    let lock = fleet.root.dispatcher_lock();
    fs::remove_file(&lock)?;
    let mut second = fleet.dispatcher();
    let id = fleet.ready("alpha", 1)?.remove(0);
    assert_eq!(second.tick().started(), 1);
    assert!(first.tick().standby.is_some());
    drop(second);

    // A person takes the task back while the worker of the other one lives.
    first.tick();
    assert_eq!(first.workers_alive(), 1, "adopted");
    fleet.take_back("alpha", &id)?;
    let report = first.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!((alpha.started.len(), alpha.stopped), (0, 1));
    Ok(())
}
