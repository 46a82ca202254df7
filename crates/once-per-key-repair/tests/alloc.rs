//! Being told that a key is spent allocates nothing, through either door.

use std::hint::black_box;

use allocation_counter::measure;
use once_per_key_repair::{RepairGate, Turn};

fn allocated(work: impl Fn()) -> u64 {
    measure(work).count_total
}

#[test]
fn a_spent_key_is_told_without_allocation_by_key_and_by_handle() {
    assert_eq!(
        allocated(|| drop(black_box(Box::new(1)))),
        1,
        "the instrument works"
    );
    let gate = RepairGate::<String>::new();
    let handle = gate.handle("a");
    drop(gate.enter("a"));
    let count = allocated(|| {
        assert!(matches!(gate.enter("a"), Turn::Spent(_)));
        assert!(matches!(handle.enter(), Turn::Spent(_)));
        assert!(gate.outcome("a").is_some() && handle.outcome().is_some());
        assert!(gate.outcome("unknown").is_none());
    });
    assert_eq!(count, 0);
}

#[test]
fn a_known_key_that_is_in_flight_is_told_without_allocation() {
    let gate = RepairGate::<String>::new();
    let _permit = gate.enter("a");
    let count = allocated(|| assert!(matches!(gate.enter("a"), Turn::InFlight(_))));
    assert_eq!(count, 0);
}
