//! What a task's past makes of its future, on real boards with real workers: probes after a give-up, reasons told once, the
//! default assignee, reviews, stale attempts.

mod support;

use std::time::Duration;

use kanban_dispatcher::{Config, Dispatcher, HeldReason};
use support::{Fleet, LONG, Result, START, connect, outcomes, script, until, value};

/// A fleet with one task, and a dispatcher whose workers run `text`.
fn one(text: &str, change: impl FnOnce(&mut Config)) -> Result<(Fleet, String, Dispatcher)> {
    let fleet = Fleet::new()?;
    let id = fleet.ready("alpha", 1)?.remove(0);
    let dispatcher = fleet
        .builder(|config| {
            config.worker.command = Some(script(text));
            change(config);
        })
        .build();
    Ok((fleet, id, dispatcher))
}

/// Ticks until no worker is left and the task is in `status`.
fn settle(fleet: &Fleet, dispatcher: &mut Dispatcher, id: &str, status: &str) -> Result {
    until(&format!("the task is {status}"), || {
        dispatcher.tick();
        Ok(dispatcher.workers_alive() == 0 && fleet.show("alpha", id)?.task.status == status)
    })
}

/// Ticks without an end in sight: nothing may start.
fn rests(dispatcher: &mut Dispatcher) {
    for _ in 0..5 {
        assert_eq!(dispatcher.tick().started(), 0);
    }
}

fn count(fleet: &Fleet, what: &str) -> Result<i64> {
    value(
        &fleet.connect("alpha")?,
        &format!("SELECT count(*) FROM {what}"),
    )
}

#[test]
fn a_task_that_was_given_up_is_probed_once_after_the_cool_down_and_later_each_time() -> Result {
    let (fleet, id, mut dispatcher) =
        one("exit 3", |config| config.give_up_cooldown_seconds = 100)?;
    settle(&fleet, &mut dispatcher, &id, "blocked")?;
    assert_eq!(outcomes(&fleet.show("alpha", &id)?).len(), 2);
    for (wait, attempts) in [(100, 3), (200, 4), (400, 5)] {
        fleet.advance(wait - 1);
        rests(&mut dispatcher);
        fleet.advance(1);
        assert_eq!(dispatcher.tick().started(), 1, "after {wait}");
        settle(&fleet, &mut dispatcher, &id, "blocked")?;
        let detail = fleet.show("alpha", &id)?;
        assert_eq!(outcomes(&detail), vec!["crashed"; attempts]);
        // What the peer compares with stays above its limit, so that it takes no probe for a recovery.
        assert_eq!(detail.task.consecutive_failures, i64::try_from(attempts)?);
    }
    let probes = "task_events WHERE kind = 'promoted' AND payload LIKE '%\"reason\": \"probe\"%'";
    assert_eq!(count(&fleet, probes)?, 3);
    assert_eq!(count(&fleet, "task_events WHERE kind = 'gave_up'")?, 4);

    // A person's word starts the count anew.
    fleet.store("alpha")?.unblock(&id)?;
    settle(&fleet, &mut dispatcher, &id, "blocked")?;
    fleet.advance(99);
    rests(&mut dispatcher);
    fleet.advance(1);
    assert_eq!(dispatcher.tick().started(), 1);
    Ok(())
}

#[test]
fn what_was_given_up_before_a_completion_or_a_persons_word_is_forgotten() -> Result {
    for (history, waits) in [
        ("gave_up gave_up gave_up", 400),
        ("gave_up gave_up completed gave_up", 100),
        ("gave_up blocked unblocked gave_up gave_up", 200),
        ("gave_up blocked unblocked blocked unblocked gave_up", 100),
    ] {
        let (fleet, id, mut dispatcher) = one("exec sleep 120", |config| {
            config.give_up_cooldown_seconds = 100
        })?;
        fleet.sql(
            "alpha",
            "UPDATE tasks SET status = 'blocked', consecutive_failures = 2",
        )?;
        for kind in history.split(' ') {
            let sql = format!(
                "INSERT INTO task_events (task_id, kind, created_at) VALUES ('{id}', '{kind}', {START})"
            );
            fleet.sql("alpha", &sql)?;
        }
        fleet.advance(waits - 1);
        assert_eq!(dispatcher.tick().started(), 0, "{history}");
        fleet.advance(1);
        assert_eq!(dispatcher.tick().started(), 1, "{history}");
    }
    Ok(())
}

#[test]
fn without_a_cool_down_given_up_is_given_up() -> Result {
    let (fleet, id, mut dispatcher) = one("exit 3", |_| ())?;
    settle(&fleet, &mut dispatcher, &id, "blocked")?;
    fleet.advance(1_000_000);
    rests(&mut dispatcher);
    Ok(())
}

#[test]
fn a_reason_is_told_once_however_long_it_holds_and_again_for_the_next_attempt() -> Result {
    let (fleet, id, mut dispatcher) = one("exit 75", |_| ())?;
    let told = "task_events WHERE kind = 'respawn_guarded'";
    for round in 1..=3 {
        settle(&fleet, &mut dispatcher, &id, "ready")?;
        for _ in 0..100 {
            dispatcher.tick();
        }
        assert_eq!(count(&fleet, told)?, round);
        fleet.advance(300);
        dispatcher.tick();
    }
    Ok(())
}

#[test]
fn nobodys_task_is_given_to_whom_the_settings_name_and_started() -> Result {
    let (fleet, id, mut dispatcher) = one("exec sleep 120", |config| {
        config.default_assignee = Some("tester".into())
    })?;
    fleet.sql("alpha", "UPDATE tasks SET assignee = NULL")?;
    assert_eq!(dispatcher.tick().started(), 1);
    let detail = fleet.show("alpha", &id)?;
    assert_eq!(detail.task.assignee.as_deref(), Some("tester"));
    let assigned = detail
        .events
        .iter()
        .find(|event| event.kind == "assigned")
        .ok_or("no event")?;
    let expected = serde_json::json!({ "assignee": "tester", "source": "kanban.default_assignee" });
    assert_eq!(assigned.payload, expected);
    Ok(())
}

#[test]
fn an_old_worker_without_a_sign_of_life_is_stopped_and_its_task_tried_again() -> Result {
    let (fleet, id, mut dispatcher) = one("exec sleep 120", |config| {
        config.worker.stop_grace_seconds = Duration::ZERO
    })?;
    assert_eq!(dispatcher.tick().started(), 1);
    for _ in 0..16 {
        fleet.advance(899);
        assert_eq!(fleet.part(&dispatcher.tick(), "alpha")?.stopped, 0);
    }
    fleet.advance(16);
    assert_eq!(fleet.part(&dispatcher.tick(), "alpha")?.stopped, 1);
    until(
        "it was tried again",
        || Ok(dispatcher.tick().started() == 1),
    )?;
    let detail = fleet.show("alpha", &id)?;
    assert_eq!(outcomes(&detail), ["stale", "open"]);
    assert_eq!(detail.task.consecutive_failures, 0);
    fleet.has_processes(1)
}

#[test]
fn a_review_is_started_with_its_one_skill_and_counts_for_the_limits() -> Result {
    let fleet = Fleet::new()?;
    let ids = fleet.ready("alpha", 3)?;
    fleet.sql(
        "alpha",
        &format!(
            "UPDATE tasks SET status = 'review', skills = '[\"x\"]' WHERE id <> '{}'",
            ids[2]
        ),
    )?;
    let mut dispatcher = fleet
        .builder(|config| {
            config.max_in_progress_per_profile = Some(2.try_into().expect("not zero"));
            config.worker.command = Some(LONG.map(str::to_owned).to_vec());
        })
        .build();
    let report = dispatcher.tick();
    let alpha = fleet.part(&report, "alpha")?;
    // Ready first, then the review that would start first.
    assert_eq!(alpha.started, [ids[2].clone(), ids[0].clone()]);
    assert_eq!(alpha.held.get(&HeldReason::ProfileCap), Some(&1));
    let sources = "SELECT group_concat(COALESCE(payload ->> 'source_status', '-'), ' ') FROM task_events WHERE kind = 'claimed'";
    assert_eq!(
        value::<String>(&connect(&fleet.db("alpha")?)?, sources)?,
        "- review"
    );
    Ok(())
}
