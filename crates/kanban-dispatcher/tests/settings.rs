//! The settings file is read again when a change of it is over: a good value applies from then on, a bad one changes nothing and is
//! said once.

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use kanban_dispatcher::Dispatcher;
use support::{Fleet, Result, kill, until};

/// A tick sees the change, and by the next one it has been still for long enough.
fn let_it_be(fleet: &Fleet, dispatcher: &mut Dispatcher) {
    assert_eq!(dispatcher.tick().started(), 0);
    fleet.advance(1);
}

const BASE: &str =
    "worker = { command = [\"sleep\", \"120\"], require_profile = false }\nworkers_max = 9\n";

#[test]
fn a_cap_that_is_lowered_live_holds_from_the_next_tick_and_a_bad_value_keeps_it() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 6)?;
    let file = fleet.path().join("dispatcher.toml");
    let set = |cap: &str| fs::write(&file, format!("{BASE}max_spawn = {cap}\n"));
    let mut dispatcher = fleet.builder(|_| ()).config_file(&file).build();

    set("3")?;
    assert_eq!(dispatcher.tick().started(), 3);
    let store = |ids: &[String]| -> Result {
        let mut store = fleet.store("alpha")?;
        ids.iter()
            .try_for_each(|id| store.complete(id, &Default::default()))?;
        Ok(())
    };
    let running = || -> Result<Vec<String>> {
        let tasks = fleet.store("alpha")?.list(Some("running"))?;
        Ok(tasks.into_iter().map(|task| task.id).collect())
    };

    // Lowered: what runs goes on, and nothing starts before it is below the new cap.
    set("2")?;
    let_it_be(&fleet, &mut dispatcher);
    store(&running()?[..1])?;
    assert_eq!((dispatcher.tick().started(), running()?.len()), (0, 2));

    set("\"many\"")?;
    let_it_be(&fleet, &mut dispatcher);
    for _ in 0..3 {
        store(&running()?[..1])?;
        assert_eq!((dispatcher.tick().started(), running()?.len()), (1, 2));
    }
    let complaints = fleet.complaints();
    assert_eq!(complaints.len(), 1, "{complaints:#?}");
    let message = &complaints[0].message;
    assert!(
        message.starts_with("settings stay as they were"),
        "{message}"
    );
    assert!(
        message.contains("max_spawn") && message.contains("line 3"),
        "{message}"
    );
    Ok(())
}

#[test]
fn a_file_that_is_made_later_applies_and_one_that_goes_away_changes_nothing() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 3)?;
    let file = fleet.path().join("dispatcher.toml");
    let mut dispatcher = fleet
        .builder(|config| config.max_spawn = Some(1.try_into().expect("not zero")))
        .config_file(&file)
        .build();
    assert_eq!(dispatcher.tick().started(), 1);
    assert!(
        fleet.complaints().is_empty(),
        "a file that never was is no error"
    );

    fs::write(&file, format!("{BASE}max_spawn = 2\n"))?;
    let_it_be(&fleet, &mut dispatcher);
    assert_eq!(dispatcher.tick().started(), 1);
    fs::remove_file(&file)?;
    let_it_be(&fleet, &mut dispatcher);
    assert!(fleet.complaints().is_empty(), "it may come back at once");
    for _ in 0..2 {
        assert_eq!(dispatcher.tick().started(), 0);
    }
    assert_eq!(fleet.complaints().len(), 1, "{:#?}", fleet.complaints());
    Ok(())
}

#[test]
fn a_file_that_is_cut_off_to_nothing_is_not_all_defaults() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 4)?;
    let file = fleet.path().join("dispatcher.toml");
    fs::write(&file, format!("{BASE}max_spawn = 1\n"))?;
    let mut dispatcher = fleet.builder(|_| ()).config_file(&file).build();
    assert_eq!(dispatcher.tick().started(), 1);
    fs::write(&file, "")?;
    let_it_be(&fleet, &mut dispatcher);
    for _ in 0..2 {
        assert_eq!(dispatcher.tick().started(), 0, "the cap is still one");
    }
    assert_eq!(fleet.complaints().len(), 1, "{:#?}", fleet.complaints());
    Ok(())
}

#[test]
fn a_file_that_is_cut_off_in_the_middle_is_not_obeyed_while_it_is_being_written() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 5)?;
    let file = fleet.path().join("dispatcher.toml");
    let whole = format!("{BASE}max_spawn = 1\n");
    fs::write(&file, &whole)?;
    let mut dispatcher = fleet.builder(|_| ()).config_file(&file).build();
    assert_eq!(dispatcher.tick().started(), 1);

    // Valid as far as it goes, and without its last limit. The writer goes on before a second is over, again and again.
    for written in [BASE.len(), BASE.len() + 1, BASE.len() + 2] {
        fs::write(&file, &whole[..written])?;
        fleet.clock.advance(Duration::from_millis(900));
        assert_eq!(dispatcher.tick().started(), 0, "{written}");
        fleet.clock.advance(Duration::from_millis(900));
        fs::write(&file, &whole)?;
        assert_eq!(dispatcher.tick().started(), 0, "{written}");
    }
    for _ in 0..3 {
        fleet.advance(1);
        assert_eq!(dispatcher.tick().started(), 0);
    }
    assert!(fleet.complaints().is_empty(), "{:#?}", fleet.complaints());

    // One that stays like that is what somebody wants.
    fs::write(&file, BASE)?;
    let_it_be(&fleet, &mut dispatcher);
    assert_eq!(dispatcher.tick().started(), 4);
    Ok(())
}

#[test]
fn a_change_that_is_old_already_is_obeyed_at_the_first_look() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 5)?;
    let file = fleet.path().join("dispatcher.toml");
    fs::write(&file, format!("{BASE}max_spawn = 1\n"))?;
    let mut dispatcher = fleet.builder(|_| ()).config_file(&file).build();
    assert_eq!(dispatcher.tick().started(), 1);
    fs::write(&file, format!("{BASE}max_spawn = 2\n"))?;
    // The file's times are the machine's, the dispatcher's clock is not.
    let written = fs::metadata(&file)?.ctime();
    fleet.clock.step(written + 2 - fleet.clock.unix());
    assert_eq!(dispatcher.tick().started(), 1);
    Ok(())
}

#[test]
fn the_cap_over_all_boards_can_be_lowered_live() -> Result {
    let fleet = Fleet::new()?;
    for board in ["alpha", "beta"] {
        fleet.ready(board, 4)?;
    }
    let file = fleet.path().join("dispatcher.toml");
    let base = BASE.replace("workers_max = 9", "");
    fs::write(&file, format!("{base}workers_max = 4\n"))?;
    let mut dispatcher = fleet.builder(|_| ()).config_file(&file).build();
    assert_eq!(dispatcher.tick().started(), 4);
    fs::write(&file, format!("{base}workers_max = 2\n"))?;
    let_it_be(&fleet, &mut dispatcher);
    // Who runs goes on; and of two that end, none is replaced.
    for pid in fleet.processes().into_iter().take(2) {
        kill(pid.into())?;
    }
    until("two have ended", || {
        assert_eq!(dispatcher.tick().started(), 0);
        Ok(dispatcher.workers_alive() == 2)
    })?;
    kill(fleet.processes()[0].into())?;
    let mut started = 0;
    until("the third is replaced", || {
        started += dispatcher.tick().started();
        assert!(dispatcher.workers_alive() <= 2);
        Ok(started == 1)
    })
}
