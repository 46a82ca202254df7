//! Proves what `throttled!` promises: asked first is tracing, then the throttle, and only then are fields evaluated; and
//! what is written is the caller's line, in every spelling that `tracing::event!` knows.
#![cfg(feature = "tracing")]

mod support;

use std::cell::Cell;

use keyed_log_throttle::{LogThrottle, throttled};
use support::capture::{Capture, Seen};
use support::{Throttle, W};
use tracing::Level;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::{Registry, reload};

/// Runs `work` below one capturing layer that hears `level` and above.
fn heard(level: LevelFilter, work: impl FnOnce()) -> Vec<Seen> {
    let capture = Capture::default();
    let subscriber = Registry::default().with(capture.clone()).with(level);
    tracing::subscriber::with_default(subscriber, work);
    capture.take()
}

#[test]
fn fields_and_message_are_evaluated_only_when_the_line_is_written() {
    let (throttle, _) = support::throttle();
    let evaluated = Cell::new(0);
    let costly = |text: &'static str| {
        evaluated.set(evaluated.get() + 1);
        text
    };
    let check = |key| throttle.check(key, 1);
    let seen = heard(LevelFilter::INFO, || {
        for _ in 0..10 {
            throttled!(
                check("a"),
                Level::WARN,
                x = costly("x"),
                "{} {}",
                costly("y"),
                1
            );
            throttled!(check("b"), Level::WARN, { x = costly("x"), y = ?costly("y") }, "{}", costly("z"));
            throttled!(check("c"), Level::WARN, "{}", costly("x"));
            throttled!(check("d"), Level::DEBUG, x = %costly("x"), "{}", costly("y"));
        }
    });
    assert_eq!((seen.len(), evaluated.get()), (3, 2 + 3 + 1));
    let totals = throttle.totals();
    assert_eq!((totals.permitted, totals.pending), (3, 27));
}

#[test]
fn a_disabled_level_neither_counts_nor_spends() {
    let (throttle, _) = support::throttle();
    let line = || throttled!(throttle.check("a", 1), Level::INFO, "up");
    line(); // Nobody listens at all.
    assert!(heard(LevelFilter::WARN, line).is_empty());
    assert_eq!(throttle.totals(), keyed_log_throttle::Totals::default());
    assert!(throttle.is_empty(), "the check itself was not evaluated");
    assert_eq!(heard(LevelFilter::INFO, line).len(), 1);
}

#[test]
fn a_level_that_is_changed_at_run_time_is_heeded_at_once() {
    let (throttle, _) = support::throttle();
    let (level, control) = reload::Layer::new(LevelFilter::WARN);
    let subscriber = Registry::default().with(Capture::default()).with(level);
    tracing::subscriber::with_default(subscriber, || {
        for (level, observed) in [
            (LevelFilter::INFO, 3),
            (LevelFilter::WARN, 3),
            (LevelFilter::INFO, 6),
        ] {
            control.reload(level).expect("the subscriber lives");
            for _ in 0..3 {
                throttled!(throttle.check("a", 1), Level::INFO, "up");
            }
            assert_eq!(throttle.totals().observed, observed);
        }
    });
}

#[test]
fn the_count_is_in_fields_of_the_line() {
    let (throttle, clock) = support::throttle();
    let line = || throttled!(throttle.check("a", 1), Level::ERROR, code = 5, "locked");
    let seen = heard(LevelFilter::INFO, || {
        (0..25).for_each(|_| line());
        clock.advance(W);
        line();
    });
    assert_eq!(seen.len(), 2);
    assert_eq!(
        (seen[0].field("message"), seen[0].field("code")),
        (Some("locked"), Some("5"))
    );
    assert_eq!(
        (seen[0].field("suppressed"), seen[0].field("since")),
        (None, None)
    );
    assert_eq!(
        (seen[1].field("suppressed"), seen[1].field("since")),
        (Some("24"), Some("60s"))
    );
    assert_eq!(seen[1].field("folded_keys"), None);
}

#[test]
fn a_line_of_many_keys_says_so() {
    let (builder, _) = support::builder();
    let throttle = builder.capacity(0).build();
    let seen = heard(LevelFilter::INFO, || {
        throttled!(throttle.check("a", 1), Level::ERROR, "locked")
    });
    assert_eq!(seen[0].field("folded_keys"), Some("1"));
}

/// A module of somebody who has not imported tracing and whose names are in the way.
mod elsewhere {
    use super::support::Throttle;

    #[allow(dead_code, reason = "they are in the way of a careless macro")]
    mod tracing {}
    #[allow(dead_code, reason = "they are in the way of a careless macro")]
    mod core {}
    #[allow(dead_code, reason = "they are in the way of a careless macro")]
    enum Option {
        Some,
        None,
    }

    pub(super) const LINE: u32 = line!() + 3;

    pub(super) fn fail(throttle: &Throttle) {
        keyed_log_throttle::throttled!(throttle.check("a", 1), ::tracing::Level::ERROR, "far away");
    }
}

#[test]
fn file_line_module_and_target_are_the_caller_s() {
    let (throttle, _) = support::throttle();
    let seen = heard(LevelFilter::INFO, || elsewhere::fail(&throttle));
    let seen = &seen[0];
    assert_eq!(
        (seen.file, seen.line),
        (Some(file!()), Some(elsewhere::LINE))
    );
    let module = concat!(module_path!(), "::elsewhere");
    assert_eq!((seen.target, seen.module), (module, Some(module)));
    assert!(seen.name.starts_with("event "), "{}", seen.name);
    assert_eq!(seen.level, Level::ERROR);
}

#[test]
fn every_spelling_of_event_is_understood() {
    let throttle = LogThrottle::<u32>::new(W);
    let (key, board, code) = (Cell::new(0), "alpha", 5);
    let next = || {
        key.set(key.get() + 1);
        throttle.check(&key.get(), 0)
    };
    let handle = throttle.handle(&1_000, 0);
    let span_of = |seen: &Seen| seen.is_root;
    let seen = heard(LevelFilter::INFO, || {
        throttled!(next(), Level::INFO, "only {}", "text");
        throttled!(next(), Level::INFO, board, ?code, "text {board}");
        throttled!(next(), Level::INFO, %board, code = ?code, a.b = 1, "c d" = %2);
        throttled!(next(), Level::INFO, { board, code }, "{} {}", 1, 2);
        throttled!(next(), target: "aim", Level::INFO, { board, code });
        throttled!(next(), target: "aim", parent: None, Level::INFO, board, "text",);
        throttled!(next(), parent: None, Level::INFO, "text");
        throttled!(next(), name: "named", target: "aim", parent: None, Level::INFO, board);
        throttled!(next(), name: "named", Level::INFO, { board }, "text");
        throttled!(handle.check(), name: "named", target: "aim", Level::INFO, "text");
        throttled!(handle.check(), Level::INFO, "held back");
    });
    assert_eq!(seen.len(), 10);
    let texts: Vec<_> = seen
        .iter()
        .map(|seen| seen.field("message").unwrap_or("-"))
        .collect();
    assert_eq!(
        texts,
        [
            "only text",
            "text alpha",
            "-",
            "1 2",
            "-",
            "text",
            "text",
            "-",
            "text",
            "text"
        ]
    );
    let boards = seen
        .iter()
        .filter(|seen| seen.field("board") == Some("alpha"))
        .count();
    assert_eq!(boards, 7);
    assert_eq!(
        seen.iter()
            .filter(|seen| seen.field("code") == Some("5"))
            .count(),
        4
    );
    assert_eq!(
        (seen[2].field("a.b"), seen[2].field("c d")),
        (Some("1"), Some("2"))
    );
    assert_eq!(seen.iter().filter(|seen| seen.target == "aim").count(), 4);
    assert_eq!(seen.iter().filter(|seen| seen.name == "named").count(), 3);
    assert_eq!(seen.iter().filter(|seen| span_of(seen)).count(), 3);
}

fn warn(throttle: &Throttle) {
    throttled!(throttle.check("a", 1), Level::WARN, "first");
}

/// Without care, a filter takes what it noted about a line that was held back for its answer about the next one.
#[test]
fn a_line_that_is_held_back_costs_no_layer_its_next_line() {
    let (throttle, _) = support::throttle();
    let (errors, all) = (Capture::default(), Capture::default());
    let subscriber = Registry::default()
        .with(errors.clone().with_filter(LevelFilter::ERROR))
        .with(all.clone().with_filter(LevelFilter::DEBUG));
    tracing::subscriber::with_default(subscriber, || {
        for _ in 0..3 {
            warn(&throttle);
            tracing::error!("second");
        }
    });
    assert_eq!((errors.take().len(), all.take().len()), (3, 4));
    assert_eq!(throttle.totals().pending, 2);
}

/// The same when the check is left on the way: by `?`, by `return`, by a panic.
#[test]
fn a_check_that_does_not_come_to_an_answer_costs_no_layer_its_next_line() {
    fn leave(line: Option<Option<keyed_log_throttle::Line>>) -> Option<()> {
        throttled!(line?, Level::WARN, "first");
        Some(())
    }
    fn panics() {
        let check = || -> Option<keyed_log_throttle::Line> { panic!("in the check") };
        throttled!(check(), Level::WARN, "first");
    }
    let (errors, all) = (Capture::default(), Capture::default());
    let subscriber = Registry::default()
        .with(errors.clone().with_filter(LevelFilter::ERROR))
        .with(all.clone().with_filter(LevelFilter::DEBUG));
    tracing::subscriber::with_default(subscriber, || {
        assert_eq!(leave(None), None);
        tracing::error!("second");
        assert!(std::panic::catch_unwind(panics).is_err());
        tracing::error!("second");
    });
    assert_eq!((errors.take().len(), all.take().len()), (2, 2));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 50, ..Default::default() })]

    /// Steps of a level that is set, a line at a level, or time that goes by; beside a model of a few lines.
    #[test]
    fn only_what_is_enabled_is_counted(steps in proptest::collection::vec((0..3_u8, 0..4_u8), 1..60)) {
        let (throttle, clock) = support::throttle();
        let (filter, control) = reload::Layer::new(LevelFilter::OFF);
        let capture = Capture::default();
        let subscriber = Registry::default().with(capture.clone()).with(filter);
        let (mut level, mut next, mut observed, mut lines) = (0, 0_u32, 0, 0);
        let mut now = 1;
        tracing::subscriber::with_default(subscriber, || {
            for (step, n) in steps {
                match step {
                    0 => {
                        level = n;
                        let levels = [LevelFilter::OFF, LevelFilter::ERROR, LevelFilter::WARN, LevelFilter::INFO];
                        control.reload(levels[usize::from(n)]).expect("the subscriber lives");
                    }
                    1 => {
                        match n {
                            1 => throttled!(throttle.check("a", 1), Level::ERROR, "line"),
                            2 => throttled!(throttle.check("a", 1), Level::WARN, "line"),
                            _ => throttled!(throttle.check("a", 1), Level::INFO, "line"),
                        }
                        let enabled = (if n == 0 { 3 } else { n }) <= level;
                        observed += u64::from(enabled);
                        if enabled && now >= next {
                            (next, lines) = (now + 2, lines + 1);
                        }
                    }
                    _ => {
                        clock.advance(W / 2);
                        now += 1;
                    }
                }
            }
        });
        let totals = throttle.totals();
        proptest::prop_assert_eq!((totals.observed, totals.permitted), (observed, lines));
        proptest::prop_assert_eq!(capture.take().len() as u64, lines);
    }
}

/// Where the fmt layer writes to.
#[derive(Clone, Default)]
struct Written(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Written {
    fn write(&mut self, part: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no test panics in it").write(part)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The lines that tracing's own layer writes of `work`, as an operator reads them.
fn lines(work: impl FnOnce()) -> Vec<String> {
    let written = Written::default();
    let to = written.clone();
    let subscriber = tracing_subscriber::fmt()
        .without_time()
        .with_ansi(false)
        .with_target(false)
        .with_writer(move || to.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, work);
    let text = written.0.lock().expect("no test panics in it").clone();
    let text = String::from_utf8(text).expect("text");
    text.lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn in_a_formatted_line_the_message_stands_first_and_the_count_behind_it() {
    let (throttle, clock) = support::throttle();
    let error = "locked";
    let lines = lines(|| {
        for held_back in [0, 3, 0] {
            for _ in 0..=held_back {
                throttled!(
                    throttle.check("a", 1),
                    Level::WARN,
                    code = 5,
                    "is {error} {{{}}}",
                    1
                );
                throttled!(throttle.check("b", 1), Level::WARN, { code = 5 }, "busy");
                throttled!(throttle.check("c", 1), Level::WARN, code = 5);
            }
            clock.advance(W);
        }
    });
    let told = "suppressed=3 since=60s";
    let [first, second, third] = [&lines[..3], &lines[3..6], &lines[6..]];
    assert_eq!(
        first,
        [
            "WARN is locked {1} code=5",
            "WARN busy code=5",
            "WARN code=5"
        ]
    );
    assert_eq!(second, first, "nothing was held back before");
    assert_eq!(
        third,
        [
            format!("WARN is locked {{1}} {told} code=5"),
            format!("WARN busy {told} code=5"),
            format!("WARN {told} code=5")
        ]
    );
}
