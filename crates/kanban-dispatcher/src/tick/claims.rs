//! Which claims a board may make in this tick: the settings of its decision, and the room for its workers.

use std::collections::HashSet;
use std::num::NonZeroU32;

use super::Tick;
use super::caution::Caution;
use super::refusals::Refusals;
use crate::decide::Decision;
use crate::policy::Policy;
use crate::report::BoardReport;
use crate::root::is_name;
use crate::strain::Allowed;
use crate::view::{HeldReason, View};

/// Takes away the claims that must wait, and says why they wait.
pub(super) fn limit_claims(
    tick: &Tick,
    view: &View,
    decision: &mut Decision,
    (refusals, caution): (&Refusals, &Caution),
    still_alive: &HashSet<String>,
    room: usize,
    report: &mut BoardReport,
) {
    report.held = std::mem::take(&mut decision.held);
    let claims = &mut decision.claims;
    if tick.wake.is_stopped() {
        // No claim after a stop, also not by the boards that are still to come in this tick.
        claims.clear();
    }
    if tick.pauses.contains_key(&report.slug) {
        report.hold_back(HeldReason::Paused, claims.len());
        claims.clear();
    }
    if tick.no_worker.is_some() {
        report.hold_back(HeldReason::NoWorker, claims.len());
        claims.clear();
    }
    let wanted = claims.len();
    let worktrees = view.worktrees();
    claims.retain(|claim| !worktrees.contains(&*claim.task) || tick.lacks_git().is_none());
    report.hold_back(HeldReason::NoWorker, wanted - claims.len());
    let wanted = claims.len();
    claims.retain(|claim| !still_alive.contains(&claim.task));
    report.hold_back(HeldReason::WorkerEnding, wanted - claims.len());
    let (may_start, why_not) = caution.limit(tick.monotonic);
    if may_start == 0 {
        // The whole board rests: that is why, whatever else its tasks wait for.
        report.hold_back(why_not, claims.len());
        claims.clear();
    }
    // The one that is tried on a board that rests: when it is due, whoever has failed before.
    let is_try = why_not == HeldReason::Breaker;
    if tick.is_early && !is_try {
        let wanted = claims.len();
        claims.retain(|claim| !refusals.is_resting(&claim.task));
        report.hold_back(HeldReason::Cooldown, wanted - claims.len());
    }
    let wanted = claims.len();
    claims.retain(|claim| is_try || !refusals.is_unstarted(&claim.task));
    report.hold_back(HeldReason::Cooldown, wanted - claims.len());
    // Each is tried once before one is tried twice.
    claims.sort_by_key(|claim| caution.has_died(&claim.task));
    let places = match refusals.disk.allows(tick.monotonic) {
        Allowed::All => usize::MAX,
        Allowed::One => 1,
        Allowed::None(_) => 0,
    };
    report.hold_back(HeldReason::NoWorker, claims.len().saturating_sub(places));
    claims.truncate(places);
    report.hold_back(why_not, claims.len().saturating_sub(may_start));
    claims.truncate(may_start);
    report.hold_back(HeldReason::HostCap, claims.len().saturating_sub(room));
    claims.truncate(room);
    let wanted = claims.len();
    let has_others = claims.iter().any(|claim| !caution.has_died(&claim.task));
    claims.retain(|claim| !caution.waits(&claim.task, has_others));
    report.hold_back(HeldReason::Cooldown, wanted - claims.len());
}

/// The settings of one board's decision.
pub(crate) fn policy(tick: &Tick, view: &View) -> Policy {
    let (site, config) = (&*tick.site, &*tick.config);
    let assignees = view.tasks.iter().map(|task| &task.assignee);
    let names: HashSet<&str> = assignees
        .chain([&config.default_assignee])
        .filter_map(|name| name.as_deref().map(str::trim))
        .filter(|name| !name.is_empty())
        .collect();
    let is_spawnable = |name: &str| {
        // Profiles are named in lower case, however a task spells one.
        let name = name.to_lowercase();
        !config.worker.require_profile || (is_name(&name) && site.root.profile_dir(&name).is_dir())
    };
    Policy {
        lock: site.next_lock(),
        our_prefix: site.our_prefix.clone(),
        peer_prefix: site.peer_prefix.clone(),
        claim_ttl: config.claim_ttl_seconds,
        renew_before: config.renew_before(),
        failure_limit: i64::from(config.failure_limit.get()),
        crash_grace: config.crash_grace_seconds,
        cooldown: config.rate_limit_cooldown_seconds,
        auth_backoff: config.auth_backoff_seconds,
        stale_after: config.dispatch_stale_timeout_seconds,
        probe_after: config.give_up_cooldown_seconds,
        infrastructure_limit: i64::from(config.infrastructure_limit.get()),
        board_cap: config.board_cap(),
        profile_cap: config.max_in_progress_per_profile.map(NonZeroU32::get),
        default_assignee: config.default_assignee.clone(),
        is_stopping: tick.wake.is_stopped(),
        spawnable: names
            .into_iter()
            .filter(|name| is_spawnable(name))
            .map(str::to_owned)
            .collect(),
    }
}
