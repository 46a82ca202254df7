//! A dispatcher inside another program, with its own workers: here the worker is this same program.
//!
//! Run with `cargo run -p examples --example embed_dispatcher`.
#![expect(clippy::print_stdout, reason = "an example prints what it does")]

use std::env;
use std::error::Error;
use std::thread;
use std::time::Duration;

use kanban_dispatcher::{
    Clock, Complete, Config, Dispatcher, Gate, Job, NewTask, Root, Slug, Store, WorkerCommand,
};

fn main() -> Result<(), Box<dyn Error>> {
    // First of all: this process may be the gate of a worker, which then never returns.
    let gate = Gate::enter();
    if env::args().nth(1).as_deref() == Some("work") {
        return work();
    }
    let dir = tempfile::tempdir()?;
    let root = Root::at(dir.path());
    let mut store = Store::init(&root.board(&Slug::default()), &Clock::system())?;
    let (title, assignee) = ("greet".to_owned(), Some("anyone".to_owned()));
    let id = store.create(&NewTask {
        title,
        assignee,
        ..NewTask::default()
    })?;

    // The seam: which program works on this task? The dispatcher starts it and keeps it honest.
    let launcher = |job: &Job<'_>| {
        println!("attempt {} at \"{}\"", job.work.run, job.work.title);
        Ok(WorkerCommand {
            argv: vec![env::current_exe()?.into(), "work".into()],
            env: vec![],
        })
    };
    let config = Config::from_toml("worker.require_profile = false")?;
    let mut dispatcher = Dispatcher::builder(root, config)
        .gate(gate)
        .launcher(launcher)
        .build();
    assert_eq!(dispatcher.tick().started(), 1);

    // A service calls `run` on a thread of its own, and stops it with a `Wake`.
    while store.show(&id)?.task.status != "done" {
        thread::park_timeout(Duration::from_millis(20));
        dispatcher.tick();
    }
    let ended = &store.show(&id)?.runs[0];
    println!(
        "{}: {}",
        ended.outcome.as_deref().unwrap_or("?"),
        ended.summary.as_deref().unwrap_or("?")
    );
    Ok(())
}

/// The worker: finds its task in its environment, and reports on behalf of its attempt.
fn work() -> Result<(), Box<dyn Error>> {
    let board = env::var("HERMES_KANBAN_BOARD")?.parse()?;
    let board = Root::at(env::var("HERMES_KANBAN_HOME")?).board(&board);
    let mut store = Store::open(&board, &Clock::system())?;
    let run = Some(env::var("HERMES_KANBAN_RUN_ID")?.parse()?);
    let summary = Some("hello".to_owned());
    store.complete(
        &env::var("HERMES_KANBAN_TASK")?,
        &Complete {
            run,
            summary,
            ..Complete::default()
        },
    )?;
    Ok(())
}
