//! Proves which events share a line below a `ThrottleLayer`: those of one callsite with the same values of the chosen fields,
//! wherever the values are.
#![cfg(feature = "layer")]

mod support;

use keyed_log_throttle::LineKey;
use support::W;
use support::layered::{World, driver, messages};

#[test]
fn without_key_fields_a_callsite_is_the_key() {
    let world = World::new();
    let seen = world.below(world.layer(), || {
        (0..10).for_each(|device| driver::fail(device, 0));
        driver::complain();
    });
    assert_eq!(messages(&seen), ["no answer in attempt 0", "slow"]);
}

#[test]
fn an_event_that_lacks_a_key_field_shares_its_callsite_s_line() {
    let world = World::new();
    let seen = world.below(world.layer().keyed_by(["device", "tenant"]), || {
        (0..3).for_each(|_| driver::complain());
        (0..3).for_each(|_| driver::fail(7, 0));
        world.throttle.drain(LineKey::tell);
    });
    let keys: Vec<_> = seen.iter().filter_map(|seen| seen.field("key")).collect();
    assert_eq!(seen.len(), 4);
    let told = seen
        .iter()
        .filter(|seen| seen.field("suppressed") == Some("2"));
    assert_eq!((told.count(), keys), (2, vec!["device=7"]));
}

#[test]
fn the_key_may_be_in_a_span_and_the_innermost_wins() {
    let world = World::new();
    let seen = world.below(world.layer().keyed_by(["tenant", "device"]), || {
        for tenant in ["acme", "zeta"] {
            let outer = tracing::info_span!("request", tenant, device = 0).entered();
            for _ in 0..5 {
                driver::complain();
            }
            let inner = tracing::info_span!("call", device = tracing::field::Empty).entered();
            driver::complain();
            inner.record("device", 1);
            driver::complain();
            inner.record("device", 2);
            driver::fail(3, 0);
            drop((inner, outer));
        }
        world.throttle.drain(LineKey::tell);
    });
    let mut keys: Vec<_> = seen.iter().filter_map(|seen| seen.field("key")).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["device=0, tenant=acme", "device=0, tenant=zeta"]);
    // Per tenant: device 0, device 1, and device 3 of the event itself.
    assert_eq!(
        messages(&seen)
            .iter()
            .filter(|message| !message.starts_with("more"))
            .count(),
        6
    );
    assert_eq!(world.throttle.totals().reported, 10);
}

#[test]
fn values_that_would_read_alike_are_two_keys() {
    let world = World::new();
    let seen = world.below(world.layer().keyed_by(["a", "b"]), || {
        for (a, b) in [("x", "y"), ("x\u{1f}b=y", ""), ("x", "y")] {
            tracing::error!(a, b, "failed");
        }
    });
    assert_eq!(seen.len(), 2);
}

#[test]
fn a_value_further_out_is_no_part_of_the_key() {
    let world = World::new();
    let seen = world.below(world.layer().keyed_by(["tenant", "device"]), || {
        for outer in [1, 2, 3] {
            let _span = tracing::info_span!("bus", tenant = "acme", device = outer).entered();
            driver::fail(7, 0);
        }
    });
    assert_eq!(seen.len(), 1);
}

#[test]
fn one_key_field_of_a_span_is_enough() {
    let world = World::new();
    let seen = world.below(world.layer().keyed_by(["device"]), || {
        for device in [1, 2, 1, 2, 2] {
            let _span = tracing::info_span!("poll", attempt = 5, device).entered();
            driver::complain();
        }
    });
    assert_eq!(messages(&seen), ["slow", "slow"]);
}

#[test]
fn a_key_that_was_handed_out_finds_its_entry_again() {
    let world = World::new();
    world.below(world.layer().keyed_by(["device"]), || {
        (0..9).for_each(|n| driver::fail(n % 3, n));
        (0..3).for_each(|_| driver::complain());
    });
    let mut keys = Vec::new();
    world.throttle.drain(|key, _, _| keys.push(key.clone()));
    assert_eq!((keys.len(), world.throttle.len()), (4, 4));
    for (at, key) in keys.iter().enumerate() {
        assert!(
            keys.iter()
                .enumerate()
                .all(|(other, found)| (found == key) == (other == at))
        );
        assert!(
            world
                .throttle
                .check(key, key.metadata().level().to_owned())
                .is_none()
        );
        assert!(world.throttle.forget(key).is_some(), "{key:?}");
    }
    assert!(world.throttle.is_empty());
    let mut texts: Vec<_> = keys.iter().map(LineKey::to_string).collect();
    texts.sort_unstable();
    assert_eq!(texts, ["", "device=0", "device=1", "device=2"]);
}

#[test]
fn the_order_in_which_values_are_found_makes_no_other_key() {
    let world = World::new();
    world.below(world.layer().keyed_by(["device", "tenant"]), || {
        let outer = tracing::info_span!("request", device = 7, tenant = "acme").entered();
        driver::complain();
        outer.record("device", 7);
        driver::complain();
        drop(outer);
        let outer = tracing::info_span!("request", device = 7).entered();
        let inner = tracing::info_span!("call", tenant = "acme").entered();
        driver::complain();
        drop((inner, outer));
    });
    assert_eq!(world.throttle.totals().permitted, 1);
    assert_eq!(world.throttle.len(), 1);
}

#[test]
fn a_line_about_events_without_a_key_has_no_field_for_it() {
    for fields in [&[][..], &["device"][..]] {
        let world = World::new();
        let seen = world.below(world.layer().keyed_by(fields.iter().copied()), || {
            for _ in 0..3 {
                driver::complain();
            }
            world.clock.advance(W);
            driver::complain();
            driver::complain();
            world.throttle.drain(LineKey::tell);
        });
        assert_eq!(messages(&seen)[1], "more like this: +2 in 60s");
        assert_eq!((seen.len(), seen[1].field("suppressed")), (4, Some("2")));
        assert!(
            seen.iter().all(|seen| seen.field("key").is_none()),
            "{seen:?}"
        );
    }
}
