//! Tasks that wait: woken by every end of a turn, beside threads and each other, and forgotten when they are dropped.
#![cfg(feature = "async")]

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use once_per_key_repair::{Outcome, Permit, RepairGate, Turn, Waited, Waiter};

type Gate = RepairGate<String>;

/// The smallest executor: one future, one thread.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(done) => return done,
            Poll::Pending => thread::park(),
        }
    }
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

fn in_flight(gate: &Gate) -> (Permit<'_, String>, Waiter<'_, String>) {
    let Turn::Yours(permit) = gate.enter("a") else {
        panic!("a new key")
    };
    (permit, waiter(gate))
}

fn waiter(gate: &Gate) -> Waiter<'_, String> {
    match gate.enter("a") {
        Turn::InFlight(waiter) => waiter,
        other => panic!("not in flight: {other:?}"),
    }
}

fn poll(waiter: &mut Waiter<'_, String>, waker: &Waker) -> Poll<Waited> {
    Pin::new(waiter).poll(&mut Context::from_waker(waker))
}

#[test]
fn tasks_and_threads_together_all_hear_the_one_outcome() {
    let gate = Gate::new();
    let (permit, first) = in_flight(&gate);
    let expected = Waited::Settled(Outcome::Failed);
    thread::scope(|scope| {
        scope.spawn(move || assert_eq!(block_on(first), expected));
        for n in 0..8 {
            let waiter = waiter(&gate);
            scope.spawn(move || {
                let heard = if n % 2 == 0 {
                    block_on(waiter)
                } else {
                    waiter.wait()
                };
                assert_eq!(heard, expected);
            });
        }
        permit.run(|_| Err::<(), ()>(())).unwrap_err();
    });
}

#[test]
fn every_end_wakes_each_task_exactly_once() {
    let ends: [fn(Permit<'_, String>); 3] = [
        |permit| permit.run(|_| Ok::<(), ()>(())).unwrap(),
        |permit| permit.forfeit(),
        |permit| drop(permit),
    ];
    let heard = [
        Waited::Settled(Outcome::Repaired),
        Waited::Forfeited,
        Waited::Settled(Outcome::Abandoned),
    ];
    for (end, heard) in ends.into_iter().zip(heard) {
        let gate = Gate::new();
        let (permit, first) = in_flight(&gate);
        let counts: [Arc<Count>; 100] = std::array::from_fn(|_| Arc::default());
        let wakers = counts.clone().map(Waker::from);
        let mut waiters = vec![first];
        waiters.resize_with(counts.len(), || waiter(&gate));
        for (waiter, waker) in waiters.iter_mut().zip(&wakers) {
            assert!(poll(waiter, waker).is_pending());
        }
        end(permit);
        assert!(counts.iter().all(|count| count.0.load(Relaxed) == 1));
        for (waiter, waker) in waiters.iter_mut().zip(&wakers) {
            assert_eq!(poll(waiter, waker), Poll::Ready(heard));
            assert_eq!(poll(waiter, waker), Poll::Ready(heard), "asked again");
        }
    }
}

#[test]
fn the_waker_of_the_last_poll_is_the_one_that_is_woken_and_the_others_are_let_go() {
    let gate = Gate::new();
    let (permit, mut waiter) = in_flight(&gate);
    let [old, new] = [Arc::new(Count::default()), Arc::new(Count::default())];
    for count in [&old, &new] {
        assert!(poll(&mut waiter, &Arc::clone(count).into()).is_pending());
    }
    assert_eq!((Arc::strong_count(&old), Arc::strong_count(&new)), (1, 2));
    permit.forfeit();
    assert_eq!((old.0.load(Relaxed), new.0.load(Relaxed)), (0, 1));
    assert_eq!(Arc::strong_count(&new), 1);
}

#[test]
fn a_dropped_future_leaves_no_waker_and_takes_no_other_with_it() {
    let gate = Gate::new();
    let (permit, mut stays) = in_flight(&gate);
    let mut goes = waiter(&gate);
    let [stay, go] = [Arc::new(Count::default()), Arc::new(Count::default())];
    assert!(poll(&mut goes, &Arc::clone(&go).into()).is_pending());
    assert!(poll(&mut stays, &Arc::clone(&stay).into()).is_pending());
    drop(goes);
    assert_eq!(Arc::strong_count(&go), 1);
    permit.forfeit();
    assert_eq!((stay.0.load(Relaxed), go.0.load(Relaxed)), (1, 0));
}

#[test]
fn a_polled_waiter_can_still_wait_on_its_thread() {
    let gate = Gate::new();
    let (permit, mut waiter) = in_flight(&gate);
    let count = Arc::new(Count::default());
    assert!(poll(&mut waiter, &Arc::clone(&count).into()).is_pending());
    let waiter = waiter.wait_timeout(Duration::ZERO).unwrap_err();
    drop(permit);
    assert_eq!(waiter.wait(), Waited::Settled(Outcome::Abandoned));
}

#[test]
fn a_task_that_waits_inside_the_very_repair_is_told_so() {
    let gate = Gate::new();
    let (permit, waiter) = in_flight(&gate);
    permit
        .run(|_| {
            assert_eq!(block_on(waiter), Waited::Own);
            Ok::<(), ()>(())
        })
        .unwrap();
}

/// A waker that uses the gate, as an executor that polls inside `wake` would, and one that panics.
#[test]
fn wakers_run_under_no_lock_and_one_that_panics_keeps_no_other_asleep() {
    struct Polls(&'static Gate);
    impl Wake for Polls {
        fn wake(self: Arc<Self>) {
            assert!(matches!(self.0.enter("a"), Turn::Spent(_)));
            self.0.retain(|_| true);
        }
    }
    impl Drop for Polls {
        fn drop(&mut self) {
            drop(self.0.enter("a"));
        }
    }
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            std::panic::resume_unwind(Box::new(()));
        }
    }

    let gate: &'static Gate = Box::leak(Box::new(Gate::new()));
    let (permit, mut panics) = in_flight(gate);
    let mut replaced = waiter(gate);
    let mut last = waiter(gate);
    let count = Arc::new(Count::default());
    assert!(poll(&mut panics, &Arc::new(Panics).into()).is_pending());
    for _ in 0..2 {
        assert!(poll(&mut replaced, &Arc::new(Polls(gate)).into()).is_pending());
    }
    assert!(poll(&mut last, &Arc::clone(&count).into()).is_pending());
    permit.run(|_| Ok::<(), ()>(())).unwrap();
    assert_eq!(count.0.load(Relaxed), 1);
    assert_eq!(gate.outcome("a"), Some(Outcome::Repaired));
}

#[test]
fn a_waiter_crosses_threads() {
    fn sent<T: Send + Sync + Unpin>() {}
    sent::<Waiter<'static, String>>();
}
