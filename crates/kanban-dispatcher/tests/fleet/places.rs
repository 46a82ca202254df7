//! Places for workers: of the host, of a board, and whose turn it is.

use super::*;

#[test]
fn no_more_workers_live_than_the_host_may_have() -> Result {
    let fleet = Fleet::new()?;
    const BOARDS: [&str; 3] = ["a", "b", "c"];
    for board in BOARDS {
        fleet.ready(board, 3)?;
    }
    let mut dispatcher = fleet
        .builder(|config| config.workers_max = 4.try_into().expect("not zero"))
        .build();
    let report = dispatcher.tick();
    assert_eq!(report.started(), 4);
    fleet.has_processes(4)?;
    assert_eq!(host_capped(&report), 5);
    let report = dispatcher.tick();
    assert_eq!((report.started(), host_capped(&report)), (0, 5));

    // A place is free when the process is gone, not when its task is done.
    for board in BOARDS {
        finish_running(&fleet, board)?;
    }
    let report = dispatcher.tick();
    assert_eq!((report.started(), host_capped(&report)), (0, 5));
    end_workers(&fleet)?;
    let report = dispatcher.tick();
    assert_eq!(report.started(), 4);
    fleet.has_processes(4)?;
    assert_eq!(host_capped(&report), 1);
    Ok(())
}

#[test]
fn a_board_with_endless_work_leaves_room_for_one_with_a_single_task() -> Result {
    let fleet = Fleet::new()?;
    for lanes in [1, 4] {
        let (endless, single) = (format!("a-endless-{lanes}"), format!("b-single-{lanes}"));
        fleet.ready(&endless, 12)?;
        fleet.store(&single)?;
        let mut dispatcher = fleet
            .builder(|config| {
                config.workers_max = 2.try_into().expect("not zero");
                config.lanes = lanes.try_into().expect("not zero");
            })
            .build();
        assert_eq!(dispatcher.tick().started(), 2, "nobody else wants any");
        for round in 0..3 {
            let id = fleet.store(&single)?.create(&task(0))?;
            // One place at a time becomes free.
            let mut freed = 0;
            while fleet.show(&single, &id)?.task.status == "ready" {
                end_oldest(&fleet, &mut dispatcher)?;
                freed += 1;
                assert!(freed <= 2, "round {round}, {lanes} lanes");
                assert_eq!(
                    dispatcher.tick().started(),
                    1,
                    "a place that is free is used"
                );
                assert_eq!(dispatcher.workers_alive(), 2);
            }
            finish(&fleet, &single, &id);
        }
        drop(dispatcher);
        end_workers(&fleet)?;
        fleet.sql(&endless, "UPDATE tasks SET status = 'done'")?;
    }
    Ok(())
}

/// Ends the worker that has lived longest; a task that is failed by it may be tried again.
fn end_oldest(fleet: &Fleet, dispatcher: &mut Dispatcher) -> Result {
    let alive = dispatcher.workers_alive();
    let oldest = fleet.processes().into_iter().min().ok_or("no worker")?;
    support::kill(oldest.into())?;
    let pid = rustix::process::Pid::from_raw(oldest).ok_or("no pid")?;
    // Seen by the dispatcher's own look, not by this one: it must not be waited for here.
    until("it is gone", || Ok(is_zombie(pid.as_raw_nonzero().get())))?;
    assert_eq!(dispatcher.workers_alive(), alive, "not looked at yet");
    Ok(())
}

fn is_zombie(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        stat.rsplit_once(')')
            .is_some_and(|(_, rest)| rest.starts_with(" Z"))
    })
}

#[test]
fn two_boards_of_nine_tasks_never_have_more_than_nine_workers_also_while_one_cannot_be_read()
-> Result {
    let fleet = Fleet::new()?;
    for board in ["a", "b"] {
        fleet.ready(board, 9)?;
    }
    let mut dispatcher = fleet
        .builder(|config| config.workers_max = 9.try_into().expect("not zero"))
        .build();
    let report = dispatcher.tick();
    let started = |report: &TickReport, board| {
        Ok::<_, Box<dyn std::error::Error>>(fleet.part(report, board)?.started.len())
    };
    assert_eq!(
        (started(&report, "a")?, started(&report, "b")?),
        (5, 4),
        "in turn"
    );
    fleet.has_processes(9)?;
    // Nobody can read it now, and its workers live on.
    let other = FileLock::try_acquire(&fleet.board("a")?.tick_lock())?.ok_or("not free")?;
    for _ in 0..3 {
        let report = dispatcher.tick();
        assert_eq!(fleet.part(&report, "a")?.outcome, Outcome::Busy);
        assert_eq!(report.started(), 0);
        assert_eq!(fleet.processes().len(), 9);
    }
    assert_eq!(fleet.status("a")?.running, 5, "as it was last known");
    drop(other);
    for _ in 0..4 {
        end_oldest(&fleet, &mut dispatcher)?;
        assert_eq!(dispatcher.tick().started(), 1);
        assert_eq!(fleet.processes().len(), 9);
    }
    Ok(())
}

fn finish_running(fleet: &Fleet, board: &str) -> Result {
    for task in fleet.store(board)?.list(Some("running"))? {
        finish(fleet, board, &task.id);
    }
    Ok(())
}

fn host_capped(report: &TickReport) -> u32 {
    let held = report
        .boards
        .iter()
        .map(|part| part.held.get(&HeldReason::HostCap));
    held.flatten().sum()
}

/// Ends every worker from outside.
fn end_workers(fleet: &Fleet) -> Result {
    for pid in fleet.processes() {
        let pid = rustix::process::Pid::from_raw(pid).ok_or("no pid")?;
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
    fleet.has_processes(0)
}

#[test]
fn a_boards_own_limit_counts_every_claim() -> Result {
    let fleet = Fleet::new()?;
    let ready = fleet.ready("alpha", 4)?;
    fleet.ready("beta", 2)?;
    // Somebody else works on one.
    fleet.sql(
        "alpha",
        &format!(
            "UPDATE tasks SET status = 'running', claim_lock = 'elsewhere:1', claim_expires = {} WHERE id = '{}'",
            support::START + 900,
            ready[0],
        ),
    )?;
    let mut dispatcher = fleet
        .builder(|config| config.max_in_progress = Some(2.try_into().expect("not zero")))
        .build();
    let report = dispatcher.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!(alpha.started, [ready[1].clone()]);
    assert_eq!(alpha.held.get(&HeldReason::BoardCap), Some(&2));
    assert_eq!((alpha.running, alpha.ready), (2, 2));
    assert_eq!(fleet.part(&report, "beta")?.started.len(), 2);
    assert_eq!(dispatcher.tick().started(), 0);
    Ok(())
}
