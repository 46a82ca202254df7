//! The next dispatcher goes on with the workers of the last one.

use super::*;

#[test]
fn the_next_dispatcher_adopts_the_survivors_and_starts_nothing_twice() -> Result {
    let fleet = Fleet::new()?;
    let ids = fleet.ready("alpha", 3)?;
    let mut first = fleet.dispatcher();
    assert_eq!(first.tick().started(), 3);
    fleet.has_processes(3)?;
    first.shut_down();
    drop(first);
    fleet.has_processes(3)?;

    // One ends, and one reports, while nobody is there.
    let pid = show(&fleet, &ids[0])?.runs[0].worker_pid.ok_or("no pid")?;
    let pid = Pid::from_raw(pid.try_into()?).ok_or("no pid")?;
    kill_process(pid, Signal::KILL)?;
    fleet
        .store("alpha")?
        .complete(&ids[1], &Complete::default())?;
    fleet.has_processes(2)?;
    fleet.advance(2000);

    let mut second = fleet.dispatcher();
    let report = second.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!((&alpha.started, alpha.failed), (&vec![ids[0].clone()], 1));
    assert_eq!(second.workers_alive(), 3);
    assert_eq!(outcomes(&show(&fleet, &ids[0])?), ["crashed", "open"]);
    assert_eq!(show(&fleet, &ids[1])?.task.status, "done");
    let adopted = show(&fleet, &ids[2])?;
    assert_eq!(
        (outcomes(&adopted), kinds(&adopted).len()),
        (vec!["open"], 3)
    );
    // Its claim, which had run out, is valid again.
    let db = fleet.connect("alpha")?;
    let expires: i64 = value(
        &db,
        "SELECT min(claim_expires) FROM tasks WHERE status = 'running'",
    )?;
    assert_eq!(expires, fleet.clock.unix() + 900);
    for _ in 0..3 {
        assert_eq!(second.tick().started(), 0);
    }

    // An adopted worker can be stopped, too.
    fleet.sql(
        "alpha",
        &format!(
            "UPDATE task_runs SET max_runtime_seconds = 1 WHERE task_id = '{}'",
            ids[2]
        ),
    )?;
    let report = second.tick();
    assert_eq!(fleet.part(&report, "alpha")?.stopped, 1);
    let mut failed = 0;
    until("it has ended", || {
        failed += fleet.part(&second.tick(), "alpha")?.failed;
        Ok(failed == 1)
    })?;
    assert_eq!(outcomes(&show(&fleet, &ids[2])?)[0], "timed_out");
    Ok(())
}
