//! A thousand devices are asked in rounds; a quarter of them never answers. A handle per device and a clock that is read
//! once per round make a line that is held back cost a few nanoseconds.
//!
//! Run with `cargo run --release --example throttle_device_fleet`. Time is faked: an hour of rounds passes at once.

#![expect(
    clippy::print_stdout,
    reason = "an example prints what a reader expects"
)]

use std::time::Duration;

use keyed_log_throttle::governor::clock::FakeRelativeClock;
use keyed_log_throttle::{Handle, LogThrottle, TickClock};

const NO_ANSWER: u16 = 1;

type Clock = TickClock<FakeRelativeClock>;

struct Device {
    number: u32,
    no_answer: Handle<u32, Clock>,
}

fn answers(device: u32, round: u32) -> bool {
    !device.is_multiple_of(4) || (device == 8 && round > 2_000)
}

fn main() {
    let time = FakeRelativeClock::default();
    let clock = TickClock::over(time.clone()); // A real program has `TickClock::new()`.
    let throttle = LogThrottle::<u32>::builder()
        .window(Duration::from_secs(600))
        .capacity(2_000) // A good deal above the number of handles, or some would share a line.
        .clock(clock.clone())
        .build();
    let fleet: Vec<_> = (0..1_000)
        .map(|number| Device {
            number,
            no_answer: throttle.handle(&number, NO_ANSWER),
        })
        .collect();
    assert!(fleet.iter().all(|device| !device.no_answer.is_folded()));

    let (mut lines, mut told, mut recoveries) = (0_u64, 0, 0);
    for round in 0..3_600 {
        clock.tick(); // Without it time stands still, and so does the log.
        for device in &fleet {
            if !answers(device.number, round) {
                if let Some(line) = device.no_answer.check() {
                    lines += 1;
                    told += line.suppressed;
                    if device.number == 4 {
                        println!("{round:>4} s  device {}: no answer {line}", device.number);
                    }
                }
            } else if let Some(end) = throttle.recovered(&device.number) {
                recoveries += 1;
                told += end.suppressed;
                println!(
                    "{round:>4} s  device {} answers again: {end}",
                    device.number
                );
            }
        }
        time.advance(Duration::from_secs(1));
    }
    throttle.drain(|_device, _class, held| told += held.suppressed);

    let totals = throttle.totals();
    println!("{lines} lines instead of {}", totals.observed);
    assert_eq!((lines, recoveries), (249 * 6 + 4, 1));
    assert_eq!(
        totals.observed,
        lines + told,
        "every failure was written or counted in a line"
    );
}
