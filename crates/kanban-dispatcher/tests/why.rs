//! Why a task is where it is, asked from outside: of the board as it is, and of the ledger for what no board knows.

mod support;

use std::time::Duration;

use kanban_dispatcher::{Config, ErrorKind, HeldReason, Reason, Why, why};
use support::{Fleet, Result, bytes, script, until};

fn ask(fleet: &Fleet, config: &Config, board: &str, task: &str) -> Result<Why> {
    let board = fleet.board(board)?;
    Ok(why(&fleet.root, config, &fleet.clock, &board, task)?)
}

#[test]
fn a_task_that_would_start_waits_for_a_dispatcher_a_program_or_a_place() -> Result {
    let fleet = Fleet::new()?;
    let ids = fleet.ready("alpha", 2)?;
    let mut config = fleet.config();
    let reason = |config: &Config, id: &str| {
        Ok::<_, Box<dyn std::error::Error>>(ask(&fleet, config, "alpha", id)?.reason)
    };
    assert_eq!(reason(&config, &ids[0])?, Reason::NoDispatcher);
    let mut lost = config.clone();
    lost.worker.command = Some(vec!["/no/such/program".to_owned()]);
    assert_eq!(reason(&lost, &ids[0])?, Reason::Held(HeldReason::NoWorker));

    config.workers_max = 1.try_into()?;
    let mut dispatcher = fleet
        .builder(|config| config.workers_max = 1.try_into().expect("not zero"))
        .build();
    assert_eq!(dispatcher.tick().started(), 1);
    let started = ask(&fleet, &config, "alpha", &ids[0])?;
    assert_eq!(started.reason, Reason::Running);
    assert!(
        started.next_change.is_some(),
        "its claim is renewed in time"
    );
    assert_eq!(reason(&config, &ids[1])?, Reason::Held(HeldReason::HostCap));
    config.workers_max = 2.try_into()?;
    assert_eq!(reason(&config, &ids[1])?, Reason::Starts);
    config.max_in_progress = Some(1.try_into()?);
    assert_eq!(
        reason(&config, &ids[1])?,
        Reason::Held(HeldReason::BoardCap)
    );

    // Taken back while its worker lives.
    fleet.take_back("alpha", &ids[0])?;
    config.max_in_progress = None;
    assert_eq!(
        reason(&config, &ids[0])?,
        Reason::Held(HeldReason::WorkerEnding)
    );
    Ok(())
}

#[test]
fn a_board_that_is_held_holds_its_tasks() -> Result {
    let fleet = Fleet::new()?;
    let ids = fleet.ready("alpha", 1)?;
    let mut dispatcher = fleet.dispatcher();
    // A base column is gone: no repair makes that again.
    fleet.drop_column("alpha", "tasks", "completed_at")?;
    dispatcher.tick();
    let known = fleet.status("alpha")?;
    let answer = ask(&fleet, &fleet.config(), "alpha", &ids[0])?;
    assert_eq!(
        (answer.reason, answer.next_change),
        (Reason::BoardHeld, known.next_retry)
    );
    assert!(answer.next_change.is_some());
    Ok(())
}

#[test]
fn what_no_tick_acts_on_is_told_by_its_status() -> Result {
    let fleet = Fleet::new()?;
    let ids = fleet.ready("alpha", 5)?;
    for (id, status) in ids
        .iter()
        .zip(["triage", "scheduled", "done", "archived", "stalled"])
    {
        fleet.sql(
            "alpha",
            &format!("UPDATE tasks SET status = '{status}' WHERE id = '{id}'"),
        )?;
        let expected = if status == "stalled" {
            "other_status"
        } else {
            status
        };
        let answer = ask(&fleet, &fleet.config(), "alpha", id)?;
        assert_eq!(
            (answer.reason.as_str(), answer.next_change),
            (expected, None)
        );
    }
    fleet.sql(
        "alpha",
        &format!(
            "UPDATE tasks SET status = 'ready', max_retries = x'00' WHERE id = '{}'",
            ids[0]
        ),
    )?;
    assert_eq!(
        ask(&fleet, &fleet.config(), "alpha", &ids[0])?.reason,
        Reason::Held(HeldReason::BadRow)
    );
    Ok(())
}

#[test]
fn a_board_or_a_task_that_is_not_there_is_not_found_and_not_made() -> Result {
    let fleet = Fleet::new()?;
    let (board, config) = (fleet.board("none")?, fleet.config());
    let error =
        why(&fleet.root, &config, &fleet.clock, &board, "t_1").expect_err("there is no board");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.chain().contains("does not exist"), "{error}");
    assert!(!board.dir().exists());
    fleet.ready("alpha", 1)?;
    let board = fleet.board("alpha")?;
    let error =
        why(&fleet.root, &config, &fleet.clock, &board, "t_1").expect_err("there is no task");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    Ok(())
}

#[test]
fn a_rest_is_told_with_its_end_and_asking_writes_nothing() -> Result {
    let fleet = Fleet::new()?;
    let ids = fleet.ready("alpha", 1)?;
    let mut dispatcher = fleet
        .builder(|config| config.worker.command = Some(script("exit 75")))
        .build();
    until("it has said try later", || {
        let report = dispatcher.tick();
        Ok(fleet
            .part(&report, "alpha")?
            .held
            .contains_key(&HeldReason::Cooldown))
    })?;
    let db = fleet.db("alpha")?;
    let wal = db.with_file_name("kanban.db-wal");
    let before = (bytes(&db)?, bytes(&wal)?);
    let answer = ask(&fleet, &fleet.config(), "alpha", &ids[0])?;
    assert_eq!(answer.reason, Reason::Held(HeldReason::Cooldown));
    assert_eq!(answer.next_change, Some(fleet.clock.unix() + 300));
    assert!((bytes(&db)?, bytes(&wal)?) == before);
    fleet.clock.advance(Duration::from_secs(300));
    dispatcher.tick();
    assert_ne!(
        ask(&fleet, &fleet.config(), "alpha", &ids[0])?.reason,
        answer.reason
    );
    Ok(())
}
