//! Proves that no lock is held while user code runs: a real tracing subscriber checks and sweeps the throttle from inside
//! each event, and callbacks call every verb. A held lock would show as a deadlock, so the work runs on a thread of its own
//! and must answer in time.

mod support;

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use keyed_log_throttle::LogThrottle;
use keyed_log_throttle::governor::clock::FakeRelativeClock;
use support::{Throttle, W, fail};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// Writes nothing; asks the throttle about its own line, as a sink that fails and logs would.
struct AskingLayer {
    throttle: Arc<Throttle>,
    events: Arc<AtomicUsize>,
}

impl<S: Subscriber> Layer<S> for AskingLayer {
    fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
        self.events.fetch_add(1, Relaxed);
        let known = self.throttle.check("board", 1);
        assert!(
            known.is_none(),
            "the line that is being written has spent the window"
        );
        let own = self.throttle.check("sink", 9);
        self.throttle
            .sweep(|_, _, pending| assert!(pending.suppressed > 0));
        if own.is_some() {
            tracing::warn!("the sink is slow");
        }
    }
}

/// Runs `work` on a thread and waits for its end, but not for ever.
fn must_end(work: impl FnOnce() + Send + 'static) {
    let (done, wait) = mpsc::channel();
    let thread = thread::spawn(move || {
        work();
        done.send(()).ok();
    });
    match wait.recv_timeout(Duration::from_secs(30)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("deadlock"),
        _ => thread.join().expect("the work does not panic"),
    }
}

#[test]
fn a_subscriber_may_call_the_throttle_from_inside_an_event() {
    must_end(|| {
        let (throttle, clock) = support::throttle();
        let (throttle, events) = (Arc::new(throttle), Arc::new(AtomicUsize::new(0)));
        let layer = AskingLayer {
            throttle: Arc::clone(&throttle),
            events: Arc::clone(&events),
        };
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            for _ in 0..25 {
                if let Some(line) = throttle.check("board", 1) {
                    tracing::error!(suppressed = line.suppressed, "board failed {line}");
                }
            }
            clock.advance(W);
            throttle.sweep(|key, _, pending| {
                tracing::error!(%key, "more like this: {pending}");
            });
        });
        // One line of the board and one of the sink; then the summary of the board and, inside it, the sink's next line.
        // tracing itself does not hand an event to a layer that is inside one, so those of the sink are not seen here.
        assert!(events.load(Relaxed) >= 2);
        assert!(throttle.totals().is_conserved());
    });
}

/// Calls back into every verb, with keys and classes the throttle has not seen, so that each table must grow.
fn every_verb(throttle: &Throttle, key: &String, fresh_class: u16) {
    let _ = (throttle.check(key, 1), throttle.check(key, fresh_class));
    let _ = (
        throttle.handle(key, fresh_class + 1),
        throttle.recovered(key),
        throttle.pending(key),
    );
    let _ = (throttle.totals(), format!("{throttle:?}"));
    throttle.sweep(|_, _, _| {});
    let _ = throttle.forget(key);
}

fn callbacks_do_not_deadlock(capacity: usize) {
    must_end(move || {
        let (builder, clock) = support::builder();
        let throttle = builder.capacity(capacity).build();
        let mut called = 0;
        for _ in 0..2 {
            for key in 0..20 {
                fail(&throttle, &format!("board-{key}"), 1, 3);
            }
            clock.advance(W);
            throttle.sweep(|key, _, _| {
                called += 2;
                every_verb(&throttle, key, called);
            });
            fail(&throttle, "again", 0, 3);
            throttle.drain(|key, _, _| {
                called += 2;
                every_verb(&throttle, key, called);
            });
        }
        assert!(called >= 6, "{called}");
        assert!(throttle.totals().is_conserved());
    });
}

#[test]
fn a_callback_may_use_every_verb_with_room() {
    callbacks_do_not_deadlock(1_000);
}

#[test]
fn a_callback_may_use_every_verb_without_room() {
    callbacks_do_not_deadlock(1);
}

/// A key whose `Clone` brings itself first, and whose `Drop` asks for the length.
#[derive(PartialEq, Eq, Hash)]
struct Asking(u32);

type OfAsking = LogThrottle<Asking, FakeRelativeClock>;

thread_local! {
    static ASKED: Cell<Option<&'static OfAsking>> = const { Cell::new(None) };
    static BRINGS_ITSELF: Cell<bool> = const { Cell::new(false) };
}

impl Clone for Asking {
    fn clone(&self) -> Self {
        if BRINGS_ITSELF.take() {
            ASKED.get().map(|throttle| throttle.check(self, 0));
        }
        Self(self.0)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        ASKED.get().map(LogThrottle::len);
    }
}

#[test]
fn a_key_that_is_not_needed_is_dropped_outside_the_locks() {
    // With room, and with a place that all keys share.
    for capacity in [100, 1] {
        must_end(move || {
            let builder = LogThrottle::builder().clock(FakeRelativeClock::default());
            let throttle: &'static OfAsking =
                Box::leak(Box::new(builder.capacity(capacity).build()));
            ASKED.set(Some(throttle));
            BRINGS_ITSELF.set(true);
            assert!(
                throttle.check(&Asking(1), 0).is_none(),
                "it was brought meanwhile"
            );
            BRINGS_ITSELF.set(true);
            assert_eq!(throttle.handle(&Asking(2), 0).is_folded(), capacity == 1);
            assert_eq!(throttle.totals().permitted, 1 + u64::from(capacity > 1));
            ASKED.set(None);
        });
    }
}
