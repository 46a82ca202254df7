//! The story, in one straight line: the fleet at work, five faults, work around them, five cures, the rest of the work.

use std::fs;
use std::time::Duration;

use kanban_dispatcher::{Clock, Health, Outcome};

use super::fleet::{DAMAGED, DRIFTED, Fleet, HELD_TICKS, LOCKED, LOST, REMOVED};
use super::screen::{Kind, Screen};
use super::seen::Seen;
use super::watch::Watch;
use super::{Mishap, faults};

/// No single step takes longer than this, even on a busy machine.
const STEP_MAX: Duration = Duration::from_secs(15);

/// Who takes part.
#[derive(Debug)]
pub(super) struct Story<'a> {
    fleet: &'a Fleet,
    watch: &'a Watch,
    screen: &'a Screen,
    clock: &'a Clock,
    limit: Duration,
    told: Told,
}

/// What the story itself knows at the end.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Steps that were waited for in vain.
    pub(super) in_vain: Vec<&'static str>,
    /// Errands given to sound boards while the faults were there, and how many of them were done before the first cure.
    pub(super) errands: usize,
    pub(super) errands_done: usize,
}

// ===== impl Story =====

impl<'a> Story<'a> {
    pub(super) fn new(
        fleet: &'a Fleet,
        watch: &'a Watch,
        screen: &'a Screen,
        clock: &'a Clock,
        limit: Duration,
    ) -> Self {
        Self {
            fleet,
            watch,
            screen,
            clock,
            limit,
            told: Told::default(),
        }
    }

    /// Tells it to its end, or until its time is over.
    pub(super) fn tell(mut self) -> Result<Told, Mishap> {
        match self.go_on() {
            Ok(()) => {}
            Err(_) if self.clock.monotonic() >= self.limit => {
                self.screen.story("the time is over");
                self.told.in_vain.push("the end of the story");
            }
            Err(error) => return Err(error),
        }
        Ok(self.told)
    }

    fn go_on(&mut self) -> Result<(), Mishap> {
        let (fleet, screen) = (self.fleet, self.screen);
        let db = |name| fleet.board(name).db().to_owned();

        screen.story(
            "twelve boards, each with its tasks; shell workers report with `kanban complete`",
        );
        let troubled = [DRIFTED, LOST, LOCKED, DAMAGED, REMOVED];
        self.until("the long jobs to be under way", |seen| {
            troubled
                .iter()
                .all(|name| seen.board(name).is_at_the_long_job())
        })?;

        screen.story("everything goes wrong at once, with a worker at work on each of the boards");
        let lock = faults::lock(&db(LOCKED))?;
        self.fault(
            LOCKED,
            "another process holds its write lock; then a worker dies, and that cannot be recorded",
        );
        fleet.let_go(LOCKED)?;
        self.until("the locked board to be found busy", |seen| {
            seen.board(LOCKED).busy > 0
        })?;
        self.errands()?;

        self.fault(DRIFTED, "column tasks.block_kind is dropped");
        faults::run_sql(&db(DRIFTED), "ALTER TABLE tasks DROP COLUMN block_kind")?;
        self.until("the repair", |seen| {
            !seen.board(DRIFTED).repaired.is_empty()
        })?;
        fleet.let_go(DRIFTED)?;
        self.errands()?;

        self.fault(
            LOST,
            "column tasks.priority is renamed away; a new one would be empty",
        );
        faults::run_sql(
            &db(LOST),
            "ALTER TABLE tasks RENAME COLUMN priority TO rank",
        )?;
        self.until("the hold of the board that lost a column", |seen| {
            seen.board(LOST).holds > 0
        })?;
        self.errands()?;

        let copy = fleet.path("sound-copy.db");
        faults::copy(&db(DAMAGED), &copy)?;
        self.fault(DAMAGED, "garbage is written over its pages");
        faults::scribble(&db(DAMAGED))?;
        self.until("the hold of the damaged board", |seen| {
            seen.board(DAMAGED).holds > 0
        })?;
        self.errands()?;

        self.fault(REMOVED, "its directory is moved away");
        fs::rename(fleet.board(REMOVED).dir(), fleet.moved_away())?;
        self.until("the removal to be noticed", |seen| !seen.is_served(REMOVED))?;
        self.errands()?;

        self.until("ticks that leave the held boards alone", |seen| {
            [LOST, DAMAGED]
                .iter()
                .all(|name| seen.board(name).held > HELD_TICKS)
        })?;

        screen.story("the causes are mended; nobody tells the dispatcher");
        self.cure(LOCKED, "the lock is released");
        lock.release()?;
        self.cure(LOST, "the column gets its name back");
        faults::run_sql(
            &db(LOST),
            "ALTER TABLE tasks RENAME COLUMN rank TO priority",
        )?;
        self.cure(DAMAGED, "a sound copy is moved into its place");
        faults::replace(&db(DAMAGED), &copy)?;
        self.until("all boards to work again", |seen| {
            Fleet::lasting().all(|name| seen.board(name).outcome == Some(Outcome::Ticked))
        })?;

        screen.story("the long jobs go on; everything gets done");
        for name in [LOST, DAMAGED] {
            fleet.let_go(name)?;
        }
        self.until("the last task", |_| {
            fleet.unfinished().is_ok_and(|count| count == 0)
        })?;
        self.until("`kanban status` to be green", |_| {
            fleet
                .status()
                .is_ok_and(|status| status.health() == Health::Healthy)
        })?;
        self.until("the last worker to end", |seen| seen.workers == 0)
    }

    /// The others go on: one errand for each sound board, waited for.
    fn errands(&mut self) -> Result<(), Mishap> {
        let (fleet, began) = (self.fleet, self.clock.monotonic());
        let mut open = fleet.add_errands()?;
        let given = open.len();
        let in_time = self.until("the errands", |_| {
            open.retain(|(board, task)| !fleet.is_done(board, task));
            open.is_empty()
        });
        let done = given - open.len();
        self.told.errands += given;
        self.told.errands_done += done;
        let took = self.clock.monotonic() - began;
        let text = format!(
            "meanwhile on the sound boards: {done} of {given} new tasks done in {took:.1?}"
        );
        self.screen.event(Kind::Work, "", &text);
        in_time
    }

    /// Waits for a step. One that does not come in time is noted, and the story goes on; without time left it ends.
    fn until(
        &mut self,
        what: &'static str,
        is_so: impl FnMut(&Seen) -> bool,
    ) -> Result<(), Mishap> {
        let step_limit = self.clock.monotonic() + STEP_MAX;
        if !self.watch.until(self.limit.min(step_limit), is_so) {
            self.screen.story(&format!("waited in vain for {what}"));
            self.told.in_vain.push(what);
        }
        if self.clock.monotonic() >= self.limit {
            return Err("the time is over".into());
        }
        Ok(())
    }

    fn fault(&self, board: &str, text: &str) {
        self.screen.event(Kind::Fault, board, text);
    }

    fn cure(&self, board: &str, text: &str) {
        self.screen.event(Kind::Cure, board, text);
    }
}
