//! An innocent bystander that writes down each signal that it receives.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{Result, until};

/// Writes every signal down that can be caught, as the leader of its own session: a signal to its group reaches it, too.
const SCRIPT: &str = "for s in HUP INT QUIT USR1 USR2 ALRM TERM CONT; do trap \"echo $s >> $0.heard\" $s; done; \
     echo up > \"$0\"; while :; do sleep 0.2; done";

/// A process that has nothing to do with any board; ended when it is dropped.
#[derive(Debug)]
pub struct Sentinel {
    child: Child,
    path: PathBuf,
}

impl Sentinel {
    /// Not yet listening; see [`ready`](Self::ready).
    pub fn start(dir: &Path) -> Result<Self> {
        let path = dir.join(format!("sentinel.{}", fs::read_dir(dir)?.count()));
        let child = Command::new("setsid")
            .args(["sh", "-c", SCRIPT])
            .arg(&path)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { child, path })
    }

    /// Waits until it hears what it is sent.
    pub fn ready(self) -> Result<Self> {
        until("the sentinel listens", || Ok(self.path.exists()))?;
        Ok(self)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Fails if it has ever received a signal.
    pub fn is_untouched(&mut self) -> Result {
        let heard =
            fs::read_to_string(format!("{}.heard", self.path.display())).unwrap_or_default();
        // SIGKILL cannot be heard.
        match (self.child.try_wait()?, heard.as_str()) {
            (None, "") => Ok(()),
            (ended, heard) => {
                Err(format!("an innocent was signalled: {heard:?}, {ended:?}").into())
            }
        }
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
