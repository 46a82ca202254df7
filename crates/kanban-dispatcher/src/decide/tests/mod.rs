//! The rules one by one as tables, and the laws that hold on any board whatever.

mod ends;
mod laws;
mod live;
mod promotion;
mod ready;
mod reasons;
mod rows;

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::past::Past;
use crate::transition::Reclaim;
use crate::view::Task;
use crate::view::{BadRow, End, Process};

const NOW: i64 = 1_000_000;

fn policy() -> Policy {
    Policy {
        lock: "rs.host:1:a".into(),
        our_prefix: "rs.host:".into(),
        peer_prefix: "host:".into(),
        spawnable: ["coder".to_owned(), "tester".to_owned()].into(),
        ..Policy::default()
    }
}

fn task(id: &str, status: Status) -> Task {
    Task {
        id: id.into(),
        status,
        assignee: Some("coder".into()),
        created_at: 10,
        workspace_kind: "scratch".into(),
        ..Task::default()
    }
}

/// A task that a dispatcher of ours runs since 100 s.
fn running(id: &str) -> Task {
    Task {
        claim_lock: Some("rs.host:1:a".into()),
        claim_expires: Some(NOW + 800),
        worker_pid: Some(42),
        run: Some(7),
        started_at: Some(NOW - 100),
        run_started_at: Some(NOW - 100),
        ..task(id, Status::Running)
    }
}

fn one(task: Task, process: Option<Process>) -> Decision {
    many(vec![task], process, &policy())
}

/// The same process behind every task.
fn many(tasks: Vec<Task>, process: Option<Process>, policy: &Policy) -> Decision {
    let processes = process.into_iter().flat_map(|process| {
        let ids: Vec<String> = tasks.iter().map(|task| task.id.clone()).collect();
        ids.into_iter().map(move |id| (id, process))
    });
    let processes: Processes = processes.collect();
    let bad_rows = Vec::new();
    decide(&View { tasks, bad_rows }, &processes, policy, NOW)
}

fn ended(end: End) -> Option<Process> {
    let stopping = None;
    Some(Process::Ended { end, stopping })
}

fn failure(decision: &Decision) -> &Failure {
    match &decision.transitions[..] {
        [Transition::Fail(failure)] | [Transition::Fail(failure), Transition::Guard { .. }] => {
            failure
        }
        other => panic!("no single failure: {other:?}"),
    }
}

fn reclaim(decision: &Decision) -> &Reclaim {
    match &decision.transitions[..] {
        [Transition::Reclaim(reclaim)] => reclaim,
        other => panic!("no single reclaim: {other:?}"),
    }
}

fn claims(decision: &Decision) -> Vec<&str> {
    decision
        .claims
        .iter()
        .map(|claim| claim.task.as_str())
        .collect()
}
