//! A tick that starts workers and one beside them, with a marker before and after each, for `strace` to see what lies between:
//! `cargo xtask syscalls` does that.
//!
//! A marker is a `stat` of a path below `/dispatcher-marker`, which is nowhere. Run with
//! `strace -f cargo run -p kanban-dispatcher --example starts DIR`, where DIR is an empty directory to work in.
#![expect(clippy::print_stdout, reason = "an example prints what it does")]

use std::error::Error;
use std::{env, fs};

use kanban_dispatcher::{Clock, Config, Dispatcher, Gate, NewTask, Root, Slug, Store};
use rustix::process::{Pid, Signal, kill_process};

const WORKERS: usize = 3;

/// One tick between two markers; how many workers it started.
fn marked(name: &str, dispatcher: &mut Dispatcher) -> usize {
    let mark = |which: &str| fs::metadata(format!("/dispatcher-marker/{name}/{which}"));
    let _ = mark("begin");
    let started = dispatcher.tick().started();
    let _ = mark("end");
    println!("{name}: started {started}");
    started
}

fn main() -> Result<(), Box<dyn Error>> {
    let gate = Gate::enter();
    let root = Root::at(env::args_os().nth(1).unwrap_or_else(|| ".".into()));
    let mut store = Store::init(&root.board(&Slug::default()), &Clock::system())?;
    let task = NewTask {
        title: "work".to_owned(),
        assignee: Some("coder".to_owned()),
        ..NewTask::default()
    };
    let ids: Vec<String> = (0..WORKERS)
        .map(|_| store.create(&task))
        .collect::<Result<_, _>>()?;
    let config = "worker = { command = [\"sleep\", \"60\"], require_profile = false }";
    let mut dispatcher = Dispatcher::builder(root, Config::from_toml(config)?)
        .gate(gate)
        .build();
    assert_eq!(marked("starts", &mut dispatcher), WORKERS);
    assert_eq!(marked("beside", &mut dispatcher), 0);
    for id in ids {
        let runs = store.show(&id)?.runs;
        let pid = runs.first().and_then(|run| run.worker_pid);
        if let Some(pid) = pid.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
            kill_process(pid, Signal::TERM)?;
        }
    }
    Ok(())
}
