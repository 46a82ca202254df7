//! Proves when a line passes: at once, then once per window, by a clock that only goes forward.
//! A fake clock is moved by hand; the numbers are those of the written cases.

mod support;

use std::any::TypeId;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use governor::clock::{Clock, FakeRelativeClock};
use governor::nanos::Nanos;
use keyed_log_throttle::{ClassId, HostClock, LogThrottle, governor};
use support::{T, W, fail, throttle};

#[test]
fn a_steady_failure_writes_at_most_six_lines_in_five_windows() {
    let (throttle, clock) = throttle();
    let mut lines = Vec::new();
    for _ in 0..=60 {
        lines.extend(throttle.check("alpha", 1));
        clock.advance(T);
    }
    let suppressed: Vec<_> = lines.iter().map(|line| line.suppressed).collect();
    assert_eq!(suppressed, [0, 11, 11, 11, 11, 11]);
    assert_eq!(lines[0].since, None);
    assert!(lines[1..].iter().all(|line| line.since == Some(W)));
}

#[test]
fn sweeping_each_tick_adds_no_line_to_a_steady_failure() {
    let (throttle, clock) = throttle();
    let (mut said, mut lines) = (0, 0);
    // 5.001 s: the window never ends on a tick, so sweep and check compete for it.
    for _ in 0..60 {
        lines += fail(&throttle, "alpha", 1, 1);
        clock.advance(Duration::from_millis(2_500));
        said += support::sweep(&throttle).len();
        clock.advance(Duration::from_millis(2_501));
    }
    assert!(lines + said <= 6, "{lines} lines and {said} summaries");
    assert!(throttle.totals().is_conserved());
}

#[test]
fn a_new_class_of_a_known_key_passes_at_once() {
    let (throttle, _) = throttle();
    assert_eq!(fail(&throttle, "alpha", 1, 3), 1);
    assert_eq!(fail(&throttle, "alpha", 2, 3), 1);
    assert_eq!(throttle.pending("alpha"), 4);
}

#[test]
fn keys_do_not_share_a_window() {
    let (throttle, _) = throttle();
    assert_eq!(fail(&throttle, "alpha", 1, 3), 1);
    assert_eq!(fail(&throttle, "beta", 1, 3), 1);
}

#[test]
fn a_line_one_nanosecond_early_is_held_back() {
    let (throttle, clock) = throttle();
    assert_eq!(fail(&throttle, "alpha", 1, 1), 1);
    clock.advance(W - Duration::from_nanos(1));
    assert_eq!(fail(&throttle, "alpha", 1, 1), 0);
    clock.advance(Duration::from_nanos(1));
    assert_eq!(fail(&throttle, "alpha", 1, 2), 1);
}

#[test]
fn a_class_may_have_a_window_of_its_own() {
    let (builder, clock) = support::builder();
    let throttle = builder
        .class_window(7, 3 * W)
        .class_window(3, W / 2)
        .build();
    for class in [7, 3, 5] {
        assert_eq!(fail(&throttle, "alpha", class, 2), 1);
    }
    clock.advance(W / 2);
    assert_eq!(
        [7, 3, 5].map(|class| fail(&throttle, "alpha", class, 1)),
        [0, 1, 0]
    );
    clock.advance(W / 2);
    assert_eq!(
        [7, 3, 5].map(|class| fail(&throttle, "alpha", class, 1)),
        [0, 1, 1]
    );
    clock.advance(2 * W);
    assert_eq!(
        [7, 3, 5].map(|class| fail(&throttle, "alpha", class, 1)),
        [1, 1, 1]
    );
    assert_eq!(
        [7, 3, 5].map(|class| throttle.window(class)),
        [3 * W, W / 2, W]
    );
}

#[test]
fn every_class_may_have_a_window_of_its_own() {
    let (builder, clock) = support::builder();
    let own = |builder: keyed_log_throttle::Builder<_, _, _>, class| {
        builder.class_window(class, W * (1 + u32::from(class > 65_533)))
    };
    let throttle = (0..=u16::MAX).fold(builder, own).window(7 * W).build();
    let classes = [0, 1, 65_533, 65_534, 65_535];
    let failed = |class| fail(&throttle, "alpha", class, 2);
    assert_eq!(classes.map(failed), [1; 5]);
    clock.advance(W);
    assert_eq!(classes.map(failed), [1, 1, 1, 0, 0]);
    clock.advance(W);
    assert_eq!(classes.map(failed), [1; 5]);
}

#[test]
fn a_window_of_zero_holds_nothing_back() {
    let (builder, clock) = support::builder();
    let throttle = builder.window(Duration::ZERO).build();
    assert_eq!(fail(&throttle, "alpha", 1, 5), 5);
    assert_eq!(
        (throttle.totals().permitted, throttle.totals().pending),
        (5, 0)
    );
    assert_eq!(throttle.recovered("alpha").map(|end| end.lines), Some(5));
    clock.advance(T);
    throttle.sweep(|_, _, _| {});
    assert!(throttle.is_empty());
}

#[test]
fn a_window_without_end_is_no_panic() {
    let (builder, clock) = support::builder();
    let throttle = builder
        .window(Duration::MAX)
        .class_window(2, Duration::MAX)
        .build();
    clock.advance(W);
    assert_eq!(
        fail(&throttle, "alpha", 1, 5) + fail(&throttle, "alpha", 2, 5),
        2
    );
    assert!(support::sweep(&throttle).is_empty());
}

#[test]
fn the_default_clock_is_not_the_wall_clock() {
    use governor::clock::{QuantaClock, SystemClock};
    type Moment = <HostClock as Clock>::Instant;
    assert_ne!(
        TypeId::of::<Moment>(),
        TypeId::of::<<SystemClock as Clock>::Instant>()
    );
    let known = [
        TypeId::of::<std::time::Instant>(),
        TypeId::of::<<QuantaClock as Clock>::Instant>(),
    ];
    assert!(known.contains(&TypeId::of::<Moment>()));
}

/// A clock whose reading the test sets, backwards too.
#[derive(Clone, Default)]
struct Settable(Rc<Cell<Duration>>);

impl Clock for Settable {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.get()
    }
}

#[test]
fn a_clock_that_steps_back_loses_no_count_and_makes_no_flood() {
    let clock = Settable::default();
    clock.0.set(10 * W);
    let throttle = LogThrottle::<u64>::builder()
        .window(W)
        .clock(clock.clone())
        .build();
    clock.0.set(12 * W);
    assert!(throttle.check(&1, 0).is_some());
    clock.0.set(11 * W);
    assert!((0..100).all(|_| throttle.check(&1, 0).is_none()));
    clock.0.set(13 * W);
    assert_eq!(throttle.check(&1, 0).map(|line| line.suppressed), Some(100));
}

#[test]
fn a_check_of_a_known_key_does_not_clone_it() {
    #[derive(PartialEq, Eq, Hash)]
    struct Key(u32);
    thread_local!(static CLONES: Cell<u32> = const { Cell::new(0) });
    impl Clone for Key {
        fn clone(&self) -> Self {
            CLONES.set(CLONES.get() + 1);
            Self(self.0)
        }
    }
    let throttle = LogThrottle::<Key>::new(W);
    for _ in 0..1_000 {
        let _ = throttle.check(&Key(1), 0);
    }
    drop((
        throttle.recovered(&Key(1)),
        throttle.pending(&Key(1)),
        throttle.forget(&Key(1)),
    ));
    assert_eq!(CLONES.get(), 1);
}

#[test]
fn a_class_keeps_its_number() {
    let class = ClassId::from(513);
    assert_eq!(
        (class.get(), u16::from(class), class.to_string()),
        (513, 513, "513".into())
    );
    assert_eq!(ClassId::new(513), class);
}

#[test]
fn a_tick_clock_shows_the_time_of_its_last_tick_to_all_clones() {
    use governor::clock::FakeRelativeClock;
    use keyed_log_throttle::TickClock;

    let source = FakeRelativeClock::default();
    source.advance(T);
    let clock = TickClock::over(source.clone());
    let throttle = LogThrottle::<u64>::builder()
        .window(W)
        .clock(clock.clone())
        .build();
    assert!(throttle.check(&1, 0).is_some());
    source.advance(W);
    assert!(
        throttle.check(&1, 0).is_none(),
        "who forgets to tick stops time"
    );
    assert!(
        throttle.check(&2, 0).is_some(),
        "a new key passes all the same"
    );
    assert_eq!(throttle.sweep(|_, _, _| {}), 0);
    clock.tick();
    assert_eq!(Duration::from(clock.now()), W);
    let line = throttle
        .check(&1, 0)
        .map(|line| (line.suppressed, line.since));
    assert_eq!(line, Some((1, Some(W))), "nothing was lost");
    assert!(throttle.totals().is_conserved());
}

#[test]
fn a_tick_clock_does_not_go_back() {
    use keyed_log_throttle::TickClock;

    let source = Settable::default();
    let clock = TickClock::over(source.clone());
    for (now, shown) in [(3 * W, 3 * W), (W, 3 * W), (4 * W, 4 * W)] {
        source.0.set(now);
        clock.tick();
        assert_eq!(Duration::from(clock.now()), shown);
    }
}

/// Time that goes by while a throttle is made.
#[derive(Clone)]
struct Slow {
    time: FakeRelativeClock,
    step: Arc<AtomicU64>,
}

impl Clock for Slow {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.time
            .advance(Duration::from_millis(self.step.load(Relaxed)));
        self.time.now()
    }
}

#[test]
fn windows_that_count_from_different_moments_are_not_shorter() {
    let clock = Slow {
        time: FakeRelativeClock::default(),
        step: Arc::new(AtomicU64::new(1)),
    };
    let builder = LogThrottle::<String>::builder()
        .window(W)
        .clock(clock.clone());
    let builder = (10..20).fold(builder, |builder, class| builder.class_window(class, W));
    let throttle = builder.class_window(7, Duration::ZERO).capacity(4).build();
    clock.step.store(0, Relaxed);
    let line = |key, class| throttle.check(key, class).is_some();

    assert!(line("alpha", 19));
    drop(throttle.recovered("alpha"));
    assert!(
        line("beta", 1) && line("gamma", 1) && line("delta", 1),
        "the last one shares"
    );
    drop(throttle.forget("gamma"));
    assert!(
        line("zeta", 7) && line("zeta", 7),
        "and none of no length is longer"
    );
    drop(throttle.forget("zeta"));
    clock.time.advance(W - Duration::from_millis(1));
    throttle.sweep(|_, _, _| ());
    assert!(!line("alpha", 19), "it was not evicted early");
    assert!(!line("delta", 1), "it goes on where it shared");
    clock.time.advance(Duration::from_millis(100));
    assert!(line("alpha", 19) && line("delta", 1));
}
