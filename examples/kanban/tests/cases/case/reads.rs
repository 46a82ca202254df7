//! Reads that fail below SQLite while the file is sound: a small C library in front of the C library's own.

use std::fs;
use std::path::PathBuf;

use super::{Case, Daemon, Result, compile};

/// What the daemon reads of one board's main file, and whether it is spoilt on the way.
pub(crate) struct Reads {
    dir: PathBuf,
    library: PathBuf,
    file: PathBuf,
}

// ===== impl Reads =====

impl Reads {
    /// For this board's file.
    pub(crate) fn of(case: &Case, slug: &str) -> Result<Self> {
        let dir = case.house.beside("reads");
        fs::create_dir_all(&dir)?;
        let library = compile(&dir, "reads", include_str!("reads.c"))?;
        let file = fs::canonicalize(case.file(slug))?;
        Ok(Self { dir, library, file })
    }

    /// The daemon's next read of the page that begins here is spoilt.
    pub(crate) fn spoil_one(&self, at: usize) -> Result {
        let once = self.dir.join("once");
        fs::write(once.with_extension("new"), at.to_string())?;
        Ok(fs::rename(once.with_extension("new"), once)?)
    }

    /// Whether that has happened.
    pub(crate) fn is_one_spoilt(&self) -> bool {
        !self.dir.join("once").exists()
    }

    /// All of its reads of pages are spoilt.
    pub(crate) fn spoil_all(&self) -> Result {
        Ok(fs::write(self.dir.join("always"), "")?)
    }

    /// And from now on none.
    pub(crate) fn spoil_none(&self) -> Result {
        Ok(fs::remove_file(self.dir.join("always"))?)
    }

    /// Starts a case's daemon that reads so.
    pub(crate) fn start(&self, case: &mut Case) -> Result {
        let mut command = case.house.command(&["run", "--log-format", "json"]);
        command
            .env("LD_PRELOAD", &self.library)
            .env("SPOIL_FILE", &self.file)
            .env("SPOIL_DIR", &self.dir);
        let daemon = Daemon::spawn(&case.house, &mut command)?;
        case.begin(daemon)
    }
}
