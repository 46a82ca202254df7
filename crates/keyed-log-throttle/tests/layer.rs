//! Proves what `ThrottleLayer` promises to code that knows nothing of it: one line per callsite and key in each window, no
//! count untold, nothing said twice, spans and filters as they were.
#![cfg(feature = "layer")]

mod support;

use std::time::Duration;

use keyed_log_throttle::{ClassId, LineKey};
use support::W;
use support::capture::{Capture, Seen};
use support::layered::{World, driver, messages};
use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};

#[test]
fn a_callsite_and_key_have_one_line_per_window_and_the_count_comes_before_the_next() {
    let world = World::new();
    let seen = world.below(world.layer().keyed_by(["device"]), || {
        for attempt in 0..25 {
            driver::fail(1, attempt);
            driver::fail(2, attempt);
        }
        world.clock.advance(W);
        driver::fail(1, 25);
    });
    // The sweep that is due tells device 2's before the last event is passed on.
    let expected = [
        "no answer in attempt 0",
        "no answer in attempt 0",
        "more like this: +24 in 60s",
        "more like this: +24 in 60s",
        "no answer in attempt 25",
    ];
    assert_eq!(messages(&seen), expected);
    assert_eq!(
        (seen[2].field("key"), seen[3].field("key")),
        (Some("device=1"), Some("device=2"))
    );
    assert_eq!(
        (seen[2].field("suppressed"), seen[2].field("since")),
        (Some("24"), Some("60s"))
    );
    let place = |seen: &Seen| (seen.level, seen.target, seen.module, seen.file, seen.line);
    assert_eq!(
        place(&seen[2]),
        place(&seen[4]),
        "the companion looks like its event"
    );
    let totals = world.throttle.totals();
    assert_eq!(
        (totals.observed, totals.permitted, totals.reported),
        (51, 3, 48)
    );
}

#[test]
fn what_is_not_chosen_passes_untouched() {
    let world = World::new();
    let only = Targets::new().with_target(driver::TARGET, Level::ERROR);
    let seen = world.below(world.layer().only(only), || {
        for _ in 0..5 {
            driver::fail(1, 0);
            driver::complain();
            tracing::error!("of another module");
        }
    });
    assert_eq!(seen.len(), 1 + 5 + 5);
    assert_eq!(world.throttle.totals().observed, 5);
}

#[test]
fn a_level_has_a_window_of_its_own() {
    let world = World::new();
    let seen = world.below(world.layer(), || {
        for _ in 0..4 {
            tracing::info!("up");
            driver::complain();
            world.clock.advance(W);
        }
    });
    let count = |text| {
        messages(&seen)
            .iter()
            .filter(|message| **message == text)
            .count()
    };
    assert_eq!((count("up"), count("slow")), (2, 4));
    assert_eq!(ClassId::from(Level::TRACE).get(), 5);
}

#[test]
fn a_filter_around_it_keeps_disabled_lines_uncounted() {
    let world = World::new();
    let other = Capture::default();
    let subscriber = tracing_subscriber::registry()
        .with(world.layer().with_filter(LevelFilter::ERROR))
        .with(other.clone().with_filter(LevelFilter::DEBUG));
    let seen = world.under(subscriber, || {
        for _ in 0..5 {
            driver::complain();
            driver::fail(1, 0);
        }
    });
    assert_eq!((seen.len(), other.take().len()), (1, 10));
    assert_eq!(
        (world.throttle.totals().observed, world.throttle.len()),
        (5, 1)
    );
}

#[test]
fn after_silence_the_next_event_of_any_kind_brings_the_summary() {
    let world = World::new();
    let only = Targets::new().with_target(driver::TARGET, Level::ERROR);
    let seen = world.below(world.layer().only(only).keyed_by(["device"]), || {
        (0..10).for_each(|attempt| driver::fail(1, attempt));
        world.clock.advance(W + Duration::from_secs(5));
        tracing::info!("all is well");
        tracing::info!("all is well");
    });
    let expected = [
        "no answer in attempt 0",
        "more like this: +9 in 65s",
        "all is well",
        "all is well",
    ];
    assert_eq!(messages(&seen), expected);
}

#[test]
fn a_silent_program_tells_by_sweep_and_at_its_end_by_drain() {
    let world = World::new();
    let seen = world.below(world.layer().keyed_by(["device"]), || {
        (0..10).for_each(|attempt| driver::fail(1, attempt));
        world.throttle.sweep(LineKey::tell);
        world.clock.advance(W);
        world.throttle.sweep(LineKey::tell);
        (0..3).for_each(|attempt| driver::fail(1, attempt));
        world.throttle.drain(LineKey::tell);
        world.throttle.drain(LineKey::tell);
    });
    let expected = [
        "no answer in attempt 0",
        "more like this: +9 in 60s",
        "more like this: +3 in 0ms",
    ];
    assert_eq!(messages(&seen), expected);
    assert_eq!(
        world.throttle.totals().observed,
        13,
        "its own lines are not among them"
    );
}

#[test]
fn a_companion_is_in_the_span_of_its_event_and_a_summary_in_none() {
    let world = World::new();
    let fail = || tracing::error!(parent: None, "alone");
    let seen = world.below(world.layer(), || {
        let _inside = tracing::info_span!("work").entered();
        for _ in 0..3 {
            fail();
            driver::complain();
        }
        fail();
        driver::fail(1, 0);
        driver::fail(1, 1);
        world.clock.advance(W);
        fail();
        driver::complain();
    });
    let spans: Vec<_> = seen
        .iter()
        .map(|seen| (seen.field("message"), seen.is_root))
        .collect();
    for count in [3, 2, 1] {
        let text = format!("more like this: +{count} in 60s");
        assert!(spans.contains(&(Some(text.as_str()), true)), "{spans:?}");
    }
    assert!(spans.contains(&(Some("slow"), false)), "{spans:?}");
}

#[test]
fn a_companion_of_an_event_in_a_span_is_in_that_span() {
    let world = World::new();
    let seen = world.below(world.layer(), || {
        let _inside = tracing::info_span!("work").entered();
        for _ in 0..3 {
            (0..3).for_each(|_| driver::complain());
            world.clock.advance(W);
        }
    });
    assert_eq!(seen.len(), 5);
    assert!(seen.iter().all(|seen| !seen.is_root), "{seen:?}");
}

#[test]
fn threads_lose_no_count() {
    let world = World::new();
    let dispatch = tracing::Dispatch::new(
        tracing_subscriber::registry().with(world.layer().keyed_by(["device"])),
    );
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                tracing::dispatcher::with_default(&dispatch, || {
                    for attempt in 0..2_000 {
                        driver::fail(attempt % 3, attempt);
                        if attempt % 100 == 0 {
                            world.clock.advance(W / 3);
                        }
                    }
                });
            });
        }
    });
    tracing::dispatcher::with_default(&dispatch, || world.throttle.drain(LineKey::tell));
    let (mut lines, mut told) = (0, 0);
    for seen in world.capture.take() {
        match seen.field("suppressed") {
            Some(count) => told += count.parse::<u64>().expect("a number"),
            None => lines += 1,
        }
    }
    assert_eq!(lines + told, 8_000);
}

#[test]
fn a_sweep_is_due_four_times_a_window_and_not_more_often() {
    let world = World::new();
    let only = Targets::new().with_target(driver::TARGET, Level::ERROR);
    let seen = world.below(world.layer().only(only), || {
        (0..3).for_each(|attempt| driver::fail(1, attempt));
        for seconds in [59, 2, 12, 2] {
            world.clock.advance(Duration::from_secs(seconds));
            tracing::info!("all is well");
        }
    });
    let well = "all is well";
    let expected = [
        "no answer in attempt 0",
        well,
        well,
        well,
        "more like this: +2 in 75s",
        well,
    ];
    assert_eq!(messages(&seen), expected);
}
