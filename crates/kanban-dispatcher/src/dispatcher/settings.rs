//! The settings file: read again when it has changed and the change is over.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fingerprint_quarantine::FileState;

use super::Dispatcher;
use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, ErrorKind};

/// A change is believed when nobody has written for so long. A file that is being written is cut off in the middle, and may be valid
/// all the same: with all its limits gone.
const STILL: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct ConfigFile {
    path: PathBuf,
    /// Once it was there, its absence is an error.
    was_read: bool,
    /// What was last judged; nothing before the first look.
    judged: Option<FileState>,
    /// A change that may not be over, and since when it looks like this (monotonic).
    changing: Option<(FileState, Duration)>,
    /// What was last wrong with it, so that it is said once.
    error: Option<String>,
}

// ===== impl ConfigFile =====

impl ConfigFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            was_read: false,
            judged: None,
            changing: None,
            error: None,
        }
    }

    /// What there is to judge now, if there is something new. What is there at the first look is taken as it is.
    fn news(&mut self, clock: &Clock) -> Option<FileState> {
        let state = ageless(FileState::of(&self.path));
        if self.judged == Some(state) {
            self.changing = None;
            return None;
        }
        let now = clock.monotonic();
        let since = match self.changing {
            Some((seen, since)) if seen == state => since,
            _ => now,
        };
        self.changing = Some((state, since));
        let is_still = now.saturating_sub(since) >= STILL || is_old(&state, clock.unix());
        if self.judged.is_some() && !is_still {
            return None;
        }
        self.judged = Some(state);
        self.changing = None;
        Some(state)
    }

    /// The settings in the file; nothing while there never was one.
    fn read(&self, state: &FileState) -> Option<Result<Config, Error>> {
        // A link that leads nowhere is there, and an error.
        let is_absent = state.is_absent() && self.path.symlink_metadata().is_err();
        if !self.was_read && is_absent {
            return None;
        }
        // Cut off by an editor that has not written yet, as a rule: not "all defaults".
        if self.was_read && state.is_empty_file() {
            let what = format!(
                "read the configuration {}: it is empty",
                self.path.display()
            );
            return Some(Err(Error::new(ErrorKind::Config, what)));
        }
        Some(Config::load(&self.path))
    }
}

impl Dispatcher {
    /// Takes over what has changed in the settings file.
    pub(super) fn reload(&mut self) {
        let Some(file) = &mut self.config_file else {
            return;
        };
        let Some(state) = file.news(&self.site.clock) else {
            return;
        };
        match file.read(&state) {
            None => {}
            Some(Ok(config)) => {
                file.was_read = true;
                file.error = None;
                if config != *self.config {
                    tracing::info!(file = %file.path.display(), "settings changed");
                    self.config = Arc::new(config);
                    self.roster.wake_all();
                }
            }
            Some(Err(error)) => {
                let text = error.chain();
                if file.error.as_ref() != Some(&text) {
                    tracing::error!("settings stay as they were: {text}");
                    file.error = Some(text);
                }
            }
        }
    }
}

/// Without whether it was young at the look: that is not about the file.
fn ageless(mut state: FileState) -> FileState {
    if let FileState::Present(stamp) = &mut state {
        stamp.young = false;
    }
    state
}

/// Whether its last change was longer ago by the wall clock, so that the first look is enough.
fn is_old(state: &FileState, unix: i64) -> bool {
    let changed = state.stamp().map(|stamp| stamp.ctime_ns);
    changed.is_some_and(|changed| {
        i128::from(unix) * 1_000_000_000 - changed >= STILL.as_nanos() as i128
    })
}
