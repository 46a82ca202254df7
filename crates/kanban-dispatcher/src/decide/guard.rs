//! The guard: why a ready task is not tried again yet, and until when. Every reason ends by itself.

use crate::policy::Policy;
use crate::view::{HeldReason, Task};
use crate::words::is_refusal;

/// How long a success speaks against another attempt.
const SUCCESS_SECONDS: i64 = 3_600;

/// How long a pull request does.
const PULL_REQUEST_SECONDS: i64 = 86_400;

/// The rest after a refusal is doubled at most so often.
const DOUBLINGS_MAX: i64 = 6;

/// The first reason that holds, and the instant at which it ends.
pub(super) fn guard(task: &Task, policy: &Policy, now: i64) -> Option<(HeldReason, i64)> {
    if let Some(at) = task.rate_limited_at {
        // What a task said with "try later" is no further reason: it is tried when the rest is over.
        return lasting(at, policy.cooldown, now).map(|end| (HeldReason::Cooldown, end));
    }
    let refused = task.past.ended_at.filter(|_| is_refused(task));
    if let Some(end) = refused.and_then(|at| lasting(at, rest(task, policy), now)) {
        return Some((HeldReason::BlockerAuth, end));
    }
    let success = task.past.succeeded_at;
    if let Some(end) = success.and_then(|at| lasting(at, SUCCESS_SECONDS + 1, now)) {
        return Some((HeldReason::RecentSuccess, end));
    }
    let request = task.past.pull_request_at;
    let end = request.and_then(|at| lasting(at, PULL_REQUEST_SECONDS + 1, now))?;
    Some((HeldReason::ActivePr, end))
}

/// When the next reason begins: what was written before the clock was set back lies ahead.
pub(super) fn begins(task: &Task, now: i64) -> Option<i64> {
    let past = &task.past;
    let reasons = match task.rate_limited_at {
        Some(at) => [Some(at), None, None],
        None => {
            let refused = past.ended_at.filter(|_| is_refused(task));
            [refused, past.succeeded_at, past.pull_request_at]
        }
    };
    let ahead = reasons.into_iter().flatten().filter(|at| *at > now);
    ahead.min()
}

/// The word in a task's history.
pub(super) fn told_as(reason: HeldReason) -> &'static str {
    match reason {
        HeldReason::Cooldown => "rate_limit_cooldown",
        other => other.as_str(),
    }
}

fn is_refused(task: &Task) -> bool {
    task.past.error.as_deref().is_some_and(is_refusal)
}

fn rest(task: &Task, policy: &Policy) -> i64 {
    let doublings = task.failures.saturating_sub(1).clamp(0, DOUBLINGS_MAX);
    policy.auth_backoff.saturating_mul(1 << doublings)
}

/// When what began at `at` and lasts so long ends, if it lasts. What began in the future was written before the clock was set back.
pub(super) fn lasting(at: i64, seconds: i64, now: i64) -> Option<i64> {
    let end = at.saturating_add(seconds);
    (at <= now && end > now).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::past::Past;

    const NOW: i64 = 1_000_000;

    fn judged(past: Past) -> Option<(HeldReason, i64)> {
        let task = Task {
            past,
            failures: 1,
            ..Task::default()
        };
        guard(&task, &Policy::default(), NOW)
    }

    #[test]
    fn each_reason_holds_to_its_last_second_and_says_when_that_is() {
        use HeldReason::{ActivePr, BlockerAuth, RecentSuccess};
        let refused = |ago| Past {
            error: Some("HTTP 403".to_owned()),
            ended_at: Some(NOW - ago),
            ..Past::default()
        };
        let done = |ago| Past {
            succeeded_at: Some(NOW - ago),
            ..Past::default()
        };
        let request = |ago| Past {
            pull_request_at: Some(NOW - ago),
            ..Past::default()
        };
        for (past, expected) in [
            (Past::default(), None),
            (refused(299), Some((BlockerAuth, NOW + 1))),
            (refused(300), None),
            (done(3_600), Some((RecentSuccess, NOW + 1))),
            (done(3_601), None),
            (request(86_400), Some((ActivePr, NOW + 1))),
            (request(86_401), None),
            // Written before the clock was set back.
            (refused(-1), None),
            (done(-1), None),
            (request(-1), None),
        ] {
            assert_eq!(judged(past.clone()), expected, "{past:?}");
        }
        let never_tried = Past {
            ended_at: None,
            ..refused(0)
        };
        assert_eq!(judged(never_tried), None, "nothing to wait from");
    }

    #[test]
    fn the_first_reason_is_told_and_try_later_is_the_only_one_of_its_task() {
        let all = Past {
            error: Some("quota".to_owned()),
            ended_at: Some(NOW),
            succeeded_at: Some(NOW),
            pull_request_at: Some(NOW),
            ..Past::default()
        };
        assert_eq!(
            judged(all.clone()),
            Some((HeldReason::BlockerAuth, NOW + 300))
        );
        let limited = |at| Task {
            rate_limited_at: Some(at),
            past: all.clone(),
            ..Task::default()
        };
        let judged = |at| guard(&limited(at), &Policy::default(), NOW);
        assert_eq!(judged(NOW - 299), Some((HeldReason::Cooldown, NOW + 1)));
        assert_eq!(
            judged(NOW - 300),
            None,
            "the rest is over, and nothing else holds it"
        );
    }

    #[test]
    fn the_rest_after_a_refusal_doubles_with_each_failure_up_to_a_bound() {
        for (failures, seconds) in [
            (0, 300),
            (1, 300),
            (2, 600),
            (4, 2_400),
            (7, 19_200),
            (8, 19_200),
            (99, 19_200),
        ] {
            let task = Task {
                failures,
                past: Past {
                    error: Some("forbidden".to_owned()),
                    ended_at: Some(NOW),
                    ..Past::default()
                },
                ..Task::default()
            };
            let expected = Some((HeldReason::BlockerAuth, NOW + seconds));
            assert_eq!(
                guard(&task, &Policy::default(), NOW),
                expected,
                "{failures}"
            );
        }
    }
}
