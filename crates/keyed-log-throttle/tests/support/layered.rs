//! A layer below test, a driver that logs and knows nothing of it, and what came out.

use std::sync::Arc;

use keyed_log_throttle::governor::clock::FakeRelativeClock;
use keyed_log_throttle::{LineThrottle, ThrottleLayer};
use tracing::{Level, Subscriber};
use tracing_subscriber::layer::SubscriberExt;

use super::W;
use super::capture::{Capture, Seen};

pub(crate) type TestThrottle = Arc<LineThrottle<FakeRelativeClock>>;
pub(crate) type TestLayer = ThrottleLayer<Capture, FakeRelativeClock>;

/// A throttle, its clock, and what the layer behind it has written.
pub(crate) struct World {
    pub(crate) throttle: TestThrottle,
    pub(crate) clock: FakeRelativeClock,
    pub(crate) capture: Capture,
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = FakeRelativeClock::default();
        let builder = LineThrottle::builder()
            .window(W)
            .class_window(Level::INFO, 2 * W);
        let throttle = Arc::new(builder.clock(clock.clone()).build());
        Self {
            throttle,
            clock,
            capture: Capture::default(),
        }
    }

    pub(crate) fn layer(&self) -> TestLayer {
        ThrottleLayer::new(self.capture.clone(), Arc::clone(&self.throttle))
    }

    /// What is heard of `work` below a registry with `layer`.
    pub(crate) fn below(&self, layer: TestLayer, work: impl FnOnce()) -> Vec<Seen> {
        self.under(tracing_subscriber::registry().with(layer), work)
    }

    pub(crate) fn under(
        &self,
        subscriber: impl Subscriber + Send + Sync,
        work: impl FnOnce(),
    ) -> Vec<Seen> {
        tracing::subscriber::with_default(subscriber, work);
        assert!(self.throttle.totals().is_conserved());
        self.capture.take()
    }
}

/// The foreign code.
pub(crate) mod driver {
    pub(crate) const TARGET: &str = module_path!();

    pub(crate) fn fail(device: u32, attempt: u32) {
        tracing::error!(device, attempt, "no answer in attempt {attempt}");
    }

    pub(crate) fn complain() {
        tracing::warn!("slow");
    }
}

pub(crate) fn messages(seen: &[Seen]) -> Vec<&str> {
    seen.iter()
        .filter_map(|seen| seen.field("message"))
        .collect()
}
