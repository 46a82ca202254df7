//! What the ticks' reports said, added up by board.

use std::collections::HashMap;

use kanban_dispatcher::{BoardReport, Outcome, TickReport};

/// What the ticks did so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) ticks: u32,
    /// Worker processes that have not ended.
    pub(super) workers: usize,
    boards: HashMap<String, Tally>,
    /// Boards of the last tick.
    served: Vec<String>,
    /// The story is over.
    pub(super) is_stopped: bool,
}

/// What the ticks did on one board.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) outcome: Option<Outcome>,
    pub(super) ready: u32,
    pub(super) running: u32,
    pub(super) started: usize,
    pub(super) ticked: u32,
    pub(super) busy: u32,
    /// Ticks that left it alone.
    pub(super) held: u32,
    /// Ticks that failed, and were neither busy nor held.
    pub(super) broken: u32,
    /// How often it was put on hold, and how often it came back.
    pub(super) holds: u32,
    pub(super) releases: u32,
    pub(super) repaired: Vec<String>,
}

// ===== impl Seen =====

impl Seen {
    pub(super) fn board(&self, name: &str) -> Tally {
        self.boards.get(name).cloned().unwrap_or_default()
    }

    pub(super) fn is_served(&self, name: &str) -> bool {
        self.served.iter().any(|served| served == name)
    }

    pub(super) fn add(&mut self, report: &TickReport, workers: usize) {
        self.ticks += 1;
        self.workers = workers;
        self.served.clear();
        for board in &report.boards {
            self.served.push(board.slug.to_string());
            let tally = self.boards.entry(board.slug.to_string()).or_default();
            tally.add(board);
        }
    }
}

// ===== impl Tally =====

impl Tally {
    /// The short tasks of a board in trouble are done, and the long one runs.
    pub(super) fn is_at_the_long_job(&self) -> bool {
        self.started == 3 && self.ready == 0 && self.running == 1
    }

    fn add(&mut self, report: &BoardReport) {
        let was_held = self.outcome == Some(Outcome::Held);
        match report.outcome {
            Outcome::Ticked => {
                self.ticked += 1;
                self.releases += u32::from(was_held);
                (self.ready, self.running) = (report.ready, report.running);
            }
            Outcome::Held => {
                self.held += 1;
                self.holds += u32::from(!was_held);
            }
            Outcome::Busy => self.busy += 1,
            _ => self.broken += 1,
        }
        self.outcome = Some(report.outcome);
        self.started += report.started.len();
        self.repaired.extend_from_slice(&report.repaired);
    }
}
