//! Made-up histories: a clean one, and for every kind of finding one that differs from it by just that.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::Findings;
use crate::chaos::history::{Ack, Board, Diary, Event, Fault, History, Run, Task, What};

const SECOND: u64 = 1_000_000_000;

fn event(task: &str, run: Option<i64>, kind: &str, payload: Value, created_at: i64) -> Event {
    let (task, kind) = (task.to_owned(), kind.to_owned());
    Event {
        task,
        run,
        kind,
        payload,
        created_at,
    }
}

fn claim(task: &str, run: i64, at: i64) -> Event {
    event(task, Some(run), "claimed", json!({"lock": "rs.h:1"}), at)
}

fn task(id: &str, status: &str, priority: i64) -> Task {
    let (id, status) = (id.to_owned(), status.to_owned());
    Task {
        id,
        status,
        priority,
        ..Task::default()
    }
}

fn run(id: i64, task: &str, outcome: &str, summary: &str) -> Run {
    Run {
        id,
        task: task.to_owned(),
        outcome: Some(outcome.to_owned()),
        summary: Some(summary.to_owned()),
        error: None,
    }
}

/// Began at a second, and showed its last sign of life at another.
fn diary(task: &str, run: i64, pid: i64, began: u64, alive: u64) -> Diary {
    Diary {
        board: "b".to_owned(),
        task: task.to_owned(),
        run,
        pid,
        start: 1,
        began: began * SECOND,
        alive: alive * SECOND,
        reported: Some("complete".to_owned()),
        ended: true,
        ..Diary::default()
    }
}

fn ack(task: &str, what: What, token: &str) -> Ack {
    let (board, task, token) = ("b".to_owned(), task.to_owned(), token.to_owned());
    Ack {
        board,
        task,
        what,
        token,
    }
}

fn fault(kind: &'static str, from: u64, until: u64) -> Fault {
    Fault {
        kind,
        board: Some("b".to_owned()),
        from: from * SECOND,
        until: until * SECOND,
        killed: None,
    }
}

/// Two tasks, each done by one worker; writers wrote, the nemesis struck.
fn clean() -> History {
    let (first, second) = (diary("t", 1, 10, 1, 3), diary("u", 2, 20, 4, 5));
    let created = json!({"status": "ready"});
    let board = Board {
        slug: "b".to_owned(),
        integrity: "ok".to_owned(),
        tasks: vec![
            task("t", "done", 5),
            task("u", "done", 1),
            task("v", "blocked", 0),
        ],
        runs: vec![
            run(1, "t", "completed", &first.token()),
            run(2, "u", "completed", &second.token()),
        ],
        events: vec![
            event("t", None, "created", created.clone(), 0),
            event("u", None, "created", created, 0),
            claim("t", 1, 1),
            event("t", Some(1), "spawned", json!({"pid": 10}), 1),
            claim("u", 2, 4),
            event("u", Some(2), "spawned", json!({"pid": 20}), 4),
            event("v", None, "blocked", json!({"reason": "cli 2"}), 4),
            event("v", None, "unblocked", Value::Null, 4),
            event("v", None, "blocked", json!({"reason": "cli 3"}), 4),
            event(
                "v",
                None,
                "reclaimed",
                json!({"reason": "peer 1", "manual": true}),
                4,
            ),
        ],
        comments: HashSet::from([("t".to_owned(), "sql 1".to_owned())]),
    };
    History {
        boards: vec![board],
        workers: vec![first, second],
        acks: vec![
            ack("t", What::Created, "cli 1"),
            ack("t", What::Commented, "sql 1"),
            ack("v", What::Blocked, "cli 2"),
            ack("v", What::Unblocked, "cli 4"),
            ack("v", What::Reclaimed, "peer 1"),
        ],
        faults: vec![fault("write lock held", 0, 2)],
        ..History::default()
    }
}

/// A worker of task `t` that was asked to end two seconds after it began, and whose attempt ended like this.
fn signalled(outcome: &str, change: impl FnOnce(&mut History)) -> Findings {
    let mut history = clean();
    history.workers[0].asked = Some(3 * SECOND);
    history.workers[0].reported = None;
    history.workers[0].ended = false;
    history.boards[0].runs[0] = run(1, "t", outcome, "somebody else");
    change(&mut history);
    Findings::of(&history)
}

fn changed(change: impl FnOnce(&mut History)) -> Findings {
    let mut history = clean();
    change(&mut history);
    Findings::of(&history)
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    let found = changed(|_| {});
    assert_eq!(found.wrong(), 0, "{found:#?}");
    assert_eq!(
        (found.struck(), found.starts, found.acknowledged),
        (1, 2, 7)
    );
    // The next start after the second second is that at the fourth.
    assert_eq!(found.recovery_ms, [2000]);
}

#[test]
fn every_acknowledged_write_that_is_missing_is_lost() {
    let gone = [
        ack("x", What::Created, "cli 9"),
        ack("t", What::Commented, "sql 9"),
        ack("t", What::Completed, "cli 9"),
        ack("v", What::Blocked, "cli 9"),
        // Once it was, twice it was said.
        ack("v", What::Unblocked, "cli 9"),
        ack("v", What::Reclaimed, "cli 9"),
    ];
    for gone in gone {
        let found = changed(|history| history.acks.push(gone.clone()));
        assert_eq!((found.lost, found.wrong()), (1, 1), "{gone:?}: {found:#?}");
    }
    // A completion that is there and was undone.
    let found = changed(|history| history.acks.push(ack("v", What::Completed, "cli 2")));
    assert_eq!((found.lost, found.wrong()), (1, 1), "{found:#?}");
    let found = changed(|history| history.boards[0].runs[0].summary = None);
    assert_eq!(
        (found.lost, found.wrong()),
        (1, 1),
        "a worker's report: {found:#?}"
    );
}

#[test]
fn two_workers_of_one_task_at_one_time_are_one_too_many() {
    let found = changed(|history| {
        history.workers[1].task = "t".to_owned();
        history.workers[1].began = 2 * SECOND;
    });
    assert_eq!((found.duplicates, found.wrong()), (1, 1), "{found:#?}");
    // One after the other they may be.
    let found = changed(|history| history.workers[1].task = "t".to_owned());
    assert_eq!(found.wrong(), 0, "{found:#?}");
    // The same attempt twice, also one after the other.
    let found = changed(|history| {
        let mut again = diary("t", 1, 10, 6, 7);
        (again.start, again.reported) = (2, None);
        history.workers.push(again);
    });
    assert_eq!((found.duplicates, found.wrong()), (1, 1), "{found:#?}");
}

#[test]
fn a_report_for_an_attempt_that_is_over_must_not_be_taken() {
    let found = changed(|history| history.acks.push(ack("t", What::Stale, "cli 9")));
    assert_eq!((found.stale, found.wrong()), (1, 1), "{found:#?}");
    let found = changed(|history| {
        let words = history.workers[0].token();
        history.boards[0]
            .runs
            .push(run(3, "t", "completed", &words));
    });
    assert_eq!((found.stale, found.wrong()), (1, 1), "{found:#?}");
}

#[test]
fn a_worker_that_no_row_knows_is_a_ghost() {
    let found = changed(|history| {
        history.boards[0]
            .events
            .retain(|event| event.kind != "spawned" || event.task != "t")
    });
    assert_eq!((found.ghosts, found.wrong()), (1, 1), "{found:#?}");
    let found = changed(|history| history.workers[0].pid = 11);
    // Its words are not those of the report either.
    assert_eq!((found.ghosts, found.lost), (1, 1), "{found:#?}");
}

#[test]
fn a_healthy_worker_must_not_be_signalled() {
    for outcome in ["crashed", "reclaimed", "timed_out", "stale"] {
        let found = signalled(outcome, |_| {});
        assert_eq!(
            (found.false_kills, found.wrong()),
            (1, 1),
            "{outcome}: {found:#?}"
        );
    }
    // Killed without being asked.
    let found = signalled("crashed", |history| history.workers[0].asked = None);
    assert_eq!((found.false_kills, found.wrong()), (1, 1), "{found:#?}");
}

#[test]
fn a_worker_may_be_signalled_for_a_reason() {
    let reported_by_another = signalled("completed", |_| {});
    assert_eq!(reported_by_another.wrong(), 0, "{reported_by_another:#?}");
    let over_time = signalled("timed_out", |history| {
        history.boards[0].tasks[0].max_runtime = Some(2)
    });
    assert_eq!(over_time.wrong(), 0, "{over_time:#?}");
    let own = |history: &mut History| {
        let words = history.workers[0].token();
        history.boards[0].runs[0].summary = Some(words);
    };
    let overtaken = signalled("completed", |history| {
        own(history);
        history.boards[0].tasks[0].max_runtime = Some(2);
    });
    assert_eq!(overtaken.wrong(), 0, "{overtaken:#?}");
    let for_nothing = signalled("completed", own);
    assert_eq!(for_nothing.false_kills, 1, "{for_nothing:#?}");
    let too_early = signalled("timed_out", |history| {
        history.boards[0].tasks[0].max_runtime = Some(30)
    });
    assert_eq!(too_early.false_kills, 1, "{too_early:#?}");
    let by_hand = signalled("reclaimed", |history| {
        let payload = json!({"manual": true});
        history.boards[0]
            .events
            .push(event("t", Some(1), "reclaimed", payload, 3));
    });
    assert_eq!(by_hand.wrong(), 0, "{by_hand:#?}");
    let away = signalled("reclaimed", |history| {
        history.faults.push(fault("board moved away", 2, 3))
    });
    assert_eq!(away.wrong(), 0, "{away:#?}");
    let killed = signalled("crashed", |history| {
        history.faults[0].killed = Some((10, 1));
    });
    assert_eq!(killed.wrong(), 0, "{killed:#?}");
    let by_itself = signalled("crashed", |history| {
        history.workers[0].asked = None;
        history.workers[0].planned = Some("kill".to_owned());
    });
    assert_eq!(by_itself.wrong(), 0, "{by_itself:#?}");
}

/// Task `t` of priority 5 is ready; others of priority 1 are claimed in so many ticks before it.
fn passed_over(ticks: i64) -> Findings {
    changed(|history| {
        // Behind the two that made them, before the claim of `t`; several in one tick are one time.
        let claims = (0..ticks).flat_map(|tick| [claim("u", 2, tick), claim("u", 2, tick)]);
        history.boards[0].events.splice(2..2, claims);
    })
}

#[test]
fn a_more_urgent_task_is_not_passed_over_more_than_twice() {
    assert_eq!(passed_over(2).wrong(), 0);
    let found = passed_over(3);
    assert_eq!((found.order, found.wrong()), (1, 1), "{found:#?}");
    // What had a worker already may have a reason to wait.
    let rests = changed(|history| {
        let events = &mut history.boards[0].events;
        events.push(event("t", None, "promoted", Value::Null, 5));
        events.extend((6..12).map(|at| claim("u", 2, at)));
    });
    assert_eq!(rests.wrong(), 0, "{rests:#?}");
}

#[test]
fn what_could_go_on_in_the_end_is_stuck() {
    for status in ["ready", "running", "todo"] {
        let found = changed(|history| history.boards[0].tasks[2].status = status.to_owned());
        assert_eq!((found.stuck, found.wrong()), (1, 1), "{found:#?}");
    }
    let waits = changed(|history| {
        history.boards[0].tasks[2].status = "todo".to_owned();
        history.boards[0].tasks[2].waits = true;
    });
    assert_eq!(waits.wrong(), 0, "{waits:#?}");
}

#[test]
fn the_rest_is_told_as_it_was_seen() {
    let found = changed(|history| {
        history.boards[0].integrity = "row missing from index".to_owned();
        history.innocents.push("sentinel".to_owned());
        history.resurrected.push("b".to_owned());
        history.deaths.push("died".to_owned());
    });
    let counts = (
        found.damaged,
        found.innocents,
        found.resurrected,
        found.deaths,
    );
    assert_eq!(counts, (1, 1, 1, 1), "{found:#?}");
    assert_eq!((found.wrong(), found.notes.len()), (4, 4), "{found:#?}");
}
