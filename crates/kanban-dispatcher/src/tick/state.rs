//! What is kept about one board between ticks.

use std::sync::atomic::Ordering;
use std::time::Duration;

use fingerprint_quarantine::{FileState, SqliteFiles, SqliteStamp};
use rusqlite::{Connection, ErrorCode};

use super::Tick;
use super::caution::Caution;
use super::quiet::{COMMIT, Quiet};
use super::refusals::Refusals;
use crate::board::{Look, is_lull, open_existing};
use crate::error::Error;
use crate::evidence::Copy;
use crate::ledger::whose::{Found, Whose};
use crate::report::{BoardFailure, BoardReport};
use crate::root::Board;
use crate::site::Site;
use crate::view::{HeldCounts, HeldReason, View};

/// So many kept connections may keep their statements as well.
const MANY: usize = 32;

/// A turn that came in the middle of a commit is had again before the next pass, but not for ever.
const UNSURE_TURNS: u32 = 4;

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
    refusals: Refusals,
    files: SqliteFiles,
    /// The files' stamp after the last turn.
    settled: Option<SqliteStamp>,
    /// Whether it needs no turn, as the last one has shown.
    pub(crate) quiet: Option<Box<Quiet>>,
    /// So many turns in a row could not tell whether they had seen all, because somebody was about to commit.
    unsure: u32,
    /// The last one was one of them.
    is_unsure: bool,
    /// Somebody has committed while the last turn was under way: it has not seen that, and nothing will tell of it again.
    is_overtaken: bool,
    /// Kept open between ticks: the cached connection, and the guard that keeps a peer from unlinking the WAL under another.
    guard: Option<Box<Guard>>,
}

/// A board's counts, and when they were taken (unix seconds).
#[derive(Debug, Default, Clone)]
pub(crate) struct LastKnown {
    pub(crate) at: Option<i64>,
    pub(crate) ready: u32,
    pub(crate) running: u32,
    pub(crate) held: HeldCounts,
}

#[derive(Debug)]
struct Guard {
    db: Connection,
    /// At the time of opening.
    file: FileId,
    /// The log; `None` before the first read.
    wal: Option<FileId>,
    /// SQLite's count of what others had committed when the board was last read.
    seen: Option<i64>,
    /// Nothing has been asked of it since it was opened but once.
    is_fresh: bool,
    /// The schema's version when it was last found complete.
    complete_at: Option<i64>,
}

/// Which file it is, whatever is in it: device and inode, zeros for none.
pub(super) type FileId = (u64, u64);

/// What is on a board whose schema is complete, and the schema's version; it is known to be at `complete_at`.
fn whole(look: Look<'_>, complete_at: Option<i64>) -> Result<(i64, rusqlite::Result<View>), Error> {
    let version = look.schema_version()?;
    if complete_at != Some(version) {
        let lacks = look.drift()?;
        if !lacks.is_empty() {
            return Err(Error::drift(&lacks));
        }
    }
    Ok((version, look.view()))
}

// ===== impl BoardState =====

impl BoardState {
    pub(crate) fn new(board: Board) -> Self {
        let files = SqliteFiles::new(board.db());
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
            risk: None,
            room: 0,
            waits: 0,
            last_served: 0,
            last_turn: 0,
            settled: None,
            quiet: None,
            unsure: 0,
            is_unsure: false,
            is_overtaken: false,
            refusals: Refusals::default(),
            files,
            guard: None,
        }
    }

    /// A tick begins, at the interval or in between.
    pub(crate) fn begin_tick(&mut self, is_early: bool) {
        // If it is a link, it may lead elsewhere by now.
        self.files = SqliteFiles::new(self.board.db());
        self.caution.begin_tick();
        (self.is_overtaken, self.is_unsure) = (false, false);
        if !is_early {
            self.refusals.begin_interval();
        }
    }

    /// A turn begins: nothing has been shown by it.
    pub(crate) fn begin_turn(&mut self) {
        self.quiet = None;
        if let Some(guard) = &mut self.guard {
            guard.seen = None;
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
        self.files.observe()
    }

    /// What an attempt leaves that began with this stamp: the same one, if nothing but the files' age has changed since.
    pub(crate) fn left(&self, before: SqliteStamp) -> SqliteStamp {
        let after = self.observe();
        match ageless(after) == ageless(before) {
            true => before,
            false => after,
        }
    }

    fn ageless(&self) -> SqliteStamp {
        ageless(self.observe())
    }

    /// The files' stamp as text.
    pub(crate) fn stamp_text(&self) -> String {
        format!("{:?}", self.ageless())
    }

    /// A turn is over: what is found changed from now on was changed by others.
    pub(crate) fn settle(&mut self) {
        let after = self.files.states();
        self.settled = Some(ageless(after.stamp()));
        let quiet = self.quiet.take();
        self.quiet = quiet
            .and_then(|quiet| quiet.confirmed(self.log(), after))
            .map(Box::new);
    }

    /// The log that the kept connection writes to.
    fn log(&self) -> Option<FileId> {
        self.guard.as_ref()?.wal
    }

    /// Whether nothing in memory gives its next turn something to do.
    pub(crate) fn is_calm(&self, tick: &Tick) -> bool {
        self.caution.is_calm() && self.refusals.is_empty(tick.monotonic)
    }

    /// Whether the files have changed since the last turn.
    pub(crate) fn has_changed(&self) -> bool {
        let now = self.files.states();
        let is_other = |log| log != file_id(now.wal);
        self.settled != Some(ageless(now.stamp())) || self.log().is_some_and(is_other)
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

    /// Which file is at the board's path now; zeros for none.
    pub(super) fn file_id(&self) -> FileId {
        file_id(FileState::of(self.board.db()))
    }

    /// What is on the board, and its connection, opened if need be, on a file whose schema is complete. All in one read transaction.
    ///
    /// # Errors
    /// [`ErrorKind::Drift`](crate::ErrorKind::Drift) when the schema lacks something, and
    /// [`ErrorKind::Newer`](crate::ErrorKind::Newer) when it is of a later version.
    pub(crate) fn look(
        &mut self,
        tick: &Tick,
    ) -> Result<(View, &mut Connection, &mut Refusals, &mut Caution), Error> {
        let complete_at = self.guard.as_ref().and_then(|guard| guard.complete_at);
        let look = Look::begin(self.open_unchecked(tick)?)?;
        let seen = look.data_version()?;
        let found = whole(look, complete_at);
        let guard = self.guard.as_mut().expect("opened above");
        guard.seen = Some(seen);
        let (version, view) = found?;
        self.was_seen = true;
        let wal = file_id(FileState::of(self.files.wal()));
        guard.complete_at = Some(version);
        // Known from the first read on, which makes it.
        guard.wal.get_or_insert(wal);
        Ok((view?, &mut guard.db, &mut self.refusals, &mut self.caution))
    }

    /// The board's connection, whatever the file's schema.
    pub(crate) fn open_unchecked(&mut self, tick: &Tick) -> Result<&mut Connection, Error> {
        let file = self.file_id();
        let wal = file_id(FileState::of(self.files.wal()));
        // Also a log that was deleted or replaced under us: what we wrote to it, nobody else would ever see.
        let is_current =
            |guard: &Guard| guard.file == file && guard.wal.is_none_or(|known| known == wal);
        if self.guard.as_ref().is_some_and(|guard| !is_current(guard)) {
            tracing::info!(board = %self.board.slug(), "board files were replaced: opened anew");
            self.close(&tick.site);
        }
        if self.guard.is_none() {
            let db = open_existing(self.board.db(), tick.config.busy_timeout_ms)?;
            tick.site.guards.fetch_add(1, Ordering::Relaxed);
            self.guard = Some(Box::new(Guard {
                db,
                file,
                wal: None,
                seen: None,
                is_fresh: true,
                complete_at: None,
            }));
        }
        Ok(&mut self.guard.as_mut().expect("just opened").db)
    }

    /// Whether nobody has committed since the board was read; `None` if that cannot be told within `wait`.
    pub(crate) fn is_lull(&mut self, wait: Duration, busy_timeout: Duration) -> Option<bool> {
        let guard = self.guard.as_mut()?;
        let found = is_lull(&mut guard.db, guard.seen?, wait);
        let is_busy = matches!(&found, Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy));
        self.unsure = if is_busy { self.unsure + 1 } else { 0 };
        self.is_unsure = is_busy;
        self.is_overtaken = matches!(found, Ok(false));
        guard.db.busy_timeout(busy_timeout).and(found).ok()
    }

    /// Whether what this turn has found wrong is all there is: nobody has committed since it looked, or is about to. One that only keeps
    /// the lock is not waited for again and again; and of a file that could not be read at all nothing is known.
    pub(crate) fn has_seen_all(&mut self, tick: &Tick) -> bool {
        let busy_timeout = tick.config.busy_timeout_ms;
        self.is_lull(busy_timeout.min(COMMIT), busy_timeout);
        !self.has_missed()
    }

    /// Whether its next turn must not wait for the next pass. After some turns of somebody who only keeps the lock it must.
    pub(crate) fn has_missed(&self) -> bool {
        self.is_overtaken || (self.is_unsure && self.unsure <= UNSURE_TURNS)
    }

    pub(crate) fn close(&mut self, site: &Site) {
        if self.guard.take().is_some() {
            site.guards.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Closes the connection if there are more than the settings allow. One that is kept gives its pages back; among many also what it
    /// has prepared, which is half of the rest, after its first turn: a board that has a second one has changed, and may again.
    pub(crate) fn close_surplus(&mut self, tick: &Tick, is_expected: bool) {
        let most = tick.site.guards_max(&tick.config);
        // Counted and given up in one step: lanes that look at the same moment must not both give way for one too many.
        let give_up = |open: usize| (open > most).then(|| open - 1);
        let (set, get) = (Ordering::Relaxed, Ordering::Relaxed);
        if self.guard.is_some() && tick.site.guards.fetch_update(set, get, give_up).is_ok() {
            self.guard = None;
        } else if let Some(guard) = &mut self.guard {
            let open = tick.site.guards.load(Ordering::Relaxed);
            if std::mem::take(&mut guard.is_fresh) && open > MANY && !is_expected {
                guard.db.flush_prepared_statement_cache();
            }
            // Up to 2 MiB of pages, which the next write by anybody else makes worthless; the system's cache has them anyway.
            let _ = guard.db.release_memory();
        }
    }

    /// Whether its connection is kept open between ticks.
    pub(crate) fn is_guarded(&self) -> bool {
        self.guard.is_some()
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

    pub(crate) fn failed(&mut self, now: i64, failure: BoardFailure) {
        self.waits = 0;
        self.since.get_or_insert(now);
        self.failure = Some(failure);
    }
}

/// A stamp without whether the files were young at the time of the look: that is not about the files.
fn ageless(mut stamp: SqliteStamp) -> SqliteStamp {
    if let FileState::Present(main) = &mut stamp.main {
        main.young = false;
    }
    if let Some(wal) = &mut stamp.wal {
        wal.young = false;
    }
    stamp
}

pub(super) fn file_id(state: FileState) -> FileId {
    state.stamp().map_or((0, 0), |file| (file.dev, file.ino))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::root::{Root, Slug};

    #[test]
    fn only_the_last_turn_says_that_another_one_is_wanted_soon() {
        let mut state = BoardState::new(Root::at("/nowhere").board(&Slug::default()));
        for unsure in 1..=UNSURE_TURNS {
            (state.unsure, state.is_unsure) = (unsure, true);
            assert!(state.has_missed());
            // The tick lock is another program's, and the turn ends before anything is asked.
            state.begin_tick(true);
            assert!(!state.has_missed());
        }
        (state.unsure, state.is_unsure) = (UNSURE_TURNS + 1, true);
        assert!(!state.has_missed(), "somebody only keeps the lock");
        (state.unsure, state.is_unsure, state.is_overtaken) = (0, false, true);
        assert!(state.has_missed());
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
        assert_eq!(state.left(before), before);
        fs::write(state.board.db(), "another board")?;
        assert_ne!(state.left(before), before);
        Ok(())
    }
}
