//! Whether the more urgent task went first. No clock is asked: a task was passed over if claims of less urgent ones were made in more
//! than two ticks while it was ready.

use std::collections::{BTreeMap, HashSet};

use crate::chaos::history::{Board, Event, History};

/// Ticks in which a task may be passed over: it may have become ready while they were under way.
const TICKS_MAX: usize = 2;

pub(super) fn violations(history: &History) -> Vec<String> {
    history.boards.iter().flat_map(on_board).collect()
}

/// A task in the ready column that no worker ever had: nothing of its own keeps it from starting.
struct Waiting<'a> {
    priority: i64,
    /// The ticks whose claims passed it over: whose claim, and when.
    passed: HashSet<(&'a str, i64)>,
    by: &'a str,
}

fn on_board(board: &Board) -> Vec<String> {
    let priority = |id: &str| board.task(id).map(|task| task.priority);
    let priorities: BTreeMap<&str, i64> = board
        .tasks
        .iter()
        .map(|task| (&*task.id, task.priority))
        .collect();
    let mut waiting: BTreeMap<&str, Waiting<'_>> = BTreeMap::new();
    let mut had_worker: HashSet<&str> = HashSet::new();
    let mut found = Vec::new();
    for event in &board.events {
        let task = &*event.task;
        if event.kind == "claimed" {
            had_worker.insert(task);
            waiting.remove(task);
            let lock = event.text("lock").unwrap_or("");
            let Some(less) = priorities.get(task).copied() else {
                continue;
            };
            for more in waiting.values_mut().filter(|more| more.priority > less) {
                more.passed.insert((lock, event.created_at));
                more.by = task;
            }
            waiting.retain(|id, more| {
                let is_wrong = more.passed.len() > TICKS_MAX;
                if is_wrong {
                    found.push(format!(
                        "{}/{id} ({}) was passed over, last by {} ({less})",
                        board.slug, more.priority, more.by
                    ));
                }
                !is_wrong
            });
        } else if makes_ready(event) && !had_worker.contains(task) {
            if let Some(priority) = priority(task) {
                let new = Waiting {
                    priority,
                    passed: HashSet::new(),
                    by: "",
                };
                waiting.insert(task, new);
            }
        } else if !matches!(
            &*event.kind,
            "commented" | "linked" | "reprioritized" | "edited"
        ) {
            waiting.remove(task);
        }
    }
    found
}

fn makes_ready(event: &Event) -> bool {
    match &*event.kind {
        "created" => event.text("status") == Some("ready"),
        "promoted" => true,
        "unblocked" => event.text("status").is_none(),
        _ => false,
    }
}
