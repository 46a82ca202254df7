//! What an operator asks from another process: read from the ledger, never from a board.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;

use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::ledger::breakers::{BreakerRow, read_breakers};
use crate::ledger::levers::{Pauses, read_pauses};
use crate::ledger::{self, Beat, BoardRow, DispatcherRow, Ledger};
use crate::levers::Pause;
use crate::root::{Root, Slug};
use crate::usage::Usage;

/// A dispatcher whose last tick is older than this many intervals is stale.
const STALE_INTERVALS: u32 = 3;

/// How the dispatcher and its boards are, as of the last tick.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The document's name: `kanban.status`.
    pub schema: &'static str,
    /// The document's version.
    pub version: u32,
    /// The boards' root.
    pub root: String,
    /// The dispatcher.
    pub dispatcher: DispatcherStatus,
    /// One entry per board, `default` first.
    pub boards: Vec<BoardStatus>,
}

/// How the dispatcher is. Times are unix seconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DispatcherStatus {
    /// Whether it runs.
    pub state: DispatcherState,
    /// Its process, if there ever was one.
    pub pid: Option<u32>,
    /// When it started.
    pub started_at: Option<i64>,
    /// When it last finished a tick.
    pub last_tick: Option<i64>,
    /// Seconds between two ticks.
    pub interval_seconds: Option<f64>,
    /// Passes over all boards since it started; a tick between two intervals, of some boards only, is none.
    pub ticks: Option<u64>,
    /// What its process used, at its last tick in which a board had a turn, or ten minutes ago at most.
    pub usage: Option<Usage>,
}

/// Whether the dispatcher runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DispatcherState {
    /// It ticks.
    Serving,
    /// Its process is there, but its last tick is more than three intervals old.
    Stale,
    /// It ended, as it should or not.
    Stopped,
    /// None has run here yet.
    Never,
}

/// How one board is. Times are unix seconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BoardStatus {
    /// The board.
    pub slug: String,
    /// Its state.
    pub state: BoardState,
    /// What kind of failure it has.
    pub class: Option<String>,
    /// SQLite's extended result code.
    pub code: Option<i32>,
    /// The failure in one line.
    pub reason: Option<String>,
    /// What its schema lacks.
    pub missing: Option<String>,
    /// Since when it fails.
    pub since: Option<i64>,
    /// When it is tried again if nothing changes before.
    pub next_retry: Option<i64>,
    /// Repairs that were tried since the dispatcher started.
    pub repair_attempts: i64,
    /// When its last turn ran through.
    pub last_tick: Option<i64>,
    /// Ready tasks at that time.
    pub ready: u32,
    /// Running tasks at that time.
    pub running: u32,
    /// Ready tasks that are not started, by reason.
    pub held: Value,
    /// Failures since the last line that was logged about it.
    pub suppressed: u64,
    /// Whether the dispatcher keeps its connection open between ticks, which protects its log from other programs.
    pub guarded: bool,
    /// What another program does that endangers its content.
    pub risk: Option<String>,
    /// How often a start was tried in vain since the board rests because its workers die; absent when it does not rest.
    pub breaker_round: Option<u32>,
    /// The pause in force, if an operator has paused it; told whatever its state.
    pub paused: Option<Pause>,
}

/// A board's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BoardState {
    /// Its last tick ran to the end.
    Ok,
    /// It works, and starts nothing: an operator wants it so, or its workers died at their start, and then it is degraded.
    Paused,
    /// Left alone until its files change or the timer fires.
    Held,
    /// Somebody else is at it.
    Busy,
    /// It has no database.
    Absent,
    /// Its last tick failed; the next one tries again.
    Failing,
}

/// The whole in one word; what an exit code is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// The dispatcher ticks and every board works.
    Healthy,
    /// The dispatcher does not run, or its last tick is too old.
    NotRunning,
    /// It runs, but a board does not work.
    Degraded,
}

// ===== impl Status =====

impl Status {
    /// Reads the ledger below `root`. Opens no board, makes nothing, and does not wait for the dispatcher.
    ///
    /// # Errors
    /// [`ErrorKind::Sqlite`] when there is a ledger that cannot be read.
    ///
    /// # Examples
    /// ```
    /// use kanban_dispatcher::{Clock, Health, Root, Status};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let status = Status::read(&Root::at(dir.path()), &Clock::system())?;
    /// assert_eq!(status.health(), Health::NotRunning);
    /// assert!(status.boards.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read(root: &Root, clock: &Clock) -> Result<Self, Error> {
        let failed = |error| {
            let what = format!("read the ledger {}", root.ledger().display());
            Error::new(ErrorKind::Sqlite, what).because(error)
        };
        let (mut row, mut boards, pauses, breakers) = match Ledger::read(root).map_err(failed)? {
            Some(db) => (
                ledger::read_dispatcher(&db).map_err(failed)?,
                ledger::read_boards(&db).map_err(failed)?,
                read_pauses(&db).map_err(failed)?,
                read_breakers(&db).map_err(failed)?,
            ),
            None => (None, Vec::new(), Pauses::new(), HashMap::new()),
        };
        if let (Some(row), Some(beat)) = (&mut row, Beat::read(root)) {
            row.follow(beat);
        }
        // A board that is quiet has been looked at by each pass since.
        let last_pass = row.as_ref().map(|row| row.last_tick);
        for board in boards.iter_mut().filter(|board| board.quiet) {
            board.last_tick = board.last_tick.max(last_pass);
        }
        Ok(Self {
            schema: "kanban.status",
            version: 1,
            root: root.dir().display().to_string(),
            dispatcher: DispatcherStatus::new(row, clock.unix()),
            boards: with_breakers(with_pauses(boards, pauses), breakers),
        })
    }

    /// The whole in one word.
    #[must_use]
    pub fn health(&self) -> Health {
        if self.dispatcher.state != DispatcherState::Serving {
            Health::NotRunning
        } else if self.boards.iter().any(BoardStatus::is_degraded) {
            Health::Degraded
        } else {
            Health::Healthy
        }
    }
}

/// The boards of the last tick, and those that were paused without one.
fn with_pauses(rows: Vec<BoardRow>, mut pauses: Pauses) -> Vec<BoardStatus> {
    let mut boards: Vec<BoardStatus> = rows
        .into_iter()
        .map(|row| {
            let pause = pauses.remove(row.slug.as_str());
            BoardStatus::new(row, pause)
        })
        .collect();
    boards.extend(pauses.into_iter().map(|(slug, pause)| {
        let row = BoardRow {
            slug: slug.to_string(),
            outcome: "ticked".to_owned(),
            held: "{}".to_owned(),
            ..BoardRow::default()
        };
        BoardStatus::new(row, Some(pause))
    }));
    boards
}

/// What the dispatcher itself has paused is shown as that, unless there is worse to say.
fn with_breakers(
    mut boards: Vec<BoardStatus>,
    mut breakers: HashMap<Slug, BreakerRow>,
) -> Vec<BoardStatus> {
    for board in &mut boards {
        let Some(row) = breakers.remove(board.slug.as_str()) else {
            continue;
        };
        board.breaker_round = Some(row.round);
        if matches!(board.state, BoardState::Ok | BoardState::Paused) {
            board.state = BoardState::Paused;
            board.reason = Some(row.reason);
            board.since = Some(row.since);
            board.next_retry = Some(row.next_retry);
        }
    }
    boards
}

impl DispatcherStatus {
    fn new(row: Option<DispatcherRow>, now: i64) -> Self {
        let Some(row) = row else {
            return Self {
                state: DispatcherState::Never,
                pid: None,
                started_at: None,
                last_tick: None,
                interval_seconds: None,
                ticks: None,
                usage: None,
            };
        };
        let state = if row.state != "serving" || !row.identity.is_alive() {
            DispatcherState::Stopped
        } else if now.abs_diff(row.last_tick) > stale_after(&row) {
            // Also a last tick that is still to come: the wall clock was set back, and nothing proves a tick since.
            DispatcherState::Stale
        } else {
            DispatcherState::Serving
        };
        Self {
            state,
            pid: Some(row.identity.pid),
            started_at: Some(row.started_at),
            last_tick: Some(row.last_tick),
            interval_seconds: Some(row.interval.as_secs_f64()),
            ticks: Some(row.ticks),
            usage: Some(row.usage),
        }
    }
}

/// Whole seconds, rounded up: the times in the ledger are truncated.
fn stale_after(row: &DispatcherRow) -> u64 {
    let seconds = row
        .interval
        .saturating_mul(STALE_INTERVALS)
        .as_secs_f64()
        .ceil();
    seconds as u64 + 1
}

// ===== impl BoardStatus =====

impl BoardStatus {
    /// Whether somebody should look at it.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        if self.risk.is_some() || self.breaker_round.is_some() {
            return true;
        }
        match self.state {
            BoardState::Held | BoardState::Failing => true,
            BoardState::Busy | BoardState::Absent => self.reason.is_some(),
            BoardState::Ok | BoardState::Paused => false,
        }
    }

    fn new(row: BoardRow, paused: Option<Pause>) -> Self {
        let state = match (row.outcome.as_str(), &paused) {
            ("ticked", Some(_)) => BoardState::Paused,
            ("ticked", None) => BoardState::Ok,
            ("held", _) => BoardState::Held,
            ("busy", _) => BoardState::Busy,
            ("absent", _) => BoardState::Absent,
            _ => BoardState::Failing,
        };
        let (mut reason, mut since) = (row.reason, row.since);
        if let Some(pause) = paused.as_ref().filter(|_| state == BoardState::Paused) {
            reason = reason.or_else(|| pause.reason.clone());
            since = since.or(Some(pause.since));
        }
        Self {
            state,
            slug: row.slug,
            class: row.class,
            code: row.code,
            reason,
            missing: row.missing,
            since,
            next_retry: row.next_retry,
            repair_attempts: row.repair_attempts,
            last_tick: row.last_tick,
            ready: row.ready,
            running: row.running,
            held: serde_json::from_str(&row.held).unwrap_or_default(),
            suppressed: row.suppressed,
            guarded: row.guarded,
            risk: row.risk,
            breaker_round: None,
            paused,
        }
    }
}
