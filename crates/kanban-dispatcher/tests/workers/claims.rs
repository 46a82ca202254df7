//! A claim is renewed, and a stale attempt is refused.

use super::*;

#[test]
fn a_claim_is_renewed_for_as_long_as_its_worker_lives() -> Result {
    let (fleet, id, mut dispatcher) = one("exec sleep 120")?;
    dispatcher.tick();
    let expires = || -> Result<(i64, i64)> {
        Ok(fleet.connect("alpha")?.query_row(
            "SELECT t.claim_expires, r.claim_expires FROM tasks t JOIN task_runs r ON r.id = t.current_run_id",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?)
    };
    assert_eq!(expires()?, (START + 900, START + 900));
    fleet.advance(599);
    dispatcher.tick();
    assert_eq!(expires()?.0, START + 900, "most of it is left");
    for renewed in 1..=5 {
        fleet.advance(if renewed == 1 { 1 } else { 600 });
        assert_eq!(dispatcher.tick().started(), 0);
        let now = START + 600 * renewed;
        assert_eq!(expires()?, (now + 900, now + 900));
    }
    // Even when the dispatcher was away for longer than the claim is valid.
    fleet.advance(5000);
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.reclaimed, 0);
    assert_eq!(expires()?.0, fleet.clock.unix() + 900);
    let detail = show(&fleet, &id)?;
    assert_eq!(
        kinds(&detail),
        ["created", "claimed", "spawned"],
        "and nothing is told of it"
    );
    fleet.has_processes(1)?;
    Ok(())
}

#[test]
fn a_stale_attempt_is_refused_and_the_current_one_goes_on() -> Result {
    let (fleet, id, mut dispatcher) = one("exec sleep 120")?;
    dispatcher.tick();
    let stale = show(&fleet, &id)?.runs[0].id;
    let pid = show(&fleet, &id)?.runs[0].worker_pid.ok_or("no pid")?;
    kill_process(
        Pid::from_raw(pid.try_into()?).ok_or("no pid")?,
        Signal::KILL,
    )?;
    until("it is started again", || {
        Ok(dispatcher.tick().started() == 1)
    })?;
    let current = show(&fleet, &id)?.runs[1].id;
    assert_ne!(stale, current);

    let done = |run| Complete {
        run: Some(run),
        summary: Some("done".to_owned()),
        ..Complete::default()
    };
    let mut store = fleet.store("alpha")?;
    let before = show(&fleet, &id)?;
    let refused = store
        .complete(&id, &done(stale))
        .err()
        .ok_or("not refused")?;
    assert_eq!(refused.kind(), ErrorKind::Refused);
    let refused = store.heartbeat(&id, Some(stale), None, None).err();
    assert_eq!(refused.map(|error| error.kind()), Some(ErrorKind::Refused));
    let block = kanban_dispatcher::Block {
        run: Some(stale),
        ..kanban_dispatcher::Block::default()
    };
    assert_eq!(
        store.block(&id, &block).err().map(|e| e.kind()),
        Some(ErrorKind::Refused)
    );
    assert_eq!(show(&fleet, &id)?, before, "nothing has changed");

    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.running, 1);
    fleet.has_processes(1)?;
    store.complete(&id, &done(current))?;
    assert_eq!(show(&fleet, &id)?.task.status, "done");
    Ok(())
}
