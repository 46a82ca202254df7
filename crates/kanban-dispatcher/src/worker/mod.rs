//! Worker processes: how they are started, known again, watched and stopped.

mod environment;
mod gate;
mod git;
mod identity;
mod launch;
mod log;
mod process;
mod start;
pub(crate) mod template;
mod workers;
mod workspace;

pub use gate::Gate;
pub use launch::{CommandLauncher, Job, Launcher, WorkerCommand};

pub(crate) use identity::{Identity, boot_id};
pub(crate) use start::{Launch, Waiting};
pub(crate) use workers::{Adopted, Workers};
