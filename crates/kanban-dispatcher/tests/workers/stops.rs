//! Workers are stopped in steps, with all that they started.

use super::*;

/// Ignores SIGTERM, and so does its descendant. Both are long in their loops before the test looks.
const STUBBORN: &str = "trap '' TERM; sh -c 'trap \"\" TERM; while :; do sleep 1; done' & echo up > up; \
                        while :; do sleep 1; done";
/// Ends on SIGTERM, and its descendant does not.
const ORPHANING: &str = "sh -c 'trap \"\" TERM; echo up > up; while :; do sleep 1; done' & wait";

#[test]
fn an_attempt_that_takes_too_long_is_stopped_in_steps_and_leaves_nothing_behind() -> Result {
    for (script, needs_kill) in [(STUBBORN, true), (ORPHANING, false)] {
        let limited = NewTask {
            max_runtime: Some(10),
            ..task(0)
        };
        let (fleet, id, mut dispatcher) = one_of(script, &limited)?;
        dispatcher.tick();
        let up = fleet.board("alpha")?.workspaces_dir().join(&id).join("up");
        until("the descendants are there", || Ok(up.exists()))?;
        fleet.advance(9);
        let report = dispatcher.tick();
        assert_eq!(
            fleet.part(&report, "alpha")?.stopped,
            0,
            "one second is left"
        );

        fleet.advance(1);
        let report = dispatcher.tick();
        assert_eq!(fleet.part(&report, "alpha")?.stopped, 1);
        if needs_kill {
            // SIGTERM is ignored; the grace is five seconds.
            for _ in 0..4 {
                fleet.advance(1);
                let report = dispatcher.tick();
                assert_eq!(fleet.part(&report, "alpha")?.failed, 0);
                assert!(fleet.processes().len() >= 2);
            }
            fleet.advance(1);
        }
        let mut failed = 0;
        until("the end is recorded", || {
            failed += fleet.part(&dispatcher.tick(), "alpha")?.failed;
            Ok(failed == 1)
        })?;
        let first = show(&fleet, &id)?;
        let run = first.runs.first().ok_or("no run")?;
        assert_eq!(run.outcome.as_deref(), Some("timed_out"));
        let timed_out = first.events.iter().find(|event| event.kind == "timed_out");
        let payload = &timed_out.ok_or("no such event")?.payload;
        assert_eq!(payload["sigkill"], json!(needs_kill), "{payload}");
        assert_eq!(payload["limit_seconds"], json!(10));
        assert_eq!(first.task.consecutive_failures, 1);

        // It was started again in that tick: what is alive belongs to the second attempt.
        fleet.store("alpha")?.complete(&id, &Complete::default())?;
        let second = first.runs.get(1).map(|run| run.id).ok_or("no second run")?;
        let of_first = |pid: &i32| {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let run = format!("HERMES_KANBAN_RUN_ID={second}");
            !environ
                .split(|byte| *byte == 0)
                .any(|entry| entry == run.as_bytes())
        };
        until("nothing of the first attempt is left", || {
            Ok(!fleet.processes().iter().any(of_first))
        })?;
    }
    Ok(())
}

#[test]
fn a_claim_that_somebody_took_away_stops_the_worker_and_a_finished_worker_is_left_alone() -> Result
{
    let fleet = Fleet::new()?;
    let ids = fleet.ready("alpha", 2)?;
    let mut dispatcher = fleet.dispatcher();
    assert_eq!(dispatcher.tick().started(), 2);
    let pid = |id: &str| Ok::<_, Box<dyn std::error::Error>>(show(&fleet, id)?.runs[0].worker_pid);
    let (archived, done) = (
        pid(&ids[0])?.ok_or("no pid")?,
        pid(&ids[1])?.ok_or("no pid")?,
    );
    fleet.sql(
        "alpha",
        &format!(
            "UPDATE tasks SET status = 'archived', claim_lock = NULL, claim_expires = NULL, worker_pid = NULL WHERE id = '{}'",
            ids[0]
        ),
    )?;
    fleet
        .store("alpha")?
        .complete(&ids[1], &Complete::default())?;
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.stopped, 1);
    until("the first has ended", || {
        dispatcher.tick();
        Ok(dispatcher.workers_alive() == 1)
    })?;
    assert!(!is_alive(archived));
    fleet.advance(59);
    dispatcher.tick();
    assert!(is_alive(done), "it reported by itself and may tidy up");
    assert_eq!(dispatcher.workers_alive(), 1);
    fleet.advance(1);
    assert_eq!(fleet.part(&dispatcher.tick(), "alpha")?.stopped, 1);
    until("the other has ended", || {
        dispatcher.tick();
        Ok(!is_alive(done))
    })?;
    Ok(())
}
