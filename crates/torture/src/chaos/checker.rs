//! The checker: reads the history and says what must not have been. It knows boards, diaries, what writers were told and what the
//! nemesis did; nothing of what a dispatcher says.

mod order;
mod settled;
mod workers;
mod writes;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::history::{At, Fault, History};

/// What a chaos was and what was found afterwards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Findings {
    /// What the nemesis did, by kind.
    pub faults: BTreeMap<&'static str, usize>,
    /// Workers that began.
    pub starts: usize,
    /// Writes that were acknowledged, those of workers included.
    pub acknowledged: usize,
    /// Acknowledged writes that are not on the board.
    pub lost: usize,
    /// Workers that lived while another one of the same task did, or that were started for an attempt that had one.
    pub duplicates: usize,
    /// Reports in the name of an attempt that was over, and were taken.
    pub stale: usize,
    /// Workers that no row knows.
    pub ghosts: usize,
    /// Processes signalled that have nothing to do with any board.
    pub innocents: usize,
    /// Healthy workers, within their limits and with a valid claim, that were signalled.
    pub false_kills: usize,
    /// Tasks that were passed over by less urgent ones more than twice.
    pub order: usize,
    /// Tasks that could go on and did not, in the quiet at the end.
    pub stuck: usize,
    /// Boards that are damaged.
    pub damaged: usize,
    /// Directories made at the place of a removed board.
    pub resurrected: usize,
    /// Deaths of the dispatcher that nobody ordered.
    pub deaths: usize,
    /// From each fault's end to the next start of a worker on its board, milliseconds, in ascending order.
    pub recovery_ms: Vec<u64>,
    /// The evidence, line by line.
    pub notes: Vec<String>,
}

// ===== impl Findings =====

impl Findings {
    pub(super) fn of(history: &History) -> Self {
        let mut findings = Self {
            starts: history.workers.len(),
            ..Self::default()
        };
        for fault in &history.faults {
            *findings.faults.entry(fault.kind).or_default() += 1;
        }
        for board in history
            .boards
            .iter()
            .filter(|board| board.integrity != "ok")
        {
            let note = format!("damaged {}: {}", board.slug, board.integrity);
            findings.damaged += 1;
            findings.notes.push(note);
        }
        let mut add = |count: &mut usize, what: &str, notes: Vec<String>| {
            *count += notes.len();
            findings
                .notes
                .extend(notes.iter().map(|note| format!("{what}: {note}")));
        };
        let mut counts = [0; 10];
        let [
            lost,
            duplicates,
            stale,
            ghosts,
            innocents,
            false_kills,
            order,
            stuck,
            resurrected,
            deaths,
        ] = &mut counts;
        add(lost, "lost", writes::lost(history));
        add(duplicates, "duplicate run", workers::duplicates(history));
        add(stale, "stale write accepted", writes::stale(history));
        add(ghosts, "ghost", workers::ghosts(history));
        add(innocents, "innocent signalled", history.innocents.clone());
        add(false_kills, "false kill", workers::false_kills(history));
        add(order, "order violated", order::violations(history));
        add(stuck, "stuck", settled::stuck(history));
        add(resurrected, "made by looking", history.resurrected.clone());
        add(deaths, "death", history.deaths.clone());
        [
            findings.lost,
            findings.duplicates,
            findings.stale,
            findings.ghosts,
            findings.innocents,
            findings.false_kills,
            findings.order,
            findings.stuck,
            findings.resurrected,
            findings.deaths,
        ] = counts;
        let reports = history
            .workers
            .iter()
            .filter(|worker| worker.reported.is_some());
        findings.acknowledged = history.acks.len() + reports.count();
        findings.recovery_ms = recoveries(history);
        findings
    }

    /// How often something went wrong.
    #[must_use]
    pub fn wrong(&self) -> usize {
        let all = [
            self.lost,
            self.duplicates,
            self.stale,
            self.ghosts,
            self.innocents,
            self.false_kills,
            self.order,
            self.stuck,
            self.damaged,
            self.resurrected,
            self.deaths,
        ];
        all.iter().sum()
    }

    /// How often the nemesis struck.
    #[must_use]
    pub fn struck(&self) -> usize {
        self.faults.values().sum()
    }

    /// The value below which so many percent of the recoveries lie, in milliseconds.
    #[must_use]
    pub fn recovery(&self, percent: usize) -> u64 {
        let last = self.recovery_ms.len().saturating_sub(1);
        let at = last * percent / 100;
        self.recovery_ms.get(at).copied().unwrap_or(0)
    }
}

/// From each fault's end to the next start on its board, or on each board if it was about all of them.
fn recoveries(history: &History) -> Vec<u64> {
    let mut starts: BTreeMap<&str, Vec<At>> = BTreeMap::new();
    for worker in &history.workers {
        starts.entry(&worker.board).or_default().push(worker.began);
    }
    for starts in starts.values_mut() {
        starts.sort_unstable();
    }
    let next = |fault: &Fault, starts: &[At]| {
        let at = starts.partition_point(|began| *began < fault.until);
        starts
            .get(at)
            .map(|began| (began - fault.until) / 1_000_000)
    };
    let mut all: Vec<u64> = Vec::new();
    for fault in &history.faults {
        let concerned = starts
            .iter()
            .filter(|(slug, _)| fault.board.as_deref().is_none_or(|board| board == **slug));
        all.extend(concerned.filter_map(|(_, starts)| next(fault, starts)));
    }
    all.sort_unstable();
    all
}
