//! What has changed between two sets of counts, beyond what another machine of the same kind may change.

use std::fmt;

use super::Counts;

/// Hashes are seeded anew in each process, and libc has more than one way to copy: that moves counts by less than this.
const PERCENT: u64 = 5;

/// And small ones by no more than this.
const LEAST: u64 = 3;

/// What is the difference of two counts, divided, moves by what both of them do.
const DIFFERENCE: &str = "each board";
const DIFFERENCE_PERCENT: u64 = 20;

/// One count that is not as it was.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// What is counted.
    kind: &'static str,
    name: String,
    change: Change,
}

#[derive(Debug, PartialEq, Eq)]
enum Change {
    Worse {
        before: u64,
        now: u64,
        allowed: u64,
    },
    Better {
        before: u64,
        now: u64,
    },
    /// The baseline does not have it.
    New {
        now: u64,
    },
    /// Nothing counts it any more.
    Gone {
        before: u64,
    },
}

pub(super) fn judge(kind: &'static str, before: &Counts, now: &Counts) -> Vec<Finding> {
    let finding = |name: &String, change| Finding {
        kind,
        name: name.clone(),
        change,
    };
    let mut findings = Vec::new();
    for (name, before) in before {
        let change = match now.get(name) {
            None => Some(Change::Gone { before: *before }),
            Some(now) => compare(*before, *now, slack(name, *before)),
        };
        findings.extend(change.map(|change| finding(name, change)));
    }
    let new = now.iter().filter(|(name, _)| !before.contains_key(*name));
    findings.extend(new.map(|(name, now)| finding(name, Change::New { now: *now })));
    findings
}

fn compare(before: u64, now: u64, slack: u64) -> Option<Change> {
    let allowed = before + slack;
    if now > allowed {
        return Some(Change::Worse {
            before,
            now,
            allowed,
        });
    }
    (now + slack < before).then_some(Change::Better { before, now })
}

fn slack(name: &str, count: u64) -> u64 {
    let percent = match name.ends_with(DIFFERENCE) {
        true => DIFFERENCE_PERCENT,
        false => PERCENT,
    };
    (count * percent / 100).max(LEAST)
}

// ===== impl Finding =====

impl Finding {
    /// Whether it must not be; a count that is gone guards nothing any more.
    pub(super) const fn is_bad(&self) -> bool {
        matches!(self.change, Change::Worse { .. } | Change::Gone { .. })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name, .. } = self;
        match self.change {
            Change::Worse {
                before,
                now,
                allowed,
            } => write!(
                f,
                "WORSE: {kind} of \"{name}\": baseline {before}, now {now}, allowed {allowed}"
            ),
            Change::Better { before, now } => {
                write!(
                    f,
                    "better: {kind} of \"{name}\": baseline {before}, now {now}"
                )
            }
            Change::New { now } => {
                write!(f, "new: {kind} of \"{name}\": no baseline, now {now}")
            }
            Change::Gone { before } => write!(
                f,
                "GONE: {kind} of \"{name}\": baseline {before}, and nothing counts it any more"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(of: &[(&str, u64)]) -> Counts {
        of.iter()
            .map(|(name, n)| ((*name).to_owned(), *n))
            .collect()
    }

    #[test]
    fn a_count_may_move_by_five_percent_or_by_three() {
        let before = counts(&[("large", 1_000), ("small", 10), ("none", 0)]);
        let judged = |now: &[(&str, u64)]| judge("instructions", &before, &counts(now));
        assert_eq!(judged(&[("large", 1_050), ("small", 13), ("none", 3)]), []);
        assert_eq!(judged(&[("large", 950), ("small", 7), ("none", 0)]), []);
        let worse = judged(&[("large", 1_051), ("small", 14), ("none", 4)]);
        assert_eq!(worse.iter().filter(|finding| finding.is_bad()).count(), 3);
        let better = judged(&[("large", 949), ("small", 6), ("none", 0)]);
        assert!(better.len() == 2 && !better.iter().any(Finding::is_bad));
    }

    #[test]
    fn a_difference_of_two_counts_may_move_by_twenty_percent() {
        let before = counts(&[("tick, each board", 100)]);
        let judged = |now| {
            judge(
                "instructions",
                &before,
                &counts(&[("tick, each board", now)]),
            )
        };
        assert_eq!((judged(120), judged(80)), (Vec::new(), Vec::new()));
        assert!(judged(121)[0].is_bad() && !judged(79)[0].is_bad());
    }

    #[test]
    fn a_finding_tells_name_baseline_now_and_what_is_allowed() {
        let found = judge(
            "allocations",
            &counts(&[("tick", 200)]),
            &counts(&[("tick", 400)]),
        );
        let text = found.iter().map(Finding::to_string).collect::<String>();
        assert_eq!(
            text,
            "WORSE: allocations of \"tick\": baseline 200, now 400, allowed 210"
        );
    }

    #[test]
    fn what_is_gone_is_bad_and_what_is_new_is_not() {
        let found = judge(
            "allocations",
            &counts(&[("old", 1)]),
            &counts(&[("new", 1)]),
        );
        let bad: Vec<bool> = found.iter().map(Finding::is_bad).collect();
        assert_eq!(bad, [true, false]);
        assert!(
            found[0].to_string().starts_with("GONE") && found[1].to_string().starts_with("new")
        );
    }
}
