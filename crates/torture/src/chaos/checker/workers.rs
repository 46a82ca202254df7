//! Workers: which of them nobody knows, which were two where one should be, and which were signalled for nothing.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::chaos::history::{At, Diary, History};

const SECOND: At = 1_000_000_000;

/// How long after a board's return its absence may still be acted on: a tick that saw it, on a busy machine.
const AFTER_RETURN: At = 5 * SECOND;

/// Workers that ran, and of whose process the board has no record.
pub(super) fn ghosts(history: &History) -> Vec<String> {
    let mut known: HashSet<(&str, i64, i64)> = HashSet::new();
    for board in &history.boards {
        for event in board.events.iter().filter(|event| event.kind == "spawned") {
            // The peer notes the pid of a fast worker after its end, without the attempt.
            let pid = event.payload.get("pid").and_then(serde_json::Value::as_i64);
            let runs = board.runs.iter().filter(|run| match event.run {
                Some(id) => run.id == id,
                None => run.task == event.task,
            });
            known.extend(runs.filter_map(|run| Some((&*board.slug, run.id, pid?))));
        }
    }
    history
        .workers
        .iter()
        .filter(|worker| !known.contains(&(&worker.board, worker.run, worker.pid)))
        .map(|worker| format!("{} is on no row", worker.name()))
        .collect()
}

/// Two live workers of one task, or two workers of one attempt.
pub(super) fn duplicates(history: &History) -> Vec<String> {
    let mut found = Vec::new();
    let mut by_task: BTreeMap<(&str, &str), Vec<&Diary>> = BTreeMap::new();
    let mut runs: HashMap<(&str, i64), &Diary> = HashMap::new();
    for worker in &history.workers {
        if let Some(first) = runs.insert((&worker.board, worker.run), worker) {
            found.push(format!(
                "{} is the second one; the first was {}",
                worker.name(),
                first.pid
            ));
        }
        by_task
            .entry((&worker.board, &worker.task))
            .or_default()
            .push(worker);
    }
    for workers in by_task.values_mut() {
        workers.sort_by_key(|worker| worker.began);
        let mut last: Option<&Diary> = None;
        for worker in workers.iter().copied() {
            if let Some(last) = last.filter(|last| worker.began < last.alive) {
                let beside = (last.alive - worker.began) / 1_000_000;
                found.push(format!(
                    "{} began beside {}, for {beside} ms",
                    worker.name(),
                    last.pid
                ));
            }
            if last.is_none_or(|last| last.alive < worker.alive) {
                last = Some(worker);
            }
        }
    }
    found
}

/// Workers that were asked to end, or ended without a word, and for no good reason.
pub(super) fn false_kills(history: &History) -> Vec<String> {
    let killed: HashSet<(i64, u64)> = history
        .faults
        .iter()
        .filter_map(|fault| fault.killed)
        .collect();
    history
        .workers
        .iter()
        .filter(|worker| !killed.contains(&(worker.pid, worker.start)))
        .filter(|worker| worker.asked.is_some() || (!worker.ended && worker.planned.is_none()))
        .filter_map(|worker| {
            let why = innocence(history, worker)?;
            let how = worker
                .asked
                .map_or("ended without a word", |_| "was asked to end");
            Some(format!("{} {how}: {why}", worker.name()))
        })
        .collect()
}

/// Why a worker should have been left alone; `None` if there was a reason to end it.
fn innocence(history: &History, worker: &Diary) -> Option<String> {
    let at = worker.asked.unwrap_or(worker.alive);
    let was_away = history.faults.iter().any(|fault| {
        fault.kind == "board moved away"
            && fault.board.as_deref() == Some(&worker.board)
            && fault.from < at + SECOND
            && at < fault.until + AFTER_RETURN
    });
    if was_away {
        return None;
    }
    let board = history.board(&worker.board)?;
    let Some(run) = board.run(worker.run) else {
        return Some("the board does not know its attempt".to_owned());
    };
    let outcome = run.outcome.as_deref().unwrap_or("open");
    let own = run.summary.as_deref() == Some(&worker.token());
    let limit = board.task(&worker.task).and_then(|task| task.max_runtime);
    let age = (at - worker.began) / SECOND;
    match outcome {
        // Somebody else reported the task: the claim is gone.
        "completed" | "blocked" if !own => None,
        // By hand; the dispatcher's own are without a reason.
        "reclaimed" if is_by_hand(board, worker.run) => None,
        // Whole seconds are counted. A report may overtake the signal.
        "timed_out" | "completed" | "blocked"
            if limit.is_some_and(|limit| age + 2 > limit.unsigned_abs()) =>
        {
            None
        }
        _ => {
            let error = run.error.as_deref().unwrap_or("");
            Some(format!(
                "its attempt ended as {outcome} {error} after {age} s"
            ))
        }
    }
}

fn is_by_hand(board: &crate::chaos::history::Board, run: i64) -> bool {
    board.events.iter().any(|event| {
        event.kind == "reclaimed"
            && event.run == Some(run)
            && event
                .payload
                .get("manual")
                .is_some_and(|manual| *manual == true)
    })
}
