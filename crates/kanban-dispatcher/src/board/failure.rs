//! A failed attempt in the words of the board: the row, the run's end, the events.

use rusqlite::{Connection, Result};
use serde_json::Value;

use super::apply::leave_running;
use super::event::{self, Payload, RunEnd};
use crate::transition::{Cause, Failure, Verdict};
use crate::view::{End, Status};

/// running -> ready or blocked: an attempt ended badly.
pub(super) fn fail(db: &Connection, failure: &Failure, now: i64) -> Result<bool> {
    let Failure {
        task,
        lock,
        pid,
        error,
        ..
    } = failure;
    let error: String = error.chars().take(500).collect();
    let tripped = matches!(failure.verdict, Verdict::Tripped { .. });
    let to = if tripped {
        Status::Blocked
    } else {
        Status::Ready
    };
    if !leave_running(db, task, lock, *pid, to)? {
        return Ok(false);
    }
    let stored = match failure.verdict {
        Verdict::Uncounted => None,
        Verdict::Counted { failures } => Some(failures),
        Verdict::Tripped { stored, .. } => Some(stored),
    };
    db.prepare_cached(
        "UPDATE tasks SET last_failure_error = ?2, consecutive_failures = COALESCE(?3, consecutive_failures) \
         WHERE id = ?1",
    )?
    .execute((task, &error, stored))?;
    if matches!(failure.cause, Cause::TimedOut { .. }) {
        db.prepare_cached("UPDATE tasks SET last_heartbeat_at = NULL WHERE id = ?1")?
            .execute([task])?;
    }
    let told = told(failure);
    let run = event::end_run(db, task, &run_end(failure, &told, &error), now)?;
    // An attempt that never started leaves one event: what it led to.
    if failure.cause != Cause::SpawnFailed || !tripped {
        event::append(
            db,
            task,
            told.kind,
            &told.event_payload(failure, &error),
            run,
            now,
        )?;
    }
    if let Some(payload) = gave_up(failure, &error) {
        // Only a start that failed is an attempt's own giving up; other attempts had ended before.
        let run = run.filter(|_| failure.cause == Cause::SpawnFailed);
        event::append(db, task, "gave_up", &payload.and(told.extras), run, now)?;
    }
    Ok(true)
}

/// A cause in the words of the board.
struct Told {
    kind: &'static str,
    outcome: &'static str,
    payload: Payload,
    extras: Payload,
}

impl Told {
    fn event_payload(&self, failure: &Failure, error: &str) -> Payload {
        match failure.verdict {
            Verdict::Counted { failures } if failure.cause == Cause::SpawnFailed => Payload::new()
                .with("error", error)
                .with("failures", failures),
            _ => self.payload.clone(),
        }
    }
}

fn told(failure: &Failure) -> Told {
    let who = Payload::new()
        .with("pid", failure.pid)
        .with("claimer", failure.lock.as_str());
    let (kind, outcome, payload, extras) = match failure.cause {
        Cause::Crashed(end) => {
            let payload = match end {
                End::Exited(code) => who
                    .clone()
                    .with("exit_kind", "nonzero_exit")
                    .with("exit_code", code),
                End::Signaled(signal) => who
                    .clone()
                    .with("exit_kind", "signaled")
                    .with("exit_code", signal),
                End::Unknown | End::Interrupted => who.clone(),
            };
            ("crashed", "crashed", payload, who)
        }
        Cause::Infrastructure(end) => {
            let signal = match end {
                End::Signaled(signal) | End::Exited(signal) => Some(signal),
                End::Unknown | End::Interrupted => None,
            };
            let payload = who
                .clone()
                .with("exit_kind", "signaled")
                .with("exit_code", signal)
                .with("infrastructure", true);
            ("crashed", "crashed", payload, who)
        }
        Cause::Silent => {
            let payload = who
                .clone()
                .with("exit_code", 0)
                .with("protocol_violation", true);
            let extras = match failure.verdict {
                Verdict::Tripped {
                    violations: Some((streak, limit)),
                    ..
                } => who
                    .with("protocol_violations", streak)
                    .with("protocol_violation_limit", limit),
                _ => who,
            };
            ("protocol_violation", "crashed", payload, extras)
        }
        Cause::RateLimited => (
            "rate_limited",
            "rate_limited",
            who.clone().with("exit_code", 75),
            who,
        ),
        Cause::TimedOut {
            elapsed,
            limit,
            sigkill,
        } => {
            let payload = Payload::new()
                .with("pid", failure.pid)
                .with("elapsed_seconds", elapsed)
                .with("limit_seconds", limit)
                .with("sigkill", sigkill);
            let extras = Payload::new()
                .with("pid", failure.pid)
                .with("sigkill", sigkill);
            ("timed_out", "timed_out", payload, extras)
        }
        Cause::SpawnFailed => (
            "spawn_failed",
            "spawn_failed",
            Payload::new(),
            Payload::new(),
        ),
    };
    Told {
        kind,
        outcome,
        payload,
        extras,
    }
}

fn run_end<'a>(failure: &Failure, told: &Told, error: &'a str) -> RunEnd<'a> {
    let end = |outcome, metadata| RunEnd {
        status: outcome,
        outcome,
        error: Some(error),
        metadata,
        ..RunEnd::default()
    };
    match (failure.cause, failure.verdict) {
        (
            Cause::SpawnFailed,
            Verdict::Tripped {
                failures,
                limit,
                limit_source,
                ..
            },
        ) => end(
            "gave_up",
            Payload::new()
                .with("failures", failures)
                .with("trigger_outcome", told.outcome)
                .with("effective_limit", limit)
                .with("limit_source", limit_source),
        ),
        (Cause::SpawnFailed, Verdict::Counted { failures }) => {
            end(told.outcome, Payload::new().with("failures", failures))
        }
        _ => end(told.outcome, told.payload.clone()),
    }
}

fn gave_up(failure: &Failure, error: &str) -> Option<Payload> {
    let Verdict::Tripped {
        failures,
        limit,
        limit_source,
        ..
    } = failure.verdict
    else {
        return None;
    };
    let trigger = told(failure).outcome;
    Some(
        Payload::new()
            .with("failures", failures)
            .with("effective_limit", limit)
            .with("limit_source", limit_source)
            .with("error", error)
            .with("trigger_outcome", Value::from(trigger)),
    )
}
