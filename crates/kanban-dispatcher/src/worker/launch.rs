//! What a worker is told to be: the seam for one's own workers.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::template;
use crate::board::Work;
use crate::root::{Board, Root};

/// A claimed task that is about to be started.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Job<'a> {
    /// The installation.
    pub root: &'a Root,
    /// The task's board.
    pub board: &'a Board,
    /// The task.
    pub work: &'a Work,
    /// The directory it works in; exists.
    pub workspace: &'a Path,
}

/// The program to start, beside the environment that every worker gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerCommand {
    /// Program and arguments. A program without a slash is looked for in `PATH`.
    pub argv: Vec<OsString>,
    /// Variables to set, or to remove where the value is `None`; they win over the dispatcher's own.
    pub env: Vec<(OsString, Option<OsString>)>,
}

/// Says which program works on a task. The dispatcher starts it, behind the gate, and keeps it honest.
///
/// Any `Fn(&Job) -> io::Result<WorkerCommand>` is a launcher. An error counts as a failed start of that task.
pub trait Launcher: Send + Sync {
    /// The command for one task; must not start it.
    ///
    /// # Errors
    /// Whatever makes the start impossible; the text ends up on the task.
    fn command(&self, job: &Job<'_>) -> io::Result<WorkerCommand>;

    /// Whether workers can be started at all; asked once a tick. While it fails, ready tasks wait and none is charged for it.
    ///
    /// # Errors
    /// Why not; the text is logged.
    fn check(&self) -> io::Result<()> {
        Ok(())
    }
}

impl<F> Launcher for F
where
    F: Fn(&Job<'_>) -> io::Result<WorkerCommand> + Send + Sync,
{
    fn command(&self, job: &Job<'_>) -> io::Result<WorkerCommand> {
        self(job)
    }
}

impl fmt::Debug for dyn Launcher + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Launcher")
    }
}

/// The configured command, or the peer's own worker when none is configured.
#[derive(Debug, Clone, Default)]
pub struct CommandLauncher {
    template: Option<Vec<String>>,
}

impl CommandLauncher {
    /// A launcher for `worker.command`; `None` is the peer's worker.
    #[must_use]
    pub fn new(template: Option<Vec<String>>) -> Self {
        Self { template }
    }
}

impl Launcher for CommandLauncher {
    fn command(&self, job: &Job<'_>) -> io::Result<WorkerCommand> {
        let argv = match &self.template {
            Some(words) => words.iter().map(|word| fill(word, job).into()).collect(),
            None => peer_argv(job)?,
        };
        Ok(WorkerCommand {
            argv,
            env: Vec::new(),
        })
    }

    fn check(&self) -> io::Result<()> {
        match self.template.as_ref().and_then(|words| words.first()) {
            // A program whose name depends on the task is found or not with each task.
            Some(program) if program.contains('{') => Ok(()),
            Some(program) => find_program(OsStr::new(program)).map(drop),
            None => peer_program().map(drop),
        }
    }
}

fn fill(word: &str, job: &Job<'_>) -> String {
    template::fill(word, |name| match name {
        "{task}" => job.work.task.clone(),
        "{board}" => job.board.slug().to_string(),
        "{profile}" => job.work.profile.clone(),
        "{run}" => job.work.run.to_string(),
        "{db}" => job.board.db().to_string_lossy().into_owned(),
        "{workspace}" => job.workspace.to_string_lossy().into_owned(),
        _ => job.root.dir().to_string_lossy().into_owned(),
    })
}

/// The peer's worker contract: `hermes -p PROFILE --cli --accept-hooks ... chat -q "work kanban task ID"`.
fn peer_argv(job: &Job<'_>) -> io::Result<Vec<OsString>> {
    let program = peer_program()?;
    let profile = job.work.profile.to_lowercase();
    let mut argv: Vec<OsString> = vec![program.into(), "-p".into(), profile.into()];
    argv.extend(["--cli", "--accept-hooks"].map(OsString::from));
    for skill in &job.work.skills {
        argv.extend(["--skills".into(), skill.into()]);
    }
    if let Some(model) = &job.work.model {
        argv.extend(["-m".into(), model.into()]);
    }
    let question = format!("work kanban task {}", job.work.task);
    argv.extend(["chat".into(), "-q".into(), question.into()]);
    if job.work.goal_mode {
        argv.push("-Q".into());
    }
    Ok(argv)
}

fn peer_program() -> io::Result<PathBuf> {
    let named = env::var_os("HERMES_BIN").filter(|value| !value.is_empty());
    find_program(named.unwrap_or_else(|| "hermes".into())).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("{error}; set worker.command or HERMES_BIN"),
        )
    })
}

/// The file behind a program's name, so that a missing program is a failed start, told before anything is spawned.
pub(crate) fn find_program(name: impl AsRef<OsStr>) -> io::Result<PathBuf> {
    let name = name.as_ref();
    let is_program = |path: &Path| path.is_file() && access(path, Access::EXEC_OK).is_ok();
    let found = if name.as_encoded_bytes().contains(&b'/') {
        // In full: a worker is started in its workspace, not where we run.
        let path = std::path::absolute(name)?;
        Some(path).filter(|path| is_program(path))
    } else {
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path)
            .filter(|dir| dir.is_absolute())
            .map(|dir| dir.join(name))
            .find(|path| is_program(path))
    };
    found.ok_or_else(|| {
        let name = name.to_string_lossy();
        io::Error::new(
            io::ErrorKind::NotFound,
            format!("program \"{name}\" not found"),
        )
    })
}
