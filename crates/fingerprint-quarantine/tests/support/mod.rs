//! One key, `a`, in a quarantine whose time stands still until told.

use std::time::Duration;

use fingerprint_quarantine::{Admission, Attempt, FakeClock, Held, Quarantine};

pub(crate) type Boards = Quarantine<String, u32, FakeClock>;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn boards() -> (Boards, FakeClock) {
    let clock = FakeClock::at(SECOND * 1_000);
    (Quarantine::with_clock(clock.clone()), clock)
}

#[track_caller]
pub(crate) fn go(boards: &Boards, stamp: u32) -> Attempt<'_, String, u32, FakeClock, str> {
    match boards.admit_stamped("a", stamp) {
        Admission::Go(attempt) => attempt,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub(crate) fn held(boards: &Boards, stamp: u32) -> Held {
    match boards.admit_stamped("a", stamp) {
        Admission::Held(held) => held,
        other => panic!("{other:?}"),
    }
}
