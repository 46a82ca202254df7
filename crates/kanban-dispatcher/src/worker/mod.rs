//! Worker processes: how they are started, known again, watched and stopped.

mod environment;
mod family;
mod gate;
mod git;
pub(crate) mod identity;
mod launch;
mod log;
mod makers;
mod placed;
mod process;
mod start;
pub(crate) mod template;
mod unproven;
mod watchers;
mod workers;
mod workspace;

pub use gate::Gate;
pub use launch::{CommandLauncher, Job, Launcher, WorkerCommand};

pub(crate) use launch::find_program;
pub(crate) use start::{Launch, Waiting};
pub(crate) use workers::{Adopted, Sight, Workers};
