//! A process without a free descriptor sees no descendants of a stopped worker, which must not be taken for there being none. One test,
//! for the limit is the whole process's.

mod support;

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{Fleet, Result, script, task, until};

/// More looks in vain than a family that can be seen would get.
const LOOKS: usize = 40;

#[test]
fn descendants_that_cannot_be_looked_for_are_looked_for_again_before_anything_starts() -> Result {
    let fleet = Fleet::new()?;
    let id = fleet.store("alpha")?.create(&kanban_dispatcher::NewTask {
        max_runtime: Some(10),
        ..task(0)
    })?;
    // It ends when it is asked to, and leaves somebody behind in a session of its own.
    let leaves = "setsid sh -c 'trap \"\" TERM; echo $$ > up; while :; do sleep 1; done' & wait";
    let mut dispatcher = fleet
        .builder(|config| config.worker.command = Some(script(leaves)))
        .build();
    assert_eq!(dispatcher.tick().started(), 1);
    let up = fleet.board("alpha")?.workspaces_dir().join(&id).join("up");
    until("the descendant is there", || {
        Ok(fs::read_to_string(&up).is_ok_and(|pid| pid.ends_with('\n')))
    })?;
    let descendant: i32 = fs::read_to_string(&up)?.trim().parse()?;
    let worker = fleet.show("alpha", &id)?.runs[0]
        .worker_pid
        .ok_or("no pid")?;
    fleet.advance(10);
    dispatcher.tick();
    until("the worker has ended", || {
        let stat = fs::read_to_string(format!("/proc/{worker}/stat")).unwrap_or_default();
        Ok(stat.contains(") Z"))
    })?;

    let allowed = getrlimit(Resource::Nofile);
    let none = Rlimit {
        current: Some(3),
        ..allowed
    };
    setrlimit(Resource::Nofile, none)?;
    for _ in 0..LOOKS {
        dispatcher.tick();
    }
    setrlimit(Resource::Nofile, allowed)?;
    assert!(
        fleet.processes().contains(&descendant),
        "nobody could see it"
    );
    assert_eq!(dispatcher.workers_alive(), 1, "its end is not noted yet");
    let mut started = 0;
    until("the task is started again", || {
        started += dispatcher.tick().started();
        assert!(started == 0 || !fleet.processes().contains(&descendant));
        Ok(started == 1)
    })
}
