//! Locks that are never given back, and turns that hang.

use super::*;

#[test]
fn a_tick_lock_that_is_never_given_back_is_told_once_a_window() -> Result {
    let fleet = Fleet::new()?;
    let ids = fleet.ready("alpha", 1)?;
    let path = fleet
        .board("alpha")?
        .tick_lock()
        .to_string_lossy()
        .into_owned();
    let holder = Role::start("tick a board", &[("TEST_LOCK", &path)])?.ready()?;
    let mut dispatcher = fleet
        .builder(|config| config.dispatch_interval_seconds = Duration::from_secs(10))
        .build();
    let mut told = Vec::new();
    for seconds in (0..180).step_by(10) {
        let report = dispatcher.tick();
        let alpha = fleet.part(&report, "alpha")?;
        assert_eq!((alpha.outcome, alpha.started.len()), (Outcome::Busy, 0));
        // Three intervals are nothing.
        let is_told = seconds >= 30;
        let status = fleet.status("alpha")?;
        assert_eq!(status.state, BoardState::Busy);
        assert_eq!(status.is_degraded(), is_told, "{seconds}");
        let class = alpha.failure.as_ref().map(|failure| failure.class.as_str());
        assert_eq!(class, is_told.then_some("busy"), "{seconds}");
        if let Some(failure) = &alpha.failure {
            assert!(failure.reason.contains(&path), "{}", failure.reason);
        }
        let complaints = fleet.complaints();
        assert!(complaints.iter().all(|line| line.level == Level::WARN));
        if complaints.len() > told.len() {
            told.push(seconds);
        }
        assert_eq!(complaints.len(), told.len());
        fleet.advance(10);
    }
    assert_eq!(told, [30, 90, 150]);
    let health = Status::read(&fleet.root, &fleet.clock)?.health();
    assert_eq!(health, Health::Degraded);

    holder.finish()?;
    let report = dispatcher.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!((&alpha.started, &alpha.failure), (&ids, &None));
    let status = fleet.status("alpha")?;
    assert_eq!(
        (status.state, status.is_degraded()),
        (BoardState::Ok, false)
    );

    // The time begins anew.
    let _again = Role::start("tick a board", &[("TEST_LOCK", &path)])?.ready()?;
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.failure, None);
    Ok(())
}

#[test]
fn a_turn_that_hangs_is_told_and_keeps_what_was_known_and_comes_back() -> Result {
    let fleet = Fleet::new()?;
    for board in ["hangs", "other"] {
        fleet.ready(board, 1)?;
    }
    let (release, hang) = channel::<()>();
    let hang = Mutex::new(hang);
    let marked = fleet.slug("hangs");
    let mut dispatcher = fleet
        .builder(|config| {
            config.lanes = 1.try_into().expect("not zero");
            config.board_deadline_seconds = Duration::from_millis(500);
        })
        .launcher(move |job: &Job<'_>| {
            if job.board.slug().as_str() == marked && job.work.title == "hangs" {
                let _ = hang.lock().map(|hang| hang.recv());
            }
            Ok(WorkerCommand {
                argv: LONG.map(Into::into).to_vec(),
                env: Vec::new(),
            })
        })
        .build();
    assert_eq!(dispatcher.tick().started(), 2);
    let hanging = fleet.store("hangs")?.create(&NewTask {
        title: "hangs".to_owned(),
        ..task(0)
    })?;
    for seconds in [0, 50, 100] {
        let next = fleet.store("other")?.create(&task(0))?;
        let report = dispatcher.tick();
        assert_eq!(fleet.part(&report, "other")?.started, [next]);
        let hung = fleet.part(&report, "hangs")?;
        assert_eq!(hung.outcome, Outcome::Busy);
        let failure = hung.failure.as_ref().ok_or("no failure")?;
        assert_eq!(failure.class.as_str(), "busy");
        let age = format!("not come back for {seconds} s");
        assert!(failure.reason.contains(&age), "{}", failure.reason);
        let status = fleet.status("hangs")?;
        assert_eq!(
            (status.state, status.is_degraded()),
            (BoardState::Busy, true)
        );
        assert_eq!((status.last_tick, status.running), (Some(START), 1));
        assert_eq!(status.reason.as_ref(), Some(&failure.reason));
        fleet.advance(50);
    }
    assert_eq!(fleet.complaints().len(), 2, "{:#?}", fleet.complaints());

    drop(release);
    until("the board is home", || {
        let report = dispatcher.tick();
        Ok(fleet.part(&report, "hangs")?.outcome == Outcome::Ticked)
    })?;
    // That may have been the old turn itself, of the time when it began.
    dispatcher.tick();
    let status = fleet.status("hangs")?;
    assert_eq!((status.state, status.running), (BoardState::Ok, 2));
    let lines = fleet.lines_of("hangs");
    let again = lines.iter().map(|line| &line.message);
    let again = again.filter(|message| message.starts_with("board works again"));
    assert_eq!(again.count(), 1, "{lines:#?}");
    assert_eq!(status.last_tick, Some(fleet.clock.unix()));
    assert_eq!(outcomes(&fleet.show("hangs", &hanging)?), ["open"]);
    assert_eq!(
        (dispatcher.workers_alive(), fleet.processes().len()),
        (6, 6)
    );
    Ok(())
}
