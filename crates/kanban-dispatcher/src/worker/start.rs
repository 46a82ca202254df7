//! Starting a worker: its process is made, and waits at the gate until its identity is committed.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Component, Path, PathBuf};
use std::process::{Child, Stdio};

use super::gate::Gate;
use super::identity::Identity;
use super::launch::{Job, Launcher};
use super::placed::placed;
use super::{environment, log, workspace};
use crate::board::Work;
use crate::config::Config;
use crate::root::{Board, Root};

/// What every start has in common.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    pub(crate) root: &'a Root,
    pub(crate) config: &'a Config,
    pub(crate) launcher: &'a dyn Launcher,
    pub(crate) gate: &'a Gate,
}

/// A process that waits at the gate. Dropped, it ends without having run anything.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) work: Work,
    pub(crate) identity: Identity,
    pub(crate) workspace: PathBuf,
    /// The branch that is checked out there, if it is a worktree.
    pub(crate) branch: Option<String>,
    /// `None` once it has passed.
    child: Option<Child>,
}

// ===== impl Launch =====

impl Launch<'_> {
    /// Makes the workspace, the log and the process. The text of an error ends up on the task.
    pub(crate) fn start(&self, board: &Board, work: &Work) -> io::Result<Waiting> {
        if !is_file_name(&work.task) {
            return Err(io::Error::other(format!(
                "the id {:?} is no file name",
                work.task
            )));
        }
        let made = workspace::make(board, work).map_err(|error| {
            // A place that the task itself names may lie on a disk of its own: a full one there is nobody else's trouble.
            let is_full = matches!(
                error.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::ReadOnlyFilesystem
            );
            match is_full && workspace::is_elsewhere(board, work) {
                true => io::Error::other(format!("workspace: {error}")),
                false => placed("workspace", error),
            }
        })?;
        // Its worker is told the branch that it finds there, also by its first attempt.
        let mut work = work.clone();
        work.branch = made.branch.clone().or(work.branch);
        let job = Job {
            root: self.root,
            board,
            work: &work,
            workspace: &made.path,
        };
        let program = catch_unwind(AssertUnwindSafe(|| self.launcher.command(&job)))
            .unwrap_or_else(|_| Err(io::Error::other("the launcher panicked")))?;
        let config = self.config;
        let output = log::open(
            board,
            &work.task,
            config.worker_log_rotate_bytes,
            config.worker_log_backup_count,
        )?;
        let mut command = self.gate.command(&program.argv);
        for (name, value) in environment::variables(&job).into_iter().chain(program.env) {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.current_dir(&made.path).stdin(Stdio::piped());
        command.stdout(output.try_clone()?).stderr(output);
        let mut child = command.spawn()?;
        match Identity::read(child.id()) {
            Ok(identity) => Ok(Waiting {
                work,
                identity,
                workspace: made.path,
                branch: made.branch,
                child: Some(child),
            }),
            Err(error) => {
                // Not reaped yet, so its id is still its own; without an identity it must not pass.
                drop(child.stdin.take());
                child.wait()?;
                let what = "read the new process's start time from /proc";
                Err(placed(what, error))
            }
        }
    }
}

/// Logs and workspaces are named after the task: its id must not lead anywhere else.
fn is_file_name(id: &str) -> bool {
    let mut parts = Path::new(id).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == id)
        && !id.contains('\0')
}

// ===== impl Waiting =====

impl Waiting {
    /// Lets the process become the worker. Only after its identity is committed.
    pub(crate) fn open(mut self) -> (Work, Identity, Child) {
        let mut child = self.child.take().expect("only `open` takes it, once");
        if let Some(mut gate) = child.stdin.take() {
            // A process that is gone already cannot be told; its end is found by the next tick.
            let _ = gate.write_all(b"\n");
        }
        (self.work.clone(), self.identity, child)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.stdin.take());
            // At the gate it does nothing but wait for this, so the wait is short.
            let _ = child.wait();
        }
    }
}
