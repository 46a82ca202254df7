//! Panics, starts that fail, and a machine that is used up.

use super::*;

#[test]
fn a_panic_in_the_middle_of_a_turn_stays_on_its_board() -> Result {
    let fleet = Fleet::new()?;
    let ready = fleet.ready(log::PANICS, 1)?;
    fleet.ready("other", 1)?;
    fleet.drop_column(log::PANICS, "tasks", "skills")?;
    let mut dispatcher = fleet.dispatcher();
    let report = dispatcher.tick();
    let part = fleet.part(&report, log::PANICS)?;
    assert_eq!(part.outcome, Outcome::Failed);
    let reason = part.failure.as_ref().map_or("", |failure| &failure.reason);
    assert!(reason.contains("on purpose"), "{reason}");
    assert_eq!(fleet.part(&report, "other")?.started.len(), 1);
    assert_eq!(fleet.complaints().len(), 1, "{:#?}", fleet.complaints());

    // Nothing of it remains, no lock and no lane; and what it had done stands.
    let report = dispatcher.tick();
    let part = fleet.part(&report, log::PANICS)?;
    assert_eq!((part.outcome, &part.started), (Outcome::Ticked, &ready));
    Ok(())
}

#[test]
fn a_launcher_that_panics_is_a_failed_start_of_that_task() -> Result {
    let fleet = Fleet::new()?;
    let ready = fleet.ready("panics", 1)?;
    fleet.ready("other", 1)?;
    let on = Arc::new(AtomicBool::new(true));
    let mut dispatcher = fleet.builder(|_| ()).launcher(panics(&fleet, &on)).build();
    let report = dispatcher.tick();
    let part = fleet.part(&report, "panics")?;
    assert_eq!((part.outcome, part.failed), (Outcome::Ticked, 1));
    assert_eq!(fleet.part(&report, "other")?.started.len(), 1);
    let next = fleet.store("other")?.create(&task(0))?;
    on.store(false, Ordering::SeqCst);
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "other")?.started, [next]);
    assert_eq!(fleet.part(&report, "panics")?.started, ready);
    let error = fleet.store("panics")?.show(&ready[0])?.runs[0]
        .error
        .clone();
    assert_eq!(error.as_deref(), Some("the launcher panicked"));
    Ok(())
}

#[test]
fn a_machine_that_is_used_up_is_no_fault_of_the_task_and_is_asked_more_and_more_seldom() -> Result {
    let fleet = Fleet::new()?;
    let ready = fleet.ready("alpha", 3)?;
    fleet.ready("beta", 1)?;
    let on = Arc::new(AtomicBool::new(true));
    let is_on = Arc::clone(&on);
    let launcher = move |_: &Job<'_>| match is_on.load(Ordering::SeqCst) {
        true => Err(rustix::io::Errno::MFILE.into()),
        false => Ok(sleeper()),
    };
    let mut dispatcher = fleet.builder(|_| ()).launcher(launcher).build();
    let mut tried = Vec::new();
    for second in 0..60 {
        let report = dispatcher.tick();
        assert_eq!(report.started(), 0);
        for board in ["alpha", "beta"] {
            // Waiting for the one place that there may be, it has none.
            let Some(part) = fleet.turn(&report, board)? else {
                continue;
            };
            match part.failure.as_ref().map(|failure| failure.class.as_str()) {
                Some(class) => {
                    assert_eq!((part.outcome, class), (Outcome::Failed, "exhausted"));
                    tried.push(second);
                }
                None => {
                    assert!(
                        part.held.contains_key(&HeldReason::NoWorker)
                            || part.held.contains_key(&HeldReason::HostCap)
                    );
                }
            }
        }
        fleet.advance(1);
    }
    // Both boards at once, and then one task of one board: after 5, 10 and 20 s.
    assert_eq!(tried, [0, 0, 5, 15, 35]);
    let complaints = by_board_and_class(&fleet.complaints());
    assert!(
        complaints.values().all(|count| *count == 1),
        "{complaints:?}"
    );
    let mut claims = 0;
    for board in ["alpha", "beta"] {
        let sql = "SELECT count(*) FROM task_events WHERE kind = 'claimed'";
        claims += value::<i64>(&fleet.connect(board)?, sql)?;
    }
    assert_eq!(claims, 4 + 3);
    assert_eq!(fleet.show("alpha", &ready[0])?.task.consecutive_failures, 0);

    on.store(false, Ordering::SeqCst);
    fleet.advance(40);
    assert_eq!(dispatcher.tick().started(), 1, "one, to see");
    assert_eq!(dispatcher.tick().started(), 3);
    Ok(())
}

#[test]
fn a_start_that_fails_the_same_way_is_told_once_a_window_and_another_way_at_once() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 1)?;
    let cause = Arc::new(Mutex::new("no such place"));
    let says = Arc::clone(&cause);
    let launcher = move |job: &Job<'_>| -> std::io::Result<WorkerCommand> {
        let cause = says.lock().map_or("", |cause| *cause);
        Err(std::io::Error::other(format!(
            "{cause} for {}",
            job.work.task
        )))
    };
    let mut dispatcher = fleet
        .builder(|config| config.failure_limit = 1000.try_into().expect("not zero"))
        .launcher(launcher)
        .build();
    let mut tick = |times: u32| {
        for _ in 0..times {
            let failed = |board: &BoardReport| board.failed;
            let failed = dispatcher.tick().boards.iter().map(failed).sum::<u32>();
            assert_eq!(failed, 1);
            fleet.advance(2);
        }
    };
    tick(20);
    assert_eq!(fleet.complaints().len(), 1, "{:#?}", fleet.complaints());
    *cause.lock().map_err(|_| "poisoned")? = "no such person";
    tick(1);
    assert_eq!(fleet.complaints().len(), 2, "{:#?}", fleet.complaints());
    *cause.lock().map_err(|_| "poisoned")? = "no such place";
    tick(19);
    let complaints = fleet.complaints();
    assert_eq!(complaints.len(), 3, "{complaints:#?}");
    assert!(
        complaints[2]
            .message
            .starts_with("worker could not be started (+"),
        "{complaints:#?}"
    );
    Ok(())
}

fn panics(fleet: &Fleet, on: &Arc<AtomicBool>) -> impl Launcher + 'static {
    let (slug, on) = (fleet.slug("panics"), Arc::clone(on));
    move |job: &Job<'_>| {
        let is_it = job.board.slug().as_str() == slug && on.load(Ordering::SeqCst);
        assert!(!is_it, "on purpose");
        Ok(sleeper())
    }
}
