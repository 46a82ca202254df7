//! The pure decision on boards of several sizes.

use std::hint::black_box;
use std::time::Duration;

use kanban_dispatcher::{Policy, Process, Processes, Task, TaskStatus, View, decide};

use super::Plan;
use crate::meter::{Repeat, measured, median};
use crate::report::{Line, Section, Value, thousands};

const NOW: i64 = 1_700_000_000;
const SIZES: [usize; 4] = [250, 500, 1_000, 2_000];

pub(crate) fn measure(plan: &Plan) -> Section {
    let lines = SIZES.map(|size| {
        let (view, processes, policy) = board(size);
        let times = Repeat::new(plan.or(301, 31), Duration::from_secs(2)).map(|_| {
            let decide = || black_box(decide(black_box(&view), &processes, &policy, NOW));
            measured(decide).1.wall / size as f64
        });
        Line::new(
            format!("{} live tasks", thousands(size as f64)),
            Value::Time(median(times)),
        )
    });
    Section {
        title: "The decision",
        about: "Per live task; the same on each line if it is linear. Half of them wait for a parent, and of the others as many are \
                blocked by a person as run, and as many are ready."
            .to_owned(),
        lines: lines.into(),
    }
}

/// A board with so many live tasks, of each kind that a tick meets.
fn board(size: usize) -> (View, Processes, Policy) {
    let mut view = View::default();
    let mut processes = Processes::new();
    for n in 0..size {
        let id = format!("t_{n:06}");
        let created_at = NOW - 10_000 + i64::try_from(n).unwrap_or(0);
        let mut task = Task {
            id,
            assignee: Some(format!("profile-{}", n % 5)),
            priority: i64::try_from(n % 3).unwrap_or(0),
            created_at,
            workspace_kind: "scratch".to_owned(),
            ..Task::default()
        };
        match n % 6 {
            0 => task.status = TaskStatus::Ready,
            1 => {
                task.status = TaskStatus::Blocked;
                task.is_sticky = true;
            }
            2 => {
                task.status = TaskStatus::Running;
                task.claim_lock = Some("rs.host:1:a".to_owned());
                task.claim_expires = Some(NOW + 600);
                task.worker_pid = Some(1_000);
                task.started_at = Some(NOW - 60);
                task.run = i64::try_from(n).ok();
                task.run_started_at = Some(NOW - 60);
                let alive = Process::Alive { stopping: None };
                processes.insert(task.id.clone(), alive);
            }
            _ => {
                task.status = TaskStatus::Todo;
                task.has_open_parent = true;
            }
        }
        view.tasks.push(task);
    }
    let policy = Policy {
        lock: "rs.host:1:b".to_owned(),
        our_prefix: "rs.host:".to_owned(),
        peer_prefix: "host:".to_owned(),
        spawnable: (0..5).map(|n| format!("profile-{n}")).collect(),
        ..Policy::default()
    };
    (view, processes, policy)
}
