//! The differences that one small board each shows: what the peer does, and what we do.

use serde_json::{Value, json};

use super::super::house::Result;
use super::case::{Holder, Now, Past, Pid, Task, furnish};
use super::tick::{Both, Pair, Started};

/// One board, ticked once by both; what we started last.
fn scene(settings: &str, options: Value, tasks: &[Task], sql: &str) -> Result<(Both, Started)> {
    let mut pair = Pair::new(settings, options, Now(now()))?;
    let twin = pair.board_with("scene", |db, host, live| {
        furnish(db)?;
        for task in tasks {
            task.insert(db, host, live(task)?)?;
        }
        Ok(db.execute_batch(sql)?)
    })?;
    pair.tick_ours();
    let both = pair.look(&twin)?;
    Ok((both, pair.started()))
}

fn now() -> i64 {
    kanban_dispatcher::Clock::system().unix()
}

/// So many tasks, oldest first.
fn tasks(status: &'static str, count: i64) -> Vec<Task> {
    let task = |n| Task {
        created_at: n,
        ..Task::new(&format!("t_{n:08x}"), status)
    };
    (1..=count).map(task).collect()
}

/// Tasks that people work on elsewhere.
fn running(count: i64) -> Vec<Task> {
    let mut tasks = tasks("running", count);
    for task in &mut tasks {
        task.id = task.id.replace("t_", "r_");
        task.holder = Some(Holder::Elsewhere);
        task.expires = Some(now() + 600);
    }
    tasks
}

#[test]
fn a_review_is_one_worker_with_one_skill_and_no_question_about_parents() -> Result {
    let mut task = Task::new("t_00000001", "review");
    task.parents.push("t_open");
    let sql = "INSERT INTO tasks (id, title, status, created_at) VALUES ('t_open', 'p', 'triage', 1); \
               UPDATE tasks SET skills = '[\"cooking\"]' WHERE id = 't_00000001'";
    let (both, ours) = scene("", json!({}), &[task], sql)?;
    assert_eq!(
        ours,
        [("t_00000001".to_owned(), vec!["sdlc-review".to_owned()])]
    );
    assert_eq!(both.peer_started, ours);
    assert_eq!(both.peers.tasks, both.ours.tasks);
    let claimed = &both.ours.tasks["t_00000001"].events[0];
    assert_eq!(claimed["payload"]["source_status"], "review");
    Ok(())
}

#[test]
fn a_claim_from_review_closes_the_attempt_that_was_left_open() -> Result {
    let mut task = Task::new("t_00000001", "review");
    task.attempt = Some(now() - 50);
    let (both, _) = scene("", json!({}), &[task], "")?;
    let outcome = |whole: &super::seen::Whole| whole.tasks["t_00000001"].runs[0]["outcome"].clone();
    assert_eq!(
        (outcome(&both.peers), outcome(&both.ours)),
        (Value::Null, json!("reclaimed"))
    );
    Ok(())
}

#[test]
fn the_boards_limits_count_ready_and_review_together() -> Result {
    for (settings, options) in [
        ("max_in_progress = 1", json!({ "max_in_progress": 1 })),
        (
            "max_in_progress_per_profile = 1",
            json!({ "max_in_progress_per_profile": 1 }),
        ),
    ] {
        let (both, _) = scene(settings, options, &tasks("review", 3), "")?;
        assert_eq!(
            (both.peers.claimed.len(), both.ours.claimed.len()),
            (3, 1),
            "{settings}"
        );
        assert_eq!(both.ours.claimed, ["t_00000001"]);
    }
    Ok(())
}

#[test]
fn two_limits_of_one_board_are_the_smaller_one() -> Result {
    let all = [running(2), tasks("ready", 9)].concat();
    let settings = "max_spawn = 10\nmax_in_progress = 4";
    let (both, _) = scene(
        settings,
        json!({ "max_spawn": 10, "max_in_progress": 4 }),
        &all,
        "",
    )?;
    assert_eq!((both.peers.claimed.len(), both.ours.claimed.len()), (0, 2));
    Ok(())
}

#[test]
fn one_profile_is_one_however_it_is_spelled() -> Result {
    let mut all = tasks("ready", 2);
    // The one that starts first: its place is taken under the other's name.
    all[0].assignee = Some(" CODER");
    let settings = "max_in_progress_per_profile = 1";
    let (both, _) = scene(
        settings,
        json!({ "max_in_progress_per_profile": 1 }),
        &all,
        "",
    )?;
    assert_eq!((both.peers.claimed.len(), both.ours.claimed.len()), (2, 1));
    Ok(())
}

#[test]
fn one_bad_row_costs_the_others_nothing() -> Result {
    for bad in [
        "assignee = ' '",
        "consecutive_failures = 'many', status = 'blocked'",
    ] {
        let mut all = tasks("ready", 3);
        all[0].priority = Some(9);
        let sql = format!("UPDATE tasks SET {bad} WHERE id = 't_00000001'");
        let (both, _) = scene("", json!({}), &all, &sql)?;
        assert!(
            both.peer_error.is_some() && both.peers.claimed.is_empty(),
            "{bad}: {both:?}"
        );
        assert_eq!(both.ours.claimed, ["t_00000002", "t_00000003"], "{bad}");
    }
    Ok(())
}

#[test]
fn a_ready_row_that_tells_its_worker_nothing_is_blocked() -> Result {
    let sql = "UPDATE tasks SET skills = '[cooking' WHERE id = 't_00000001'";
    let (both, _) = scene("", json!({}), &tasks("ready", 2), sql)?;
    assert!(
        both.peers.claimed.contains(&"t_00000001".to_owned()),
        "{both:?}"
    );
    assert_eq!(both.ours.claimed, ["t_00000002"]);
    let ours = &both.ours.tasks["t_00000001"];
    assert_eq!((ours.status(), ours.kinds()), ("blocked", vec!["blocked"]));
    Ok(())
}

#[test]
fn a_claim_whose_end_is_written_as_text_ends() -> Result {
    let sql = "UPDATE tasks SET claim_expires = '2001-02-03T04:05:06Z'";
    let (both, _) = scene("", json!({}), &running(1), sql)?;
    assert_eq!(both.peers.tasks["r_00000001"].status(), "running");
    assert!(both.ours.tasks["r_00000001"].has("reclaimed"), "{both:?}");
    Ok(())
}

#[test]
fn what_was_written_before_the_clock_was_set_back_holds_nothing() -> Result {
    let mut task = Task::new("t_00000001", "ready");
    task.past.push(Past {
        outcome: "rate_limited",
        ended_at: now() + 86_400,
        is_violation: false,
    });
    let (both, _) = scene("", json!({}), &[task], "")?;
    assert_eq!(both.peers.tasks["t_00000001"].kinds(), ["respawn_guarded"]);
    assert_eq!(
        both.ours.tasks["t_00000001"].kinds(),
        ["claimed", "spawned"]
    );
    Ok(())
}

#[test]
fn lost_processes_are_counted_one_by_one() -> Result {
    let mut all = running(3);
    for task in &mut all {
        (task.holder, task.pid, task.attempt) = (Some(Holder::Peer), Pid::Dead, Some(now() - 100));
    }
    let (both, _) = scene("", json!({}), &all, "")?;
    for task in &all {
        let (peers, ours) = (&both.peers.tasks[&task.id], &both.ours.tasks[&task.id]);
        assert_eq!(
            peers.kinds(),
            ["crashed", "gave_up", "promoted", "claimed", "spawned"]
        );
        assert_eq!(ours.kinds(), ["crashed", "claimed", "spawned"]);
        assert_eq!(ours.row["consecutive_failures"], 1);
    }
    Ok(())
}
