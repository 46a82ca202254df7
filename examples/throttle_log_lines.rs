//! A loop that fails each tick writes one line a minute, says how many it held back, and says when it works again.
//!
//! Run with `cargo run --example throttle_log_lines`. Time is faked: ten minutes pass at once.

use std::time::Duration;

use keyed_log_throttle::governor::clock::FakeRelativeClock;
use keyed_log_throttle::{ClassId, LogThrottle};
use tracing::{error, info, warn};

/// What went wrong; a new kind of trouble is heard at once.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Locked,
    Corrupt,
}

impl From<Trouble> for ClassId {
    fn from(trouble: Trouble) -> Self {
        Self::new(trouble as u16)
    }
}

/// Board "alpha" is locked for three minutes and damaged for a moment; "beta" fails five times and is not asked again.
fn visit(board: &str, second: u64) -> Option<Result<(), Trouble>> {
    match (board, second) {
        ("alpha", 90) => Some(Err(Trouble::Corrupt)),
        ("alpha", 0..180) | ("beta", 200..225) => Some(Err(Trouble::Locked)),
        ("beta", 225..) => None,
        _ => Some(Ok(())),
    }
}

fn main() {
    tracing_subscriber::fmt()
        .without_time()
        .with_target(false)
        .init();
    let clock = FakeRelativeClock::default();
    let window = Duration::from_secs(60);
    let throttle = LogThrottle::<String>::builder()
        .window(window)
        .clock(clock.clone())
        .build();

    for second in (0..600).step_by(5) {
        for board in ["alpha", "beta"] {
            match visit(board, second) {
                Some(Err(trouble)) => {
                    if let Some(line) = throttle.check(board, trouble) {
                        error!("{second:>3} s: {board}: {trouble:?} {line}");
                    }
                }
                Some(Ok(())) => {
                    if let Some(end) = throttle.recovered(board) {
                        info!("{second:>3} s: {board} works again: {end}");
                    }
                }
                None => {}
            }
        }
        throttle.sweep(|board, class, held| {
            warn!("{second:>3} s: {board}: class {class}: {held}, now silent")
        });
        clock.advance(Duration::from_secs(5));
    }
    throttle.drain(|board, class, held| warn!("{board}: class {class}: {held} at the end"));
    info!("{:?}", throttle.totals());
}
