//! The differences that drawn boards show: each takes itself out of what the peer left, and says whether it was there.

use super::case::{Holder, Pid, Task};
use super::seen::Seen;

/// One task of a board that both have ticked.
pub(super) struct Case<'a> {
    pub(super) task: &'a Task,
    pub(super) ours: &'a Seen,
    pub(super) now: i64,
    pub(super) failure_limit: i64,
}

fn began(task: &Task) -> Option<i64> {
    task.attempt.or(task.started_at)
}

fn is_local(task: &Task) -> bool {
    task.status == "running" && task.holder == Some(Holder::Peer)
}

fn has_stranger(case: &Case<'_>) -> bool {
    is_local(case.task)
        && case.task.pid == Pid::Live
        && began(case.task).is_some_and(|at| at < case.now - 300)
}

/// Ours, wherever it is.
fn take_ours(case: &Case<'_>, peers: &mut Seen) -> bool {
    let differs = peers != case.ours;
    peers.clone_from(case.ours);
    differs
}

pub(super) fn own_claims(case: &Case<'_>, peers: &mut Seen) -> bool {
    case.task.status == "running"
        && case.task.holder == Some(Holder::Ours)
        && take_ours(case, peers)
}

pub(super) fn pid_only_kill(case: &Case<'_>, peers: &mut Seen) -> bool {
    let acted = ["reclaimed", "stale", "timed_out", "reclaim_deferred"]
        .iter()
        .any(|kind| peers.has(kind));
    let is_left = case.ours.status() == "running"
        && case
            .ours
            .kinds()
            .iter()
            .all(|kind| *kind == "claim_extended");
    is_local(case.task) && case.task.pid == Pid::Live && acted && is_left && take_ours(case, peers)
}

pub(super) fn pid_used_again(case: &Case<'_>, peers: &mut Seen) -> bool {
    let ended = ["reclaimed", "stale", "timed_out", "crashed"]
        .iter()
        .any(|kind| case.ours.has(kind));
    has_stranger(case) && ended && take_ours(case, peers)
}

pub(super) fn old_heartbeat(case: &Case<'_>, peers: &mut Seen) -> bool {
    let is_older = case
        .task
        .heartbeat
        .zip(began(case.task))
        .is_some_and(|(beat, began)| beat < began);
    if !is_older || case.task.status != "running" {
        return false;
    }
    let mut changed = false;
    for event in &mut peers.events {
        if let Some(stale) = event["payload"]
            .get_mut("heartbeat_stale")
            .filter(|stale| **stale == true)
        {
            *stale = false.into();
            changed = true;
        }
    }
    changed
}

pub(super) fn heartbeat_cleared(case: &Case<'_>, peers: &mut Seen) -> bool {
    let claimed = case.ours.has("claimed") && case.ours.row["last_heartbeat_at"].is_null();
    let kept = !peers.row["last_heartbeat_at"].is_null();
    if claimed && kept && peers.has("claimed") {
        peers.row["last_heartbeat_at"] = serde_json::Value::Null;
    }
    claimed && kept
}

pub(super) fn configured_limit(case: &Case<'_>, peers: &mut Seen) -> bool {
    let counted = ["crashed", "timed_out"]
        .iter()
        .any(|kind| case.ours.has(kind));
    let tripped = case.ours.status() == "blocked";
    let as_set = tripped == (case.task.failures + 1 >= case.failure_limit);
    case.failure_limit != 2
        && case.task.max_retries.is_none()
        && counted
        && as_set
        && take_ours(case, peers)
}

pub(super) fn counter_stored(case: &Case<'_>, peers: &mut Seen) -> bool {
    let (count, peers_count) = (
        case.ours.row["consecutive_failures"].as_i64(),
        peers.row["consecutive_failures"].as_i64(),
    );
    if case.ours.status() != "blocked" || !case.ours.has("gave_up") || count <= peers_count {
        return false;
    }
    peers.row["consecutive_failures"] = count.into();
    true
}

pub(super) fn pid_digits(case: &Case<'_>, peers: &mut Seen) -> bool {
    let only_digits = case
        .task
        .last_error
        .is_some_and(|text| text.starts_with("pid 4"));
    only_digits
        && guarded(peers, "blocker_auth")
        && !guarded(case.ours, "blocker_auth")
        && take_ours(case, peers)
}

pub(super) fn blocker_auth_ends(case: &Case<'_>, peers: &mut Seen) -> bool {
    let newest = case.task.past.iter().map(|past| past.ended_at).max();
    let is_over = newest.is_none_or(|at| at <= case.now - 300);
    is_over
        && guarded(peers, "blocker_auth")
        && !guarded(case.ours, "blocker_auth")
        && take_ours(case, peers)
}

fn guarded(seen: &Seen, reason: &str) -> bool {
    seen.events
        .iter()
        .any(|event| event["kind"] == "respawn_guarded" && event["payload"]["reason"] == reason)
}

pub(super) fn path_of_a_failed_start(case: &Case<'_>, peers: &mut Seen) -> bool {
    let failed = ["spawn_failed", "gave_up"]
        .iter()
        .any(|kind| case.ours.has(kind))
        && case.ours.has("claimed");
    let differs = peers.row["workspace_path"] != case.ours.row["workspace_path"];
    if failed && differs {
        peers.row["workspace_path"] = case.ours.row["workspace_path"].clone();
    }
    failed && differs
}

pub(super) fn gone_not_signalled(case: &Case<'_>, peers: &mut Seen) -> bool {
    if !is_local(case.task) || case.task.pid == Pid::None {
        return false;
    }
    let told = peers
        .events
        .iter_mut()
        .filter_map(|event| event["payload"].as_object_mut());
    let stored = peers
        .runs
        .iter_mut()
        .filter_map(|run| run["metadata"].as_object_mut());
    let mut changed = false;
    for payload in told.chain(stored) {
        if payload
            .get("termination_attempted")
            .is_some_and(|attempted| *attempted == true)
        {
            payload["termination_attempted"] = false.into();
            changed = true;
        }
    }
    changed
}

pub(super) fn unknown_assignee_told(case: &Case<'_>, peers: &mut Seen) -> bool {
    let reason = "unknown_assignee";
    let mut ours = case.ours.events.iter();
    let told = ours
        .find(|event| event["kind"] == "respawn_guarded" && event["payload"]["reason"] == reason);
    match told {
        Some(event) if !guarded(peers, reason) => {
            peers.events.push(event.clone());
            true
        }
        _ => false,
    }
}
