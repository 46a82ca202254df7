//! `kanban`: a self-healing dispatcher for Hermes boards, and enough verbs to use a board without Hermes.

mod age;
mod boards;
mod change;
mod cli;
mod daemon;
mod demo;
mod each;
mod exit;
mod fence;
mod levers;
mod logging;
mod output;
mod place;
mod signals;
mod status;
mod table;
mod tasks;
mod tick;
mod told;
mod triage;
mod why;
mod work;

use std::process::ExitCode;

use kanban_dispatcher::Gate;

use crate::cli::{Cli, Verb};
use crate::exit::{Code, Failure};
use crate::place::Place;

fn main() -> ExitCode {
    // First of all: this process may be a worker's gate, which becomes the worker and never returns.
    let gate = Gate::enter();
    let cli = Cli::read();
    match cli.verb {
        // It brings its own root, and shows the log as part of the story.
        Verb::Demo(args) => demo::run(gate, args.seconds, args.keep),
        verb => {
            logging::start(cli.log_format);
            exit::end(Place::find(cli.root, cli.board).and_then(|place| run(verb, place, gate)))
        }
    }
}

fn run(verb: Verb, place: Place, gate: Gate) -> Result<Code, Failure> {
    match verb {
        Verb::Run(args) => daemon::run(&args, place, gate),
        Verb::Tick(args) => tick::run(&args, place, gate),
        Verb::Status(args) => status::run(&args, &place),
        Verb::Why(args) => why::run(&args, &place),
        Verb::Boards(args) => boards::list(&args, &place),
        Verb::Init(args) => boards::init(&args, &place),
        Verb::Add(args) => tasks::add(args, &place),
        Verb::List(args) => tasks::list(&args, &place),
        Verb::Show(args) => tasks::show(&args, &place),
        Verb::Complete(args) => work::complete(&args, &place),
        Verb::Block(args) => work::block(&args, &place),
        Verb::Unblock(args) => work::unblock(&args, &place),
        Verb::Heartbeat(args) => work::heartbeat(&args, &place),
        Verb::Schedule(args) => work::schedule(&args, &place),
        Verb::Specify(args) => triage::specify(args, &place),
        Verb::Decompose(args) => triage::decompose(args, &place),
        Verb::Comment(args) => change::comment(args, &place),
        Verb::Link(args) => change::link(&args.ends, &place),
        Verb::Unlink(args) => change::unlink(&args.ends, &place),
        Verb::Promote(args) => change::promote(&args, &place),
        Verb::Assign(args) => change::assign(&args, &place),
        Verb::Reassign(args) => change::reassign(&args, &place),
        Verb::Reclaim(args) => change::reclaim(&args, &place),
        Verb::Archive(args) => change::archive(&args, &place),
        Verb::Edit(args) => change::edit(args, &place),
        Verb::Pause(args) => levers::pause(&args, &place),
        Verb::Resume(args) => levers::resume(&args, &place),
        Verb::Release(args) => levers::release(&args, &place),
        Verb::Repair(args) => levers::repair(&args, &place),
        // Answered in `main`.
        Verb::Demo(_) => Ok(Code::Done),
    }
}
