//! What every worker finds in its environment: the peer's contract, so that its tools work unchanged. Two things are our own:
//! the root is told too, and what is said of one task is not handed on to the next by a dispatcher that is itself a worker's.

use std::env;
use std::ffi::OsString;

use super::launch::Job;

/// Seconds a worker keeps for itself at the end of its runtime.
const WIND_DOWN: i64 = 30;

type Variable = (OsString, Option<OsString>);

pub(super) fn variables(job: &Job<'_>) -> Vec<Variable> {
    let Job {
        root,
        board,
        work,
        workspace,
    } = job;
    let mut variables: Vec<Variable> = Vec::with_capacity(20);
    let mut set = |name: &str, value: OsString| variables.push((name.into(), Some(value)));

    let profile_dir = root.profile_dir(&work.profile);
    if profile_dir.is_dir() {
        set("HERMES_HOME", profile_dir.into());
    }
    set("HERMES_PROFILE", work.profile.to_lowercase().into());
    set("HERMES_KANBAN_TASK", (&work.task).into());
    set("HERMES_KANBAN_RUN_ID", work.run.to_string().into());
    set("HERMES_KANBAN_CLAIM_LOCK", (&work.lock).into());
    set("HERMES_KANBAN_HOME", root.dir().into());
    set("HERMES_KANBAN_DB", board.db().into());
    set("HERMES_KANBAN_BOARD", board.slug().as_str().into());
    set(
        "HERMES_KANBAN_WORKSPACES_ROOT",
        board.workspaces_dir().into(),
    );
    set("HERMES_KANBAN_WORKSPACE", (*workspace).into());
    set("TERMINAL_CWD", (*workspace).into());
    let runtime = work.max_runtime.filter(|limit| *limit > 0);
    if let Some(seconds) = runtime.map(|limit| limit.saturating_sub(WIND_DOWN).max(1)) {
        for name in ["TERMINAL_TIMEOUT", "TERMINAL_MAX_FOREGROUND_TIMEOUT"] {
            let inherited: Option<i64> = env::var(name)
                .ok()
                .and_then(|text| text.trim().parse().ok());
            if inherited.is_none_or(|inherited| seconds > inherited) {
                set(name, seconds.to_string().into());
            }
        }
    }
    let turns = work.goal_turns_max.filter(|_| work.goal_mode);
    for (name, value) in [
        ("HERMES_TENANT", work.tenant.as_ref().map(OsString::from)),
        (
            "HERMES_KANBAN_BRANCH",
            work.branch.as_ref().map(OsString::from),
        ),
        (
            "HERMES_KANBAN_GOAL_MODE",
            work.goal_mode.then(|| "1".into()),
        ),
        (
            "HERMES_KANBAN_GOAL_MAX_TURNS",
            turns.map(|turns| turns.to_string().into()),
        ),
        ("HERMES_TUI", None),
    ] {
        variables.push((name.into(), value));
    }
    variables
}
