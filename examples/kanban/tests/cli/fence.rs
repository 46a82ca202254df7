//! A worker writes to its own task only, and only while its attempt is the current one.

use super::house::{House, Result};

/// An installation with one task that is being worked on; the task's id.
fn running() -> Result<(House, String)> {
    let house = House::with_board()?;
    house.settings()?;
    let id = house.add(&["work", "--assignee", "anyone"])?;
    house.ok(&["tick"])?;
    house.worker(&id)?;
    Ok((house, id))
}

#[test]
fn an_attempt_that_is_no_longer_current_is_refused() -> Result {
    let (house, id) = running()?;
    let stale = [
        ("HERMES_KANBAN_TASK", id.as_str()),
        ("HERMES_KANBAN_RUN_ID", "99"),
    ];
    for args in [
        &["complete", &id][..],
        &["block", &id, "why"],
        &["heartbeat", &id],
    ] {
        house
            .say_with(&stale, args)?
            .fails(1, &["failed to", "attempt 99", "1 is"]);
    }
    house
        .say(&["complete", &id, "--run", "98"])?
        .fails(1, &["attempt 98"]);
    assert_eq!(house.task::<String>("status", &id)?, "running");

    // What is said beats the environment.
    assert_eq!(
        house
            .say_with(&stale, &["complete", &id, "--run", "1"])?
            .code,
        Some(0)
    );
    assert_eq!(house.task::<String>("status", &id)?, "done");
    Ok(())
}

#[test]
fn a_worker_owns_its_task_only() -> Result {
    let (house, id) = running()?;
    let other = house.add(&["not yours"])?;
    let vars = [
        ("HERMES_KANBAN_TASK", id.as_str()),
        ("HERMES_KANBAN_RUN_ID", "1"),
    ];
    for args in [
        &["complete", &other][..],
        &["block", &other, "why"],
        &["heartbeat", &other],
    ] {
        house
            .say_with(&vars, args)?
            .fails(1, &[&other, &id, "own task only"]);
    }
    assert_eq!(house.task::<String>("status", &other)?, "ready");
    // To look and to add is everybody's right.
    assert_eq!(house.say_with(&vars, &["show", &other])?.code, Some(0));
    assert_eq!(house.say_with(&vars, &["add", "found more"])?.code, Some(0));
    assert_eq!(house.say_with(&vars, &["complete", &id])?.code, Some(0));
    Ok(())
}

#[test]
fn a_heartbeat_renews_the_workers_claim() -> Result {
    let (house, id) = running()?;
    let lock = house.task::<String>("claim_lock", &id)?;
    let before = house.task::<i64>("claim_expires", &id)?;
    let vars = [
        ("HERMES_KANBAN_TASK", id.as_str()),
        ("HERMES_KANBAN_RUN_ID", "1"),
        ("HERMES_KANBAN_CLAIM_LOCK", &lock),
        ("HERMES_KANBAN_CLAIM_TTL_SECONDS", "5000"),
    ];
    let said = house.say_with(&vars, &["heartbeat", &id, "--note", "page 3"])?;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(house.task::<i64>("claim_expires", &id)? > before + 4_000);
    let show = house.show(&id)?;
    let last = show["events"]
        .as_array()
        .and_then(|events| events.last())
        .ok_or("no event")?;
    assert_eq!(
        (&last["kind"], &last["payload"]["note"]),
        (&"heartbeat".into(), &"page 3".into())
    );

    // A person's word is a sign of life, and no claim.
    let before = house.task::<i64>("claim_expires", &id)?;
    house.ok(&["heartbeat", &id])?;
    assert_eq!(house.task::<i64>("claim_expires", &id)?, before);
    Ok(())
}
