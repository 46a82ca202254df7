//! Proves that a sink that logs about itself ends, and that no lock is held while it runs. It needs a global dispatcher,
//! which hands events of a sink back to the sink, and so a test program of its own.
#![cfg(feature = "layer")]

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use keyed_log_throttle::{LineKey, LineThrottle, ThrottleLayer};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// A sink that fails at each event, and says so.
struct FailingSink {
    throttle: Arc<LineThrottle>,
    events: Arc<AtomicUsize>,
}

impl<S: Subscriber> Layer<S> for FailingSink {
    fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
        self.events.fetch_add(1, Relaxed);
        tracing::error!(device = "sink", "disk full");
        self.throttle.sweep(LineKey::tell);
        assert!(self.throttle.totals().observed > 0);
    }
}

#[test]
fn a_sink_that_logs_about_itself_ends() {
    let (done, wait) = mpsc::channel();
    std::thread::spawn(move || {
        let throttle = Arc::new(LineThrottle::new(Duration::from_secs(3600)));
        let events = Arc::new(AtomicUsize::new(0));
        let sink = FailingSink {
            throttle: Arc::clone(&throttle),
            events: Arc::clone(&events),
        };
        let layer = ThrottleLayer::new(sink, Arc::clone(&throttle)).keyed_by(["device"]);
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer))
            .expect("the only one in this program");
        for device in 0..100 {
            tracing::warn!(device, "no answer");
        }
        let totals = throttle.totals();
        done.send((events.load(Relaxed), totals)).ok();
    });
    let (events, totals) = wait.recv_timeout(Duration::from_secs(30)).expect("it ends");
    assert_eq!(events, 101, "each of the devices, and the sink once");
    assert_eq!((totals.observed, totals.pending), (201, 100));
    assert!(totals.is_conserved());
}
