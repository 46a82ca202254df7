//! Who gets the places for new workers: the boards in turn, one place each, and whoever has waited longest is first.

/// A board that could start workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asking {
    /// At most how many.
    pub(crate) wants: usize,
    /// The tick in which it last started one; 0 for never.
    pub(crate) last_served: u64,
}

/// Shares `room` places out; the answer is in the order of `asking`.
///
/// Places go round, one per board and round, until there are none or nobody wants one. A round begins with the board that was served
/// longest ago, among equals with the first. So a board that wants one place waits for no more freed places than there are
/// boards that want one, however many another board wants; and who is served depends on no thread's speed.
pub(crate) fn share(room: usize, asking: &[Asking]) -> Vec<usize> {
    let mut places = vec![0; asking.len()];
    let mut line: Vec<usize> = (0..asking.len()).collect();
    line.sort_by_key(|board| asking[*board].last_served);
    let mut left = room;
    while left > 0 {
        line.retain(|board| places[*board] < asking[*board].wants);
        if line.is_empty() {
            break;
        }
        for board in line.iter().take(left) {
            places[*board] += 1;
        }
        left -= left.min(line.len());
    }
    places
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn boards() -> impl Strategy<Value = Vec<Asking>> {
        let wants = prop_oneof![0_usize..6, Just(usize::MAX)];
        let board =
            (wants, 0_u64..5).prop_map(|(wants, last_served)| Asking { wants, last_served });
        prop::collection::vec(board, 0..12)
    }

    proptest! {
        #[test]
        fn no_place_is_made_up_none_is_wasted_and_nobody_is_two_ahead(room in 0_usize..40, asking in boards()) {
            let places = share(room, &asking);
            let wanted = asking.iter().fold(0_usize, |sum, board| sum.saturating_add(board.wants));
            prop_assert_eq!(places.iter().sum::<usize>(), room.min(wanted));
            for (one, got) in asking.iter().zip(&places) {
                prop_assert!(*got <= one.wants);
                for (other, others) in asking.iter().zip(&places) {
                    if others < &other.wants {
                        // It wants more: nobody has more than one more than it, and nobody who was served later has even that.
                        prop_assert!(*got <= others + 1);
                        prop_assert!(one.last_served <= other.last_served || got <= others);
                    }
                }
            }
        }

        #[test]
        fn whoever_waits_is_served_within_as_many_freed_places_as_boards_wait(
            wants in prop::collection::vec(1_usize..50, 1..8), frees in prop::collection::vec(1_usize..3, 1..60),
        ) {
            let mut asking: Vec<Asking> = wants.iter().map(|wants| Asking { wants: *wants, last_served: 0 }).collect();
            let mut waited = vec![0; asking.len()];
            for (tick, freed) in frees.into_iter().enumerate() {
                let places = share(freed, &asking);
                for (board, got) in places.into_iter().enumerate() {
                    asking[board].wants -= got;
                    if got > 0 {
                        (asking[board].last_served, waited[board]) = (tick as u64 + 1, 0);
                    } else if asking[board].wants > 0 {
                        waited[board] += freed;
                        prop_assert!(waited[board] < asking.len(), "{asking:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_one_that_was_served_longest_ago_is_first() {
        let asking =
            [(9, 4), (1, 2), (9, 3)].map(|(wants, last_served)| Asking { wants, last_served });
        assert_eq!(share(1, &asking), [0, 1, 0]);
        assert_eq!(share(2, &asking), [0, 1, 1]);
        assert_eq!(share(4, &asking), [1, 1, 2]);
        assert_eq!(share(100, &asking), [9, 1, 9]);
    }
}
