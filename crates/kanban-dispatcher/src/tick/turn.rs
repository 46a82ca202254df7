//! The frame of one board's turn: admit -> lock -> visit -> (repair once, visit again) -> settle.

use std::path::PathBuf;

use error_classify::Class;
use fingerprint_quarantine::{Admission, Reason, SqliteStamp};

use super::mend::Mended;
use super::outcome::{absent, fail, held_report, locked_elsewhere, log_no_worker, log_work};
use super::quiet::{COMMIT, Quiet, Rest};
use super::state::BoardState;
use super::{Tick, damage, mend, visit};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::lock::FileLock;
use crate::report::{BoardReport, Outcome};
use crate::resilience::{self, Handles, Reaction};
use crate::root::Slug;
use crate::view::HeldReason;

type Attempt<'q> = fingerprint_quarantine::Attempt<'q, Slug, SqliteStamp, Clock>;

/// Runs one board's turn. Whatever happens, it ends with one outcome.
pub(crate) fn tick_board(tick: &Tick, state: &mut BoardState) -> BoardReport {
    let site = &*tick.site;
    let slug = state.board.slug().clone();
    state.begin_turn();
    // Before the attempt: what changes during it must count as a change.
    let stamp = state.observe();
    if stamp.is_absent() {
        let report = absent(tick, state);
        if !state.was_seen && !site.workers.has_any(&slug) {
            state.quiet = Some(Box::new(Quiet::absent(stamp)));
        }
        return report;
    }
    let quarantine = state.trouble().map(Handles::quarantine);
    let admission = match &quarantine {
        Some(handle) => handle.admit_stamped(stamp),
        // Nothing is on record of it, and little is asked to say so.
        None => site.resilience.quarantine.admit_stamped(&slug, stamp),
    };
    let attempt = match admission {
        Admission::Go(attempt) => attempt,
        Admission::Held(held) => {
            state.quiet = Some(Box::new(Quiet::held(stamp, &held, tick.monotonic)));
            return held_report(state, held.retry_in);
        }
        Admission::Probing => return BoardReport::new(&slug, Outcome::Busy),
    };
    let lock = match tick_lock(state) {
        Ok(Some(lock)) => lock,
        Ok(None) => return locked_elsewhere(tick, state),
        Err(error) => {
            let report = BoardReport::new(&slug, Outcome::Failed);
            return fail(tick, state, &error, None, report);
        }
    };
    state.locked_since = None;
    if attempt.why() != Reason::New {
        state.caution.returns();
        // A plain turn may never meet what a look through the file has found.
        state.must_check |= state.failed_with(Class::Corrupt);
    }
    let mut turn = Turn {
        tick,
        attempt,
        before: stamp,
        report: BoardReport::new(&slug, Outcome::Ticked),
    };
    let is_checked = !stamp.is_empty_file() && damage::is_check_due(tick, state);
    let mut result = turn.begin(state, is_checked);
    if let Err(error) = result {
        if tick.is_early && stamp.is_young() && is_lasting(state, &error) {
            // Called by a write of this moment, of which more may follow: the next pass judges what has become of it.
            state.close(site);
            state.must_check |= is_checked;
            turn.report.outcome = Outcome::Busy;
            return turn.report;
        }
        result = turn.react(state, error);
    }
    let mut has_seen_all = true;
    if matches!(&result, Err(error) if is_hold(state, error)) {
        // What mends it may be committed and not yet shown, and then no file would change any more.
        let busy_timeout = tick.config.busy_timeout_ms;
        match state.is_lull(busy_timeout.min(COMMIT), busy_timeout) {
            Some(true) => {}
            Some(false) => result = turn.visit(state),
            None => has_seen_all = !state.has_missed(),
        }
    }
    drop(lock);
    match result {
        Ok(rest) => turn.succeed(state, rest),
        Err(error) => turn.fail(state, &error, has_seen_all),
    }
}

/// A turn that the quarantine and the lock have let through.
struct Turn<'t> {
    tick: &'t Tick,
    attempt: Attempt<'t>,
    /// What the files looked like before all that is judged.
    before: SqliteStamp,
    report: BoardReport,
}

// ===== impl Turn =====

impl Turn<'_> {
    fn begin(&mut self, state: &mut BoardState, is_checked: bool) -> Result<Rest, Error> {
        if self.before.is_empty_file() {
            // Not even opened: SQLite would delete a log that lies beside it, which may be all that is left.
            state.close(&self.tick.site);
            return Err(Error::emptied(state.board.db()));
        }
        if is_checked {
            damage::check(self.tick, state)?;
        }
        match self.visit(state)? {
            // That may be what this turn is for, and nothing will tell of it again.
            Rest::Overtaken => self.visit(state),
            rest => Ok(rest),
        }
    }

    fn visit(&mut self, state: &mut BoardState) -> Result<Rest, Error> {
        visit(self.tick, state, &mut self.report)
    }

    /// The one repair, or the one reopening, that an error may lead to; and then one more visit.
    fn react(&mut self, state: &mut BoardState, error: Error) -> Result<Rest, Error> {
        let verdict = resilience::classify(&state.board, &error);
        let mended = match (resilience::reaction(&verdict), verdict.class()) {
            (Reaction::Reopen, _) => {
                state.close(&self.tick.site);
                return self.visit(state);
            }
            (Reaction::Repair, _) => mend::repair_schema(self.tick, state)?,
            (Reaction::Hold, Class::Corrupt) => damage::repair(self.tick, state, &error)?,
            (Reaction::Hold | Reaction::Leave, _) => return Err(error),
        };
        match mended {
            Mended::Repaired(made) => {
                self.report.repaired = made;
                // The repair wrote: what follows is judged by the file as it left it.
                self.before = state.observe();
                self.attempt.restamp(self.before);
                self.visit(state)
            }
            // Another program was quicker, or it is no drift of ours: what is there now decides.
            Mended::Complete => self.visit(state),
            Mended::NotNeeded | Mended::Spent => Err(error),
        }
    }

    fn succeed(self, state: &mut BoardState, rest: Rest) -> BoardReport {
        let (tick, report) = (self.tick, self.report);
        let ended = self.attempt.ok();
        let has_worker = !report.held.contains_key(&HeldReason::NoWorker);
        if has_worker && state.trouble().is_some() {
            let resilience = &tick.site.resilience;
            resilience.log_success(&report.slug, ended.is_some());
            state.works(resilience);
        }
        log_work(tick.number, &report);
        log_no_worker(tick, state, &report);
        state.succeeded(tick.now, &report);
        state.quiet = Quiet::after(rest, self.before, state, &report).map(Box::new);
        report
    }

    fn fail(self, state: &mut BoardState, error: &Error, has_seen_all: bool) -> BoardReport {
        let site = &*self.tick.site;
        if resilience::classify(&state.board, error).class() == Class::ReadOnly {
            // Opened when it could not be written, and so for good: the next turn opens it anew.
            state.close(site);
        }
        let is_hold = has_seen_all && is_hold(state, error);
        let held = is_hold.then(|| {
            state.close(site);
            let hold = resilience::hold(&self.tick.config.quarantine);
            self.attempt.failed(&hold, |before| state.left(before))
        });
        if held.is_none() && is_damage(state, error) {
            // One read came back wrong. The page may still be in the connection's memory, and is not read again from there.
            state.close(site);
        }
        fail(self.tick, state, error, held.as_ref(), self.report)
    }
}

/// Whether an error is about the file as it is, and not about this moment.
fn is_lasting(state: &BoardState, error: &Error) -> bool {
    let verdict = resilience::classify(&state.board, error);
    matches!(
        resilience::reaction(&verdict),
        Reaction::Repair | Reaction::Hold
    )
}

/// Whether an error speaks of damage, confirmed or not.
fn is_damage(state: &BoardState, error: &Error) -> bool {
    resilience::classify(&state.board, error).class() == Class::Corrupt
}

/// Whether a failure puts its board on hold. Damage does when it is confirmed; the next tick asks again about what is not.
fn is_hold(state: &BoardState, error: &Error) -> bool {
    let verdict = resilience::classify(&state.board, error);
    match resilience::reaction(&verdict) {
        Reaction::Hold if verdict.class() == Class::Corrupt => error.kind() == ErrorKind::Damaged,
        // A repair that was allowed has been tried by now.
        Reaction::Hold | Reaction::Repair => true,
        Reaction::Reopen | Reaction::Leave => false,
    }
}

/// The lock under which a board is ticked, by whatever program. `None`: another program is at it.
fn tick_lock(state: &BoardState) -> Result<Option<FileLock>, Error> {
    let path: PathBuf = state.board.tick_lock();
    FileLock::try_acquire(&path).map_err(|error| {
        // Fails closed: without the lock the board is not touched.
        Error::io(format!("take the tick lock {}", path.display()), error).on(state.board.slug())
    })
}
