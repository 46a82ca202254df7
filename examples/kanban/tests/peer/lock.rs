//! A lock as the peer takes it: flock(2) from Python.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use super::house::{House, Result};

const HOLD: &str = "
import fcntl, sys
file = open(sys.argv[1], 'a+b')
fcntl.flock(file, fcntl.LOCK_EX)
print('held', flush=True)
sys.stdin.read()
";

/// A Python process that holds the lock until this is dropped.
#[derive(Debug)]
pub(crate) struct PythonLock {
    child: Child,
}

impl PythonLock {
    pub(crate) fn take(house: &House, path: &Path) -> Result<Self> {
        let mut child = house
            .python(HOLD)?
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("no pipe")?;
        let lock = Self { child };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        match line.trim() {
            "held" => Ok(lock),
            _ => Err(format!("the lock {} was not taken", path.display()).into()),
        }
    }
}

impl Drop for PythonLock {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // The lock is free when the process is gone, not before.
        let _ = self.child.wait();
    }
}
