//! What is kept about one board between ticks.

use std::cell::OnceCell;
use std::time::Duration;

use error_classify::Class;
use fingerprint_quarantine::{FileState, SqliteFiles, SqliteStamp};

use super::Tick;
use super::caution::Caution;
use super::guard::{FileId, Guard};
use super::missed::Missed;
use super::quiet::Quiet;
use super::refusals::Refusals;
use crate::evidence::Copy;
use crate::ledger::whose::{Found, Whose};
use crate::report::{BoardFailure, BoardReport};
use crate::resilience::{Handles, Resilience};
use crate::root::Board;
use crate::view::{HeldCounts, HeldReason};

#[derive(Debug)]
pub(crate) struct BoardState {
    pub(crate) board: Board,
    /// What it was known by when it was first seen.
    whose: Whose,
    /// The database was there once, so its absence is worth a line.
    pub(crate) was_seen: bool,
    /// What the last turn failed with.
    pub(crate) failure: Option<BoardFailure>,
    /// When it began to fail (unix seconds).
    pub(crate) since: Option<i64>,
    pub(crate) repair_attempts: i64,
    /// What the last turn that ran through found; kept while the board cannot be read.
    pub(crate) last_known: LastKnown,
    /// Since when another program has held the tick lock (monotonic).
    pub(crate) locked_since: Option<Duration>,
    pub(crate) caution: Caution,
    /// The newest copy of its damage, and the files' stamp then.
    pub(crate) evidence: Option<(String, Copy)>,
    /// When the whole file is to be looked through next (monotonic).
    pub(crate) next_check: Option<Duration>,
    /// It is to be looked through at its next turn: what was found there has not been judged, or has been and may be met by nothing else.
    pub(super) must_check: bool,
    /// What another program does that endangers its content.
    pub(crate) risk: Option<String>,
    /// Places for new workers in the turn under way.
    pub(crate) room: usize,
    /// Ready tasks that waited for a place after the last turn.
    pub(crate) waits: u32,
    /// The tick in which a worker was last started; 0 for never.
    pub(crate) last_served: u64,
    /// The dispatcher's turn in which it last had one.
    pub(crate) last_turn: u64,
    pub(super) refusals: Refusals,
    pub(super) files: Files,
    /// The files' stamp after the last turn.
    settled: Option<SqliteStamp>,
    /// Whether it needs no turn, as the last one has shown.
    pub(crate) quiet: Option<Box<Quiet>>,
    /// What its last turn may not have seen.
    pub(super) missed: Missed,
    pub(super) guard: Option<Box<Guard>>,
    /// What the policies have on record, if anything.
    handles: Option<Box<Handles>>,
}

/// Where a board's files are, until the next turn at most: if they are reached by a link, it may lead elsewhere by then.
#[derive(Debug, Default)]
pub(super) struct Files(OnceCell<SqliteFiles>);

/// A board's counts, and when they were taken (unix seconds).
#[derive(Debug, Default, Clone)]
pub(crate) struct LastKnown {
    pub(crate) at: Option<i64>,
    pub(crate) ready: u32,
    pub(crate) running: u32,
    pub(crate) held: HeldCounts,
}

// ===== impl Files =====

impl Files {
    pub(super) fn of(&self, board: &Board) -> &SqliteFiles {
        self.0.get_or_init(|| SqliteFiles::new(board.db()))
    }

    fn forget(&mut self) {
        self.0.take();
    }
}

// ===== impl BoardState =====

impl BoardState {
    pub(crate) fn new(board: Board) -> Self {
        Self {
            whose: Whose::of(&board),
            board,
            was_seen: false,
            failure: None,
            since: None,
            repair_attempts: 0,
            last_known: LastKnown::default(),
            locked_since: None,
            caution: Caution::default(),
            evidence: None,
            next_check: None,
            must_check: false,
            risk: None,
            room: 0,
            waits: 0,
            last_served: 0,
            last_turn: 0,
            settled: None,
            quiet: None,
            missed: Missed::default(),
            refusals: Refusals::default(),
            files: Files::default(),
            guard: None,
            handles: None,
        }
    }

    /// Its places in the policies, as it is in trouble.
    pub(crate) fn handles(&mut self, resilience: &Resilience) -> &mut Handles {
        let new = || Box::new(resilience.handles(self.board.slug()));
        self.handles.get_or_insert_with(new)
    }

    /// The same, if any policy has something on record.
    pub(crate) fn trouble(&self) -> Option<&Handles> {
        self.handles.as_deref()
    }

    /// It works: once all is told, nothing is kept for trouble.
    pub(super) fn works(&mut self, resilience: &Resilience) {
        let slug = self.board.slug();
        self.handles.take_if(|handles| {
            handles.rest();
            resilience.suppressed(slug) == 0
        });
    }

    /// A tick begins, at the interval or in between.
    pub(crate) fn begin_tick(&mut self, is_early: bool) {
        self.files.forget();
        self.caution.begin_tick();
        self.missed.begin_tick();
        if !is_early {
            self.refusals.begin_interval();
        }
    }

    /// A turn begins: nothing has been shown by it.
    pub(crate) fn begin_turn(&mut self) {
        self.quiet = None;
        if let Some(guard) = &mut self.guard {
            guard.begin_turn();
        }
    }

    /// Whether it rests, and its name belongs to another board now.
    pub(crate) fn rests_for_another(&self) -> bool {
        let is_other = || self.whose.compare(&Whose::of(&self.board)) == Found::Other;
        self.caution.rest().is_some() && is_other()
    }

    /// An operator says so: it rests no more. Whether it did.
    pub(crate) fn release(&mut self) -> bool {
        self.refusals.disk.worked();
        self.caution.clear()
    }

    /// The stamp of the database's files: two stats, nothing is opened.
    pub(crate) fn observe(&self) -> SqliteStamp {
        self.files.of(&self.board).observe()
    }

    /// What an attempt leaves that began with this stamp: the same one, if nothing but the files' age has changed since.
    pub(crate) fn left(&self, before: &SqliteStamp) -> SqliteStamp {
        self.observe().aged_as(before)
    }

    /// The files' stamp as text.
    pub(crate) fn stamp_text(&self) -> String {
        format!("{:?}", ageless(self.observe()))
    }

    /// A turn is over: what is found changed from now on was changed by others.
    pub(crate) fn settle(&mut self) {
        let after = self.files.of(&self.board).states();
        self.files.forget();
        self.settled = Some(ageless(after.stamp()));
        let log = self.log();
        let confirmed = |quiet: Box<Quiet>| quiet.confirmed(log, after).map(Box::new);
        self.quiet = self.quiet.take().and_then(confirmed);
    }

    /// The log that its connection writes to.
    fn log(&self) -> Option<FileId> {
        self.guard.as_deref().and_then(Guard::log)
    }

    /// Whether nothing in memory gives its next turn something to do.
    pub(crate) fn is_calm(&self, tick: &Tick) -> bool {
        self.caution.is_calm() && self.refusals.is_empty(tick.monotonic)
    }

    /// Whether its next turn must not wait for the next pass.
    pub(crate) fn has_missed(&self) -> bool {
        self.missed.is_any()
    }

    /// Whether the files have changed since the last turn, or are no longer those that are open.
    pub(crate) fn has_changed(&self) -> bool {
        let files = self.files.of(&self.board);
        let is_other = |guard: &Guard| !guard.is_current(files);
        self.settled != Some(ageless(files.observe()))
            || self.guard.as_deref().is_some_and(is_other)
    }

    /// Whether its database is the same file as after the last turn, and shorter. A plain tick may never meet what is missing.
    pub(crate) fn has_shrunk(&self) -> bool {
        let before = self.settled.map(|stamp| stamp.main);
        match (before, self.observe().main) {
            (Some(FileState::Present(before)), FileState::Present(now)) => {
                before.ino == now.ino && now.len < before.len
            }
            _ => false,
        }
    }

    pub(crate) fn succeeded(&mut self, now: i64, report: &BoardReport) {
        self.last_known = LastKnown {
            at: Some(now),
            ready: report.ready,
            running: report.running,
            held: report.held.clone(),
        };
        let waits = report.held.get(&HeldReason::HostCap);
        self.waits = waits.copied().unwrap_or_default();
        self.failure = None;
        self.since = None;
    }

    /// Whether its last turn failed, and with this.
    pub(super) fn failed_with(&self, class: Class) -> bool {
        let failure = self.failure.as_ref();
        failure.is_some_and(|failure| failure.class == class)
    }

    pub(crate) fn failed(&mut self, now: i64, failure: BoardFailure) {
        self.waits = 0;
        self.since.get_or_insert(now);
        self.failure = Some(failure);
    }
}

/// A stamp without whether the files were young at the time of the look: that is not about the files.
pub(crate) fn ageless(mut stamp: SqliteStamp) -> SqliteStamp {
    if let FileState::Present(main) = &mut stamp.main {
        main.young = false;
    }
    if let Some(wal) = &mut stamp.wal {
        wal.young = false;
    }
    stamp
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::clock::Clock;
    use crate::config::Config;
    use crate::error::{Error, ErrorKind};
    use crate::resilience::{Next, classify, failure};
    use crate::root::{Root, Slug};

    #[test]
    fn a_board_that_works_again_keeps_no_place_in_the_policies() -> std::io::Result<()> {
        let dir = tempfile::tempdir()?;
        let clock = Clock::manual(0);
        let policies = Resilience::new(&Config::default(), &clock);
        let mut state = BoardState::new(Root::at(dir.path()).board(&Slug::default()));
        assert!(state.trouble().is_none());
        let board = state.board.clone();
        let error = Error::new(ErrorKind::Busy, "try");
        let failure = failure(&error, &classify(&board, &error));
        for _ in 0..2 {
            policies.log_failure(state.handles(&policies), &board, &failure, Next::Tick);
        }
        state.works(&policies);
        assert!(state.trouble().is_some(), "one is still to be told");
        // Which keeps no entry of the throttle.
        for _ in 0..2 {
            clock.advance(Duration::from_secs(3600));
            policies.sweep();
        }
        assert_eq!(policies.totals().evicted, 1);
        state.works(&policies);
        assert!(state.trouble().is_none());
        Ok(())
    }

    #[test]
    fn a_file_that_only_grows_older_was_left_alone() -> std::io::Result<()> {
        let dir = tempfile::tempdir()?;
        let board = Root::at(dir.path()).board(&Slug::default());
        fs::write(board.db(), "a board")?;
        let state = BoardState::new(board);
        let mut before = state.observe();
        // As when it is looked at in the step of the clock in which it was written, and the attempt takes longer than that.
        if let FileState::Present(main) = &mut before.main {
            main.young = true;
        }
        while state.observe().is_young() {
            std::thread::yield_now();
        }
        assert_ne!(state.observe(), before);
        assert_eq!(state.left(&before), before);
        fs::write(state.board.db(), "another board")?;
        assert_ne!(state.left(&before), before);
        Ok(())
    }
}
