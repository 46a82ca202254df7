//! For those who came second: waiting for the one who has the permit.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;
#[cfg(feature = "async")]
use std::{
    pin::Pin,
    task::{Context, Poll},
};

use crate::flight::Flight;
use crate::outcome::Outcome;
use crate::slot::Slot;
use crate::sync::Arc;

/// A place from which to wait for one granted turn, from [`Turn::InFlight`](crate::Turn::InFlight).
///
/// It belongs to that turn and to no later one: all who wait for a turn are told the same, even if the key is re-armed and
/// repaired again before they wake. It can be dropped freely.
///
/// With the feature `async` it is also a future, for any executor: `waiter.await`. Dropped before its end it leaves no trace.
///
/// Waiting otherwise blocks the thread. A loop that must go on does not wait, it comes back at its next round. A wait inside
/// the very repair it waits for returns [`Waited::Own`] at once. Two waits are not noticed and never end: on a thread that still
/// holds the permit and has not run it, and in a ring of repairs that wait for each other. Use
/// [`wait_timeout`](Self::wait_timeout) where that could be.
#[must_use = "a waiter does nothing until it waits; dropping it is fine"]
pub struct Waiter<'g, K> {
    slot: Arc<Slot<K>>,
    flight: Arc<Flight>,
    #[cfg(feature = "async")]
    seat: crate::wakers::Seat,
    gate: PhantomData<&'g ()>,
}

/// What a wait came to.
#[must_use = "only `Settled` means that the key is spent"]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Waited {
    /// The turn ended with this outcome.
    Settled(Outcome),
    /// The permit was given back unspent. Enter again: the turn may be yours.
    Forfeited,
    /// The caller is inside that repair itself. It was not waited for, as it could never end.
    Own,
}

// ===== impl Waiter =====

impl<K> Waiter<'_, K> {
    pub(crate) fn new(slot: Arc<Slot<K>>, flight: Arc<Flight>) -> Self {
        Self {
            slot,
            #[cfg(feature = "async")]
            seat: crate::wakers::Seat::at(Arc::clone(&flight)),
            flight,
            gate: PhantomData,
        }
    }

    #[cfg(all(test, any(feature = "async", once_per_key_loom)))]
    pub(crate) fn flight(&self) -> &Arc<Flight> {
        &self.flight
    }

    /// Blocks until the turn has ended.
    ///
    /// ```
    /// use once_per_key_repair::{Outcome, RepairGate, Turn, Waited};
    ///
    /// let gate = RepairGate::<String>::new();
    /// let Turn::Yours(permit) = gate.enter("a") else { unreachable!() };
    /// std::thread::scope(|scope| {
    ///     let Turn::InFlight(waiter) = gate.enter("a") else { unreachable!() };
    ///     let second = scope.spawn(|| waiter.wait());
    ///     permit.run(|_token| Ok::<(), ()>(())).unwrap();
    ///     assert_eq!(second.join().unwrap(), Waited::Settled(Outcome::Repaired));
    /// });
    /// ```
    pub fn wait(self) -> Waited {
        self.flight.wait()
    }

    /// As [`wait`](Self::wait), for at most about `timeout`. With [`Duration::ZERO`] it only looks.
    ///
    /// # Errors
    /// The waiter itself when the turn has not ended by then: wait on, or drop it.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use once_per_key_repair::{RepairGate, Turn, Waited};
    ///
    /// let gate = RepairGate::<String>::new();
    /// let Turn::Yours(permit) = gate.enter("a") else { unreachable!() };
    /// let Turn::InFlight(waiter) = gate.enter("a") else { unreachable!() };
    /// let waiter = waiter.wait_timeout(Duration::ZERO).unwrap_err();
    /// permit.forfeit();
    /// assert_eq!(waiter.wait_timeout(Duration::ZERO).unwrap(), Waited::Forfeited);
    /// ```
    pub fn wait_timeout(self, timeout: Duration) -> Result<Waited, Self> {
        match self.flight.wait_timeout(timeout) {
            Some(waited) => Ok(waited),
            None => Err(self),
        }
    }

    /// The key that is being repaired.
    ///
    /// ```
    /// # use once_per_key_repair::{RepairGate, Turn};
    /// let gate = RepairGate::<u32>::new();
    /// let _permit = gate.enter(&7);
    /// let Turn::InFlight(waiter) = gate.enter(&7) else { unreachable!() };
    /// assert_eq!(waiter.key(), &7);
    /// ```
    #[must_use]
    pub fn key(&self) -> &K {
        self.slot.key()
    }
}

/// With the feature `async`: as [`Waiter::wait`], without blocking the thread.
///
/// ```
/// use std::future::Future;
/// use std::pin::pin;
/// use std::task::{Context, Poll, Waker};
/// use once_per_key_repair::{Outcome, RepairGate, Turn, Waited};
///
/// let gate = RepairGate::<String>::new();
/// let Turn::Yours(permit) = gate.enter("a") else { unreachable!() };
/// let Turn::InFlight(waiter) = gate.enter("a") else { unreachable!() };
/// let mut waiter = pin!(waiter);
/// let mut cx = Context::from_waker(Waker::noop());
/// assert_eq!(waiter.as_mut().poll(&mut cx), Poll::Pending);
/// permit.run(|_token| Ok::<(), ()>(())).unwrap();
/// assert_eq!(waiter.poll(&mut cx), Poll::Ready(Waited::Settled(Outcome::Repaired)));
/// ```
#[cfg(feature = "async")]
impl<K> Future for Waiter<'_, K> {
    type Output = Waited;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Waited> {
        self.seat.poll(cx)
    }
}

// The key is behind a pointer.
impl<K> Unpin for Waiter<'_, K> {}

impl<K: fmt::Debug> fmt::Debug for Waiter<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiter")
            .field("key", self.key())
            .finish_non_exhaustive()
    }
}
