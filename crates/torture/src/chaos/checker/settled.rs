//! What is left in the quiet at the end: every task that can go on has gone on.

use crate::chaos::history::{History, Task};

pub(in crate::chaos) fn stuck(history: &History) -> Vec<String> {
    let mut stuck = Vec::new();
    for board in &history.boards {
        for task in board.tasks.iter().filter(|task| can_go_on(task)) {
            stuck.push(format!("{}/{} is {}", board.slug, task.id, task.status));
        }
    }
    stuck
}

/// Whether it is the dispatcher's turn.
fn can_go_on(task: &Task) -> bool {
    match &*task.status {
        "ready" | "running" => true,
        "todo" => !task.waits,
        _ => false,
    }
}
