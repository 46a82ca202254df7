//! What writers were told to be written, and what of it is there.

use std::collections::{HashMap, HashSet};

use crate::chaos::history::{Ack, Board, History, What};

/// Acknowledged writes that are not on the board.
pub(super) fn lost(history: &History) -> Vec<String> {
    let marks: HashMap<&str, Marks<'_>> = history
        .boards
        .iter()
        .map(|board| (&*board.slug, Marks::of(board)))
        .collect();
    let mut lost = Vec::new();
    let mut unblocked: HashMap<(&str, &str), usize> = HashMap::new();
    for ack in &history.acks {
        let there = marks.get(&*ack.board).is_some_and(|marks| {
            if ack.what == What::Unblocked {
                let count = unblocked.entry((&ack.board, &ack.task)).or_default();
                *count += 1;
                return marks.unblocked.get(&*ack.task).copied().unwrap_or(0) >= *count;
            }
            marks.has(ack)
        });
        if !there {
            lost.push(format!(
                "{}/{}: {:?} \"{}\" was acknowledged",
                ack.board, ack.task, ack.what, ack.token
            ));
        }
    }
    for worker in history
        .workers
        .iter()
        .filter(|worker| worker.reported.is_some())
    {
        let token = worker.token();
        if !marks
            .get(&*worker.board)
            .is_some_and(|marks| marks.words.contains(&*token))
        {
            lost.push(format!("{}: its report was acknowledged", worker.name()));
        }
    }
    lost
}

/// Reports that were taken in the name of an attempt that was over.
pub(super) fn stale(history: &History) -> Vec<String> {
    let mut taken: Vec<String> = history
        .acks
        .iter()
        .filter(|ack| ack.what == What::Stale)
        .map(|ack| format!("{}/{}: \"{}\"", ack.board, ack.task, ack.token))
        .collect();
    for worker in &history.workers {
        let token = worker.token();
        let Some(board) = history.board(&worker.board) else {
            continue;
        };
        let other = board
            .runs
            .iter()
            .find(|run| run.id != worker.run && run.summary.as_deref() == Some(&token));
        if let Some(run) = other {
            taken.push(format!(
                "{}: its report is that of attempt {}",
                worker.name(),
                run.id
            ));
        }
    }
    taken
}

/// The traces that writes leave on a board.
struct Marks<'a> {
    /// Status by task.
    tasks: HashMap<&'a str, &'a str>,
    /// Every summary and reason.
    words: HashSet<&'a str>,
    unblocked: HashMap<&'a str, usize>,
    board: &'a Board,
}

impl<'a> Marks<'a> {
    fn of(board: &'a Board) -> Self {
        let events = board.events.iter();
        let mut words: HashSet<&str> = events
            .flat_map(|event| ["summary", "reason"].map(|key| event.text(key)))
            .flatten()
            .collect();
        words.extend(board.runs.iter().filter_map(|run| run.summary.as_deref()));
        let mut unblocked: HashMap<&str, usize> = HashMap::new();
        for event in board
            .events
            .iter()
            .filter(|event| event.kind == "unblocked")
        {
            *unblocked.entry(&event.task).or_default() += 1;
        }
        Self {
            tasks: board
                .tasks
                .iter()
                .map(|task| (&*task.id, &*task.status))
                .collect(),
            words,
            unblocked,
            board,
        }
    }

    fn has(&self, ack: &Ack) -> bool {
        let Some(status) = self.tasks.get(&*ack.task) else {
            return false;
        };
        let words = self.words.contains(&*ack.token);
        match ack.what {
            What::Created => true,
            What::Commented => {
                let comment = (ack.task.clone(), ack.token.clone());
                self.board.comments.contains(&comment)
            }
            // Nobody opens a task that is done.
            What::Completed => words && *status == "done",
            What::Blocked | What::Reclaimed => words,
            // That it was taken is a finding of its own.
            What::Unblocked | What::Stale => true,
        }
    }
}
