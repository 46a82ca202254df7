//! Between the commit of a worker's identity and the opening of its gate a dispatcher may die, too. The ledger knows who was at the
//! gate then; whoever is found gone there never ran, and nothing is held against the task. The storm of kills in the package `kanban`
//! hits that moment; here the ledger is put as it leaves it.

mod support;

use kanban_dispatcher::Dispatcher;
use support::{Fleet, Result, connect, kill, outcomes, value};

/// A running task whose dispatcher is gone, and in whose ledger its worker has or has not passed the gate.
fn left_behind(is_at_gate: bool) -> Result<(Fleet, String, i64)> {
    let fleet = Fleet::new()?;
    let id = fleet.ready("alpha", 1)?.remove(0);
    let mut dispatcher = fleet.dispatcher();
    assert_eq!(dispatcher.tick().started(), 1);
    drop(dispatcher);
    assert_eq!(at_gate(&fleet)?, 0, "it was let through");
    if is_at_gate {
        connect(&fleet.root.ledger())?
            .execute_batch("INSERT INTO at_gate SELECT slug, task, run FROM workers")?;
    }
    let pid = fleet.show("alpha", &id)?.runs[0].worker_pid;
    Ok((fleet, id, pid.ok_or("no pid")?))
}

fn at_gate(fleet: &Fleet) -> Result<i64> {
    let ledger = connect(&fleet.root.ledger())?;
    value(&ledger, "SELECT count(*) FROM at_gate")
}

/// Its worker is gone: what the next tick makes of that, and how many failures the task then has.
fn end(fleet: &Fleet, dispatcher: &mut Dispatcher, id: &str, pid: i64) -> Result<(String, i64)> {
    kill(pid)?;
    fleet.has_processes(0)?;
    assert_eq!(dispatcher.tick().started(), 1, "it is tried again");
    let detail = fleet.show("alpha", id)?;
    let outcome = outcomes(&detail)[0].to_owned();
    Ok((outcome, detail.task.consecutive_failures))
}

#[test]
fn a_worker_that_is_gone_from_the_gate_never_ran_and_is_not_counted() -> Result {
    let (fleet, id, pid) = left_behind(true)?;
    let ended = end(&fleet, &mut fleet.dispatcher(), &id, pid)?;
    assert_eq!(ended, ("reclaimed".to_owned(), 0));
    assert_eq!(at_gate(&fleet)?, 0, "and forgotten");

    let (fleet, id, pid) = left_behind(false)?;
    let ended = end(&fleet, &mut fleet.dispatcher(), &id, pid)?;
    assert_eq!(ended, ("crashed".to_owned(), 1));
    Ok(())
}

#[test]
fn one_that_is_still_there_after_a_while_was_let_through() -> Result {
    for (seconds, expected) in [(4, ("reclaimed", 0)), (5, ("crashed", 1))] {
        let (fleet, id, pid) = left_behind(true)?;
        let mut dispatcher = fleet.dispatcher();
        assert_eq!(dispatcher.tick().started(), 0);
        fleet.advance(seconds);
        assert_eq!(dispatcher.tick().started(), 0);
        let (outcome, failures) = end(&fleet, &mut dispatcher, &id, pid)?;
        assert_eq!((&*outcome, failures), expected, "{seconds}");
    }
    Ok(())
}
