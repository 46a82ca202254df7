//! The locks that both programs know: whoever holds one is left alone, and we go on when it is free.

use kanban_dispatcher::FileLock;

use super::house::{House, Result};
use super::lock::PythonLock;

const WORKER: &str =
    r#"exec "$2" --root "$HERMES_KANBAN_HOME" complete "$HERMES_KANBAN_TASK" --summary "done""#;

#[test]
fn a_board_that_another_program_ticks_is_left_alone_until_it_is_free() -> Result {
    let house = House::new()?;
    house.settings("", WORKER)?;
    house.peer(&["init"])?;
    house.peer(&["boards", "create", "proj"])?;
    let waits = house.peer_creates("default", "waits", &[])?;
    house.peer_creates("proj", "goes on", &[])?;
    let board = house.board("default");

    let held = PythonLock::take(&house, &board.beside(".dispatch.lock"))?;
    // Counts the commits of others.
    let watch = board.open()?;
    let commits =
        || -> Result<i64> { Ok(watch.pragma_query_value(None, "data_version", |row| row.get(0))?) };
    let before = commits()?;
    let report = house.kanban_ok(&["tick", "--json"])?.json()?;
    let outcome = |slug: &str| {
        let boards = report["boards"].as_array();
        boards.and_then(|all| all.iter().find(|board| board["slug"] == slug))
    };
    assert_eq!(outcome("default").ok_or("no default")?["outcome"], "busy");
    assert_eq!(outcome("proj").ok_or("no proj")?["outcome"], "ticked");

    let daemon = house.daemon()?;
    house.until_all("proj", "done")?;
    // A task made and done meanwhile: the daemon has surely passed the held board several times.
    house.peer_creates("proj", "goes on as well", &[])?;
    house.until_all("proj", "done")?;
    assert_eq!(board.kinds(&waits)?, ["created"]);
    assert_eq!(commits()?, before, "nothing was written on the held board");

    drop(held);
    house.until_task("default", &waits, "done")?;
    assert_eq!(daemon.stop()?.code(), Some(0), "{}", house.log());
    Ok(())
}

#[test]
fn while_another_dispatcher_has_the_root_we_stand_by_and_then_take_over() -> Result {
    let house = House::new()?;
    house.settings("", WORKER)?;
    house.peer(&["init"])?;
    let id = house.peer_creates("default", "waits", &[])?;
    let board = house.board("default");
    let lock = house.root().join("kanban/.dispatcher.lock");

    let held = PythonLock::take(&house, &lock)?;
    let tick = house.kanban(&["tick", "--json"])?;
    assert_eq!(tick.code, Some(75), "{tick:?}");
    assert_eq!(tick.json()?["standby"]["reason"], "another_dispatcher");
    let mut daemon = house.daemon()?;
    house.until("the daemon says that it stands by", || {
        Ok(house.log().contains("stands by").then_some(()))
    })?;
    assert_eq!(board.kinds(&id)?, ["created"]);
    assert!(daemon.is_running()?);

    drop(held);
    house.until_task("default", &id, "done")?;
    assert!(house.log().contains("takes over"), "{}", house.log());
    assert_eq!(house.log().matches("stands by").count(), 1, "said once");
    // And now it is the others who have to wait: a gateway that starts here finds the lock taken.
    assert!(FileLock::try_acquire(&lock)?.is_none());
    assert_eq!(daemon.stop()?.code(), Some(0), "{}", house.log());
    assert!(FileLock::try_acquire(&lock)?.is_some());
    Ok(())
}
