//! One worker process: how it ends, how it is stopped, and how long it has run by a clock that nobody steps.

use std::process::Child;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid,
};

use super::identity::Identity;
use crate::view::{End, Process, StopReason, Task};

#[derive(Debug)]
pub(super) struct Worker {
    pub(super) run: i64,
    identity: Identity,
    /// Ours to wait for; `None` for one that an earlier dispatcher started.
    child: Option<Child>,
    pub(super) end: Option<End>,
    stop: Option<Stop>,
    ages: Ages,
}

/// A stop under way: SIGTERM was sent, SIGKILL follows when the grace is over.
#[derive(Debug, Clone, Copy)]
struct Stop {
    reason: StopReason,
    kill_at: Duration,
    killed: bool,
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
}

// ===== impl Worker =====

impl Worker {
    pub(super) fn started(run: i64, identity: Identity, child: Child, now: Duration) -> Self {
        let ages = Ages {
            began: Some(seconds(now)),
            // The claim cleared the row's: what is found there is news, however old it says it is.
            heard: Some((None, seconds(now))),
            ..Ages::default()
        };
        Self {
            child: Some(child),
            ages,
            ..Self::adopted(run, identity)
        }
    }

    pub(super) fn adopted(run: i64, identity: Identity) -> Self {
        Self {
            run,
            identity,
            child: None,
            end: None,
            stop: None,
            ages: Ages::default(),
        }
    }

    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    pub(super) fn process(&self) -> Process {
        let stopping = self.stop.map(|stop| stop.reason);
        match self.end {
            Some(end) => Process::Ended { end, stopping },
            None => Process::Alive { stopping },
        }
    }

    /// Notes its end, or takes the next step of its stop.
    pub(super) fn look(&mut self, now: Duration) {
        match self.ended() {
            Some(Ended::Zombie(end)) => {
                // While our child is a zombie its id is not used again, so what it left in its group can be ended safely.
                if self.stop.is_some() {
                    let _ = self.signal_group(Signal::KILL);
                }
                if let Some(child) = &mut self.child {
                    let _ = child.wait();
                }
                self.end = Some(end);
            }
            Some(Ended::Gone) => self.end = Some(End::Unknown),
            None => self.step_stop(now),
        }
    }

    /// SIGTERM now, SIGKILL after `grace`. Asking again changes nothing.
    pub(super) fn stop(&mut self, reason: StopReason, now: Duration, grace: Duration) -> bool {
        if self.stop.is_some() || self.end.is_some() {
            return false;
        }
        self.signal(Signal::TERM);
        let kill_at = now.saturating_add(grace);
        self.stop = Some(Stop {
            reason,
            kill_at,
            killed: false,
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
    pub(super) fn rebase(&mut self, task: &mut Task, wall: i64, now: Duration) {
        let now = seconds(now);
        let ago = |at: i64| wall.saturating_sub(at).max(0);
        if let Some(started) = task.run_started_at {
            let began = *self.ages.began.get_or_insert(now - ago(started));
            task.run_started_at = Some(wall - (now - began));
        }
        let at = task.last_heartbeat_at;
        let (value, seen) = self.ages.heard.unwrap_or((at, now - at.map_or(0, ago)));
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

    fn ended(&mut self) -> Option<Ended> {
        let Some(child) = &self.child else {
            return (!self.identity.is_alive()).then_some(Ended::Gone);
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
        // A child that was not waited for keeps its id, but only we may have waited: the start time is asked all the same.
        if self.identity.is_alive() && self.signal_group(signal) == Err(Errno::SRCH) {
            // Between spawn and setsid there is no group of its own yet.
            if let Some(pid) = self.pid() {
                let _ = kill_process(pid, signal);
            }
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
