//! A board whose workers die as soon as they start: few starts at first, and none for a while when it is the board's own fault.

use std::collections::HashSet;
use std::time::Duration;

use fingerprint_quarantine::Backoff;

use crate::config::Breaker;
use crate::transition::{Cause, Transition, Verdict};
use crate::view::{End, HeldReason};

/// What a board's latest starts have shown. Pure but for its own memory; time is an argument.
#[derive(Debug, Default, Clone)]
pub(crate) struct Caution {
    /// Starts that have not shown yet whether they live.
    young: Vec<Young>,
    /// The most new starts in a tick, after a hold; doubled after each tick with one, until a start lives.
    ramp: Option<usize>,
    /// Starts in this tick, which may have two turns.
    starts: usize,
    /// Tasks that died at their start in a row and in this way.
    how: String,
    deaths: Vec<Death>,
    /// What was charged for those before it was known whose fault it was.
    refunds: Vec<Death>,
    rest: Option<Rest>,
}

/// A start that is being watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Young {
    pub(crate) task: String,
    pub(crate) run: i64,
    /// Monotonic.
    pub(crate) since: Duration,
}

/// A task that died at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Death {
    pub(crate) task: String,
    /// How many of its deaths were charged to it.
    pub(crate) charged: u32,
}

/// Why nothing starts on a board, and when one start is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rest {
    pub(crate) reason: String,
    /// How many times one was tried in vain.
    pub(crate) round: u32,
    /// Since when (unix seconds).
    pub(crate) since: i64,
    /// Until when (monotonic).
    pub(crate) until: Duration,
}

/// The time, by both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) monotonic: Duration,
    pub(crate) unix: i64,
}

/// What a turn has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Nothing that changes anything.
    Nothing,
    /// The board rests from now on, or for longer.
    Rests,
    /// It rested, and a start has lived.
    Works,
    /// It rested, and the settings want no such rest any more.
    Off,
}

// ===== impl Caution =====

impl Caution {
    /// The board was held and is not any more.
    pub(crate) fn returns(&mut self) {
        self.ramp = Some(1);
    }

    /// A tick begins.
    pub(crate) fn begin_tick(&mut self) {
        if std::mem::take(&mut self.starts) > 0 {
            self.ramp = self.ramp.map(|ramp| ramp.saturating_mul(2));
        }
    }

    /// How many may start now, and why not more.
    pub(crate) fn limit(&self, now: Duration) -> (usize, HeldReason) {
        match (&self.rest, self.ramp) {
            // One at a time, and the next only when the last one has shown what comes of it.
            (Some(rest), _) if now < rest.until || !self.young.is_empty() => {
                (0, HeldReason::Breaker)
            }
            (Some(_), _) => (1, HeldReason::Breaker),
            (None, Some(ramp)) => (ramp.saturating_sub(self.starts), HeldReason::RampUp),
            (None, None) => (usize::MAX, HeldReason::RampUp),
        }
    }

    /// Whether time alone tells nothing more about its starts.
    pub(crate) fn is_calm(&self) -> bool {
        self.rest.is_none() && self.young.is_empty()
    }

    /// Whether this task died at its start, and nobody has lived since: others go first.
    pub(crate) fn has_died(&self, task: &str) -> bool {
        self.deaths.iter().any(|death| death.task == task)
    }

    /// Whether this task waits for what comes of other starts, those of this turn included if it `has_others`: two tasks that die in
    /// the same way may be no chance, and a second death of one of them would tell nothing about the board.
    pub(crate) fn waits(&self, task: &str, has_others: bool) -> bool {
        self.rest.is_none()
            && self.deaths.len() > 1
            && (has_others || !self.young.is_empty())
            && self.has_died(task)
    }

    /// These have been started in this turn.
    pub(crate) fn started(
        &mut self,
        starts: impl IntoIterator<Item = (String, i64)>,
        now: Duration,
    ) {
        let before = self.young.len();
        let young = starts.into_iter().map(|(task, run)| Young {
            task,
            run,
            since: now,
        });
        self.young.extend(young);
        self.starts += self.young.len() - before;
    }

    /// Judges a turn by the failures that it is about to record, and by what became of the other young starts. What the board's
    /// fault explains is not charged to the tasks: their verdicts become [`Verdict::Uncounted`].
    pub(crate) fn judge(
        &mut self,
        failures: &mut [Transition],
        fate: impl Fn(&Young) -> Fate,
        settings: &Breaker,
        now: Now,
    ) -> Shown {
        let mut deaths: Vec<(usize, String, String)> = Vec::new();
        let mut ended = HashSet::new();
        for (at, transition) in failures.iter().enumerate() {
            let Transition::Fail(failure) = transition else {
                continue;
            };
            ended.insert(failure.task.clone());
            let is_early = self.is_early(&failure.task, failure.cause, settings, now);
            if is_early {
                deaths.push((at, failure.task.clone(), how(failure.cause, &failure.error)));
            }
        }
        let mut has_lived = false;
        self.young.retain(|young| {
            let fate = if ended.contains(&young.task) {
                Fate::Gone
            } else {
                fate(young)
            };
            has_lived |= fate == Fate::Lives;
            fate == Fate::Young
        });
        if has_lived {
            (self.how, self.ramp) = (String::new(), None);
            self.deaths.clear();
            return match self.rest.take() {
                Some(_) => Shown::Works,
                None => Shown::Nothing,
            };
        }
        if settings.deaths == 0 {
            (self.how, self.deaths) = (String::new(), Vec::new());
            return match self.rest.take() {
                Some(_) => Shown::Off,
                None => Shown::Nothing,
            };
        }
        if deaths.is_empty() {
            return Shown::Nothing;
        }
        self.count(&deaths, settings, now, failures)
    }

    /// Whether an attempt that ended in this way died at its start.
    pub(crate) fn is_early(&self, task: &str, cause: Cause, settings: &Breaker, now: Now) -> bool {
        let is_young = |young: &Young| {
            young.task == task
                && now.monotonic.saturating_sub(young.since) <= settings.start_seconds
        };
        match cause {
            Cause::SpawnFailed => true,
            Cause::Crashed(_) | Cause::Silent => self.young.iter().any(is_young),
            Cause::RateLimited | Cause::Infrastructure(_) | Cause::TimedOut { .. } => false,
        }
    }

    fn count(
        &mut self,
        deaths: &[(usize, String, String)],
        settings: &Breaker,
        now: Now,
        failures: &mut [Transition],
    ) -> Shown {
        for (_, task, how) in deaths {
            if *how != self.how {
                how.clone_into(&mut self.how);
                self.deaths.clear();
            }
            if !self.deaths.iter().any(|death| death.task == *task) {
                self.deaths.push(Death {
                    task: task.clone(),
                    charged: 0,
                });
            }
        }
        let backoff = Backoff::new(settings.first_retry_seconds, settings.max_retry_seconds);
        let shown = match &mut self.rest {
            // The one that was tried; later than that nobody else can have started.
            Some(rest) if now.monotonic >= rest.until => {
                rest.round = rest.round.saturating_add(1);
                rest.until = now.monotonic + backoff.delay(rest.round, 0);
                Shown::Rests
            }
            Some(_) => Shown::Nothing,
            None if self.deaths.len() >= settings.deaths as usize => {
                let (count, how) = (self.deaths.len(), &self.how);
                self.rest = Some(Rest {
                    reason: format!(
                        "{count} tasks in a row died at their start in the same way: {how}"
                    ),
                    round: 0,
                    since: now.unix,
                    until: now.monotonic + backoff.delay(0, 0),
                });
                self.refunds.clone_from(&self.deaths);
                Shown::Rests
            }
            None => {
                for death in &mut self.deaths {
                    death.charged += u32::from(deaths.iter().any(|(_, now, _)| *now == death.task));
                }
                return Shown::Nothing;
            }
        };
        for (at, ..) in deaths {
            if let Transition::Fail(failure) = &mut failures[*at] {
                failure.verdict = Verdict::Uncounted;
            }
        }
        shown
    }

    /// What was charged before it was known whose fault it was; forgotten by this.
    pub(crate) fn take_refunds(&mut self) -> Vec<Death> {
        std::mem::take(&mut self.refunds)
    }

    pub(crate) fn rest(&self) -> Option<&Rest> {
        self.rest.as_ref()
    }

    /// As an earlier dispatcher left it.
    pub(crate) fn resume(&mut self, rest: Rest) {
        self.rest = Some(rest);
    }

    /// Everything is forgotten: an operator says so.
    pub(crate) fn clear(&mut self) -> bool {
        std::mem::take(self).rest.is_some()
    }
}

/// What became of a young start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Too early to say.
    Young,
    /// It has lived long enough, or reported.
    Lives,
    /// Taken away by somebody: it says nothing.
    Gone,
}

/// The way of a death, without what differs from worker to worker. An error that names its task is that task's own way.
fn how(cause: Cause, error: &str) -> String {
    match cause {
        Cause::Crashed(End::Exited(code)) => format!("exit code {code}"),
        Cause::Crashed(End::Signaled(signal)) => format!("signal {signal}"),
        Cause::Silent => "exit code 0 without a word".to_owned(),
        _ => error.chars().take(200).collect(),
    }
}

#[cfg(test)]
mod tests;
