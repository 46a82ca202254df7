//! Proves that a line that is held back allocates nothing, whichever door it came by, and says what the other paths cost.

mod support;

use allocation_counter::{AllocationInfo, measure};
use keyed_log_throttle::{LogThrottle, TickClock};
use support::W;

fn allocations(work: impl Fn()) -> u64 {
    // What the first line and the first one held back set up, once, is not meant.
    (0..2).for_each(|_| work());
    measure(|| (0..100).for_each(|_| work())).count_total
}

#[test]
fn the_instrument_works() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 100);
}

#[test]
fn a_line_held_back_by_key_or_handle_allocates_nothing() {
    let clock = TickClock::new();
    let throttle = LogThrottle::<String>::builder()
        .window(W)
        .clock(clock.clone())
        .build();
    let handle = throttle.handle("alpha", 1);
    let count = allocations(|| {
        clock.tick();
        let _ = (
            throttle.check("alpha", 1),
            throttle.check("beta", 1),
            handle.check(),
        );
    });
    assert_eq!(count, 0);
    assert!(throttle.totals().pending > 0);
}

#[test]
fn a_key_that_folds_allocates_nothing_once_there_is_an_entry_to_share() {
    let (builder, _) = support::builder();
    let throttle = builder.capacity(2).build();
    let _ = (throttle.check("alpha", 1), throttle.check("alpha", 2));
    assert_eq!(
        allocations(|| assert!(throttle.check("beta", 2).is_none())),
        0
    );
    assert_eq!(throttle.totals().folded, 103);
}

#[test]
fn a_permitted_line_of_a_known_key_allocates_nothing() {
    let (throttle, clock) = support::throttle();
    let count = allocations(|| {
        clock.advance(W);
        assert!(throttle.check("alpha", 1).is_some());
    });
    assert_eq!(count, 0);
}

#[test]
fn an_entry_takes_less_than_140_bytes() {
    const ENTRIES: u64 = 14_000;
    let throttle = LogThrottle::<u64>::new(W);
    let AllocationInfo { bytes_current, .. } = measure(|| {
        (0..ENTRIES).for_each(|key| assert!(throttle.check(&key, 1).is_some()));
    });
    let each = bytes_current as u64 / ENTRIES;
    assert!((90..140).contains(&each), "{each} bytes");
}

#[cfg(feature = "tracing")]
#[test]
fn the_macro_allocates_nothing_for_a_line_held_back_or_disabled() {
    use keyed_log_throttle::throttled;
    use tracing::Level;
    use tracing_subscriber::layer::SubscriberExt;

    let (throttle, _) = support::throttle();
    let handle = throttle.handle("beta", 1);
    let subscriber = tracing_subscriber::registry()
        .with(support::capture::Capture::default())
        .with(tracing_subscriber::filter::LevelFilter::INFO);
    tracing::subscriber::with_default(subscriber, || {
        let count = allocations(|| {
            throttled!(
                throttle.check("alpha", 1),
                Level::ERROR,
                text = "x".repeat(9),
                "{}",
                "y".repeat(9)
            );
            throttled!(
                handle.check(),
                Level::ERROR,
                text = "x".repeat(9),
                "{}",
                "y".repeat(9)
            );
            throttled!(
                throttle.check("gamma", 1),
                Level::DEBUG,
                text = "x".repeat(9)
            );
        });
        assert_eq!(count, 0);
    });
    assert_eq!(throttle.totals().pending, 202);
}

#[cfg(feature = "layer")]
#[test]
fn the_layer_allocates_nothing_for_an_event_held_back() {
    use keyed_log_throttle::{LineThrottle, ThrottleLayer};
    use tracing_subscriber::layer::SubscriberExt;

    let throttle = std::sync::Arc::new(LineThrottle::new(W));
    let inner = support::capture::Capture::default();
    let layer = ThrottleLayer::new(inner, throttle.clone()).keyed_by(["board", "tenant", "code"]);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        let _span = tracing::info_span!("work", tenant = "acme").entered();
        let board = "alpha";
        let fail = || tracing::error!(board, code = 5, at = ?(1, 2), "{board} is locked");
        assert_eq!(allocations(fail), 0);
    });
    assert_eq!(throttle.totals().pending, 101);
}
