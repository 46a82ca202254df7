//! The tasks that wait for a turn, beside the threads that do.
//!
//! A waker is code of an executor: it is cloned, woken and dropped only while no lock is held.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};

use crate::flight::Flight;
use crate::sync::{Arc, current};
use crate::waiter::Waited;

/// Those of one turn that has not ended, each under the number of its seat.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    by_seat: BTreeMap<u64, Waker>,
    next: u64,
}

/// Where one future waits for its turn. It leaves its waker there from its first poll until it has its answer or is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    flight: Arc<Flight>,
    number: Option<u64>,
}

// ===== impl Wakers =====

impl Wakers {
    /// Every one of them, also when one panics: the others belong to other tasks, perhaps of other executors.
    pub(crate) fn wake_all(self) {
        for waker in self.by_seat.into_values() {
            // The panic has been reported by its hook. It says nothing about the repair, so it does not go to its caller.
            drop(catch_unwind(AssertUnwindSafe(|| waker.wake())));
        }
    }
}

// ===== impl Seat =====

impl Seat {
    pub(crate) fn at(flight: Arc<Flight>) -> Self {
        Self {
            flight,
            number: None,
        }
    }

    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<Waited> {
        let me = current().id();
        let mut waker = Some(cx.waker().clone());
        let mut log = self.flight.log();
        // Under the lock that the end takes, too: either the end is seen here, or the end sees this waker.
        let Some(answer) = log.answer(me) else {
            let wakers = &mut log.wakers;
            let number = *self.number.get_or_insert_with(|| {
                wakers.next += 1;
                wakers.next
            });
            let before = waker.take().and_then(|w| wakers.by_seat.insert(number, w));
            drop(log);
            drop(before);
            return Poll::Pending;
        };
        drop(log);
        self.leave();
        Poll::Ready(answer)
    }

    fn leave(&mut self) {
        if let Some(number) = self.number.take() {
            let mine = self.flight.log().wakers.by_seat.remove(&number);
            drop(mine);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(all(test, not(once_per_key_loom)))]
mod tests {
    use crate::{RepairGate, Turn};
    use std::pin::Pin;
    use std::task::{Context, Waker};

    use super::{Arc, Flight, Seat};

    #[test]
    fn a_seat_takes_one_place_however_often_it_is_polled_and_none_when_it_is_left() {
        let flight = Arc::new(Flight::new());
        let taken = || flight.log().wakers.by_seat.len();
        let cx = Context::from_waker(Waker::noop());
        let mut seats: Vec<Seat> = (0..3).map(|_| Seat::at(Arc::clone(&flight))).collect();
        assert_eq!(taken(), 0);
        for _ in 0..2 {
            for seat in &mut seats {
                assert!(seat.poll(&cx).is_pending());
            }
            assert_eq!(taken(), 3);
        }
        seats.remove(1);
        assert_eq!(taken(), 2);
        drop(seats);
        assert_eq!(taken(), 0);
    }

    #[test]
    fn a_waiter_that_is_told_it_waits_for_itself_leaves_no_waker() {
        let gate = RepairGate::<u8>::new();
        let Turn::Yours(permit) = gate.enter(&1) else {
            panic!("a new key")
        };
        let Turn::InFlight(mut waiter) = gate.enter(&1) else {
            panic!("in flight")
        };
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut waiter).poll(&mut cx).is_pending());
        let flight = Arc::clone(waiter.flight());
        assert_eq!(flight.log().wakers.by_seat.len(), 1);
        permit
            .run(|_| {
                assert!(Pin::new(&mut waiter).poll(&mut cx).is_ready());
                assert_eq!(flight.log().wakers.by_seat.len(), 0);
                Ok::<(), ()>(())
            })
            .unwrap();
    }
}
