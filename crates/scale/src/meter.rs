//! Processor time of the whole process, its lanes included, and time on the wall.

use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::Result;

/// What one piece of work took, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) cpu: f64,
    pub(crate) wall: f64,
}

/// The costs of the same work, again and again.
#[derive(Debug, Default)]
pub(crate) struct Costs(Vec<Cost>);

/// Does the work once, and says what it took.
pub(crate) fn measured<T>(work: impl FnOnce() -> T) -> (T, Cost) {
    let (cpu, wall) = (ns(ClockId::ProcessCPUTime), ns(ClockId::Monotonic));
    let done = work();
    let cost = Cost {
        cpu: ns(ClockId::ProcessCPUTime) - cpu,
        wall: ns(ClockId::Monotonic) - wall,
    };
    (done, cost)
}

/// Nanoseconds since 1970, by the clock that all processes share.
pub(crate) fn now() -> i64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::Realtime);
    tv_sec * 1_000_000_000 + tv_nsec
}

/// Nanoseconds by the clock that never goes back.
pub(crate) fn now_ns() -> u64 {
    ns(ClockId::Monotonic) as u64
}

fn ns(clock: ClockId) -> f64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(clock);
    tv_sec as f64 * 1e9 + tv_nsec as f64
}

/// When to stop repeating: after so many times, or earlier when the time is used up, but not before three.
#[derive(Debug)]
pub(crate) struct Repeat {
    left: usize,
    done: usize,
    until: f64,
}

impl Repeat {
    pub(crate) fn new(times: usize, at_most: Duration) -> Self {
        Self {
            left: times,
            done: 0,
            until: ns(ClockId::Monotonic) + at_most.as_nanos() as f64,
        }
    }
}

impl Iterator for Repeat {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let is_late = self.done >= 3 && ns(ClockId::Monotonic) > self.until;
        self.left = self.left.checked_sub(1).filter(|_| !is_late)?;
        self.done += 1;
        Some(self.done - 1)
    }
}

/// Waits until something that another process does has happened.
pub(crate) fn until(what: &str, limit: Duration, mut done: impl FnMut() -> Result<bool>) -> Result {
    let deadline = ns(ClockId::Monotonic) + limit.as_nanos() as f64;
    while !done()? {
        if ns(ClockId::Monotonic) > deadline {
            return Err(format!("waited in vain until {what}").into());
        }
        pause(Duration::from_millis(5));
    }
    Ok(())
}

pub(crate) fn pause(time: Duration) {
    std::thread::park_timeout(time);
}

// ===== impl Costs =====

impl Costs {
    pub(crate) fn push(&mut self, cost: Cost) {
        self.0.push(cost);
    }

    /// The medians.
    pub(crate) fn median(&self) -> Cost {
        Cost {
            cpu: median(self.0.iter().map(|cost| cost.cpu)),
            wall: median(self.0.iter().map(|cost| cost.wall)),
        }
    }
}

impl Cost {
    /// For one of so many.
    pub(crate) fn each(self, count: usize) -> Self {
        let count = count as f64;
        Self {
            cpu: self.cpu / count,
            wall: self.wall / count,
        }
    }
}

pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    percentile(values, 50)
}

/// The value below which so many of a hundred lie; 0 for none at all.
pub(crate) fn percentile(values: impl IntoIterator<Item = f64>, percent: usize) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values
        .get((last * percent).div_ceil(100))
        .copied()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{median, percentile};

    #[test]
    fn a_percentile_is_one_of_the_values_and_never_too_small() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([]), 0.0);
        let hundred = || (1..=100).map(f64::from);
        assert_eq!(percentile(hundred(), 99), 100.0);
        assert_eq!(percentile((0..=100).map(f64::from), 99), 99.0);
    }
}
