//! How the dispatcher finds out what has changed: by opening each board, by looking at its files, or by being told.

use kanban_dispatcher::Config;

use crate::Result;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Each tick opens each board.
    Open,
    /// Each tick looks at each board's files.
    Sweep,
    /// The kernel tells which files have changed.
    Watch,
}

// ===== impl Mode =====

impl Mode {
    pub(crate) const ALL: [Self; 3] = [Self::Open, Self::Sweep, Self::Watch];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Open => "all opened",
            Self::Sweep => "sweep",
            Self::Watch => "watch",
        }
    }

    /// The settings, `more` among them; `None` where this version has no such thing.
    pub(crate) fn config(self, more: &str) -> Result<Option<Config>> {
        let common = format!("worker.require_profile = false\n{more}");
        let with = |settings| Config::from_toml(&format!("{settings}\n{common}"));
        // What else may be wrong with them is no sign of an older version.
        Config::from_toml(&common)?;
        Ok(match self {
            Self::Open => with("skip_quiet_boards = false").ok(),
            Self::Sweep => with("watch = false")
                .or_else(|_| with("skip_quiet_boards = true"))
                .ok(),
            Self::Watch => with("watch = true").ok(),
        })
    }
}
