//! A driver that we cannot change logs at each attempt. A layer around the one that writes lets one line per device and
//! minute pass, and tells what it held back.
//!
//! Run with `cargo run --example throttle_foreign_crate`. Time is faked: five minutes pass at once.

use std::sync::Arc;
use std::time::Duration;

use keyed_log_throttle::governor::clock::FakeRelativeClock;
use keyed_log_throttle::{LineKey, LineThrottle, ThrottleLayer};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

/// Stands for somebody else's crate: it logs in a loop and knows nothing of throttles.
mod flaky_driver {
    pub(crate) fn poll(device: u32, attempt: u32) {
        let _span = tracing::info_span!("poll", device).entered();
        tracing::warn!(attempt, "no answer in attempt {attempt}");
        tracing::debug!("not heard at level INFO, not counted");
    }
}

fn main() {
    let clock = FakeRelativeClock::default();
    let builder = LineThrottle::builder().window(Duration::from_secs(60));
    let throttle = Arc::new(builder.clock(clock.clone()).build());

    let fmt = tracing_subscriber::fmt::layer()
        .without_time()
        .with_ansi(false);
    let noisy =
        Targets::new().with_target("throttle_foreign_crate::flaky_driver", LevelFilter::WARN);
    let layer = ThrottleLayer::new(fmt, Arc::clone(&throttle))
        .only(noisy)
        .keyed_by(["device"]) // A field of the event, or of a span around it.
        .with_filter(LevelFilter::INFO); // Around the layer: a line that is filtered out is not counted.
    tracing_subscriber::registry().with(layer).init();

    for attempt in 0..300 {
        flaky_driver::poll(1, attempt);
        if attempt < 10 {
            flaky_driver::poll(2, attempt); // Falls silent; the layer sums it up by itself.
        }
        clock.advance(Duration::from_secs(1));
    }
    tracing::info!("our own lines pass as they are");
    throttle.drain(LineKey::tell); // The program ends.

    let totals = throttle.totals();
    assert_eq!(
        totals.permitted,
        5 + 1,
        "a line a minute for device 1, one for device 2"
    );
    assert_eq!(totals.reported, 5 * 59 + 9, "and all others in a count");
    assert_eq!((totals.observed, totals.pending), (310, 0));
}
