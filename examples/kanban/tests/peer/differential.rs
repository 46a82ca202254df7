//! Copies of one board, ticked once by the peer's `dispatch_once` and once by us, end alike: rows, attempts and events, word for
//! word, but for the differences that `differences.rs` names.

mod case;
mod differences;
mod draw;
mod explain;
mod lives;
mod scenes;
mod seed;
mod seen;
mod tick;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use self::case::{Now, Task};
use self::differences::{DIFFERENCES, Shown};
use self::draw::Flavour;
use self::explain::Case;
use self::seed::Seed;
use self::seen::{Seen, Whole};
use self::tick::{Both, Pair};
use super::house::Result;

/// Boards with the same settings.
struct Group {
    settings: &'static str,
    options: Value,
    flavour: Flavour,
    failure_limit: i64,
    boards: u64,
}

fn groups() -> Vec<Group> {
    let wild = Flavour::default();
    let calm = Flavour {
        calm: true,
        review: false,
    };
    let reviewing = Flavour {
        calm: true,
        review: true,
    };
    let group = |settings, options, flavour, failure_limit, boards| Group {
        settings,
        options,
        flavour,
        failure_limit,
        boards,
    };
    vec![
        group("", json!({ "stale_timeout_seconds": 14_400 }), wild, 2, 200),
        group(
            "failure_limit = 5\ndispatch_stale_timeout_seconds = 0\ndefault_assignee = \"coder\"",
            json!({ "failure_limit": 5, "default_assignee": "coder" }),
            wild,
            5,
            100,
        ),
        group(
            "failure_limit = 1\ndispatch_stale_timeout_seconds = 7200\ndefault_assignee = \"ghost\"\nclaim_ttl_seconds = 60",
            json!({ "failure_limit": 1, "stale_timeout_seconds": 7_200, "default_assignee": "ghost", "ttl_seconds": 60 }),
            wild,
            1,
            60,
        ),
        group(
            "max_spawn = 4",
            json!({ "max_spawn": 4, "stale_timeout_seconds": 14_400 }),
            reviewing,
            2,
            60,
        ),
        group(
            "max_in_progress = 5",
            json!({ "max_in_progress": 5, "stale_timeout_seconds": 14_400 }),
            calm,
            2,
            40,
        ),
        group(
            "max_in_progress_per_profile = 2\ndefault_assignee = \"tester\"",
            json!({ "max_in_progress_per_profile": 2, "default_assignee": "tester", "stale_timeout_seconds": 14_400 }),
            calm,
            2,
            60,
        ),
    ]
}

/// Any number; a failure names the board's own.
const SEED: u64 = 20_260_101;

#[test]
fn drawn_boards_end_alike() -> Result {
    let mut met = BTreeSet::new();
    let (mut boards, mut wrong) = (0, Vec::new());
    for (number, group) in groups().iter().enumerate() {
        let now = kanban_dispatcher::Clock::system().unix();
        let mut pair = Pair::new(group.settings, group.options.clone(), Now(now))?;
        let mut twins = Vec::new();
        for n in 0..group.boards {
            let seed = SEED + 1_000 * number as u64 + n;
            let tasks = drawn(seed, group.flavour, now);
            let twin = pair.board(&format!("b{n}"), &tasks)?;
            twins.push((seed, tasks, twin));
        }
        pair.tick_ours();
        pair.sleepers_are_alive()?;
        for (seed, tasks, twin) in &twins {
            boards += 1;
            let both = pair.look(twin)?;
            for story in compare(group, tasks, &both, &pair, &mut met) {
                wrong.push(format!("seed {seed} ({})\n{story}", group.settings));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differences, the first ones:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(12)].join("\n")
    );
    assert!(boards >= 500, "{boards}");
    for difference in DIFFERENCES {
        if let Shown::Drawn(_) = difference.shown {
            assert!(
                met.contains(difference.name),
                "no board shows {}",
                difference.name
            );
        }
    }
    Ok(())
}

/// The table is what the documentation shows. `KANBAN_WRITE_DOCS=1` writes it.
#[test]
fn the_documentation_shows_every_difference() -> Result {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/peer-differences.md");
    let wanted = differences::document();
    if std::env::var_os("KANBAN_WRITE_DOCS").is_some() {
        fs::write(&path, &wanted)?;
    }
    assert!(
        fs::read_to_string(&path)? == wanted,
        "{} is not what the table says; KANBAN_WRITE_DOCS=1 writes it",
        path.display()
    );
    let tests = [
        include_str!("differential.rs"),
        include_str!("differential/lives.rs"),
        include_str!("differential/scenes.rs"),
    ];
    for difference in DIFFERENCES {
        if let Shown::By(name) = difference.shown {
            let function = format!("fn {name}()");
            assert!(
                tests.iter().any(|text| text.contains(&function)),
                "{}: no test {name}",
                difference.name
            );
        }
    }
    Ok(())
}

fn drawn(seed: u64, flavour: Flavour, now: i64) -> Vec<Task> {
    let mut seed = Seed(seed);
    let count = 1 + seed.below(9);
    (0..count)
        .map(|n| Task::drawn(n as usize, flavour, Now(now), &mut seed))
        .collect()
}

/// What is not as it should be, told so that a person can see why.
fn compare(
    group: &Group,
    tasks: &[Task],
    both: &Both,
    pair: &Pair,
    met: &mut BTreeSet<&'static str>,
) -> Vec<String> {
    let mut wrong = Vec::new();
    if let Some(error) = &both.peer_error {
        wrong.push(format!("the peer failed: {error}"));
    }
    if both.peers.rest != both.ours.rest {
        wrong.push(format!(
            "other tables: {} {}",
            both.peers.rest, both.ours.rest
        ));
    }
    let both_claimed = |one: &Whole, other: &Whole| -> Vec<String> {
        let claimed = one.claimed.iter();
        claimed
            .filter(|id| other.claimed.contains(id))
            .cloned()
            .collect()
    };
    let order = both_claimed(&both.peers, &both.ours);
    if order != both_claimed(&both.ours, &both.peers) {
        wrong.push(format!(
            "order of claims: {:?} {:?}",
            both.peers.claimed, both.ours.claimed
        ));
    }
    for (id, ours) in &both.ours.tasks {
        let mut peers = both.peers.tasks[id].clone();
        if let Some(task) = tasks.iter().find(|task| task.id == *id) {
            let case = Case {
                task,
                ours,
                now: pair.now,
                failure_limit: group.failure_limit,
            };
            for difference in DIFFERENCES {
                if let Shown::Drawn(explain) = difference.shown
                    && peers != *ours
                    && explain(&case, &mut peers)
                {
                    met.insert(difference.name);
                }
            }
            if peers != *ours {
                wrong.push(format!("{task:?}\n  {}", differing(&peers, ours)));
            }
        } else if peers != *ours {
            wrong.push(format!("parent {id}: {}", differing(&peers, ours)));
        }
    }
    wrong
}

/// Only what differs.
fn differing(peers: &Seen, ours: &Seen) -> String {
    let mut told = Vec::new();
    for (column, value) in &ours.row {
        if peers.row[column] != *value {
            told.push(format!("{column}: peer {} ours {value}", peers.row[column]));
        }
    }
    for (what, peers, ours) in [
        ("run", &peers.runs, &ours.runs),
        ("event", &peers.events, &ours.events),
    ] {
        let line = |rows: &[serde_json::Map<String, Value>], at: usize| {
            rows.get(at).map(|row| json!(row).to_string())
        };
        for at in 0..peers.len().max(ours.len()) {
            let (peers, ours) = (line(peers, at), line(ours, at));
            if peers != ours {
                told.push(format!(
                    "{what} {at}: peer {}\n        ours {}",
                    peers.unwrap_or_default(),
                    ours.unwrap_or_default()
                ));
            }
        }
    }
    told.join("\n  ")
}
