//! A lock that is lost while workers live.

use super::*;

#[test]
fn workers_that_end_while_the_lock_is_lost_are_no_zombies_and_their_ends_are_recorded_later()
-> Result {
    let fleet = Fleet::new()?;
    let ids = fleet.ready("alpha", 2)?;
    let mut dispatcher = fleet.dispatcher();
    assert_eq!(dispatcher.tick().started(), 2);
    let path = fleet.root.dispatcher_lock();
    fs::remove_file(&path)?;
    let other = FileLock::try_acquire(&path)?.ok_or("not free")?;
    assert!(dispatcher.tick().standby.is_some());

    let ended = pid(&fleet, &ids[0])?;
    kill(ended)?;
    until("it waits to be reaped", || Ok(state(ended) == Some('Z')))?;
    let report = dispatcher.tick();
    assert!(report.standby.is_some());
    assert_eq!(state(ended), None);
    assert_eq!(dispatcher.workers_alive(), 1);
    let detail = fleet.show("alpha", &ids[0])?;
    assert_eq!(
        detail.task.status, "running",
        "the board is somebody else's"
    );

    drop(other);
    let report = dispatcher.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!((alpha.failed, &alpha.started), (1, &vec![ids[0].clone()]));
    assert_eq!(
        outcomes(&fleet.show("alpha", &ids[0])?),
        ["crashed", "open"]
    );
    assert_eq!(fleet.processes().len(), 2);
    Ok(())
}

#[test]
fn no_two_attempts_at_a_task_have_the_same_claim_text_whichever_dispatcher_made_them() -> Result {
    let fleet = Fleet::new()?;
    for board in ["alpha", "beta"] {
        fleet.ready(board, 3)?;
    }
    // All within one second of the board's clock, and by one dispatcher after another.
    for _ in 0..3 {
        let mut dispatcher = fleet
            .builder(|config| {
                config.worker.command = Some(script("exit 75"));
                config.rate_limit_cooldown_seconds = 0;
                // How those end that are still at work at a change, nobody knows.
                config.failure_limit = 1000.try_into().expect("not zero");
            })
            .build();
        let mut started = 0;
        until("every task has been started twice", || {
            started += dispatcher.tick().started();
            Ok(started >= 12)
        })?;
    }
    let mut claims = 0;
    for board in ["alpha", "beta"] {
        for task in fleet.store(board)?.list(None)? {
            let mut texts = BTreeSet::new();
            for event in fleet.show(board, &task.id)?.events {
                if event.kind == "claimed" {
                    claims += 1;
                    let text = event.payload["lock"].to_string();
                    assert!(texts.insert(text), "{event:?} was there before");
                }
            }
        }
    }
    assert!(claims >= 36, "{claims}");
    Ok(())
}

#[test]
fn a_directory_of_boards_that_goes_away_and_comes_back_stops_nobody() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 2)?;
    let mut dispatcher = fleet.dispatcher();
    assert_eq!(dispatcher.tick().started(), 2);
    let workers = fleet.processes();
    let (boards, away) = (fleet.root.boards_dir(), fleet.path().join("away"));
    fs::rename(&boards, &away)?;
    for _ in 0..2 {
        assert!(dispatcher.tick().standby.is_some());
        fleet.advance(60);
    }
    assert!(!boards.exists(), "nothing is made by looking");
    fs::rename(&away, &boards)?;
    let report = dispatcher.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!((alpha.running, alpha.stopped, alpha.failed), (2, 0, 0));
    assert_eq!(fleet.processes(), workers);
    Ok(())
}
