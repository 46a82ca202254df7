//! The settings file is read again at each tick: a good value applies from then on, a bad one changes nothing and is said once.

mod support;

use std::fs;

use support::{Fleet, Result};

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
    store(&running()?[..1])?;
    assert_eq!((dispatcher.tick().started(), running()?.len()), (0, 2));

    set("\"many\"")?;
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
    assert_eq!(dispatcher.tick().started(), 1);
    fs::remove_file(&file)?;
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
    for _ in 0..2 {
        assert_eq!(dispatcher.tick().started(), 0, "the cap is still one");
    }
    assert_eq!(fleet.complaints().len(), 1, "{:#?}", fleet.complaints());
    Ok(())
}
