//! A board's connection, kept open between ticks: for the next turn, and to keep a peer from unlinking the log under another.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fingerprint_quarantine::{FileState, SqliteFiles};
use rusqlite::Connection;

use super::Tick;
use super::caution::Caution;
use super::refusals::Refusals;
use super::state::BoardState;
use crate::board::{Look, is_lull, open_existing};
use crate::error::Error;
use crate::site::Site;
use crate::view::View;

/// So many kept connections may keep their statements as well.
const MANY: usize = 32;

#[derive(Debug)]
pub(super) struct Guard {
    db: Connection,
    /// At the time of opening.
    file: FileId,
    /// What lay beside it then.
    before: Sidecars,
    /// The log and its index in shared memory; `None` before the first read, which makes them.
    sidecars: Option<Sidecars>,
    /// SQLite's count of what others had committed when the board was last read in this turn.
    seen: Option<i64>,
    /// Nothing has been asked of it since it was opened but once.
    is_fresh: bool,
    /// The schema's version when it was last found complete.
    complete_at: Option<i64>,
}

/// Which file it is, whatever is in it: device and inode, zeros for none.
pub(super) type FileId = (u64, u64);

pub(super) fn file_id(state: FileState) -> FileId {
    state.stamp().map_or((0, 0), |file| (file.dev, file.ino))
}

/// What lies beside a database that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sidecars {
    log: FileId,
    index: FileId,
}

// ===== impl Sidecars =====

impl Sidecars {
    fn of(files: &SqliteFiles) -> Self {
        let mut index = files.wal().as_os_str().as_bytes().to_vec();
        index.truncate(index.len() - b"-wal".len());
        index.extend_from_slice(b"-shm");
        Self {
            log: file_id(FileState::of(files.wal())),
            index: file_id(FileState::of(Path::new(OsStr::from_bytes(&index)))),
        }
    }

    /// Those that a connection is on if its first read was made between these two looks. What was there before it can have been replaced
    /// meanwhile, and then nobody can tell on which one it is: the first is kept, which is not there any more.
    fn between(before: Self, after: Self) -> Self {
        let of = |before, after| if before == (0, 0) { after } else { before };
        Self {
            log: of(before.log, after.log),
            index: of(before.index, after.index),
        }
    }
}

// ===== impl Guard =====

impl Guard {
    fn open(files: &SqliteFiles, busy_timeout: Duration) -> Result<Self, Error> {
        // Before it is opened: a file that is replaced meanwhile is another one at the next look.
        let file = file_id(FileState::of(files.main()));
        let before = Sidecars::of(files);
        Ok(Self {
            db: open_existing(files.main(), busy_timeout)?,
            file,
            before,
            sidecars: None,
            seen: None,
            is_fresh: true,
            complete_at: None,
        })
    }

    pub(super) fn begin_turn(&mut self) {
        self.seen = None;
    }

    /// The log that it writes to.
    pub(super) fn log(&self) -> Option<FileId> {
        Some(self.sidecars?.log)
    }

    /// Whether it is on the files at the board's paths. With a log or an index that was deleted or replaced under us, we and the others
    /// would not see what either writes, nor each other's locks.
    pub(super) fn is_current(&self, files: &SqliteFiles) -> bool {
        self.file == file_id(FileState::of(files.main()))
            && self
                .sidecars
                .is_none_or(|known| known == Sidecars::of(files))
    }

    fn look(&mut self, files: &SqliteFiles) -> Result<View, Error> {
        let look = Look::begin(&self.db)?;
        self.seen = Some(look.data_version()?);
        let version = look.schema_version()?;
        if self.complete_at != Some(version) {
            let lacks = look.drift()?;
            if !lacks.is_empty() {
                return Err(Error::drift(&lacks));
            }
        }
        let view = look.view();
        self.complete_at = Some(version);
        self.sidecars
            .get_or_insert_with(|| Sidecars::between(self.before, Sidecars::of(files)));
        Ok(view?)
    }

    /// Gives its pages back, up to 2 MiB, which the next write by anybody else makes worthless; the system's cache has them anyway.
    /// After its first turn also what it has prepared, half of the rest, unless it `keeps_statements`: a board that has a second one
    /// has changed, and may again.
    fn give_back(&mut self, keeps_statements: bool) {
        if std::mem::take(&mut self.is_fresh) && !keeps_statements {
            self.db.flush_prepared_statement_cache();
        }
        let _ = self.db.release_memory();
    }
}

// ===== impl BoardState =====

impl BoardState {
    /// What is on the board, and its connection, opened if need be, on a file whose schema is complete. All in one read transaction.
    ///
    /// # Errors
    /// [`ErrorKind::Drift`](crate::ErrorKind::Drift) when the schema lacks something, and
    /// [`ErrorKind::Newer`](crate::ErrorKind::Newer) when it is of a later version.
    pub(super) fn look(
        &mut self,
        tick: &Tick,
    ) -> Result<(View, &mut Connection, &mut Refusals, &mut Caution), Error> {
        let mut view = self.read(tick)?;
        let is_other =
            |guard: &Guard| guard.is_fresh && !guard.is_current(self.files.of(&self.board));
        if self.guard.as_deref().is_some_and(is_other) {
            view = self.read(tick)?;
        }
        let guard = self.guard.as_mut().expect("just opened");
        // Also if there is no more to be read of it than that.
        self.was_seen |= guard.complete_at.is_some();
        Ok((view?, &mut guard.db, &mut self.refusals, &mut self.caution))
    }

    /// The outer error: it could not be opened.
    fn read(&mut self, tick: &Tick) -> Result<Result<View, Error>, Error> {
        self.open_unchecked(tick)?;
        let guard = self.guard.as_mut().expect("just opened");
        Ok(guard.look(self.files.of(&self.board)))
    }

    /// The board's connection, whatever the file's schema.
    pub(super) fn open_unchecked(&mut self, tick: &Tick) -> Result<&mut Connection, Error> {
        let is_other = |guard: &Guard| !guard.is_current(self.files.of(&self.board));
        if self.guard.as_deref().is_some_and(is_other) {
            tracing::info!(board = %self.board.slug(), "board files were replaced: opened anew");
            self.close(&tick.site);
        }
        if self.guard.is_none() {
            let guard = Guard::open(self.files.of(&self.board), tick.config.busy_timeout_ms)?;
            tick.site.guards.fetch_add(1, Ordering::Relaxed);
            self.guard = Some(Box::new(guard));
        }
        Ok(&mut self.guard.as_mut().expect("just opened").db)
    }

    /// Whether nobody has committed since the board was read; `None` if that cannot be told within `wait`.
    pub(super) fn is_lull(&mut self, wait: Duration, busy_timeout: Duration) -> Option<bool> {
        let guard = self.guard.as_mut()?;
        let found = is_lull(&mut guard.db, guard.seen?, wait);
        self.missed.note(&found);
        guard.db.busy_timeout(busy_timeout).and(found).ok()
    }

    pub(crate) fn close(&mut self, site: &Site) {
        if self.guard.take().is_some() {
            site.guards.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Closes the connection if there are more than the settings allow. Among many, one that is kept gives back what it can.
    pub(super) fn close_surplus(&mut self, tick: &Tick, is_expected: bool) {
        let most = tick.site.guards_max(&tick.config);
        // Counted and given up in one step: lanes that look at the same moment must not both give way for one too many.
        let give_up = |open: usize| (open > most).then(|| open - 1);
        let (set, get) = (Ordering::Relaxed, Ordering::Relaxed);
        if self.guard.is_some() && tick.site.guards.fetch_update(set, get, give_up).is_ok() {
            self.guard = None;
        } else if let Some(guard) = &mut self.guard {
            let open = tick.site.guards.load(Ordering::Relaxed);
            guard.give_back(is_expected || open <= MANY);
        }
    }

    /// Whether its connection is kept open between ticks.
    pub(crate) fn is_guarded(&self) -> bool {
        self.guard.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::path::PathBuf;

    use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

    use super::*;
    use crate::board::Store;
    use crate::clock::Clock;
    use crate::root::{Root, Slug};

    #[test]
    fn an_index_that_is_replaced_while_the_board_is_first_read_is_not_taken_for_its_own()
    -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let board = Root::at(dir.path()).board(&Slug::default());
        // It keeps the log and its index there.
        let other = Store::init(&board, &Clock::system())?;
        let files = SqliteFiles::new(board.db());
        let mut guard = Guard::open(&files, Duration::ZERO)?;
        let mut index = Some(PathBuf::from(format!("{}-shm", board.db().display())));
        assert!(index.as_ref().is_some_and(|index| index.exists()));
        guard.db.authorizer(Some(move |context: AuthContext<'_>| {
            let is_read = matches!(
                context.action,
                AuthAction::Read {
                    table_name: "tasks",
                    ..
                }
            );
            if let Some(index) = index.take_if(|_| is_read) {
                fs::remove_file(&index)
                    .and_then(|()| File::create(index))
                    .expect("another index");
            }
            Authorization::Allow
        }))?;
        guard.look(&files)?;
        assert!(!guard.is_current(&files));
        // Connections of one process share their index for as long as one of them is open.
        drop((other, guard));
        let mut guard = Guard::open(&files, Duration::ZERO)?;
        guard.look(&files)?;
        assert!(guard.is_current(&files));
        Ok(())
    }
}
