//! What a worker started does not outlive its time-out: what is in its process group, and what left the group, as long as it kept
//! the environment that it was born with.

mod support;

use std::fs;

use kanban_dispatcher::{Dispatcher, NewTask};
use support::{Fleet, Result, outcomes, script, task, until};

/// A worker that ends when it is asked to, and a descendant that has a session of its own and does not.
const LEAVES: &str =
    "setsid sh -c 'trap \"\" TERM; echo $$ > up; while :; do sleep 1; done' & wait";

/// The same, and nothing is left of the environment.
const VANISHES: &str = "setsid env -i PATH=\"$PATH\" sh -c 'echo $$ > up; exec sleep 120' & wait";

fn one(script_text: &str) -> Result<(Fleet, String)> {
    let fleet = Fleet::new()?;
    let id = fleet.store("alpha")?.create(&NewTask {
        max_runtime: Some(10),
        ..task(0)
    })?;
    let mut dispatcher = dispatcher(&fleet, script_text);
    assert_eq!(dispatcher.tick().started(), 1);
    let up = fleet.board("alpha")?.workspaces_dir().join(&id).join("up");
    until("the descendant is there", || {
        Ok(fs::read_to_string(&up).is_ok_and(|pid| pid.ends_with('\n')))
    })?;
    // The next one adopts them.
    drop(dispatcher);
    Ok((fleet, id))
}

fn dispatcher(fleet: &Fleet, script_text: &str) -> Dispatcher {
    fleet
        .builder(|config| config.worker.command = Some(script(script_text)))
        .build()
}

fn descendant(fleet: &Fleet, id: &str) -> Result<i32> {
    let up = fleet.board("alpha")?.workspaces_dir().join(id).join("up");
    Ok(fs::read_to_string(up)?.trim().parse()?)
}

/// Lets the attempt run over its time, and ticks until its end is recorded: how many processes were there in each tick.
fn time_out(fleet: &Fleet, dispatcher: &mut Dispatcher, id: &str) -> Result {
    dispatcher.tick();
    let descendant = descendant(fleet, id)?;
    fleet.advance(10);
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.stopped, 1);
    let mut started = 0;
    until("the end is recorded", || {
        started += dispatcher.tick().started();
        // In the tick that starts the next attempt nothing of this one is left.
        assert!(started == 0 || !fleet.processes().contains(&descendant));
        Ok(started == 1)
    })?;
    assert_eq!(outcomes(&fleet.show("alpha", id)?), ["timed_out", "open"]);
    Ok(())
}

#[test]
fn a_descendant_that_left_the_session_does_not_outlive_the_time_out() -> Result {
    let (fleet, id) = one(LEAVES)?;
    let mut adopting = dispatcher(&fleet, "exec sleep 120");
    time_out(&fleet, &mut adopting, &id)?;
    assert_eq!(fleet.processes().len(), 1, "the next attempt's alone");

    // The same for a worker of one's own.
    let fleet = Fleet::new()?;
    let id = fleet.store("alpha")?.create(&NewTask {
        max_runtime: Some(10),
        ..task(0)
    })?;
    let mut dispatcher = dispatcher(&fleet, LEAVES);
    dispatcher.tick();
    let up = fleet.board("alpha")?.workspaces_dir().join(&id).join("up");
    until("the descendant is there", || {
        Ok(fs::read_to_string(&up).is_ok_and(|pid| pid.ends_with('\n')))
    })?;
    time_out(&fleet, &mut dispatcher, &id)
}

#[test]
fn nothing_that_has_lost_the_marks_of_its_attempt_is_signalled() -> Result {
    let (fleet, id) = one(VANISHES)?;
    let descendant = descendant(&fleet, &id)?;
    let mut adopting = dispatcher(&fleet, "exec sleep 120");
    adopting.tick();
    fleet.advance(10);
    adopting.tick();
    let mut started = 0;
    until("the next attempt", || {
        started += adopting.tick().started();
        Ok(started == 1)
    })?;
    let words = fs::read(format!("/proc/{descendant}/cmdline"))?;
    assert!(words.starts_with(b"sleep"), "it is nobody's, and lives on");
    support::kill(descendant.into())
}
