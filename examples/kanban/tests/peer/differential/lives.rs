//! Several ticks in a row, with workers that end in between: what becomes of a task by how its workers end.

use serde_json::json;

use super::super::house::Result;
use super::case::{Now, Task};
use super::differing;
use super::tick::{Both, Pair};

/// Seconds from one tick to the next, beyond the time in which the peer sees no crash.
const STEP: u64 = 60;

const TICKS: usize = 8;

/// A worker, and the events that its task has after the ticks, without starts.
struct Life {
    title: &'static str,
    peers: &'static [&'static str],
    /// `None`: the same, to the last word.
    ours: Option<&'static [&'static str]>,
    /// Where the task ends with us.
    status: &'static str,
}

const LIVES: &[Life] = &[
    Life {
        title: "run: exit 1",
        peers: &["crashed", "crashed", "gave_up"],
        ours: None,
        status: "blocked",
    },
    Life {
        title: "run: kill -TERM $$",
        peers: &["crashed", "crashed", "gave_up"],
        ours: None,
        status: "blocked",
    },
    Life {
        title: "raise: no such program",
        peers: &["spawn_failed", "gave_up"],
        ours: None,
        status: "blocked",
    },
    // The breaker trips and is undone in the same tick.
    Life {
        title: "run: exit 0",
        peers: &[
            "protocol_violation",
            "protocol_violation",
            "protocol_violation",
            "gave_up",
            "promoted",
            "protocol_violation",
            "gave_up",
        ],
        ours: Some(&[
            "protocol_violation",
            "protocol_violation",
            "protocol_violation",
            "gave_up",
        ]),
        status: "blocked",
    },
    // "Try later" twice, and the reason told at each tick in between.
    Life {
        title: "run: exit 75",
        peers: &[
            "rate_limited",
            "respawn_guarded",
            "respawn_guarded",
            "respawn_guarded",
            "respawn_guarded",
            "respawn_guarded",
            "rate_limited",
            "respawn_guarded",
        ],
        ours: Some(&[
            "rate_limited",
            "respawn_guarded",
            "rate_limited",
            "respawn_guarded",
        ]),
        status: "ready",
    },
    // Told that nothing will change, the peer tries again all the same.
    Life {
        title: "run: exit 78",
        peers: &["crashed", "crashed", "gave_up"],
        ours: Some(&["crashed", "gave_up"]),
        status: "blocked",
    },
    // Not the task's fault, but not for ever either.
    Life {
        title: "run: kill -KILL $$",
        peers: &["crashed", "crashed", "gave_up"],
        ours: Some(&[
            "crashed", "crashed", "crashed", "crashed", "crashed", "gave_up",
        ]),
        status: "blocked",
    },
    Life {
        title: "raise: HTTP 401 unauthorized",
        peers: &[
            "spawn_failed",
            "respawn_guarded",
            "respawn_guarded",
            "respawn_guarded",
            "respawn_guarded",
            "respawn_guarded",
            "respawn_guarded",
            "respawn_guarded",
        ],
        ours: Some(&["spawn_failed", "respawn_guarded", "gave_up"]),
        status: "blocked",
    },
];

#[test]
fn the_ends_of_workers_lead_to_what_they_should() -> Result {
    let now = kanban_dispatcher::Clock::system().unix();
    let mut pair = Pair::new("", json!({ "stale_timeout_seconds": 14_400 }), Now(now))?;
    let mut twins = Vec::new();
    for (n, life) in LIVES.iter().enumerate() {
        let task = Task {
            title: life.title,
            created_at: now,
            ..Task::new("t_00000001", "ready")
        };
        twins.push(pair.board(&format!("life{n}"), &[task])?);
    }
    for _ in 1..TICKS {
        pair.tick_ours();
        for twin in &twins {
            pair.tick_peers(twin)?;
        }
        twins
            .iter()
            .try_for_each(|twin| pair.wait_for_workers(twin))?;
        pair.advance(STEP);
    }
    pair.tick_ours();
    for (life, twin) in LIVES.iter().zip(&twins) {
        judge(life, &pair.look(twin)?)?;
    }
    Ok(())
}

fn judge(life: &Life, both: &Both) -> Result {
    let (peers, ours) = (
        &both.peers.tasks["t_00000001"],
        &both.ours.tasks["t_00000001"],
    );
    let without_starts = |kinds: Vec<&str>| -> Vec<String> {
        let is_told = |kind: &&str| !matches!(*kind, "claimed" | "spawned");
        kinds
            .into_iter()
            .filter(is_told)
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(both.peer_error, None, "{}", life.title);
    assert_eq!(
        without_starts(peers.kinds()),
        life.peers,
        "the peer, {}",
        life.title
    );
    assert_eq!(
        without_starts(ours.kinds()),
        life.ours.unwrap_or(life.peers),
        "{}",
        life.title
    );
    assert_eq!(ours.status(), life.status, "{}", life.title);
    if life.ours.is_none() {
        let mut peers = peers.clone();
        // See `path-of-a-failed-start`.
        if ours.row["workspace_path"].is_null() {
            peers.row["workspace_path"] = ours.row["workspace_path"].clone();
        }
        assert!(
            peers == *ours,
            "{}: {}",
            life.title,
            differing(&peers, ours)
        );
    }
    Ok(())
}
