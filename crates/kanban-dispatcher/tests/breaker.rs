//! A board whose workers die as soon as they start rests, one task is tried now and then, and the tasks are not charged for it. A board
//! that comes back from a hold starts a few first.

mod support;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use kanban_dispatcher::{
    BoardState, Clock, Config, Dispatcher, Health, HeldReason, Levers, Outcome, Status, TickReport,
    Wake, plan_at, why,
};
use support::{Fleet, Result, connect, outcomes, script, task, until};
use tracing::Level;

/// A fleet whose workers die with code 3 unless there is a file `sound`.
fn fleet() -> Result<(Fleet, PathBuf)> {
    let fleet = Fleet::new()?;
    let sound = fleet.path().join("sound");
    Ok((fleet, sound))
}

fn config(fleet: &Fleet) -> impl FnOnce(&mut Config) {
    let sound = fleet.path().join("sound");
    let text = format!("test -e {} && exec sleep 120; exit 3", sound.display());
    move |config| config.worker.command = Some(script(&text))
}

/// Waits until everybody who was started on a board is dead; nobody has looked at them yet.
fn all_dead(fleet: &Fleet, board: &str) -> Result {
    let pids: Vec<i64> = fleet
        .connect(board)?
        .prepare("SELECT worker_pid FROM tasks WHERE status = 'running'")?
        .query_map([], |row| row.get(0))?
        .collect::<std::result::Result<_, _>>()?;
    until("they are dead", || {
        Ok(pids.iter().all(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(')')
                .is_none_or(|(_, rest)| rest.starts_with(" Z"))
        }))
    })
}

fn started(fleet: &Fleet, report: &TickReport, board: &str) -> Result<usize> {
    Ok(fleet.part(report, board)?.started.len())
}

fn failures(fleet: &Fleet, board: &str) -> Result<Vec<i64>> {
    let db = fleet.connect(board)?;
    let mut statement = db.prepare("SELECT consecutive_failures FROM tasks ORDER BY rowid")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<std::result::Result<_, _>>()?)
}

/// Makes the board rest by six deaths at once.
fn rests(fleet: &Fleet, dispatcher: &mut Dispatcher) -> Result<Vec<String>> {
    let ids = fleet.ready("alpha", 6)?;
    let report = dispatcher.tick();
    assert_eq!(started(fleet, &report, "alpha")?, 6);
    all_dead(fleet, "alpha")?;
    let report = dispatcher.tick();
    let part = fleet.part(&report, "alpha")?;
    assert_eq!((part.failed, part.started.len()), (6, 0), "{part:?}");
    assert_eq!(part.held.get(&HeldReason::Breaker), Some(&6));
    Ok(ids)
}

#[test]
fn six_different_tasks_that_die_at_their_start_make_the_board_rest_and_are_not_charged() -> Result {
    let (fleet, sound) = fleet()?;
    fleet.ready("beta", 1)?;
    let mut dispatcher = fleet.builder(config(&fleet)).build();
    let ids = rests(&fleet, &mut dispatcher)?;
    for id in &ids {
        let detail = fleet.show("alpha", id)?;
        assert_eq!(
            (
                detail.task.status.as_str(),
                detail.task.consecutive_failures
            ),
            ("ready", 0)
        );
        assert_eq!(outcomes(&detail), ["crashed"]);
    }
    let status = fleet.status("alpha")?;
    assert_eq!(
        (status.state, status.breaker_round),
        (BoardState::Paused, Some(0))
    );
    let reason = status.reason.as_deref().unwrap_or_default();
    assert!(
        reason.contains("6 tasks") && reason.contains("exit code 3"),
        "{reason}"
    );
    assert_eq!(status.next_retry, Some(support::START + 60));
    assert_eq!(
        Status::read(&fleet.root, &fleet.clock)?.health(),
        Health::Degraded
    );
    // Beta has one task, which is another matter.
    assert_ne!(fleet.status("beta")?.state, BoardState::Paused);
    let told = |level| {
        fleet
            .lines_of("alpha")
            .into_iter()
            .filter(|line| line.level == level)
            .count()
    };
    assert_eq!(told(Level::WARN), 1, "{:#?}", fleet.lines_of("alpha"));

    // The dry run and the question for one task know it.
    let board = fleet.board("alpha")?;
    let would = |fleet: &Fleet| -> Result<(usize, Option<u32>)> {
        let plans = plan_at(&fleet.root, &fleet.config(), &fleet.clock)?;
        let plan = plans
            .iter()
            .find(|plan| plan.slug == *board.slug())
            .ok_or("no plan")?;
        Ok((
            plan.would_start.len(),
            plan.held.get(&HeldReason::Breaker).copied(),
        ))
    };
    assert_eq!(would(&fleet)?, (0, Some(6)));
    let why = why(&fleet.root, &fleet.config(), &fleet.clock, &board, &ids[0])?;
    assert_eq!(
        (why.reason.as_str(), why.next_change),
        ("breaker", status.next_retry)
    );

    // One is tried after a minute, and after two more; over a restart as well.
    let mut tried = Vec::new();
    for second in 1..=200 {
        fleet.advance(1);
        if second == 30 || second == 100 {
            drop(dispatcher);
            dispatcher = fleet.builder(config(&fleet)).build();
        }
        let report = dispatcher.tick();
        match started(&fleet, &report, "alpha")? {
            0 => {}
            1 => tried.push(second),
            more => return Err(format!("{more} at once").into()),
        }
        all_dead(&fleet, "alpha")?;
    }
    assert_eq!(tried.len(), 2, "{tried:?}");
    assert_eq!(tried[0], 60);
    assert!((120..=122).contains(&(tried[1] - tried[0])), "{tried:?}");
    assert_eq!(failures(&fleet, "alpha")?, [0; 6]);
    assert_eq!(fleet.status("alpha")?.breaker_round, Some(2));

    // The cause is mended: the next one lives, and then they all start.
    fs::write(sound, "")?;
    fleet.advance(241);
    assert_eq!(started(&fleet, &dispatcher.tick(), "alpha")?, 1);
    fleet.advance(5);
    assert_eq!(
        started(&fleet, &dispatcher.tick(), "alpha")?,
        0,
        "too early to say"
    );
    fleet.advance(6);
    assert_eq!(started(&fleet, &dispatcher.tick(), "alpha")?, 5);
    let status = fleet.status("alpha")?;
    assert_eq!((status.state, status.breaker_round), (BoardState::Ok, None));
    Ok(())
}

#[test]
fn those_that_died_before_the_reason_was_known_get_their_charge_back() -> Result {
    let (fleet, _) = fleet()?;
    fleet.store("alpha")?;
    let dies = config(&fleet);
    let mut dispatcher = fleet
        .builder(|config| {
            dies(config);
            config.max_spawn = Some(2.try_into().expect("not zero"));
            config.failure_limit = 5.try_into().expect("not zero");
        })
        .build();
    let mut charged = Vec::new();
    // The later ones are more urgent, so that no one is tried twice.
    for round in 0..3 {
        for _ in 0..2 {
            fleet.store("alpha")?.create(&task(round))?;
        }
        assert_eq!(started(&fleet, &dispatcher.tick(), "alpha")?, 2);
        all_dead(&fleet, "alpha")?;
        charged.push(failures(&fleet, "alpha")?.iter().sum::<i64>());
    }
    assert_eq!(charged, [0, 2, 4]);
    dispatcher.tick();
    assert_eq!(fleet.status("alpha")?.breaker_round, Some(0));
    assert_eq!(failures(&fleet, "alpha")?, [0; 6]);
    Ok(())
}

#[test]
fn a_place_that_is_left_over_is_not_for_one_that_has_died_while_another_is_tried() -> Result {
    let (fleet, _) = fleet()?;
    let config = config(&fleet);
    let mut dispatcher = fleet
        .builder(|it| {
            config(it);
            it.workers_max = 2.try_into().expect("not zero");
            it.breaker.deaths = 5;
        })
        .build();
    let ids = fleet.ready("alpha", 5)?;
    // Two and two have died, and the fifth has two places.
    until("it rests", || {
        dispatcher.tick();
        all_dead(&fleet, "alpha")?;
        Ok(fleet.status("alpha")?.breaker_round == Some(0))
    })?;
    for id in &ids {
        assert_eq!(outcomes(&fleet.show("alpha", id)?), ["crashed"]);
    }
    Ok(())
}

#[test]
fn an_operator_who_has_mended_the_cause_need_not_wait() -> Result {
    for verb in ["resume", "release"] {
        let (fleet, sound) = fleet()?;
        let mut dispatcher = fleet.builder(config(&fleet)).build();
        rests(&fleet, &mut dispatcher)?;
        fs::write(sound, "")?;
        assert_eq!(dispatcher.tick().started(), 0);
        let mut levers = Levers::open(&fleet.root, &fleet.clock)?;
        let slug = fleet.slug("alpha").parse()?;
        match verb {
            "resume" => drop(levers.resume(&slug)?),
            _ => levers.release(&slug)?,
        }
        assert_eq!(started(&fleet, &dispatcher.tick(), "alpha")?, 6, "{verb}");
        assert_eq!(fleet.status("alpha")?.state, BoardState::Ok);
    }
    Ok(())
}

#[test]
fn a_board_that_somebody_works_on_does_not_rest() -> Result {
    let (fleet, sound) = fleet()?;
    fs::write(&sound, "")?;
    fleet.ready("alpha", 1)?;
    let mut dispatcher = fleet.builder(config(&fleet)).build();
    assert_eq!(dispatcher.tick().started(), 1);
    until("it is at work", || {
        let command = |pid| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        Ok(fleet
            .processes()
            .into_iter()
            .any(|pid| command(pid).starts_with("sleep")))
    })?;
    fs::remove_file(&sound)?;
    fleet.ready("alpha", 6)?;
    assert_eq!(dispatcher.tick().started(), 6);
    // The first one has lived by now.
    fleet.advance(11);
    until("the six are dead", || Ok(fleet.processes().len() == 1))?;
    dispatcher.tick();
    assert_eq!(fleet.status("alpha")?.breaker_round, None);
    Ok(())
}

#[test]
fn a_board_that_comes_back_from_a_hold_starts_one_two_and_four() -> Result {
    let (fleet, sound) = fleet()?;
    fs::write(&sound, "")?;
    fleet.ready("alpha", 20)?;
    fleet.drop_column("alpha", "tasks", "priority")?;
    fleet.grow_old("alpha")?;
    let mut dispatcher = fleet.builder(config(&fleet)).build();
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.outcome, Outcome::Held);
    let db = connect(&fleet.db("alpha")?)?;
    db.execute_batch("ALTER TABLE tasks ADD COLUMN priority INTEGER DEFAULT 0")?;
    for most in [1, 2, 4] {
        let report = dispatcher.tick();
        let part = fleet.part(&report, "alpha")?;
        assert_eq!(part.started.len(), most, "{part:?}");
        assert!(part.held.get(&HeldReason::RampUp) > Some(&0), "{part:?}");
        fleet.clock.advance(Duration::from_millis(10));
    }
    fleet.advance(11);
    assert_eq!(
        started(&fleet, &dispatcher.tick(), "alpha")?,
        13,
        "the first has lived"
    );
    Ok(())
}

#[test]
fn a_few_that_die_at_their_start_in_the_same_turn_are_counted_and_not_given_up() -> Result {
    let (fleet, _) = fleet()?;
    let ids = fleet.ready("alpha", 3)?;
    let mut dispatcher = fleet.builder(config(&fleet)).build();
    assert_eq!(dispatcher.tick().started(), 3);
    all_dead(&fleet, "alpha")?;
    let report = dispatcher.tick();
    let part = fleet.part(&report, "alpha")?;
    assert_eq!(
        (part.failed, part.gave_up, part.ready),
        (3, 0, 3),
        "{part:?}"
    );
    assert_eq!(failures(&fleet, "alpha")?, [1; 3]);
    // The ordinary limit still holds.
    assert_eq!(dispatcher.tick().started(), 3);
    all_dead(&fleet, "alpha")?;
    dispatcher.tick();
    for id in &ids {
        assert_eq!(fleet.show("alpha", id)?.task.status, "blocked");
    }
    Ok(())
}

#[test]
fn a_breaker_that_is_switched_off_ends_the_rest() -> Result {
    let (fleet, sound) = fleet()?;
    let file = fleet.path().join("dispatcher.toml");
    let settings = |deaths: u32| {
        format!(
            "breaker = {{ deaths = {deaths} }}\nworker = {{ command = [\"sh\", \"-c\", \"test -e {} && exec sleep 120; exit 3\"], require_profile = false }}\nworkers_max = 200\n",
            sound.display()
        )
    };
    fs::write(&file, settings(6))?;
    let config = Config::from_toml(&settings(6))?;
    let mut dispatcher = Dispatcher::builder(fleet.root.clone(), config)
        .clock(fleet.clock.clone())
        .config_file(&file)
        .build();
    rests(&fleet, &mut dispatcher)?;
    fs::write(&sound, "")?;
    assert_eq!(dispatcher.tick().started(), 0);
    fs::write(&file, settings(0))?;
    // A file that was written to within the second may be half written.
    dispatcher.tick();
    fleet.advance(2);
    let report = dispatcher.tick();
    assert_eq!(started(&fleet, &report, "alpha")?, 6);
    let status = fleet.status("alpha")?;
    assert_eq!((status.state, status.breaker_round), (BoardState::Ok, None));
    let lines = fleet.lines_of("alpha");
    assert!(
        lines
            .iter()
            .any(|line| line.message.contains("want no rest"))
    );
    drop(dispatcher);
    let mut next = fleet.dispatcher();
    next.tick();
    assert_eq!(
        fleet.status("alpha")?.breaker_round,
        None,
        "nothing is kept"
    );
    Ok(())
}

#[test]
fn the_try_is_made_when_it_is_due_and_not_at_the_next_interval() -> Result {
    let fleet = Fleet::new()?;
    let tried = fleet.path().join("tried");
    let text = format!("echo >> {}; exit 3", tried.display());
    fleet.ready("alpha", 2)?;
    let mut dispatcher = fleet
        .builder(|config| {
            config.worker.command = Some(script(&text));
            config.dispatch_interval_seconds = Duration::from_secs(3600);
            config.breaker.deaths = 2;
            config.breaker.first_retry_seconds = Duration::from_millis(300);
        })
        .clock(Clock::system())
        .build();
    let wake = Wake::new();
    let stop = wake.clone();
    let daemon = std::thread::spawn(move || dispatcher.run(&wake));
    let waited = until("two have died and a third is tried", || {
        Ok(fs::read_to_string(&tried).is_ok_and(|text| text.lines().count() >= 3))
    });
    stop.stop();
    daemon.join().map_err(|_| "it panicked")?;
    waited
}
