//! The exec gate: a worker's process exists, but its program does not run, until its identity is committed.
//!
//! "Spawn, then record" loses workers: a dispatcher that dies between the two leaves a live worker that no row knows, and the
//! task is started a second time later. So the child first waits for one byte on its standard input; the dispatcher sends it
//! after the commit. If the dispatcher dies, the pipe closes, and the child ends without having run anything.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The first argument by which a process knows that it is the gate.
const MARK: &str = "__kanban-gate";

/// What the shell form of the gate does: wait for a line, then become the program.
const SCRIPT: &str = "IFS= read -r go || exit 0; exec \"$@\" </dev/null";

/// The program that waits between spawn and exec.
///
/// # Examples
/// ```
/// use kanban_dispatcher::Gate;
///
/// // First thing in `main`: in a gate process this never returns.
/// let gate = Gate::enter();
/// # let _ = gate;
/// ```
#[derive(Debug, Clone)]
pub struct Gate {
    words: Vec<OsString>,
}

impl Gate {
    /// Uses this very program as the gate. Call it first in `main`: when the process was started as a gate, this waits, becomes the
    /// worker, and never returns.
    #[must_use]
    pub fn enter() -> Self {
        let mut args = std::env::args_os().skip(1);
        if args.next().as_deref() == Some(OsStr::new(MARK)) {
            pass(args);
        }
        // Not the path it was started by: an upgrade may have replaced that file since.
        Self {
            words: vec!["/proc/self/exe".into(), MARK.into()],
        }
    }

    /// Uses `setsid` and `sh` as the gate, for programs whose `main` cannot call [`enter`](Self::enter).
    #[must_use]
    pub fn shell() -> Self {
        let words = ["setsid", "sh", "-c", SCRIPT, "kanban-gate"];
        Self {
            words: words.into_iter().map(OsString::from).collect(),
        }
    }

    /// The command that waits and then becomes `argv`.
    pub(super) fn command(&self, argv: &[OsString]) -> Command {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).args(argv);
        command
    }
}

/// The gate process: own session, one byte, exec. Everything it may report goes to the worker's log, its standard error.
#[expect(
    clippy::exit,
    clippy::print_stderr,
    reason = "this process is the gate and nothing else"
)]
fn pass(mut argv: impl Iterator<Item = OsString>) -> ! {
    // Fails only for a group leader, which a spawned child is not.
    let _ = rustix::process::setsid();
    let mut byte = [0];
    if !matches!(std::io::stdin().read(&mut byte), Ok(1)) {
        std::process::exit(0);
    }
    let Some(program) = argv.next() else {
        std::process::exit(127)
    };
    // Ours all end with this program; but what whoever started the dispatcher left open would go on to every worker.
    close_fds::set_fds_cloexec(3, &[]);
    let error = Command::new(&program)
        .args(argv)
        .stdin(std::process::Stdio::null())
        .exec();
    eprintln!("kanban: start {}: {error}", program.to_string_lossy());
    std::process::exit(127)
}
