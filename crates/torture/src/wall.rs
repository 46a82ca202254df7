//! A wall clock that can be set: a small C library in front of the C library's own. The monotonic clock stays what it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;

/// A wall clock for other processes.
#[derive(Debug)]
pub struct WallClock {
    library: PathBuf,
    offset: PathBuf,
}

// ===== impl WallClock =====

impl WallClock {
    /// Compiles it into `dir`; the workspace needs a C compiler anyway.
    ///
    /// # Errors
    /// There is no C compiler, or it cannot write there.
    pub fn new(dir: &Path) -> Result<Self> {
        let (source, library) = (dir.join("wall.c"), dir.join("wall.so"));
        fs::write(&source, include_str!("wall.c"))?;
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let status = Command::new(&compiler)
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&library, &source])
            .status()?;
        if !status.success() {
            return Err(format!("`{compiler}` could not compile {}", source.display()).into());
        }
        let clock = Self {
            library,
            offset: dir.join("offset"),
        };
        clock.set(0)?;
        Ok(clock)
    }

    /// So many seconds ahead of the machine's; whoever reads it sees the old value or the new one.
    ///
    /// # Errors
    /// The directory is gone.
    pub fn set(&self, seconds: i64) -> Result {
        let new = self.offset.with_extension("new");
        fs::write(&new, seconds.to_string())?;
        Ok(fs::rename(new, &self.offset)?)
    }

    /// Puts a process under this clock.
    pub fn rule(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library);
        command.env("CLOCK_OFFSET", &self.offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_lives_in_the_time_that_it_is_told() -> Result {
        let dir = tempfile::tempdir()?;
        let clock = WallClock::new(dir.path())?;
        let year = |offset: i64| -> Result<String> {
            clock.set(offset)?;
            let mut date = Command::new("date");
            clock.rule(date.arg("+%Y"));
            Ok(String::from_utf8(date.output()?.stdout)?)
        };
        assert!(year(0)? < year(800 * 86_400)?);
        Ok(())
    }
}
