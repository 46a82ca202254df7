//! Proves that the layer inside a `ThrottleLayer` hears of all that is not an event held back.
#![cfg(feature = "layer")]

mod support;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use keyed_log_throttle::ThrottleLayer;
use support::layered::World;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// Says which of a layer's methods were called.
#[derive(Clone, Default)]
struct Called(Arc<Mutex<BTreeSet<&'static str>>>);

impl Called {
    fn note(&self, what: &'static str) {
        self.0.lock().expect("no panic").insert(what);
    }
}

impl<S: Subscriber> Layer<S> for Called {
    fn on_register_dispatch(&self, _: &Dispatch) {
        self.note("on_register_dispatch");
    }
    fn on_layer(&mut self, _: &mut S) {
        self.note("on_layer");
    }
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        self.note("register_callsite");
        Interest::sometimes()
    }
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.note("enabled");
        *metadata.level() != Level::WARN
    }
    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.note("max_level_hint");
        Some(LevelFilter::INFO)
    }
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        self.note("event_enabled");
        event.metadata().target() != "refused"
    }
    fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
        self.note("on_event");
    }
    fn on_new_span(&self, _: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        self.note("on_new_span");
    }
    fn on_record(&self, _: &Id, _: &Record<'_>, _: Context<'_, S>) {
        self.note("on_record");
    }
    fn on_follows_from(&self, _: &Id, _: &Id, _: Context<'_, S>) {
        self.note("on_follows_from");
    }
    fn on_enter(&self, _: &Id, _: Context<'_, S>) {
        self.note("on_enter");
    }
    fn on_exit(&self, _: &Id, _: Context<'_, S>) {
        self.note("on_exit");
    }
    fn on_close(&self, _: Id, _: Context<'_, S>) {
        self.note("on_close");
    }
}

#[test]
fn the_inner_layer_hears_of_all_else_and_its_no_is_heeded() {
    let (called, world) = (Called::default(), World::new());
    let layer = ThrottleLayer::new(called.clone(), Arc::clone(&world.throttle));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        let one = tracing::info_span!("one", value = tracing::field::Empty);
        let two = tracing::info_span!("two");
        one.record("value", 1);
        one.follows_from(&two);
        one.in_scope(|| tracing::error!("written"));
        tracing::warn!("not enabled");
        tracing::debug!("above the hint");
        tracing::error!(target: "refused", "not enabled as an event");
    });
    let called = called.0.lock().expect("no panic");
    assert_eq!(called.len(), 13, "{called:?}");
    assert_eq!(world.throttle.totals().observed, 1);
}
