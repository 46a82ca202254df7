//! Where keys are counted that find no room: in an entry for each class, as far as there are places for those.

use crate::ClassId;
use crate::entry::{Entry, GateIndex, Slot};
use crate::sketch::Sketch;
use crate::sync::Arc;

/// Of a throttle's capacity an eighth is kept for shared entries, and no more than this: classes are few.
const PLACES_MAX: usize = 64;

/// The shared entries, each for one class; the last place is for all classes that find no other.
///
/// None is ever taken out, so a class stays with its entry, and so does the time of its last line.
pub(crate) struct Overflow<K> {
    shared: Vec<(ClassId, Slot<K>)>,
    places: usize,
    /// The longest of the throttle's windows, for the last place.
    longest: GateIndex,
}

// ===== impl Overflow =====

impl<K> Overflow<K> {
    /// `capacity` is the throttle's, and not 0.
    pub(crate) fn new(capacity: usize, longest: GateIndex) -> Self {
        Self {
            shared: Vec::new(),
            places: (capacity / 8).clamp(1, PLACES_MAX),
            longest,
        }
    }

    pub(crate) fn places(&self) -> usize {
        self.places
    }

    pub(crate) fn len(&self) -> usize {
        self.shared.len()
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Slot<K>> {
        self.shared.iter().map(|(_, slot)| slot)
    }

    /// The entry that keys of `class` share.
    pub(crate) fn find(&self, class: ClassId) -> Option<&Slot<K>> {
        let of_class = self.shared.iter().find(|(of, _)| *of == class);
        let found = of_class.or_else(|| self.shared.get(self.places - 1));
        found.map(|(_, slot)| slot)
    }

    /// Makes one of `made` for its class, which has none.
    pub(crate) fn place(&mut self, mut made: Entry<K>) -> Slot<K> {
        made.sketch = Some(Box::new(Sketch::new()));
        if self.shared.len() + 1 == self.places {
            made.gate = self.longest;
        }
        let made = Slot(Arc::new(made));
        self.shared.push((made.class, made.clone()));
        made
    }
}
