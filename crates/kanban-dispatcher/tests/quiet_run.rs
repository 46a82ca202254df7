//! Between two passes: what others write gives a board its turn, our own writes and a burst give none. The clock stands still unless a
//! test moves it, so no interval ever ends by itself; whatever happens was caused by the kernel's word.

mod support;

use std::fs;
use std::io;
use std::time::Duration;

use kanban_dispatcher::{Complete, Job, Store, WorkerCommand};

use self::support::daemon::{APART, Daemon};
use self::support::{Fleet, Result, kill, task, until};

fn fleet() -> Result<Fleet> {
    let fleet = Fleet::new()?;
    for board in ["alpha", "beta"] {
        fleet.ready(board, 0)?;
    }
    Ok(fleet)
}

#[test]
fn damage_that_is_looked_for_at_once_is_judged_by_the_next_pass() -> Result {
    let fleet = fleet()?;
    let daemon = Daemon::start(&fleet, |_| ())?;
    fleet.lengthen("alpha")?;
    fleet.grow_old("alpha")?;
    daemon.pass()?;
    daemon.move_on(APART);
    // The kernel's word of it gives the board a turn while the file is young.
    fleet.cut("alpha")?;
    for _ in 0..3 {
        daemon.pass()?;
    }
    assert_eq!(fleet.status("alpha")?.class.as_deref(), Some("corrupt"));
    Ok(())
}

#[test]
fn what_another_program_writes_gives_a_turn_at_once_and_a_burst_does_not_give_many() -> Result {
    let fleet = fleet()?;
    let daemon = Daemon::start(&fleet, |_| ())?;
    let first = daemon.add("alpha")?;
    daemon.starts("alpha", &first)?;
    let second = daemon.add("alpha")?;
    // The turn that this gives comes after the news of that one.
    let other = daemon.add("beta")?;
    daemon.starts("beta", &other)?;
    assert!(
        !daemon.is_running("alpha", &second)?,
        "too soon after the last turn"
    );
    daemon.move_on(APART);
    daemon.starts("alpha", &second)?;
    // After turns that have left something to do as well.
    for _ in 0..3 {
        let next = daemon.add("alpha")?;
        until("the next one is started", || {
            daemon.move_on(APART);
            daemon.is_running("alpha", &next)
        })?;
    }
    assert_eq!(daemon.ticks()?, 2);
    Ok(())
}

#[test]
fn what_is_written_while_a_turn_starts_something_has_a_turn_of_its_own_soon() -> Result {
    let fleet = fleet()?;
    let clock = fleet.clock.clone();
    let (other, id) = std::sync::mpsc::channel();
    let builder = fleet.builder(|_| ()).launcher(move |job: &Job<'_>| {
        // As by another program, after the board was read and before the turn is over; once.
        if job.board.dir().join("written").exists() {
            return Ok(sleeper());
        }
        fs::write(job.board.dir().join("written"), "")?;
        let store = Store::init(job.board, &clock).map_err(io::Error::other);
        let made = store.and_then(|mut store| store.create(&task(0)).map_err(io::Error::other))?;
        other.send(made).map_err(io::Error::other)?;
        Ok(sleeper())
    });
    let daemon = Daemon::run(&fleet, builder)?;
    let first = daemon.add("alpha")?;
    daemon.starts("alpha", &first)?;
    let second = id.recv()?;
    daemon.move_on(APART);
    daemon.starts("alpha", &second)?;
    assert_eq!(daemon.ticks()?, 2);
    Ok(())
}

#[test]
fn our_own_writes_give_no_turn() -> Result {
    let fleet = fleet()?;
    let daemon = Daemon::start(&fleet, |_| ())?;
    let id = daemon.add("alpha")?;
    daemon.starts("alpha", &id)?;
    let last = fleet.status("alpha")?.last_tick;
    daemon.move_on(Duration::from_secs(1));
    let other = daemon.add("beta")?;
    daemon.starts("beta", &other)?;
    assert_eq!(fleet.status("alpha")?.last_tick, last);
    assert_ne!(fleet.status("beta")?.last_tick, last);
    Ok(())
}

#[test]
fn a_board_that_fails_waits_for_the_next_pass_however_often_it_is_written_to() -> Result {
    let fleet = fleet()?;
    let daemon = Daemon::start(&fleet, |_| ())?;
    let first = daemon.add("alpha")?;
    daemon.starts("alpha", &first)?;
    // Too soon after that turn for another one before the pass.
    daemon.add("alpha")?;
    let writer = fleet.connect("alpha")?;
    writer.execute_batch("BEGIN IMMEDIATE")?;
    daemon.pass()?;
    let before = fleet.status("alpha")?;
    assert_eq!(before.class.as_deref(), Some("busy"), "{before:?}");
    daemon.move_on(Duration::from_secs(1));
    writer.execute_batch("UPDATE tasks SET title = 'changed'; COMMIT; BEGIN IMMEDIATE")?;
    let other = daemon.add("beta")?;
    daemon.starts("beta", &other)?;
    let after = fleet.status("alpha")?;
    assert_eq!(
        (after.suppressed, after.class),
        (before.suppressed, before.class)
    );
    writer.execute_batch("COMMIT")?;
    daemon.pass()?;
    assert_eq!(fleet.status("alpha")?.class, None);
    Ok(())
}

#[test]
fn without_the_watch_a_change_waits_for_the_next_pass() -> Result {
    let fleet = fleet()?;
    let running = fleet.ready("beta", 1)?.remove(0);
    let daemon = Daemon::start(&fleet, |config| config.watch = false)?;
    daemon.starts("beta", &running)?;
    let id = daemon.add("alpha")?;
    // A turn between two passes comes all the same, for another reason.
    kill(worker(&fleet, "beta")?)?;
    daemon.wake.news();
    until(
        "its end is known",
        || Ok(fleet.status("beta")?.running == 0),
    )?;
    assert!(!daemon.is_running("alpha", &id)?);
    daemon.pass()?;
    daemon.starts("alpha", &id)
}

#[test]
fn a_ledger_that_is_made_anew_between_two_passes_tells_of_every_board_after_the_next_one() -> Result
{
    let fleet = fleet()?;
    let id = fleet.ready("alpha", 1)?.remove(0);
    let daemon = Daemon::start(&fleet, |_| ())?;
    daemon.starts("alpha", &id)?;
    let pid = worker(&fleet, "alpha")?;
    fleet.store("alpha")?.complete(&id, &Complete::default())?;
    fleet.grow_old("alpha")?;
    for file in ["", "-wal", "-shm"] {
        let mut path = fleet.root.ledger().into_os_string();
        path.push(file);
        drop(fs::remove_file(path));
    }
    // The turn after its end finds nothing to do: the board is quiet before the ledger knows of the others.
    kill(pid)?;
    daemon.wake.news();
    until("its line is in the new ledger", || {
        Ok(fleet.status("alpha").is_ok())
    })?;
    daemon.move_on(Duration::from_secs(60));
    until("the other's, too", || Ok(fleet.status("beta").is_ok()))?;
    assert!(fleet.status("alpha").is_ok(), "the one is still there");
    Ok(())
}

fn sleeper() -> WorkerCommand {
    WorkerCommand {
        argv: support::LONG.map(Into::into).to_vec(),
        env: Vec::new(),
    }
}

/// The process of the board's newest running task.
fn worker(fleet: &Fleet, board: &str) -> Result<i64> {
    support::value(
        &fleet.connect(board)?,
        "SELECT worker_pid FROM tasks WHERE worker_pid > 0 ORDER BY current_run_id DESC LIMIT 1",
    )
}
