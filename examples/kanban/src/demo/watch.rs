//! The dispatcher at work on a thread of its own, and what its reports said: the story waits for that, never for time.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use kanban_dispatcher::{Clock, Dispatcher, Outcome, TickReport};

use super::fleet::INTERVAL;
use super::screen::{Kind, Screen};
use super::seen::Seen;

/// What was seen, shared with the dispatcher's thread.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    shared: Arc<(Mutex<Seen>, Condvar)>,
    clock: Clock,
}

// ===== impl Watch =====

impl Watch {
    /// Starts to tick.
    pub(super) fn start(
        mut dispatcher: Dispatcher,
        clock: Clock,
        screen: Arc<Screen>,
    ) -> (Self, JoinHandle<Dispatcher>) {
        let watch = Self {
            shared: Arc::default(),
            clock,
        };
        let ours = watch.clone();
        let thread = std::thread::spawn(move || {
            loop {
                let report = dispatcher.tick();
                let workers = dispatcher.workers_alive();
                tell(&screen, &report, workers);
                ours.seen().add(&report, workers);
                ours.shared.1.notify_all();
                let at_work = |seen: &mut Seen| !seen.is_stopped;
                let waited = ours
                    .shared
                    .1
                    .wait_timeout_while(ours.seen(), INTERVAL, at_work);
                let (seen, _) = waited.unwrap_or_else(PoisonError::into_inner);
                if seen.is_stopped {
                    break;
                }
            }
            dispatcher.shut_down();
            dispatcher
        });
        (watch, thread)
    }

    /// Waits until the reports say `what`, at the latest until `limit` on the demo's clock. Looked at after each tick.
    pub(super) fn until(&self, limit: Duration, mut what: impl FnMut(&Seen) -> bool) -> bool {
        let mut seen = self.seen();
        loop {
            if what(&seen) {
                return true;
            }
            let left = limit.saturating_sub(self.clock.monotonic());
            if left.is_zero() {
                return false;
            }
            let ticks = seen.ticks;
            let unchanged = |seen: &mut Seen| seen.ticks == ticks;
            let waited = self.shared.1.wait_timeout_while(seen, left, unchanged);
            seen = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ends the ticking after the tick under way.
    pub(super) fn stop(&self) {
        self.seen().is_stopped = true;
        self.shared.1.notify_all();
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// ===== on the screen =====

fn tell(screen: &Screen, report: &TickReport, workers: usize) {
    if let Some(standby) = &report.standby {
        let text = format!("nothing is dispatched: {}", standby.text);
        screen.event(Kind::Tick, "", &text);
    }
    let mut started = Vec::new();
    for board in &report.boards {
        match board.started.len() {
            0 => {}
            1 => started.push(board.slug.to_string()),
            n => started.push(format!("{} x{n}", board.slug)),
        }
        if board.failed > 0 {
            let text = "a worker failed; its task is ready again";
            screen.event(Kind::Tick, board.slug.as_str(), text);
        }
    }
    if !started.is_empty() {
        let text = format!("started {}: {}", report.started(), started.join(", "));
        screen.event(Kind::Tick, "", &text);
    }
    let count = |outcome| {
        report
            .boards
            .iter()
            .filter(|board| board.outcome == outcome)
            .count()
    };
    let (ticked, busy, held) = (
        count(Outcome::Ticked),
        count(Outcome::Busy),
        count(Outcome::Held),
    );
    let boards = report.boards.len();
    screen.status(format!(
        "       {boards} boards: {ticked} work, {busy} busy, {held} held | {workers} workers"
    ));
}
