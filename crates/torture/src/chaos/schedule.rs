//! What the nemesis will do, and when: drawn from the seed alone, so the same seed is the same fate for whoever is put under it.

use std::time::Duration;

use crate::seed::Seed;

/// Whom a lane of the nemesis is after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// The dispatcher, its settings, its clock.
    Host,
    Board(usize),
    Workers(usize),
}

/// One blow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    /// How long after the last one was over.
    pub(super) gap: Duration,
    pub(super) deed: Deed,
    /// How long it lasts, where it is something that lasts.
    pub(super) time: Duration,
    /// Whatever else is left to chance.
    pub(super) chance: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// SIGKILL to the dispatcher, and a new one after a time.
    Kill,
    /// SIGTERM, and a new one at once.
    Terminate,
    /// SIGSTOP, SIGCONT after a time.
    Freeze,
    /// Its wall clock is set by hours.
    Clock,
    /// Other settings, good or bad, and the old ones after a time.
    Settings,
    /// SIGKILL; somebody else holds the root's lock while the next one starts.
    RootLock,
    /// BEGIN IMMEDIATE, COMMIT after a time.
    WriteLock,
    TickLock,
    InitLock,
    /// The board's directory is moved away, and back after a time.
    Remove,
    /// A column is dropped.
    Drop,
    /// The pid of an innocent process is written to a running task.
    Pid,
    /// A running task with the pid of an innocent process and a claim that has run out.
    Row,
    /// SIGSTOP to a worker, SIGCONT after a time.
    FreezeWorker,
    /// SIGKILL to a worker.
    KillWorker,
}

// ===== impl Deed =====

impl Deed {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Kill => "dispatcher SIGKILL",
            Self::Terminate => "dispatcher SIGTERM",
            Self::Freeze => "dispatcher SIGSTOP",
            Self::Clock => "wall clock set",
            Self::Settings => "settings changed",
            Self::RootLock => "root lock taken",
            Self::WriteLock => "write lock held",
            Self::TickLock => "tick lock held",
            Self::InitLock => "init lock held",
            Self::Remove => "board moved away",
            Self::Drop => "column dropped",
            Self::Pid => "innocent pid written",
            Self::Row => "innocent row written",
            Self::FreezeWorker => "worker SIGSTOP",
            Self::KillWorker => "worker SIGKILL",
        }
    }
}

/// The steps of one lane, without end.
pub(super) fn steps(seed: u64, lane: Lane) -> impl Iterator<Item = Step> {
    let number = match lane {
        Lane::Host => 1,
        Lane::Board(n) => 100 + n as u64,
        Lane::Workers(n) => 200 + n as u64,
    };
    let mut seed = Seed::new(seed.wrapping_mul(1_000_003).wrapping_add(number));
    std::iter::repeat_with(move || match lane {
        Lane::Host => host(&mut seed),
        Lane::Board(_) => board(&mut seed),
        Lane::Workers(_) => worker(&mut seed),
    })
}

fn host(seed: &mut Seed) -> Step {
    let gap = seed.between_ms(500, 2500);
    let (deed, from, to) = match seed.below(100) {
        0..40 => (Deed::Kill, 0, 250),
        40..48 => (Deed::Terminate, 0, 1),
        48..68 => (Deed::Freeze, 50, 1200),
        68..84 => (Deed::Clock, 0, 1),
        84..94 => (Deed::Settings, 200, 1200),
        _ => (Deed::RootLock, 200, 900),
    };
    let time = seed.between_ms(from, to);
    let chance = seed.below(1 << 32);
    Step {
        gap,
        deed,
        time,
        chance,
    }
}

fn board(seed: &mut Seed) -> Step {
    let gap = seed.between_ms(50, 350);
    let (deed, from, to) = match seed.below(100) {
        0..38 => (Deed::WriteLock, 5, 300),
        38..64 => (Deed::TickLock, 5, 400),
        64..74 => (Deed::InitLock, 5, 200),
        74..82 => (Deed::Drop, 0, 1),
        82..90 => (Deed::Pid, 0, 1),
        90..94 => (Deed::Row, 0, 1),
        _ => (Deed::Remove, 50, 900),
    };
    let time = seed.between_ms(from, to);
    let chance = seed.below(1 << 32);
    Step {
        gap,
        deed,
        time,
        chance,
    }
}

fn worker(seed: &mut Seed) -> Step {
    let gap = seed.between_ms(30, 250);
    let (deed, from, to) = match seed.below(100) {
        0..88 => (Deed::FreezeWorker, 5, 400),
        _ => (Deed::KillWorker, 0, 1),
    };
    let time = seed.between_ms(from, to);
    let chance = seed.below(1 << 32);
    Step {
        gap,
        deed,
        time,
        chance,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_is_the_same_fate_and_every_deed_is_in_it() {
        let lanes = [Lane::Host, Lane::Board(0), Lane::Board(1), Lane::Workers(0)];
        let fate = |seed| lanes.map(|lane| steps(seed, lane).take(300).collect::<Vec<_>>());
        assert_eq!(fate(7), fate(7));
        assert_ne!(fate(7), fate(8));
        let fate = fate(7);
        assert_ne!(fate[1], fate[2]);
        let mut names: Vec<_> = fate.iter().flatten().map(|step| step.deed.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 15, "{names:?}");
    }
}
