//! One worker process: how it ends, how it is stopped, and how long it has run by a clock that nobody steps.

use std::process::Child;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, pidfd_open,
    pidfd_send_signal, waitid,
};

use super::family::Mark;
use super::identity::Identity;
use super::watchers::{News, Watch, Watchers};
use super::workers::Sight;
use crate::clock::Clock;
use crate::ledger::Clocks;
use crate::view::{End, Process, StopReason, Task};

/// A gate whose dispatcher died is left at once; seconds until a process that is still there counts as let through.
const GATE_CLOSES_AFTER: i64 = 5;

/// So often the descendants of a stopped worker are killed before its end is noted: one that the kernel cannot end must not hold
/// its task for ever.
const FAMILY_LOOKS_MAX: u32 = 30;

/// How long the end of a worker is known whose board is away.
const REMEMBERED: Duration = Duration::from_secs(3_600);

#[derive(Debug)]
pub(super) struct Worker {
    pub(super) run: i64,
    identity: Identity,
    sight: Sight,
    /// Ours to wait for; `None` for one that an earlier dispatcher started.
    child: Option<Child>,
    /// What its descendants are known by.
    mark: Mark,
    pub(super) end: Option<End>,
    /// When that was noted (monotonic).
    ended_at: Option<Duration>,
    stop: Option<Stop>,
    ages: Ages,
    /// By what its end is told without a look at it; `None`: it is looked at.
    watch: Option<Watch>,
    /// What the clocks showed when an earlier dispatcher last looked.
    clocks: Option<Clocks>,
}

/// A stop under way: SIGTERM was sent, SIGKILL follows when the grace is over.
#[derive(Debug, Clone, Copy)]
struct Stop {
    reason: StopReason,
    kill_at: Duration,
    killed: bool,
    /// How often descendants that outlived it have been killed.
    family_looks: u32,
}

/// Instants of the monotonic clock, in seconds; below zero for what was before this dispatcher.
#[derive(Debug, Default)]
struct Ages {
    /// When the attempt began; found at the first look for an adopted one.
    began: Option<i64>,
    /// The last sign of life as the row has it, if any, and when it was first seen there; nothing before the first look.
    heard: Option<(Option<i64>, i64)>,
    /// When its task was first found reported while it still lived.
    reported: Option<i64>,
    /// When one that may still wait at a dead dispatcher's gate was first looked at.
    at_gate: Option<i64>,
}

// ===== impl Worker =====

impl Worker {
    pub(super) fn started(
        run: i64,
        identity: Identity,
        child: Child,
        mark: Mark,
        now: Duration,
    ) -> Self {
        let ages = Ages {
            began: Some(seconds(now)),
            // The claim cleared the row's: what is found there is news, however old it says it is.
            heard: Some((None, seconds(now))),
            ..Ages::default()
        };
        Self {
            child: Some(child),
            ages,
            ..Self::adopted(run, identity, Sight::Passed, mark, None)
        }
    }

    pub(super) fn adopted(
        run: i64,
        identity: Identity,
        sight: Sight,
        mark: Mark,
        clocks: Option<Clocks>,
    ) -> Self {
        Self {
            clocks,
            run,
            identity,
            sight,
            child: None,
            mark,
            end: None,
            ended_at: None,
            stop: None,
            ages: Ages::default(),
            watch: None,
        }
    }

    /// From here on its end is told, if the kernel can tell it.
    pub(super) fn be_watched(&mut self, watchers: &Watchers) {
        if matches!(self.sight, Sight::Passed | Sight::AtGate) {
            let watch = watchers.watch(self.identity.pid);
            // Held first and looked at then, as for signals: what was looked at is what is watched.
            self.watch = watch.filter(|_| self.identity.is_alive());
        }
    }

    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    pub(super) fn sight(&self) -> Sight {
        self.sight
    }

    /// What the decision is told of it: nothing of one that cannot be seen from here.
    pub(super) fn process(&self) -> Option<Process> {
        let stopping = self.stop.map(|stop| stop.reason);
        match self.end {
            Some(end) => Some(Process::Ended { end, stopping }),
            None if self.sight == Sight::Elsewhere => None,
            None => Some(Process::Alive { stopping }),
        }
    }

    /// Whether there is nothing to wait for.
    pub(super) fn is_settled(&self) -> bool {
        self.end.is_some() || self.sight == Sight::Elsewhere
    }

    /// Whether nobody will ask for it any more, though its board is away. One that comes back still names it: without this, a row on
    /// which some tool has written another process's id would be that process's for as long as it lives.
    pub(super) fn is_past(&self, now: Duration) -> bool {
        let is_old = |at: Duration| now.saturating_sub(at) >= REMEMBERED;
        self.sight == Sight::Elsewhere || self.ended_at.is_some_and(is_old)
    }

    /// Whether a look could find anything new: it has ended, a step is due, or it is not told of its end.
    pub(super) fn needs_look(&self, news: &News, now: Duration) -> bool {
        let is_due = || self.next_step().is_some_and(|at| at <= now) || self.sight == Sight::AtGate;
        self.end.is_none()
            && (self.watch.as_ref()).is_none_or(|watch| news.may_include(watch) || is_due())
    }

    /// Notes its end, or takes the next step of its stop.
    pub(super) fn look(&mut self, now: Duration) {
        let Some(ended) = self.ended() else {
            self.step_stop(now);
            self.step_gate(now);
            return;
        };
        if matches!(ended, Ended::Zombie(_)) && self.stop.is_some() {
            // While our child is a zombie its id is not used again, so what it left in its group can be ended safely.
            let _ = self.signal_group(Signal::KILL);
        }
        if self.has_family() {
            // Told to stop, and a part of it still works: looked at again before anything is started in its place.
            return;
        }
        self.ended_at = Some(now);
        self.end = Some(match ended {
            Ended::Zombie(end) => {
                if let Some(child) = &mut self.child {
                    let _ = child.wait();
                }
                end
            }
            Ended::Gone if matches!(self.sight, Sight::AtGate | Sight::OtherBoot) => {
                End::Interrupted
            }
            Ended::Gone => End::Unknown,
        });
        self.watch = None;
    }

    /// SIGTERM now, SIGKILL after `grace`. Asking again changes nothing.
    pub(super) fn stop(&mut self, reason: StopReason, now: Duration, grace: Duration) -> bool {
        if self.stop.is_some() || self.is_settled() {
            return false;
        }
        self.signal(Signal::TERM);
        let kill_at = now.saturating_add(grace);
        self.stop = Some(Stop {
            reason,
            kill_at,
            killed: false,
            family_looks: 0,
        });
        true
    }

    /// When a stop needs its next step.
    pub(super) fn next_step(&self) -> Option<Duration> {
        let stop = self.stop.filter(|stop| !stop.killed)?;
        self.end.is_none().then_some(stop.kill_at)
    }

    /// How long it has gone on since its task was reported.
    pub(super) fn lingers(&mut self, now: Duration) -> Duration {
        let now = seconds(now);
        let since = *self.ages.reported.get_or_insert(now);
        Duration::from_secs(now.saturating_sub(since).unsigned_abs())
    }

    /// Replaces the row's times by ones that are as long ago on the monotonic clock: a stepped wall clock ages nobody.
    ///
    /// An adopted worker is as old as its process: nobody may have seen the step. Where that cannot be told, the row is believed.
    pub(super) fn rebase(&mut self, task: &mut Task, wall: i64, clock: &Clock, now: Duration) {
        let now = seconds(now);
        let is_known = self.ages.began.is_some() || self.sight == Sight::Elsewhere;
        let since_boot = if is_known { None } else { clock.since_boot() };
        let age = since_boot.map(|since_boot| self.identity.age(since_boot));
        let ago = |at: i64| wall.saturating_sub(at).max(0);
        // Nor is anything older than the time since an earlier dispatcher looked, whatever was done to the wall clock meanwhile.
        let is_met = self.ages.heard.is_none();
        // Asked of the kernel only for one that has to be judged by it: this is done for every worker in every turn.
        let earlier = self.clocks.filter(|_| is_met);
        let known = earlier.and_then(|then| Some((then, clock.steady()?)));
        let at_most = |at| known.map_or(i64::MAX, |(then, now)| then.ago_at_most(at, now));
        if let Some(started) = task.run_started_at {
            let age = age.unwrap_or_else(|| ago(started).min(at_most(started)));
            let began = *self.ages.began.get_or_insert(now - age);
            task.run_started_at = Some(wall - (now - began));
        }
        let at = task.last_heartbeat_at;
        // No sign of life is older than the process.
        let silence = at.map_or(0, |at| {
            ago(at).min(age.unwrap_or(i64::MAX)).min(at_most(at))
        });
        let (value, seen) = self.ages.heard.unwrap_or((at, now - silence));
        let seen = if value == at { seen } else { now };
        self.ages.heard = Some((at, seen));
        task.last_heartbeat_at = at.map(|_| wall - (now - seen));
    }

    fn step_stop(&mut self, now: Duration) {
        if self.next_step().is_some_and(|kill_at| kill_at <= now) {
            self.signal(Signal::KILL);
            if let Some(stop) = &mut self.stop {
                stop.killed = true;
            }
        }
    }

    /// Its dispatcher died around the opening of its gate. One that lives on for long after that was let through.
    fn step_gate(&mut self, now: Duration) {
        if self.sight == Sight::AtGate {
            let since = *self.ages.at_gate.get_or_insert(seconds(now));
            if seconds(now) - since >= GATE_CLOSES_AFTER {
                self.sight = Sight::Passed;
            }
        }
    }

    /// Kills what outlived a worker that was told to stop; whether there was anything, or may be.
    fn has_family(&mut self) -> bool {
        let Some(stop) = self
            .stop
            .as_mut()
            .filter(|stop| stop.family_looks < FAMILY_LOOKS_MAX)
        else {
            return false;
        };
        match self.mark.kill_all() {
            Ok(found) => {
                stop.family_looks += 1;
                found
            }
            // Who cannot be looked at is not taken for gone, however often.
            Err(_) => true,
        }
    }

    fn ended(&mut self) -> Option<Ended> {
        if self.sight == Sight::Elsewhere {
            return None;
        }
        let Some(child) = &self.child else {
            return self.identity.is_gone().then_some(Ended::Gone);
        };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::Pid(Pid::from_child(child)), options) {
            Ok(Some(status)) => {
                let end = match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => End::Exited(code),
                    (None, Some(signal)) => End::Signaled(signal),
                    (None, None) => End::Unknown,
                };
                Some(Ended::Zombie(end))
            }
            Err(Errno::CHILD) => {
                // Somebody else in this process waited for it: from here on its id proves nothing.
                self.child = None;
                Some(Ended::Gone)
            }
            Ok(None) | Err(_) => None,
        }
    }

    /// Signals the worker's process group, if the process is still proven to be ours.
    fn signal(&self, signal: Signal) {
        let Some(pid) = self.pid() else { return };
        // Held first and looked at then: what is looked at is what is signalled. Kernels before 5.3 have no such handle.
        let handle = pidfd_open(pid, PidfdFlags::empty());
        // A child that was not waited for keeps its id, but only we may have waited: the start time is asked all the same.
        if !self.identity.is_alive() {
            return;
        }
        if self.signal_group(signal) == Err(Errno::SRCH) {
            // Between spawn and setsid there is no group of its own yet.
            let _ = match handle {
                Ok(handle) => pidfd_send_signal(handle, signal),
                Err(_) => kill_process(pid, signal),
            };
        }
    }

    fn signal_group(&self, signal: Signal) -> Result<(), Errno> {
        self.pid()
            .map_or(Ok(()), |pid| kill_process_group(pid, signal))
    }

    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.identity.pid)
            .ok()
            .and_then(Pid::from_raw)
    }
}

/// What a look at an ended process finds.
enum Ended {
    /// Our child, not waited for yet.
    Zombie(End),
    /// Nothing that is proven ours.
    Gone,
}

fn seconds(instant: Duration) -> i64 {
    i64::try_from(instant.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
