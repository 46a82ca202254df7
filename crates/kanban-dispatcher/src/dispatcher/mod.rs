//! The dispatcher: takes the root's lock, ticks every board on its lanes, waits, and ends without losing a count.

mod around;
mod builder;
mod calls;
mod farewell;
mod guards;
mod hints;
mod homes;
mod lead;
mod levers;
mod open_dir;
mod pass;
mod risks;
mod rooms;
mod roster;
mod seat;
mod settings;
mod surroundings;
mod told;
mod turns;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

pub use self::builder::Builder;

use self::guards::Recency;
use self::homes::Home;
use self::roster::Roster;
use self::settings::ConfigFile;
use self::surroundings::Surroundings;
use self::told::Told;
use crate::clock::Clock;
use crate::config::Config;
use crate::lanes::Lanes;
use crate::ledger::levers::{Mark, Pauses};
use crate::lock::FileLock;
use crate::report::{BoardReport, TickReport};
use crate::root::{Root, Slug};
use crate::site::Site;
use crate::tick::state::BoardState;
use crate::usage::Usage;
use crate::wake::Wake;
use crate::worker::Gate;

/// How often it is looked, between ticks, at workers of whose ends nobody tells (adopted ones), and for what others want.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Starts work on the boards below one root, and keeps everybody honest about it.
///
/// One per root: a second one stands by until the first has ended, and a peer's gateway counts as one.
///
/// # Examples
/// ```
/// use kanban_dispatcher::{Clock, Config, Dispatcher, NewTask, Root, Slug, Store};
///
/// let dir = tempfile::tempdir()?;
/// let root = Root::at(dir.path());
/// let mut store = Store::init(&root.board(&Slug::default()), &Clock::system())?;
/// store.create(&NewTask { title: "greet".into(), assignee: Some("anyone".into()), ..NewTask::default() })?;
///
/// let config = "worker = { command = [\"echo\", \"{task}\"], require_profile = false }";
/// let mut dispatcher = Dispatcher::new(root, Config::from_toml(config)?);
/// assert_eq!(dispatcher.tick().started(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Dispatcher {
    site: Arc<Site>,
    config: Arc<Config>,
    config_file: Option<ConfigFile>,
    lock: Option<FileLock>,
    lanes: Lanes<(Box<BoardState>, BoardReport)>,
    roster: Roster,
    states: HashMap<Slug, Home>,
    /// Boards whose turn has not come back.
    out: HashSet<Slug>,
    /// Boards that rest, because their workers died at their start.
    resting: HashSet<Slug>,
    /// Boards that could start more if there were room.
    wanting: HashSet<Slug>,
    started_at: i64,
    /// Passes over all boards, and the turns of some between them.
    ticks: u64,
    turns: usize,
    usage: Usage,
    standby: Option<String>,
    /// As the ledger last had them, and which ledger that was.
    pauses: Arc<Pauses>,
    mark: Option<Mark>,
    /// The ledger's version when pauses and requests were read last.
    levers_at: Option<i64>,
    /// When it was last looked for what others want (monotonic).
    listened: Option<Duration>,
    /// It has been told that the ledger cannot be used.
    ledger_fails: bool,
    /// Whoever runs it can stop it.
    wake: Wake,
    is_running: bool,
    /// When the boards' files were last looked for in other processes (monotonic).
    looked_for_risks: Option<Duration>,
    told: Told,
    /// Boards that are gone and still have a line there.
    gone: Vec<Slug>,
    /// Boards about which something was noted without a turn, so that their line does not say so: the connection was closed,
    /// another program endangers it, or what was held back of it has been told.
    noted: Vec<Slug>,
    recency: Recency,
    surroundings: Surroundings,
    has_led: bool,
    has_read_ledger: bool,
    is_shut_down: bool,
}

// ===== impl Dispatcher =====

impl Dispatcher {
    /// A dispatcher that starts the configured command on the machine's clock.
    #[must_use]
    pub fn new(root: Root, config: Config) -> Self {
        Self::builder(root, config).build()
    }

    /// A dispatcher with other parts.
    #[must_use]
    pub fn builder(root: Root, config: Config) -> Builder {
        Builder {
            root,
            config,
            clock: Clock::system(),
            gate: Gate::shell(),
            launcher: None,
            config_file: None,
        }
    }

    /// One pass over all boards. Never fails: what goes wrong stays on its board and in the report.
    pub fn tick(&mut self) -> TickReport {
        self.reload();
        self.tick_some(None)
    }

    /// Ticks at the configured interval, and boards with news sooner, until `wake` says stop. Then shuts down.
    pub fn run(&mut self, wake: &Wake) {
        self.wake = wake.clone();
        self.is_running = true;
        // What was watched before woke somebody else.
        self.roster.watch(wake, false);
        tracing::info!(root = %self.site.root.dir().display(), "dispatcher starts");
        let mut next = self.site.clock.monotonic();
        let mut looked = next;
        while !wake.is_stopped() {
            let now = self.site.clock.monotonic();
            let mut hinted = None;
            if now >= next {
                self.tick();
                next = now + self.config.dispatch_interval_seconds;
            } else {
                // Looked at more often than ticked, so that a change is over by the next tick.
                self.reload();
                next = next.min(now + self.config.dispatch_interval_seconds);
                hinted = self.heed(looked, now);
            }
            looked = now;
            let now = self.site.clock.monotonic();
            let mut wait = next.saturating_sub(now).min(LOOK_EVERY);
            if let Some(step) = self.site.workers.next_step() {
                wait = wait.min(step.saturating_sub(now));
            }
            let dues = [self.next_due(looked), hinted, self.next_listening()];
            for due in dues.into_iter().flatten() {
                wait = wait.min(due.saturating_sub(now));
            }
            if self.roster.hints.have_any() {
                // Heard in the middle of a tick: it woke nobody.
                wait = wait.min(hints::TURNS_APART);
            }
            wake.wait(wait);
        }
        self.look_once_more();
        self.shut_down();
    }

    /// Between two passes: gives their turns to boards with news and to those that somebody calls for. When there will be more, if that is
    /// known.
    fn heed(&mut self, looked: Duration, now: Duration) -> Option<Duration> {
        let mut news = self.note_ends();
        for slug in self.due(looked, now) {
            self.roster.wake(&slug);
            news.insert(slug);
        }
        let hinted = self.heed_hints(now, &mut news);
        if self.lock.is_none() {
            return hinted;
        }
        if !news.is_empty() && !self.wanting.is_empty() {
            // An end frees a place: the boards that wait for one are concerned too.
            news.extend(self.wanting.iter().cloned());
            // And whoever may want it too since the last tick.
            news.extend(self.changed());
        }
        let is_called = self.is_called(now);
        if is_called || !news.is_empty() {
            self.tick_some(Some(&news));
        }
        if is_called {
            // However long that took.
            self.listened = Some(self.site.clock.monotonic());
        }
        hinted
    }

    /// Tells every outstanding count and gives up the lock. Workers go on; the next dispatcher adopts them.
    pub fn shut_down(&mut self) {
        if std::mem::replace(&mut self.is_shut_down, true) {
            return;
        }
        self.site.resilience.drain();
        // Of a dispatcher that has lost its lock without noticing, another one may have taken the place.
        if self.lock.as_ref().is_some_and(FileLock::is_current) {
            self.publish(&[], "stopped", false);
            let workers = self.site.workers.alive();
            tracing::info!("dispatcher ends; {workers} workers go on");
        }
        self.lock = None;
    }

    /// How many log lines were written for failures and how many held back, over this dispatcher's life.
    #[must_use]
    pub fn log_totals(&self) -> keyed_log_throttle::Totals {
        self.site.resilience.totals()
    }

    /// How many of this dispatcher's worker processes have not ended.
    #[must_use]
    pub fn workers_alive(&self) -> usize {
        self.site.workers.alive()
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        self.shut_down();
    }
}
