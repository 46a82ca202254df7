//! Room for new workers: places taken from the limit over all boards.

use std::sync::atomic::Ordering;

use super::Tick;

/// Places taken from the host-wide limit; what is not spent goes back.
#[derive(Debug)]
pub(super) struct Room<'a> {
    tick: &'a Tick,
    pub(super) taken: usize,
}

impl<'a> Room<'a> {
    pub(super) fn take(tick: &'a Tick, wanted: usize) -> Self {
        let mut taken = 0;
        let _ = tick
            .room
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |room| {
                taken = room.min(wanted);
                Some(room - taken)
            });
        Self { tick, taken }
    }

    /// These are in use now.
    pub(super) fn spend(mut self, count: usize) {
        self.taken = self.taken.saturating_sub(count);
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.tick.room.fetch_add(self.taken, Ordering::AcqRel);
    }
}
