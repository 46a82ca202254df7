//! The last look at the workers, when the dispatcher was told to stop.

use std::collections::HashSet;
use std::time::Duration;

use super::Dispatcher;

/// How long workers that got the same signal may take to end: enough for a process that only ends, short enough for a stop.
const PATIENCE: Duration = Duration::from_millis(250);

const STEP: Duration = Duration::from_millis(10);

impl Dispatcher {
    /// Whoever stops a service stops its processes with it, at the same moment. Their ends are noted now, as a part of that
    /// stop: only we can learn how our children ended, and the next dispatcher could but count them as crashed.
    ///
    /// Nothing is claimed any more. Workers that live on are left alone.
    pub(super) fn look_once_more(&mut self) {
        let mut news = HashSet::new();
        let mut waited = Duration::ZERO;
        loop {
            news.extend(self.site.workers.poll(self.site.clock.monotonic()));
            if self.site.workers.alive() == 0 || waited >= PATIENCE {
                break;
            }
            std::thread::park_timeout(STEP);
            waited += STEP;
        }
        if self.lock.is_some() && !news.is_empty() {
            self.tick_some(Some(&news));
        }
    }
}
