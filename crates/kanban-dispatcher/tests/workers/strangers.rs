//! Processes that are not proven ours are left alone.

use super::*;

#[test]
fn a_process_that_is_not_proven_ours_is_never_signalled() -> Result {
    let mut fleet = Fleet::new()?;
    // Real times: what processes are told apart by is when they started.
    let now = Clock::system().unix();
    fleet.clock = Clock::manual(now);
    let mut innocent = Innocent::start()?;
    // Makes the ledger.
    fleet.dispatcher().tick();
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let (ours, peers) = (format!("rs.{host}:1:0"), format!("{host}:999"));
    // Two whose workers this process may be, the peer's and one of ours that no ledger knows, silent and over their time; two that
    // began so long before it that their workers must be gone; and one whose pid, as the ledger knows, was another process's.
    let ids = fleet.ready("alpha", 5)?;
    let db = fleet.connect("alpha")?;
    let rows = [
        (&peers, 10),
        (&ours, 10),
        (&peers, 9000),
        (&ours, 9000),
        (&ours, 10),
    ];
    for (id, (lock, began)) in ids.iter().zip(rows) {
        db.execute(
            "INSERT INTO task_runs (task_id, status, claim_lock, worker_pid, started_at, max_runtime_seconds) \
             VALUES (?1, 'running', ?2, ?3, ?4, 1)",
            (id, lock, innocent.pid(), now - began),
        )?;
        db.execute(
            "UPDATE tasks SET status = 'running', claim_lock = ?2, worker_pid = ?3, claim_expires = ?4, started_at = ?5, \
             last_heartbeat_at = ?5, max_retries = 99, current_run_id = last_insert_rowid() WHERE id = ?1",
            (id, lock, innocent.pid(), now - 5, now - began),
        )?;
    }
    let known = &ids[4];
    let run: i64 = value(
        &db,
        &format!("SELECT current_run_id FROM tasks WHERE id = '{known}'"),
    )?;
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    connect(&fleet.root.ledger())?.execute(
        "INSERT INTO workers VALUES (?1, ?2, ?3, ?4, 1, ?5)",
        (fleet.slug("alpha"), known, run, innocent.pid(), boot.trim()),
    )?;

    let mut dispatcher = fleet
        .builder(|config| {
            config.worker.stop_grace_seconds = Duration::ZERO;
            config.crash_grace_seconds = 0;
        })
        .build();
    for _ in 0..6 {
        dispatcher.tick();
        assert!(innocent.is_alive()?);
        fleet.advance(1000);
    }
    assert!(test_kill_process(Pid::from_child(&innocent.0)).is_ok());
    let first = |id: &String| Ok(outcomes(&show(&fleet, id)?)[0].to_owned());
    let firsts = ids.iter().map(first).collect::<Result<Vec<String>>>()?;
    // Their claims had run out by then, so whether they crashed nobody knows.
    assert_eq!(
        firsts,
        ["open", "open", "reclaimed", "reclaimed", "timed_out"]
    );
    Ok(())
}

#[test]
fn a_live_claim_of_somebody_else_is_left_to_run() -> Result {
    let fleet = Fleet::new()?;
    let innocent = Innocent::start()?;
    let ids = fleet.ready("alpha", 2)?;
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let db = fleet.connect("alpha")?;
    // The peer's live worker, and a person elsewhere: both claims have just run out.
    for (id, lock, pid) in [
        (&ids[0], format!("{host}:999"), Some(innocent.pid())),
        (&ids[1], "elsewhere:1".to_owned(), None),
    ] {
        db.execute(
            "UPDATE tasks SET status = 'running', claim_lock = ?2, worker_pid = ?3, claim_expires = ?4 WHERE id = ?1",
            (id, lock, pid, START - 1),
        )?;
    }
    let mut dispatcher = fleet.dispatcher();
    let report = dispatcher.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!(
        (alpha.reclaimed, &alpha.started),
        (1, &vec![ids[1].clone()])
    );
    let detail = show(&fleet, &ids[0])?;
    assert_eq!(
        (detail.task.status.as_str(), kinds(&detail)),
        ("running", vec!["created", "claim_extended"])
    );
    Ok(())
}
