//! Which thread this is.

#[cfg(not(all(test, throttle_loom)))]
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// The number of every thread that came when all others were given away.
pub(crate) const ONE_OF_MANY: u32 = u32::MAX;

/// A number of this thread alone, also when it is gone; never 0. Or [`ONE_OF_MANY`].
#[cfg(not(all(test, throttle_loom)))]
#[inline]
pub(crate) fn id() -> u32 {
    use std::cell::Cell;

    static NEXT: AtomicU32 = AtomicU32::new(1);
    // Nothing to build or to drop: reading it is one load.
    thread_local!(static ID: Cell<u32> = const { Cell::new(0) });
    ID.with(|id| {
        if id.get() == 0 {
            id.set(next(&NEXT));
        }
        id.get()
    })
}

#[cfg(not(all(test, throttle_loom)))]
#[cold]
fn next(free: &AtomicU32) -> u32 {
    let given = free.fetch_update(Relaxed, Relaxed, |next| next.checked_add(1));
    given.unwrap_or(ONE_OF_MANY)
}

/// Loom wants the same in each interleaving: as the thread has chosen.
#[cfg(all(test, throttle_loom))]
pub(crate) fn id() -> u32 {
    ID.with(std::cell::Cell::get)
}

#[cfg(all(test, throttle_loom))]
loom::thread_local!(pub(crate) static ID: std::cell::Cell<u32> = std::cell::Cell::new(ONE_OF_MANY));

#[cfg(all(test, not(throttle_loom)))]
mod tests {
    use super::*;

    #[test]
    fn no_number_is_given_away_twice() {
        let free = AtomicU32::new(ONE_OF_MANY - 2);
        let given = [(); 4].map(|()| next(&free));
        let many = ONE_OF_MANY;
        assert_eq!(given, [many - 2, many - 1, many, many]);
        let other = std::thread::spawn(id).join();
        assert!(other.is_ok_and(|other| other != id()));
    }
}
