//! What a dispatcher can be made of.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::Dispatcher;
use super::guards::Recency;
use super::roster::Roster;
use super::settings::ConfigFile;
use super::surroundings::Surroundings;
use super::told::Told;
use crate::clock::Clock;
use crate::config::Config;
use crate::lanes::Lanes;
use crate::root::Root;
use crate::site::Site;
use crate::wake::Wake;
use crate::worker::{Gate, Launcher};

/// Settles what a dispatcher is made of.
#[derive(Debug)]
pub struct Builder {
    pub(super) root: Root,
    pub(super) config: Config,
    pub(super) clock: Clock,
    pub(super) gate: Gate,
    pub(super) launcher: Option<Box<dyn Launcher>>,
    pub(super) config_file: Option<PathBuf>,
}

// ===== impl Builder =====

impl Builder {
    /// Another clock than the machine's.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The program's own gate, from [`Gate::enter`]; without it a shell is the gate.
    #[must_use]
    pub fn gate(mut self, gate: Gate) -> Self {
        self.gate = gate;
        self
    }

    /// One's own workers, instead of the configured command.
    #[must_use]
    pub fn launcher(mut self, launcher: impl Launcher + 'static) -> Self {
        self.launcher = Some(Box::new(launcher));
        self
    }

    /// Reads `path` again whenever it has changed and has been still for a second, from the first tick at which it is there. A file that
    /// cannot be used is told once, and the settings stay as they were.
    #[must_use]
    pub fn config_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.config_file = Some(path.into());
        self
    }

    /// The dispatcher. Nothing is opened or locked yet; that is the first tick's.
    #[must_use]
    pub fn build(self) -> Dispatcher {
        let Self {
            root,
            config,
            clock,
            gate,
            launcher,
            config_file,
        } = self;
        let started_at = clock.unix();
        Dispatcher {
            lanes: Lanes::new(config.lanes.get()),
            site: Arc::new(Site::new(root, &config, clock, launcher, gate)),
            config: Arc::new(config),
            config_file: config_file.map(ConfigFile::new),
            lock: None,
            roster: Roster::default(),
            states: HashMap::new(),
            out: HashSet::new(),
            resting: HashSet::new(),
            wanting: HashSet::new(),
            started_at,
            ticks: 0,
            turns: 0,
            usage: crate::usage::Usage::default(),
            standby: None,
            pauses: Arc::default(),
            mark: None,
            levers_at: None,
            listened: None,
            ledger_fails: false,
            wake: Wake::new(),
            is_running: false,
            looked_for_risks: None,
            told: Told::default(),
            gone: Vec::new(),
            noted: Vec::new(),
            recency: Recency::default(),
            surroundings: Surroundings::default(),
            has_led: false,
            has_read_ledger: false,
            is_shut_down: false,
        }
    }
}
