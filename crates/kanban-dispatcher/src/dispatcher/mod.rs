//! The dispatcher: takes the root's lock, ticks every board on its lanes, waits, and ends without losing a count.

mod builder;
mod farewell;
mod guards;
mod hints;
mod homes;
mod lead;
mod levers;
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
use self::roster::{Choice, Pass, Roster};
use self::settings::ConfigFile;
use self::surroundings::Surroundings;
use self::told::Told;
use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, ErrorKind};
use crate::lanes::Lanes;
use crate::ledger::levers::{Mark, Pauses};
use crate::lock::FileLock;
use crate::report::{BoardReport, StandbyReason, TickReport};
use crate::root::{Root, Slug};
use crate::site::Site;
use crate::tick::outcome;
use crate::tick::state::BoardState;
use crate::usage::Usage;
use crate::view::HeldReason;
use crate::wake::Wake;
use crate::worker::Gate;

/// How often workers are looked at between ticks when nobody tells of their ends: adopted ones end unheard.
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
    /// Boards about which something was noted without a turn, so that their line does not say so: the connection was closed, or
    /// another program endangers it.
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

    /// Ticks at the configured interval, and sooner where a worker has ended, until `wake` says stop. Then shuts down.
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
                let mut news = self.note_ends();
                for slug in self.due(looked, now) {
                    self.roster.wake(&slug);
                    news.insert(slug);
                }
                hinted = self.heed_hints(now, &mut news);
                if self.lock.is_some() && !news.is_empty() {
                    // An end frees a place: the boards that wait for one are concerned too.
                    if !self.wanting.is_empty() {
                        news.extend(self.wanting.iter().cloned());
                        // And whoever may want it too since the last tick.
                        news.extend(self.changed());
                    }
                    self.tick_some(Some(&news));
                }
            }
            looked = now;
            let now = self.site.clock.monotonic();
            let mut wait = next.saturating_sub(now).min(LOOK_EVERY);
            if let Some(step) = self.site.workers.next_step() {
                wait = wait.min(step.saturating_sub(now));
            }
            for due in [self.next_due(looked), hinted].into_iter().flatten() {
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

    // ----- one tick -----

    fn tick_some(&mut self, only: Option<&HashSet<Slug>>) -> TickReport {
        // Also while standing by: ends are noticed, stops go on.
        self.note_ends();
        if let Err((reason, error)) = self.lead() {
            return self.stand_by(reason, &error);
        }
        self.pull_levers();
        self.look_around();
        // Places that were promised to them may be free.
        self.bring_home();
        let choice = match self.choose(only) {
            Ok(choice) => choice,
            // Without the list no board may be taken for removed.
            Err(error) => return self.stand_by(StandbyReason::BoardsUnlisted, &error),
        };
        self.drop_removed();
        let chosen = choice.turns.len();
        let mut reports = self.tick_boards(choice.turns, only.is_some());
        // Those for which there was no place after all.
        let waiting = chosen - reports.len();
        self.site.resilience.sweep();
        for report in &reports {
            if report.held.contains_key(&HeldReason::HostCap) {
                self.wanting.insert(report.slug.clone());
            } else {
                self.wanting.remove(&report.slug);
            }
        }
        if only.is_none() {
            self.look_for_risks();
            self.ticks += 1;
            tracing::debug!(tick = self.ticks, "pass over all boards ended");
        }
        self.turns += 1;
        self.publish(&reports, told::SERVING, only.is_none());
        let held = choice.held.into_iter();
        reports.extend(held.filter_map(|(slug, retry_in)| self.held(&slug, retry_in)));
        // In the order of discovery, whichever lane was first.
        reports.sort_by_key(|report| self.roster.place(&report.slug));
        TickReport {
            standby: None,
            boards: reports,
            quiet: choice.quiet + waiting,
        }
    }

    /// The boards whose workers have ended: they need a turn, now or as soon as they can have one.
    fn note_ends(&mut self) -> HashSet<Slug> {
        let news = self.site.workers.poll(self.site.clock.monotonic());
        for slug in &news {
            self.roster.wake(slug);
        }
        news
    }

    /// Which boards have a turn.
    fn choose(&mut self, only: Option<&HashSet<Slug>>) -> Result<Choice, Error> {
        let pass = Pass {
            unix: self.site.clock.unix(),
            monotonic: self.site.clock.monotonic(),
            has_room: self.room() > 0,
            // The first pass after the ledger was made anew tells of every board.
            is_full: !self.config.skip_quiet_boards || (only.is_none() && !self.told.has_all()),
            only,
        };
        // One tick alone has nothing of it.
        let is_wanted = self.config.watch && (self.is_running || self.ticks > 0);
        self.roster.watch(&self.wake, is_wanted);
        let choice = self.roster.choose(&self.site.root, pass)?;
        if self.lost_boards_dir() {
            let dir = self.site.root.boards_dir();
            let what = format!("list the boards in {}: it is gone", dir.display());
            return Err(Error::new(ErrorKind::NotFound, what));
        }
        Ok(choice)
    }

    /// What there is to say of a board that is on hold, and was not even asked whether it still is.
    fn held(&self, slug: &Slug, retry_in: Option<Duration>) -> Option<BoardReport> {
        match self.states.get(slug)? {
            Home::In(state) => Some(outcome::held_report(state, retry_in)),
            Home::Out { .. } => None,
        }
    }

    /// Boards are removed one by one; their whole directory goes away by a move or an unmount, and comes back.
    fn lost_boards_dir(&self) -> bool {
        self.states.keys().any(|slug| !slug.is_default()) && !self.roster.has_dir()
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        self.shut_down();
    }
}
