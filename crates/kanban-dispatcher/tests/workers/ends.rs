//! Each end has its cause and its count.

use super::*;

#[test]
fn three_ends_without_a_word_in_a_row_give_the_task_up() -> Result {
    let (fleet, id, mut dispatcher) = one("exit 0")?;
    tick_until(&fleet, &mut dispatcher, &id, "blocked")?;
    let detail = show(&fleet, &id)?;
    assert_eq!(outcomes(&detail), ["crashed"; 3]);
    let attempt = ["claimed", "spawned", "protocol_violation"];
    let expected = [&["created"][..], &attempt, &attempt, &attempt, &["gave_up"]].concat();
    assert_eq!(kinds(&detail), expected);
    let gave_up = &detail.events.last().ok_or("no events")?.payload;
    assert_eq!(gave_up["protocol_violations"], json!(3));
    assert_eq!(gave_up["protocol_violation_limit"], json!(3));
    let error = detail.task.last_failure_error.unwrap_or_default();
    assert!(error.contains("exited 0 without completing"), "{error}");
    for _ in 0..3 {
        assert_eq!(dispatcher.tick().started(), 0, "given up is given up");
    }
    Ok(())
}

#[test]
fn try_later_is_no_failure_and_the_task_rests() -> Result {
    let (fleet, id, mut dispatcher) = one("exit 75")?;
    for attempt in 1..=4 {
        let report = dispatcher.tick();
        assert_eq!(
            fleet.part(&report, "alpha")?.started,
            std::slice::from_ref(&id),
            "{attempt}"
        );
        tick_until(&fleet, &mut dispatcher, &id, "ready")?;
        let report = dispatcher.tick();
        let alpha = fleet.part(&report, "alpha")?;
        assert_eq!(alpha.held.get(&HeldReason::Cooldown), Some(&1));
        fleet.advance(299);
        assert_eq!(dispatcher.tick().started(), 0);
        fleet.advance(1);
    }
    let detail = show(&fleet, &id)?;
    assert_eq!(outcomes(&detail), ["rate_limited"; 4]);
    assert_eq!(detail.task.consecutive_failures, 0);
    Ok(())
}

#[test]
fn other_ends_are_counted_with_their_cause_until_the_breaker_trips() -> Result {
    let cases = [
        (
            "exit 3",
            "exited with code 3",
            json!({"exit_kind": "nonzero_exit", "exit_code": 3}),
            2,
        ),
        (
            "kill -KILL $$",
            "killed by signal 9",
            json!({"exit_kind": "signaled", "exit_code": 9, "infrastructure": true}),
            5,
        ),
        (
            "kill -TERM $$",
            "killed by signal 15",
            json!({"exit_kind": "signaled", "exit_code": 15}),
            2,
        ),
        (
            "exit 78",
            "exited with code 78",
            json!({"exit_kind": "nonzero_exit", "exit_code": 78}),
            1,
        ),
        (
            "exec /no/such/program",
            "exited with code 127",
            json!({"exit_code": 127}),
            2,
        ),
    ];
    for (script, words, expected, attempts) in cases {
        let (fleet, id, mut dispatcher) = one(script)?;
        tick_until(&fleet, &mut dispatcher, &id, "blocked")?;
        let detail = show(&fleet, &id)?;
        assert_eq!(outcomes(&detail), vec!["crashed"; attempts], "{script}");
        // Never below what the peer would take for a recovery.
        let stored = i64::try_from(attempts.max(2))?;
        assert_eq!(detail.task.consecutive_failures, stored, "{script}");
        let error = detail.task.last_failure_error.clone().unwrap_or_default();
        assert!(error.contains(words), "{script}: {error}");
        let crashed = detail.events.iter().find(|event| event.kind == "crashed");
        let payload = &crashed.ok_or("no crash")?.payload;
        for (name, value) in expected.as_object().ok_or("no object")? {
            assert_eq!(&payload[name], value, "{script}: {payload}");
        }
        assert_eq!(
            kinds(&detail)
                .iter()
                .filter(|kind| **kind == "gave_up")
                .count(),
            1
        );
        assert_eq!(dispatcher.workers_alive(), 0);
    }
    Ok(())
}

#[test]
fn fifty_ends_at_once_leave_no_zombie_and_are_all_recorded() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 50)?;
    let command = ["sh", "-c", "exit 4"].map(str::to_owned).to_vec();
    let mut dispatcher = fleet
        .builder(|config| {
            config.worker.command = Some(command);
            config.failure_limit = 1.try_into().expect("not zero");
        })
        .build();
    assert_eq!(dispatcher.tick().started(), 50);
    let pids: Vec<i64> = {
        let db = fleet.connect("alpha")?;
        let mut statement = db.prepare("SELECT worker_pid FROM tasks")?;
        let rows = statement.query_map([], |row| row.get(0))?;
        rows.collect::<std::result::Result<_, _>>()?
    };
    let mut failed = 0;
    until("all ends are recorded", || {
        failed += fleet.part(&dispatcher.tick(), "alpha")?.failed;
        Ok(failed == 50)
    })?;
    for pid in pids {
        assert!(
            !PathBuf::from(format!("/proc/{pid}")).exists(),
            "{pid} is a zombie"
        );
    }
    let db = fleet.connect("alpha")?;
    let recorded =
        "SELECT count(*) FROM task_runs WHERE outcome = 'crashed' AND error LIKE '%code 4'";
    assert_eq!(value::<i64>(&db, recorded)?, 50);
    assert_eq!(
        value::<i64>(
            &connect(&fleet.root.ledger())?,
            "SELECT count(*) FROM workers"
        )?,
        0
    );
    Ok(())
}

#[test]
fn the_end_of_somebody_elses_child_in_the_same_process_is_left_to_them() -> Result {
    let (fleet, id, mut dispatcher) = one("exit 4")?;
    let mut theirs = Command::new("sh").args(["-c", "exit 7"]).spawn()?;
    let stat = format!("/proc/{}/stat", theirs.id());
    until("it waits for whoever started it", || {
        Ok(fs::read_to_string(&stat)?.contains(") Z "))
    })?;
    tick_until(&fleet, &mut dispatcher, &id, "blocked")?;
    assert_eq!(theirs.wait()?.code(), Some(7));
    Ok(())
}

#[test]
fn a_worker_that_cannot_be_started_is_counted_and_given_up() -> Result {
    let fleet = Fleet::new()?;
    let id = fleet.ready("alpha", 1)?.remove(0);
    let dir = fleet.store("alpha")?.create(&NewTask {
        workspace: Workspace::Dir(Some("not/absolute".to_owned())),
        ..task(9)
    })?;
    let mut dispatcher = fleet
        .builder(|config| config.failure_limit = 3.try_into().expect("not zero"))
        .launcher(|_: &Job<'_>| Err(std::io::Error::other("no such thing as a worker")))
        .build();
    for failures in 1..=3 {
        let report = dispatcher.tick();
        let alpha = fleet.part(&report, "alpha")?;
        assert_eq!(
            (alpha.outcome, alpha.started.len(), alpha.failed),
            (Outcome::Ticked, 0, 2)
        );
        assert_eq!(alpha.gave_up, if failures == 3 { 2 } else { 0 });
        assert_eq!(show(&fleet, &id)?.task.consecutive_failures, failures);
    }
    assert_eq!(dispatcher.tick().started(), 0);
    let detail = show(&fleet, &id)?;
    assert_eq!(detail.task.status, "blocked");
    assert_eq!(
        outcomes(&detail),
        ["spawn_failed", "spawn_failed", "gave_up"]
    );
    assert_eq!(
        kinds(&detail),
        [
            "created",
            "claimed",
            "spawn_failed",
            "claimed",
            "spawn_failed",
            "claimed",
            "gave_up"
        ]
    );
    let error = detail.task.last_failure_error.unwrap_or_default();
    assert!(error.contains("no such thing as a worker"), "{error}");
    let error = show(&fleet, &dir)?
        .task
        .last_failure_error
        .unwrap_or_default();
    assert!(error.starts_with("workspace: "), "{error}");
    assert!(fleet.processes().is_empty());
    Ok(())
}
