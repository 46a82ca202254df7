//! The verdict: what the boards, the ledger and the dispatcher say at the end, and whether that is what they have to say.

use std::time::Duration;

use kanban_dispatcher::{Dispatcher, Status};

use super::Mishap;
use super::fleet::Fleet;
use super::found::Found;
use super::log::Log;
use super::screen::Screen;
use super::seen::Seen;
use super::story::Told;

/// Everything a verdict is made of.
#[derive(Debug)]
pub(super) struct Verdict<'a> {
    pub(super) fleet: &'a Fleet,
    pub(super) seen: &'a Seen,
    pub(super) dispatcher: &'a Dispatcher,
    pub(super) log: &'a Log,
    pub(super) told: &'a Told,
    pub(super) took: Duration,
}

// ===== impl Verdict =====

impl Verdict<'_> {
    /// Prints the summary and every expectation; whether all of them held.
    pub(super) fn give(&self, screen: &Screen) -> Result<bool, Mishap> {
        let found = Found::read(self.fleet);
        let status = self.fleet.status()?;
        screen.print("\nSummary");
        for (name, text) in self.summary(&found, &status) {
            screen.print(&format!("  {name:<12} {text}"));
        }
        screen.print("\nExpectations");
        let mut expectations = self.of_the_work(&found);
        expectations.extend(self.of_the_troubled(&status));
        expectations.extend(self.of_the_rest(&found));
        for (held, what) in &expectations {
            screen.print(&format!("  {} {what}", screen.mark(*held)));
        }
        Ok(expectations.iter().all(|(held, _)| *held))
    }

    fn summary(&self, found: &Found, status: &Status) -> [(&'static str, String); 7] {
        let totals = self.dispatcher.log_totals();
        let (failures, written) = (totals.observed, totals.permitted);
        let held_back = failures - written;
        let tallies = || Fleet::lasting().map(|name| self.seen.board(name));
        let holds: u32 = tallies().map(|tally| tally.holds).sum();
        let releases: u32 = tallies().map(|tally| tally.releases).sum();
        let made = tallies().filter(|tally| !tally.repaired.is_empty()).count();
        let tried: i64 = status
            .boards
            .iter()
            .map(|board| board.repair_attempts)
            .sum();
        let served = status.boards.len();
        let (ticks, took) = (self.seen.ticks, self.took.as_secs_f64());
        [
            ("boards", format!("12 at the start, {served} at the end")),
            ("tasks", format!("{} of {} done", found.done, found.tasks)),
            (
                "runs",
                format!("{}, {} of them failed", found.runs, found.failed_runs),
            ),
            ("repairs", format!("{tried} tried, {made} made")),
            ("quarantines", format!("{holds} held, {releases} released")),
            (
                "log lines",
                format!("{written} written about {failures} failures, {held_back} held back"),
            ),
            ("ticks", format!("{ticks} in {took:.1} s")),
        ]
    }
}
