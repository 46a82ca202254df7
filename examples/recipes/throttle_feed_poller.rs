//! A poller of many feeds says that a feed is down once a minute, how much it held back, and when the feed works again.
//!
//! Run with `cargo run --example throttle_feed_poller`. Time is faked: half an hour passes at once.

#![expect(
    clippy::print_stdout,
    reason = "an example prints what a reader expects"
)]

use std::cell::RefCell;
use std::time::Duration;

use keyed_log_throttle::governor::clock::FakeRelativeClock;
use keyed_log_throttle::{ClassId, LogThrottle};

#[derive(Clone, Copy, Debug)]
enum Trouble {
    Timeout,
    BadXml,
}

impl From<Trouble> for ClassId {
    fn from(trouble: Trouble) -> Self {
        Self::new(trouble as u16)
    }
}

/// "news" times out for ten minutes and sends rubbish once in between; "blog" fails for a while and is then given up.
fn fetch(feed: &str, second: u64) -> Option<Result<(), Trouble>> {
    match (feed, second) {
        ("news", 310) => Some(Err(Trouble::BadXml)),
        ("news", 60..660) | ("blog", 900..930) => Some(Err(Trouble::Timeout)),
        ("blog", 930..) => None,
        _ => Some(Ok(())),
    }
}

fn main() {
    let clock = FakeRelativeClock::default();
    let builder = LogThrottle::<String>::builder().window(Duration::from_secs(60));
    let throttle = builder.clock(clock.clone()).build();
    let said = RefCell::new(Vec::new());
    let say = |line: String| {
        println!("{line}");
        said.borrow_mut().push(line);
    };
    {
        // However this scope is left, the outstanding counts are told.
        let _told =
            throttle.drain_on_drop(|feed, _, held| say(format!("at the end  {feed}: {held}")));
        for second in (0..1800).step_by(5) {
            for feed in ["news", "blog"] {
                match fetch(feed, second) {
                    Some(Err(trouble)) => {
                        if let Some(line) = throttle.check(feed, trouble) {
                            say(format!("{second:>5} s  {feed}: {trouble:?} {line}"));
                        }
                    }
                    Some(Ok(())) => {
                        if let Some(end) = throttle.recovered(feed) {
                            say(format!("{second:>5} s  {feed} works again: {end}"));
                        }
                    }
                    None => {}
                }
            }
            throttle
                .sweep(|feed, _, held| say(format!("{second:>5} s  {feed}: {held}, then silence")));
            clock.advance(Duration::from_secs(5));
        }
    }
    let (said, totals) = (said.into_inner(), throttle.totals());
    println!("{} lines instead of {}", said.len(), totals.observed);
    let lines_of = |text: &str| said.iter().filter(|line| line.contains(text)).count();
    assert_eq!(lines_of("news: Timeout"), 10, "one a minute");
    assert_eq!(lines_of("news: BadXml"), 1, "new trouble is heard at once");
    assert_eq!(lines_of("news works again: 120 failures in 10min"), 1);
    assert_eq!(lines_of("blog: +5 in 60s, then silence"), 1);
    assert_eq!((totals.observed, totals.pending), (126, 0));
}
