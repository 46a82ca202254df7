//! The one look or attempt that a key on record has out at a time.

use std::time::Duration;

use crate::admission::Reason;
use crate::held::Held;
use crate::slot::Slot;
use crate::sync::Arc;

/// Dropped, it is over and nothing else has changed: so a look that panics and an attempt that is abandoned leave no stuck key.
pub(crate) struct Probe<K, T> {
    slot: Arc<Slot<K, T>>,
    id: u64,
    /// The record's count of releases when this began.
    releases: u64,
}

/// What a look came to.
pub(crate) enum Looked {
    Go(Reason),
    Held(Held),
    /// The record has been forgotten meanwhile.
    Gone,
}

// ===== impl Probe =====

impl<K, T> Probe<K, T> {
    pub(crate) fn new(slot: Arc<Slot<K, T>>, id: u64, releases: u64) -> Self {
        Self { slot, id, releases }
    }

    pub(crate) fn looked(&self, changed: bool, now: Duration) -> Looked {
        self.slot.with_record(|record| {
            let Some(record) = record.filter(|record| record.is_probed_by(self.id)) else {
                return Looked::Gone;
            };
            match record.looked(changed) {
                Some(why) => Looked::Go(why),
                None => {
                    record.end_probe(self.id);
                    Looked::Held(record.held(now))
                }
            }
        })
    }

    pub(crate) fn slot(&self) -> &Arc<Slot<K, T>> {
        &self.slot
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn releases(&self) -> u64 {
        self.releases
    }
}

impl<K, T> Drop for Probe<K, T> {
    #[cold]
    fn drop(&mut self) {
        // Does nothing if it is over already: no other probe has this name.
        self.slot.with_record(|record| {
            if let Some(record) = record {
                record.end_probe(self.id);
            }
        });
    }
}
