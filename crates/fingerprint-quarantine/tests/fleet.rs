//! A machine-wide cause is told from many broken things: by a share, not for a handful, and with the one that fails now counted in.

use fingerprint_quarantine::{FleetGuard, Hold, Quarantine};
use proptest::prelude::*;

#[test]
fn a_guard_speaks_up_above_its_share_and_not_for_a_handful() {
    let guard = FleetGuard {
        max_percent: 50,
        min_known: 4,
    };
    assert!(!guard.is_fleet_wide(3, 3));
    assert!(!guard.is_fleet_wide(2, 4));
    assert!(guard.is_fleet_wide(3, 4));
    assert!(!guard.is_fleet_wide(usize::MAX / 2, usize::MAX));
    assert!(guard.is_fleet_wide(usize::MAX, usize::MAX));
}

#[test]
fn one_broken_thing_is_no_fleet_however_large_its_share() {
    let guard = FleetGuard {
        max_percent: 10,
        min_known: 3,
    };
    assert!(!guard.is_fleet_wide(1, 3));
    assert!(guard.is_fleet_wide(2, 3));
}

#[test]
fn the_failing_one_is_counted_once_by_whichever_door_and_however_often_it_fails() {
    let things = Quarantine::<u32, u32>::new();
    let handle = things.handle(&1);
    let hold = Hold::until_changed();
    let (first, second) = (
        handle.admit_stamped(1).go().unwrap(),
        handle.admit_stamped(1).go().unwrap(),
    );
    assert_eq!((first.in_trouble(), second.in_trouble()), (1, 1));
    first.failed(&hold, |same| *same);
    assert_eq!(second.in_trouble(), 1, "on record meanwhile");
    second.failed(&hold, |same| *same);
    let (third, fourth) = (
        things.admit_stamped(&3, 1).go().unwrap(),
        things.admit_stamped(&3, 1).go().unwrap(),
    );
    third.failed(&hold, |same| *same);
    assert_eq!(fourth.in_trouble(), 2, "by key as well");
    fourth.failed(&hold, |same| *same);
    things.forget(&3);
    assert_eq!(handle.admit_stamped(2).go().unwrap().in_trouble(), 1);
    assert_eq!(things.admit_stamped(&2, 1).go().unwrap().in_trouble(), 2);
}

proptest! {
    /// If nothing is put on record that the guard calls fleet-wide, what is held never exceeds the share, save for the first.
    #[test]
    fn what_is_held_stays_within_the_share(known in 0..300_u32, max_percent in 0..=100_u8, min_known in 0..20_usize) {
        let guard = FleetGuard { max_percent, min_known };
        let things = Quarantine::<u32, u32>::new();
        for thing in 0..known {
            let attempt = things.admit_stamped(&thing, 1).go().unwrap();
            if !guard.is_fleet_wide(attempt.in_trouble(), known as usize) {
                attempt.failed(&Hold::until_changed(), |same| *same);
            }
        }
        let share = known as usize * usize::from(max_percent) / 100;
        let all = if (known as usize) < min_known { known as usize } else { share.max(1).min(known as usize) };
        prop_assert_eq!(things.len(), all);
    }
}
