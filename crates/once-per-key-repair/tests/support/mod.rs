//! Processes for tests: this test program again, running one test of it, talked to line by line.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const DIR: &str = "ONCE_PER_KEY_REPAIR_TEST_DIR";

/// Another process. It ends with this value.
pub(crate) struct Peer {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Peer {
    /// Runs the test `name` of this program, in `dir`.
    pub(crate) fn start(name: &str, dir: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "--nocapture", name])
            .env(DIR, dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program again");
        Self {
            stdin: child.stdin.take().expect("piped"),
            lines: BufReader::new(child.stdout.take().expect("piped")).lines(),
            child,
        }
    }

    /// What it says next; the empty word when it has ended.
    pub(crate) fn hears(&mut self) -> String {
        // The test harness writes on the same line.
        self.lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once("PEER ")?.1.to_owned()))
            .unwrap_or_default()
    }

    /// Lets it go on.
    pub(crate) fn go(&mut self) {
        self.stdin.write_all(b"\n").expect("it listens");
    }

    /// SIGKILL: nothing of it runs any more.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ran");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In the other process: where it works. `None` in the tests' own process, where there is nothing to do.
pub(crate) fn dir() -> Option<PathBuf> {
    std::env::var_os(DIR).map(PathBuf::from)
}

/// In the other process: tells the one that started it.
#[expect(clippy::print_stdout, reason = "that is the line between the two")]
pub(crate) fn say(word: &str) {
    println!("PEER {word}");
}

/// In the other process: waits for [`Peer::go`].
pub(crate) fn listen() {
    let mut line = String::new();
    let read = std::io::stdin()
        .read_line(&mut line)
        .expect("the other end");
    assert!(read > 0, "the one that started this has ended");
}
