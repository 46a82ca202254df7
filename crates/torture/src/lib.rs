//! Programs that try to break the dispatcher. What they find they read from the boards and from the workers' own files: never from
//! anything that the dispatcher says.
//!
//! - [`chaos`]: three kinds of writers, a nemesis and a checker, for as long as one likes.
//! - [`soak`]: thirty boards and a fault a second; what the dispatcher uses returns to where it was.
//! - [`storm`]: SIGKILL at every moment between a claim and the worker's first step.
//! - [`guard`]: the peer's processes, which lose each other's writes unless our daemon has the board open.
//!
//! `cargo xtask torture` builds and runs them; short runs are tests of the `kanban` program.

pub mod chaos;
pub mod guard;
pub mod soak;
pub mod storm;
pub mod wall;

mod daemon;
mod judge;
mod seed;
mod site;
mod ungated;
mod witness;
mod worker;

use std::error::Error;

/// What everything here ends with.
pub type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

/// Names the role of a process that a torture starts; see [`play`].
pub const ROLE: &str = "TORTURE_ROLE";

/// Plays the role that this process was started for, if any: a worker, or the dispatcher without a gate.
///
/// Every program that runs a torture calls it before anything else: it starts itself for these roles.
///
/// # Errors
/// What went wrong in the role.
pub fn play() -> Result<bool> {
    // Workers inherit the dispatcher's role.
    if let Some(worker) = worker::Worker::of_this_process()? {
        worker.work()?;
        return Ok(true);
    }
    if std::env::var_os(ROLE).is_some_and(|role| role == ungated::ROLE) {
        ungated::dispatch()?;
        return Ok(true);
    }
    Ok(false)
}
