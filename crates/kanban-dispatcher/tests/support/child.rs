//! Other processes that do what another program would: this test binary, started again in a role.
//!
//! A binary that uses this has a test `as_child` that plays the role, and does nothing when there is none.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::Result;

/// Names the role; the other variables are the role's own.
pub const ROLE: &str = "TEST_ROLE";

/// The line by which a child says that it is ready. The harness writes to the same stream, so it is a word of its own.
const READY: &str = "the-child-is-ready";

/// The words that start this binary as `as_child`. Not by its path: a build may have replaced the file there.
pub fn words() -> [String; 4] {
    let exe = format!("/proc/{}/exe", std::process::id());
    [
        exe,
        "as_child".to_owned(),
        "--exact".to_owned(),
        "--nocapture".to_owned(),
    ]
}

/// A child in a role; it ends when this is dropped.
#[derive(Debug)]
pub struct Role {
    pub child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

// ===== impl Role =====

impl Role {
    pub fn start(role: &str, variables: &[(&str, &str)]) -> Result<Self> {
        let [exe, args @ ..] = words();
        let mut command = Command::new(exe);
        command.args(args).env(ROLE, role);
        command.envs(variables.iter().copied());
        Self::spawn(command)
    }

    /// The same by another way to this binary.
    pub fn spawn(mut command: Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().ok_or("no output")?);
        Ok(Self {
            child,
            input,
            output,
        })
    }

    /// Waits until the child says that it is ready.
    pub fn ready(mut self) -> Result<Self> {
        let mut line = String::new();
        while !line.contains(READY) {
            line.clear();
            if self.output.read_line(&mut line)? == 0 {
                return Err("the child ended before it was ready".into());
            }
        }
        Ok(self)
    }

    /// Tells the child to go on.
    pub fn go(&mut self) {
        self.input = None;
    }

    /// Tells the child to go on, and waits for its end: whether it went well, and what it complained about.
    pub fn finish(mut self) -> Result<(bool, String)> {
        self.go();
        let mut said = String::new();
        self.output.read_to_string(&mut said)?;
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut said)?;
        }
        Ok((self.child.wait()?.success(), said))
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The role of this process; `None` in an ordinary run.
pub fn role() -> Option<String> {
    env::var(ROLE).ok()
}

/// A variable of the role.
pub fn variable(name: &str) -> Result<String> {
    env::var(name).map_err(|error| format!("{name}: {error}").into())
}

/// Says that this child is ready.
pub fn say_ready() -> Result {
    let mut out = std::io::stdout();
    writeln!(out, "{READY}")?;
    Ok(out.flush()?)
}

/// Waits until the parent says go on, or is gone.
pub fn wait_for_go() -> Result {
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
