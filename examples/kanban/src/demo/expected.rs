//! What the verdict expects: order and counts, never milliseconds.

use kanban_dispatcher::Status;

use super::fleet::{DAMAGED, DRIFTED, HELD_TICKS, LOCKED, LOST, REMOVED, SOUND, WINDOW};
use super::found::Found;
use super::story::Told;
use super::verdict::Verdict;

/// Something that has to be so, and whether it is.
pub(super) type Expectation = (bool, String);

impl Verdict<'_> {
    pub(super) fn of_the_work(&self, found: &Found) -> Vec<Expectation> {
        let Found {
            tasks,
            done,
            not_once,
            too_early,
            retried,
            ..
        } = found;
        let Told {
            in_vain,
            errands,
            errands_done,
        } = self.told;
        let is_undisturbed = |name| {
            let tally = self.seen.board(name);
            tally.held == 0 && tally.broken == 0
        };
        vec![
            (
                in_vain.is_empty(),
                named("every step of the story came in time", in_vain),
            ),
            (
                done == tasks && *tasks > 0,
                "every task of every board that is there is done".to_owned(),
            ),
            (
                not_once.is_empty(),
                named("every task was done exactly once", not_once),
            ),
            (
                too_early.is_empty(),
                named("no task started before its parents were done", too_early),
            ),
            (
                *retried == ["crashed, completed"; 2],
                named("two tasks failed once and were tried once more", retried),
            ),
            (
                *errands > 0 && errands == errands_done,
                format!(
                    "{errands_done} of {errands} errands were done on the sound boards while the others were in trouble"
                ),
            ),
            (
                SOUND.into_iter().all(is_undisturbed),
                "no sound board was ever held or failed".to_owned(),
            ),
        ]
    }

    pub(super) fn of_the_troubled(&self, status: &Status) -> Vec<Expectation> {
        let attempts = |name| {
            let board = status.boards.iter().find(|board| board.slug == name);
            board.map_or(0, |board| board.repair_attempts)
        };
        let [drifted, lost, locked, damaged] =
            [DRIFTED, LOST, LOCKED, DAMAGED].map(|name| self.seen.board(name));
        let elsewhere = [LOCKED, DAMAGED].into_iter().chain(SOUND);
        vec![
            (
                drifted.repaired == ["column tasks.block_kind"] && attempts(DRIFTED) == 1,
                format!("{DRIFTED}: repaired with the first attempt"),
            ),
            (
                drifted.held + drifted.broken == 0,
                format!("{DRIFTED}: repaired in the tick that found the drift"),
            ),
            (
                lost.holds == 1 && lost.held > HELD_TICKS && attempts(LOST) == 1,
                format!(
                    "{LOST}: one attempt, then left alone for {} ticks",
                    lost.held
                ),
            ),
            (
                damaged.holds == 1 && damaged.held > HELD_TICKS,
                format!("{DAMAGED}: left alone for {} ticks", damaged.held),
            ),
            (
                lost.releases == 1 && damaged.releases == 1,
                format!("{LOST}, {DAMAGED}: came back when their files had changed"),
            ),
            (
                locked.busy > 1 && locked.held + locked.broken == 0,
                format!("{LOCKED}: busy for {} ticks, never held", locked.busy),
            ),
            (
                elsewhere.into_iter().all(|name| attempts(name) == 0),
                "no other board was repaired".to_owned(),
            ),
            (
                !self.fleet.board(REMOVED).dir().exists() && !self.seen.is_served(REMOVED),
                format!("{REMOVED}: its directory was not made again"),
            ),
        ]
    }

    pub(super) fn of_the_rest(&self, found: &Found) -> Vec<Expectation> {
        let totals = self.dispatcher.log_totals();
        let lines = self.log.lines();
        let most = lines.values().copied().max().unwrap_or(0);
        let windows = self.took.as_millis() / WINDOW.as_millis() + 1;
        vec![
            (
                most > 0 && u128::from(most) <= windows,
                format!(
                    "at most {most} lines for one board and class in {windows} windows of {WINDOW:?}"
                ),
            ),
            (
                totals.is_conserved() && totals.pending == 0 && totals.reported > 0,
                format!(
                    "{} lines were held back, and a later line tells each of them",
                    totals.reported
                ),
            ),
            (
                found.damaged.is_empty(),
                named(
                    "all twelve files pass integrity_check, the removed one too",
                    &found.damaged,
                ),
            ),
            (
                self.dispatcher.workers_alive() == 0,
                "no worker is left behind".to_owned(),
            ),
        ]
    }
}

/// A sentence, and the first few names behind it.
fn named<S: AsRef<str>>(what: &str, names: &[S]) -> String {
    const SHOWN: usize = 4;
    if names.is_empty() {
        return what.to_owned();
    }
    let shown: Vec<&str> = names.iter().take(SHOWN).map(AsRef::as_ref).collect();
    let more = match names.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!("; {more} more"),
    };
    format!("{what} ({}{more})", shown.join("; "))
}
