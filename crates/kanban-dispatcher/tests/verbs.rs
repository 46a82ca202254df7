//! What people and workers do to a board through the library: whole or not at all, and told with the board's name.

mod support;

use std::sync::{Arc, Barrier};
use std::thread;

use kanban_dispatcher::{Complete, Error, ErrorKind, NewTask, Store};
use support::{Fleet, Result, task};

#[test]
fn an_error_of_a_verb_names_its_board_and_leaves_nothing_half_done() -> Result {
    let fleet = Fleet::new()?;
    let id = fleet.ready("alpha", 1)?.remove(0);
    let mut store = fleet.store("alpha")?;
    fleet.sql("alpha", "ALTER TABLE task_events RENAME TO gone")?;
    let names = |error: Error| {
        assert_eq!(error.kind(), ErrorKind::Sqlite, "{error}");
        assert_eq!(
            error.board(),
            fleet.board("alpha").ok().as_ref().map(|board| board.slug())
        );
        assert!(error.chain().contains("task_events"), "{}", error.chain());
    };
    names(store.comment(&id, "ann", "hello").unwrap_err());
    names(store.complete(&id, &Complete::default()).unwrap_err());
    names(store.archive(&id, None).unwrap_err());
    names(store.create(&task(0)).unwrap_err());
    names(store.show(&id).unwrap_err());
    fleet.sql("alpha", "ALTER TABLE gone RENAME TO task_events")?;
    let detail = store.show(&id)?;
    assert_eq!(
        (detail.task.status.as_str(), detail.comments.len()),
        ("ready", 0)
    );
    assert_eq!(store.list(None)?.len(), 1);
    Ok(())
}

#[test]
fn of_many_programs_with_one_key_one_makes_the_task() -> Result {
    let fleet = Fleet::new()?;
    let new = NewTask {
        idempotency_key: Some("weekly".to_owned()),
        ..task(0)
    };
    fleet.store("alpha")?;
    let start = Arc::new(Barrier::new(8));
    let makers: Vec<_> = (0..8)
        .map(|_| {
            let (board, clock, new) = (fleet.board("alpha"), fleet.clock.clone(), new.clone());
            let start = Arc::clone(&start);
            let board = board.map_err(|error| error.to_string());
            thread::spawn(move || -> Result<String, String> {
                let text = |error: Error| error.chain();
                let mut store = Store::open(&board?, &clock).map_err(text)?;
                start.wait();
                store.create(&new).map_err(text)
            })
        })
        .collect();
    let mut ids = Vec::new();
    for maker in makers {
        ids.push(maker.join().map_err(|_| "a thread panicked")??);
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let mut store = fleet.store("alpha")?;
    assert_eq!(store.list(None)?.len(), 1);
    // An archived one is over: its key is free again.
    store.archive(&ids[0], None)?;
    assert_ne!(store.create(&new)?, ids[0]);
    Ok(())
}
