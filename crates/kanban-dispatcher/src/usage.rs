//! What this process uses of the machine, for `status`: a leak is seen there before it hurts.

use std::fs;

use keyed_log_throttle::Totals;
use serde::{Deserialize, Serialize};

/// Descriptors and memory of the dispatcher's process, at its last tick or up to a second before it, and at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Usage {
    /// Open descriptors.
    pub descriptors: u32,
    /// The most that a look has found since it started.
    pub descriptors_max: u32,
    /// Resident memory in KiB.
    pub resident_kib: u64,
    /// The most that was ever resident, in KiB, as the kernel has it.
    pub resident_max_kib: u64,
    /// What the failures of boards came to in the log.
    pub log: LogCounts,
}

/// Failures of boards since the dispatcher started: `observed` = `logged` + `reported` + `pending`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LogCounts {
    /// Failures.
    pub observed: u64,
    /// Lines for one.
    pub logged: u64,
    /// Failures without a line whose number a later line told.
    pub reported: u64,
    /// Failures without a line whose number is still to be told.
    pub pending: u64,
    /// (board, cause) pairs that are told apart now; `throttle.keys_max` at most.
    pub keys: u64,
    /// Pairs that were let go: they had come to rest, or their board was removed.
    pub evicted: u64,
    /// Failures that shared a line with other boards', because there were too many pairs.
    pub folded: u64,
}

impl LogCounts {
    pub(crate) fn new(totals: &Totals, keys: usize) -> Self {
        Self {
            observed: totals.observed,
            logged: totals.permitted,
            reported: totals.reported,
            pending: totals.pending,
            keys: keys as u64,
            evicted: totals.evicted,
            folded: totals.folded,
        }
    }
}

impl Usage {
    /// As it is now; what cannot be read stays as it was.
    pub(crate) fn look(&mut self) {
        if let Some(open) = descriptors() {
            self.descriptors = u32::try_from(open).unwrap_or(u32::MAX);
            self.descriptors_max = self.descriptors_max.max(self.descriptors);
        }
        if let Ok(status) = fs::read_to_string("/proc/self/status") {
            let kib = |name: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(name))?;
                line.trim_end_matches("kB").trim().parse().ok()
            };
            self.resident_kib = kib("VmRSS:").unwrap_or(self.resident_kib);
            self.resident_max_kib = kib("VmHWM:").unwrap_or(self.resident_max_kib);
        }
    }
}

/// How many descriptors are open. Linux 6.2 tells it as the directory's size; before that they are counted.
fn descriptors() -> Option<u64> {
    const DIR: &str = "/proc/self/fd";
    let told = fs::metadata(DIR).ok()?.len();
    if told > 0 {
        return Some(told);
    }
    // Without the one that lists them.
    Some((fs::read_dir(DIR).ok()?.count() as u64).saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_opened_is_counted_and_the_most_is_kept() -> std::io::Result<()> {
        let mut usage = Usage::default();
        usage.look();
        let held: Vec<_> = (0..50)
            .map(|_| fs::File::open("/dev/null"))
            .collect::<std::io::Result<_>>()?;
        let before = usage;
        usage.look();
        // Other tests of this process open and close meanwhile.
        assert!(usage.descriptors > before.descriptors + 20, "{usage:?}");
        drop(held);
        let most = usage.descriptors_max;
        usage.look();
        assert!(usage.descriptors_max >= most && usage.resident_max_kib >= usage.resident_kib);
        assert!(usage.resident_kib > 500, "{usage:?}");
        Ok(())
    }
}
