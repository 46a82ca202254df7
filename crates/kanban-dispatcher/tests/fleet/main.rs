//! One broken board never stops the others: twenty boards with locked, corrupt, drifted and removed ones among them, the limits
//! over all boards, and the locks, which fail closed. Real files; what another process does is done by another process.

#[path = "../support/mod.rs"]
mod support;

mod bugs;
mod damage;
mod locks;
mod places;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kanban_dispatcher::{
    BoardReport, BoardState, Complete, Dispatcher, FileLock, HeldReason, Job, Launcher, Outcome,
    Scope, StandbyReason, Status, Store, TickReport, WorkerCommand,
};
use support::child::{self, Role};
use support::log::{self, Line};
use support::{Fleet, LONG, Result, bytes, connect, names, open_files, task, until, value};
use tracing::Level;

/// The other process: see [`support::child`].
#[test]
fn as_child() -> Result {
    match child::role().as_deref() {
        Some("lock a board") => {
            let db = connect(Path::new(&child::variable("TEST_DB")?))?;
            db.execute_batch("BEGIN EXCLUSIVE")?;
            child::say_ready()?;
            child::wait_for_go()
        }
        _ => Ok(()),
    }
}

/// Another process that holds the write lock of a board until it is told to go on.
fn locked_by_another(fleet: &Fleet, board: &str) -> Result<Role> {
    let db = fleet.db(board)?.to_string_lossy().into_owned();
    Role::start("lock a board", &[("TEST_DB", &db)])?.ready()
}

/// Turns every bit of two pages in the middle of a board that has enough of them.
fn flip(db: &Path) -> Result {
    let file = fs::OpenOptions::new().read(true).write(true).open(db)?;
    assert!(file.metadata()?.len() > 20 * 4096);
    let mut pages = vec![0; 2 * 4096];
    file.read_exact_at(&mut pages, 4096)?;
    pages.iter_mut().for_each(|byte| *byte = !*byte);
    Ok(file.write_all_at(&pages, 4096)?)
}

/// Errors and warnings, counted by board and class.
fn by_board_and_class(lines: &[Line]) -> BTreeMap<(String, String), usize> {
    let mut counts = BTreeMap::new();
    for line in lines.iter().filter(|line| line.is_above_info()) {
        let field = |name| line.field(name).unwrap_or("none").to_owned();
        *counts.entry((field("board"), field("class"))).or_default() += 1;
    }
    counts
}

fn sleeper() -> WorkerCommand {
    WorkerCommand {
        argv: LONG.map(Into::into).to_vec(),
        env: Vec::new(),
    }
}

#[test]
fn sixteen_of_twenty_boards_start_their_tasks_whatever_happens_to_the_other_four() -> Result {
    let fleet = Fleet::new()?;
    let sound: Vec<String> = (0..16).map(|n| format!("sound-{n:02}")).collect();
    let broken = ["corrupt", "drifted", "locked", "removed"];
    for board in sound.iter().map(String::as_str).chain(broken) {
        fleet.store(board)?;
    }
    let config = |change: &mut kanban_dispatcher::Config| {
        change.worker.command = Some(vec!["true".to_owned()]);
        change.quarantine.first_retry_seconds = Duration::from_secs(1000);
    };
    let mut dispatcher = fleet.builder(config).build();
    assert_eq!(
        dispatcher.tick().boards.len(),
        21,
        "`default` is always one"
    );

    fleet.ready("corrupt", 300)?;
    flip(&fleet.db("corrupt")?)?;
    fleet.ready("drifted", 1)?;
    fleet.drop_column("drifted", "tasks", "skills")?;
    fleet.ready("locked", 1)?;
    let other = locked_by_another(&fleet, "locked")?;
    let removed = fleet.board("removed")?;
    let archive = fleet.root.boards_dir().join("_archived");

    let mut healed = false;
    for round in 0..8 {
        let mut waiting: BTreeMap<&str, String> = BTreeMap::new();
        for board in &sound {
            waiting.insert(board, fleet.store(board)?.create(&task(0))?);
        }
        if round == 3 {
            // As `boards rm` does it.
            fs::create_dir(&archive)?;
            fs::rename(removed.dir(), archive.join("removed-1"))?;
        }
        for _ in 0..2 {
            let report = dispatcher.tick();
            let report = &report;
            waiting.retain(|board, id| {
                let part = fleet.part(report, board).expect("listed");
                assert_eq!(part.outcome, Outcome::Ticked, "{part:?}");
                let has_started = part.started.contains(id);
                if has_started {
                    finish(&fleet, board, id);
                }
                !has_started
            });
            assert_eq!(fleet.part(report, "corrupt")?.outcome, Outcome::Held);
            assert_eq!(fleet.part(report, "locked")?.outcome, Outcome::Busy);
            healed |= !fleet.part(report, "drifted")?.repaired.is_empty();
            assert_eq!(fleet.part(report, "drifted")?.outcome, Outcome::Ticked);
            assert_eq!(fleet.status("removed").is_ok(), round < 3);
            fleet.advance(2);
        }
        assert!(
            waiting.is_empty(),
            "round {round}: not started: {waiting:?}"
        );
    }
    assert!(healed);

    // 16 ticks of 2 s are one window.
    let counts = by_board_and_class(&fleet.lines());
    let expected = [("corrupt", "corrupt"), ("locked", "busy")];
    let expected = expected.map(|(board, class)| ((fleet.slug(board), class.to_owned()), 1));
    assert_eq!(counts, BTreeMap::from(expected));
    assert!(!removed.dir().exists());
    assert_eq!(names(&archive)?, ["removed-1"]);
    assert_eq!(
        open_files(&archive)?,
        [] as [&Path; 0],
        "nothing of it is kept open"
    );

    drop(other);
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "locked")?.started.len(), 1);
    for board in sound
        .iter()
        .map(String::as_str)
        .chain(["drifted", "locked"])
    {
        let verdict: String = value(&fleet.connect(board)?, "PRAGMA integrity_check")?;
        assert_eq!(verdict, "ok", "{board}");
    }
    Ok(())
}

/// A person says that it is done.
fn finish(fleet: &Fleet, board: &str, id: &str) {
    let done = fleet
        .store(board)
        .map(|mut store| store.complete(id, &Complete::default()));
    assert!(matches!(done, Ok(Ok(()))), "{done:?}");
}

#[test]
fn a_locked_board_keeps_one_lane_and_the_others_do_not_wait_for_it() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("a-locked", 1)?;
    let others: Vec<String> = (0..10).map(|n| format!("b-{n}")).collect();
    for board in &others {
        fleet.ready(board, 1)?;
    }
    let other = locked_by_another(&fleet, "a-locked")?;
    let mut dispatcher = fleet
        .builder(|config| {
            config.lanes = 2.try_into().expect("not zero");
            config.busy_timeout_ms = Duration::from_secs(2);
        })
        .launcher(|job: &Job<'_>| {
            tracing::info!(board = %job.board.slug(), "launched");
            Ok(sleeper())
        })
        .build();
    // `default` is first in this tick, so that the locked one is in a lane before all others.
    let report = dispatcher.tick();
    assert_eq!(report.started(), 10);
    assert_eq!(fleet.part(&report, "a-locked")?.outcome, Outcome::Busy);
    let lines = fleet.lines();
    let gave_up = lines
        .iter()
        .position(|line| line.is_above_info())
        .ok_or("nothing was told of the locked board")?;
    let launched = |line: &&Line| line.message == "launched";
    assert_eq!(
        lines[..gave_up].iter().filter(launched).count(),
        10,
        "{lines:#?}"
    );
    drop(other);
    Ok(())
}

#[test]
fn a_turn_that_hangs_is_left_behind_and_comes_home_later() -> Result {
    let fleet = Fleet::new()?;
    for board in ["hangs", "other"] {
        fleet.ready(board, 1)?;
    }
    let (release, hang) = channel::<()>();
    let hang = Mutex::new(hang);
    let hangs = fleet.slug("hangs");
    let mut dispatcher = fleet
        .builder(|config| {
            config.lanes = 1.try_into().expect("not zero");
            config.board_deadline_seconds = Duration::from_secs(1);
        })
        .launcher(move |job: &Job<'_>| {
            if job.board.slug().as_str() == hangs {
                let _ = hang.lock().map(|hang| hang.recv());
            }
            Ok(sleeper())
        })
        .build();
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "hangs")?.outcome, Outcome::Busy);
    assert_eq!(fleet.part(&report, "other")?.started.len(), 1);

    let next = fleet.store("other")?.create(&task(0))?;
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "hangs")?.outcome, Outcome::Busy);
    assert_eq!(fleet.part(&report, "other")?.started, [next]);

    drop(release);
    until("the board is home", || {
        let report = dispatcher.tick();
        Ok(fleet.part(&report, "hangs")?.outcome == Outcome::Ticked)
    })?;
    let running: i64 = value(
        &fleet.connect("hangs")?,
        "SELECT count(*) FROM tasks WHERE status = 'running' AND worker_pid IS NOT NULL",
    )?;
    assert_eq!(running, 1);
    fleet.has_processes(3)
}

#[test]
fn a_turn_that_hangs_keeps_the_places_that_it_may_still_use() -> Result {
    let fleet = Fleet::new()?;
    for board in ["hangs", "other"] {
        fleet.ready(board, 3)?;
    }
    let (release, hang) = channel::<()>();
    let hang = Mutex::new(hang);
    let hangs = fleet.slug("hangs");
    let mut dispatcher = fleet
        .builder(|config| {
            config.workers_max = 2.try_into().expect("not zero");
            config.lanes = 1.try_into().expect("not zero");
            config.board_deadline_seconds = Duration::from_millis(300);
        })
        .launcher(move |job: &Job<'_>| {
            if job.board.slug().as_str() == hangs {
                let _ = hang.lock().map(|hang| hang.recv());
            }
            Ok(sleeper())
        })
        .build();
    let mut started = 0;
    for _ in 0..3 {
        started += dispatcher.tick().started();
        assert_eq!(started, 1, "the other place is promised");
    }
    drop(release);
    until("the board is home", || {
        let report = dispatcher.tick();
        assert!(dispatcher.workers_alive() <= 2, "{report:?}");
        Ok(fleet.part(&report, "hangs")?.outcome == Outcome::Ticked)
    })?;
    assert_eq!(fleet.status("hangs")?.running, 1);
    fleet.has_processes(2)
}
