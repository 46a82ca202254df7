//! One broken board never stops the others: twenty boards with locked, corrupt, drifted and removed ones among them, the limits
//! over all boards, and the locks, which fail closed. Real files; what another process does is done by another process.

mod support;

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

#[test]
fn no_more_workers_live_than_the_host_may_have() -> Result {
    let fleet = Fleet::new()?;
    const BOARDS: [&str; 3] = ["a", "b", "c"];
    for board in BOARDS {
        fleet.ready(board, 3)?;
    }
    let mut dispatcher = fleet
        .builder(|config| config.workers_max = 4.try_into().expect("not zero"))
        .build();
    let report = dispatcher.tick();
    assert_eq!(report.started(), 4);
    fleet.has_processes(4)?;
    assert_eq!(host_capped(&report), 5);
    let report = dispatcher.tick();
    assert_eq!((report.started(), host_capped(&report)), (0, 5));

    // A place is free when the process is gone, not when its task is done.
    for board in BOARDS {
        finish_running(&fleet, board)?;
    }
    let report = dispatcher.tick();
    assert_eq!((report.started(), host_capped(&report)), (0, 5));
    end_workers(&fleet)?;
    let report = dispatcher.tick();
    assert_eq!(report.started(), 4);
    fleet.has_processes(4)?;
    assert_eq!(host_capped(&report), 1);
    Ok(())
}

#[test]
fn a_board_with_endless_work_leaves_room_for_one_with_a_single_task() -> Result {
    let fleet = Fleet::new()?;
    for lanes in [1, 4] {
        let (endless, single) = (format!("a-endless-{lanes}"), format!("b-single-{lanes}"));
        fleet.ready(&endless, 12)?;
        fleet.store(&single)?;
        let mut dispatcher = fleet
            .builder(|config| {
                config.workers_max = 2.try_into().expect("not zero");
                config.lanes = lanes.try_into().expect("not zero");
            })
            .build();
        assert_eq!(dispatcher.tick().started(), 2, "nobody else wants any");
        for round in 0..3 {
            let id = fleet.store(&single)?.create(&task(0))?;
            // One place at a time becomes free.
            let mut freed = 0;
            while fleet.show(&single, &id)?.task.status == "ready" {
                end_oldest(&fleet, &mut dispatcher)?;
                freed += 1;
                assert!(freed <= 2, "round {round}, {lanes} lanes");
                assert_eq!(
                    dispatcher.tick().started(),
                    1,
                    "a place that is free is used"
                );
                assert_eq!(dispatcher.workers_alive(), 2);
            }
            finish(&fleet, &single, &id);
        }
        drop(dispatcher);
        end_workers(&fleet)?;
        fleet.sql(&endless, "UPDATE tasks SET status = 'done'")?;
    }
    Ok(())
}

/// Ends the worker that has lived longest; a task that is failed by it may be tried again.
fn end_oldest(fleet: &Fleet, dispatcher: &mut Dispatcher) -> Result {
    let alive = dispatcher.workers_alive();
    let oldest = fleet.processes().into_iter().min().ok_or("no worker")?;
    support::kill(oldest.into())?;
    let pid = rustix::process::Pid::from_raw(oldest).ok_or("no pid")?;
    // Seen by the dispatcher's own look, not by this one: it must not be waited for here.
    until("it is gone", || Ok(is_zombie(pid.as_raw_nonzero().get())))?;
    assert_eq!(dispatcher.workers_alive(), alive, "not looked at yet");
    Ok(())
}

fn is_zombie(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        stat.rsplit_once(')')
            .is_some_and(|(_, rest)| rest.starts_with(" Z"))
    })
}

#[test]
fn two_boards_of_nine_tasks_never_have_more_than_nine_workers_also_while_one_cannot_be_read()
-> Result {
    let fleet = Fleet::new()?;
    for board in ["a", "b"] {
        fleet.ready(board, 9)?;
    }
    let mut dispatcher = fleet
        .builder(|config| config.workers_max = 9.try_into().expect("not zero"))
        .build();
    let report = dispatcher.tick();
    let started = |report: &TickReport, board| {
        Ok::<_, Box<dyn std::error::Error>>(fleet.part(report, board)?.started.len())
    };
    assert_eq!(
        (started(&report, "a")?, started(&report, "b")?),
        (5, 4),
        "in turn"
    );
    fleet.has_processes(9)?;
    // Nobody can read it now, and its workers live on.
    let other = FileLock::try_acquire(&fleet.board("a")?.tick_lock())?.ok_or("not free")?;
    for _ in 0..3 {
        let report = dispatcher.tick();
        assert_eq!(fleet.part(&report, "a")?.outcome, Outcome::Busy);
        assert_eq!(report.started(), 0);
        assert_eq!(fleet.processes().len(), 9);
    }
    assert_eq!(fleet.status("a")?.running, 5, "as it was last known");
    drop(other);
    for _ in 0..4 {
        end_oldest(&fleet, &mut dispatcher)?;
        assert_eq!(dispatcher.tick().started(), 1);
        assert_eq!(fleet.processes().len(), 9);
    }
    Ok(())
}

fn finish_running(fleet: &Fleet, board: &str) -> Result {
    for task in fleet.store(board)?.list(Some("running"))? {
        finish(fleet, board, &task.id);
    }
    Ok(())
}

fn host_capped(report: &TickReport) -> u32 {
    let held = report
        .boards
        .iter()
        .map(|part| part.held.get(&HeldReason::HostCap));
    held.flatten().sum()
}

/// Ends every worker from outside.
fn end_workers(fleet: &Fleet) -> Result {
    for pid in fleet.processes() {
        let pid = rustix::process::Pid::from_raw(pid).ok_or("no pid")?;
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
    fleet.has_processes(0)
}

#[test]
fn a_boards_own_limit_counts_every_claim() -> Result {
    let fleet = Fleet::new()?;
    let ready = fleet.ready("alpha", 4)?;
    fleet.ready("beta", 2)?;
    // Somebody else works on one.
    fleet.sql(
        "alpha",
        &format!(
            "UPDATE tasks SET status = 'running', claim_lock = 'elsewhere:1', claim_expires = {} WHERE id = '{}'",
            support::START + 900,
            ready[0],
        ),
    )?;
    let mut dispatcher = fleet
        .builder(|config| config.max_in_progress = Some(2.try_into().expect("not zero")))
        .build();
    let report = dispatcher.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!(alpha.started, [ready[1].clone()]);
    assert_eq!(alpha.held.get(&HeldReason::BoardCap), Some(&2));
    assert_eq!((alpha.running, alpha.ready), (2, 2));
    assert_eq!(fleet.part(&report, "beta")?.started.len(), 2);
    assert_eq!(dispatcher.tick().started(), 0);
    Ok(())
}

// ===== damage =====

#[test]
fn an_empty_file_is_lost_data_and_never_repaired() -> Result {
    let fleet = Fleet::new()?;
    for board in ["emptied", "born-empty"] {
        fleet.ready(board, 1)?;
    }
    fleet.ready("other", 1)?;
    let born_empty = fleet.db("born-empty")?;
    fs::write(&born_empty, "")?;
    let mut dispatcher = fleet.dispatcher();
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "born-empty")?.outcome, Outcome::Held);
    assert_eq!(report.started(), 2);

    // Cut off under the dispatcher that serves it.
    let emptied = fleet.db("emptied")?;
    fs::OpenOptions::new()
        .write(true)
        .open(&emptied)?
        .set_len(0)?;
    let log = emptied.with_extension("db-wal");
    let before = bytes(&log)?;
    assert!(!before.is_empty(), "what is left of it");
    for _ in 0..3 {
        let report = dispatcher.tick();
        for board in ["emptied", "born-empty"] {
            let part = fleet.part(&report, board)?;
            assert_eq!(part.outcome, Outcome::Held, "{:?}", part.failure);
            let failure = part.failure.as_ref().ok_or("no failure")?;
            assert_eq!(failure.class.as_str(), "emptied", "{failure:?}");
            assert_eq!(fs::metadata(fleet.db(board)?)?.len(), 0);
            assert_eq!(fleet.status(board)?.repair_attempts, 0);
        }
        assert_eq!(fleet.part(&report, "other")?.outcome, Outcome::Ticked);
    }
    let complaints = by_board_and_class(&fleet.complaints());
    assert!(
        complaints.values().all(|count| *count == 1),
        "{complaints:?}"
    );
    assert_eq!(complaints.len(), 2);
    drop(dispatcher);
    assert!(bytes(&log)? == before, "what was left of it is still there");
    Ok(())
}

#[test]
fn a_file_that_is_no_database_is_held_and_released_when_a_sound_one_takes_its_place() -> Result {
    let fleet = Fleet::new()?;
    let ready = fleet.ready("alpha", 1)?;
    fleet.ready("other", 1)?;
    // Nothing of it may be left in a log, which SQLite would read over whatever the file holds.
    fleet.sql("alpha", "PRAGMA wal_checkpoint(TRUNCATE)")?;
    let db = fleet.db("alpha")?;
    let sound = db.with_extension("sound");
    fs::rename(&db, &sound)?;
    fs::write(
        &db,
        "\x16\x03\x01 this was once a board, and now it is not ".repeat(200),
    )?;
    fleet.grow_old("alpha")?;

    let mut dispatcher = fleet.dispatcher();
    for tick in 0..4 {
        let report = dispatcher.tick();
        let alpha = fleet.part(&report, "alpha")?;
        assert_eq!(alpha.outcome, Outcome::Held);
        let failure = alpha.failure.as_ref().ok_or("no failure")?;
        assert_eq!(
            (failure.class.as_str(), failure.code),
            ("corrupt", Some(26))
        );
        assert_eq!(report.started(), usize::from(tick == 0));
        fleet.advance(1);
    }
    let complaints = fleet.complaints();
    assert_eq!(complaints.len(), 1, "{complaints:#?}");
    assert_eq!(complaints[0].level, Level::ERROR);
    for field in ["board", "class", "db", "retry_seconds"] {
        assert!(complaints[0].field(field).is_some(), "{field}");
    }

    fs::rename(sound, db)?;
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.started, ready);
    assert_eq!(fleet.status("alpha")?.state, BoardState::Ok);
    Ok(())
}

#[test]
fn damage_in_the_middle_of_a_file_is_confirmed_and_told_once() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("damaged", 300)?;
    fleet.ready("other", 1)?;
    let db = fleet.db("damaged")?;
    let mut dispatcher = fleet
        .builder(|config| {
            config.max_spawn = Some(1.try_into().expect("not zero"));
            config.quarantine.first_retry_seconds = Duration::from_secs(10);
            config.quarantine.max_retry_seconds = Duration::from_secs(40);
        })
        .build();
    assert_eq!(dispatcher.tick().started(), 2);
    drop(fleet.store("damaged")?);
    fleet.sql("damaged", "PRAGMA wal_checkpoint(TRUNCATE)")?;
    // In another process: opening it here would drop the locks of the dispatcher's connection.
    let sound = bytes(&db)?;
    let damaged = db.with_extension("damaged");
    fs::write(&damaged, &sound)?;
    flip(&damaged)?;
    fs::rename(&damaged, &db)?;
    fleet.grow_old("damaged")?;

    let report = dispatcher.tick();
    let part = fleet.part(&report, "damaged")?;
    assert_eq!(part.outcome, Outcome::Held, "{part:?}");
    let failure = part.failure.as_ref().ok_or("no failure")?;
    assert_eq!(failure.class.as_str(), "corrupt", "{failure:?}");
    let status = Status::read(&fleet.root, &fleet.clock)?;
    assert_eq!(status.health(), kanban_dispatcher::Health::Degraded);

    // It stays damaged: looked at again after 10, 20, 40, 40 s (less the tenth that spreads boards), and not in between.
    let mut looks = Vec::new();
    let observed = |dispatcher: &Dispatcher| dispatcher.log_totals().observed;
    let before = observed(&dispatcher);
    let mut seen = before;
    for second in 1..=120 {
        fleet.advance(1);
        let report = dispatcher.tick();
        assert_eq!(fleet.part(&report, "damaged")?.outcome, Outcome::Held);
        if observed(&dispatcher) > seen {
            seen = observed(&dispatcher);
            looks.push(second);
        }
    }
    let gaps: Vec<i64> = std::iter::once(0)
        .chain(looks.iter().copied())
        .zip(&looks)
        .map(|(last, look)| look - last)
        .collect();
    assert!((3..=5).contains(&gaps.len()), "{gaps:?}");
    for (gap, most) in gaps.iter().zip([10, 20, 40, 40, 40]) {
        assert!((most * 9 / 10..=most).contains(gap), "{gaps:?}");
    }
    let complaints = fleet.complaints();
    assert!(
        complaints.len() <= 3,
        "at most one a minute: {complaints:#?}"
    );
    assert_eq!(bytes(&db)?.len(), sound.len());

    fs::write(&damaged, &sound)?;
    fs::rename(&damaged, &db)?;
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "damaged")?.outcome, Outcome::Ticked);
    Ok(())
}

#[test]
fn a_removed_board_takes_its_workers_and_its_state_along_and_a_new_one_starts_clean() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 1)?;
    fleet.ready("other", 1)?;
    fleet.drop_column("alpha", "tasks", "skills")?;
    // The one repair of this board is made, and is forgotten with it.
    let mut dispatcher = fleet
        .builder(|config| config.repair.scope = Scope::Board)
        .build();
    assert_eq!(dispatcher.tick().started(), 2);
    fleet.drop_column("alpha", "tasks", "workspace_path")?;
    dispatcher.tick();
    assert_eq!(fleet.status("alpha")?.state, BoardState::Held);

    fs::remove_dir_all(fleet.board("alpha")?.dir())?;
    for _ in 0..5 {
        let report = dispatcher.tick();
        assert!(report.board(&fleet.slug("alpha")).is_none());
        fleet.advance(1);
    }
    assert!(fleet.status("alpha").is_err());
    assert!(!fleet.board("alpha")?.dir().exists());
    until("its worker has been stopped", || {
        dispatcher.tick();
        Ok(fleet.processes().len() == 1)
    })?;
    assert!(!fleet.board("alpha")?.dir().exists());

    let ready = fleet.ready("alpha", 1)?;
    fleet.drop_column("alpha", "tasks", "skills")?;
    let report = dispatcher.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!(
        (&alpha.started, alpha.repaired.len()),
        (&ready, 1),
        "{alpha:?}"
    );
    let status = fleet.status("alpha")?;
    assert_eq!((status.state, status.repair_attempts), (BoardState::Ok, 1));
    Ok(())
}

#[test]
fn a_database_that_vanishes_from_its_board_is_told_and_not_made_again() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 1)?;
    let db = fleet.db("alpha")?;
    let mut dispatcher = fleet.dispatcher();
    dispatcher.tick();
    let aside = db.with_extension("aside");
    fs::rename(&db, &aside)?;
    for _ in 0..5 {
        let report = dispatcher.tick();
        let alpha = fleet.part(&report, "alpha")?;
        assert_eq!(alpha.outcome, Outcome::Absent);
        assert!(!db.exists());
    }
    assert!(fleet.status("alpha")?.is_degraded());
    assert_eq!(by_board_and_class(&fleet.complaints()).len(), 1);
    assert_eq!(fleet.complaints().len(), 1);
    fs::rename(&aside, &db)?;
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.outcome, Outcome::Ticked);
    assert_eq!(fleet.part(&report, "alpha")?.running, 1);
    Ok(())
}

// ===== bugs =====

#[test]
fn a_panic_in_the_middle_of_a_turn_stays_on_its_board() -> Result {
    let fleet = Fleet::new()?;
    let ready = fleet.ready(log::PANICS, 1)?;
    fleet.ready("other", 1)?;
    fleet.drop_column(log::PANICS, "tasks", "skills")?;
    let mut dispatcher = fleet.dispatcher();
    let report = dispatcher.tick();
    let part = fleet.part(&report, log::PANICS)?;
    assert_eq!(part.outcome, Outcome::Failed);
    let reason = part.failure.as_ref().map_or("", |failure| &failure.reason);
    assert!(reason.contains("on purpose"), "{reason}");
    assert_eq!(fleet.part(&report, "other")?.started.len(), 1);
    assert_eq!(fleet.complaints().len(), 1, "{:#?}", fleet.complaints());

    // Nothing of it remains, no lock and no lane; and what it had done stands.
    let report = dispatcher.tick();
    let part = fleet.part(&report, log::PANICS)?;
    assert_eq!((part.outcome, &part.started), (Outcome::Ticked, &ready));
    Ok(())
}

#[test]
fn a_launcher_that_panics_is_a_failed_start_of_that_task() -> Result {
    let fleet = Fleet::new()?;
    let ready = fleet.ready("panics", 1)?;
    fleet.ready("other", 1)?;
    let on = Arc::new(AtomicBool::new(true));
    let mut dispatcher = fleet.builder(|_| ()).launcher(panics(&fleet, &on)).build();
    let report = dispatcher.tick();
    let part = fleet.part(&report, "panics")?;
    assert_eq!((part.outcome, part.failed), (Outcome::Ticked, 1));
    assert_eq!(fleet.part(&report, "other")?.started.len(), 1);
    let next = fleet.store("other")?.create(&task(0))?;
    on.store(false, Ordering::SeqCst);
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "other")?.started, [next]);
    assert_eq!(fleet.part(&report, "panics")?.started, ready);
    let error = fleet.store("panics")?.show(&ready[0])?.runs[0]
        .error
        .clone();
    assert_eq!(error.as_deref(), Some("the launcher panicked"));
    Ok(())
}

#[test]
fn a_machine_that_is_used_up_is_no_fault_of_the_task_and_is_asked_more_and_more_seldom() -> Result {
    let fleet = Fleet::new()?;
    let ready = fleet.ready("alpha", 3)?;
    fleet.ready("beta", 1)?;
    let on = Arc::new(AtomicBool::new(true));
    let is_on = Arc::clone(&on);
    let launcher = move |_: &Job<'_>| match is_on.load(Ordering::SeqCst) {
        true => Err(rustix::io::Errno::MFILE.into()),
        false => Ok(sleeper()),
    };
    let mut dispatcher = fleet.builder(|_| ()).launcher(launcher).build();
    let mut tried = Vec::new();
    for second in 0..60 {
        let report = dispatcher.tick();
        assert_eq!(report.started(), 0);
        for board in ["alpha", "beta"] {
            // Waiting for the one place that there may be, it has none.
            let Some(part) = fleet.turn(&report, board)? else {
                continue;
            };
            match part.failure.as_ref().map(|failure| failure.class.as_str()) {
                Some(class) => {
                    assert_eq!((part.outcome, class), (Outcome::Failed, "exhausted"));
                    tried.push(second);
                }
                None => {
                    assert!(
                        part.held.contains_key(&HeldReason::NoWorker)
                            || part.held.contains_key(&HeldReason::HostCap)
                    );
                }
            }
        }
        fleet.advance(1);
    }
    // Both boards at once, and then one task of one board: after 5, 10 and 20 s.
    assert_eq!(tried, [0, 0, 5, 15, 35]);
    let complaints = by_board_and_class(&fleet.complaints());
    assert!(
        complaints.values().all(|count| *count == 1),
        "{complaints:?}"
    );
    let mut claims = 0;
    for board in ["alpha", "beta"] {
        let sql = "SELECT count(*) FROM task_events WHERE kind = 'claimed'";
        claims += value::<i64>(&fleet.connect(board)?, sql)?;
    }
    assert_eq!(claims, 4 + 3);
    assert_eq!(fleet.show("alpha", &ready[0])?.task.consecutive_failures, 0);

    on.store(false, Ordering::SeqCst);
    fleet.advance(40);
    assert_eq!(dispatcher.tick().started(), 1, "one, to see");
    assert_eq!(dispatcher.tick().started(), 3);
    Ok(())
}

#[test]
fn a_start_that_fails_the_same_way_is_told_once_a_window_and_another_way_at_once() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 1)?;
    let cause = Arc::new(Mutex::new("no such place"));
    let says = Arc::clone(&cause);
    let launcher = move |job: &Job<'_>| -> std::io::Result<WorkerCommand> {
        let cause = says.lock().map_or("", |cause| *cause);
        Err(std::io::Error::other(format!(
            "{cause} for {}",
            job.work.task
        )))
    };
    let mut dispatcher = fleet
        .builder(|config| config.failure_limit = 1000.try_into().expect("not zero"))
        .launcher(launcher)
        .build();
    let mut tick = |times: u32| {
        for _ in 0..times {
            let failed = |board: &BoardReport| board.failed;
            let failed = dispatcher.tick().boards.iter().map(failed).sum::<u32>();
            assert_eq!(failed, 1);
            fleet.advance(2);
        }
    };
    tick(20);
    assert_eq!(fleet.complaints().len(), 1, "{:#?}", fleet.complaints());
    *cause.lock().map_err(|_| "poisoned")? = "no such person";
    tick(1);
    assert_eq!(fleet.complaints().len(), 2, "{:#?}", fleet.complaints());
    *cause.lock().map_err(|_| "poisoned")? = "no such place";
    tick(19);
    let complaints = fleet.complaints();
    assert_eq!(complaints.len(), 3, "{complaints:#?}");
    assert!(
        complaints[2]
            .message
            .starts_with("worker could not be started (+"),
        "{complaints:#?}"
    );
    Ok(())
}

fn panics(fleet: &Fleet, on: &Arc<AtomicBool>) -> impl Launcher + 'static {
    let (slug, on) = (fleet.slug("panics"), Arc::clone(on));
    move |job: &Job<'_>| {
        let is_it = job.board.slug().as_str() == slug && on.load(Ordering::SeqCst);
        assert!(!is_it, "on purpose");
        Ok(sleeper())
    }
}

fn sleeper() -> WorkerCommand {
    WorkerCommand {
        argv: LONG.map(Into::into).to_vec(),
        env: Vec::new(),
    }
}

// ===== locks =====

#[test]
fn a_second_dispatcher_stands_by_and_takes_over() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 1)?;
    let (mut first, mut second) = (fleet.dispatcher(), fleet.dispatcher());
    assert_eq!(first.tick().started(), 1);
    let next = fleet.store("alpha")?.create(&task(0))?;
    for _ in 0..3 {
        let report = second.tick();
        let standby = report.standby.as_ref().ok_or("it serves")?;
        assert_eq!(standby.reason, StandbyReason::AnotherDispatcher);
        assert!(standby.text.contains("another dispatcher holds it"));
        assert!(report.boards.is_empty());
    }
    let told = |text: &str| {
        let lines = log::lines(|line| line.message.contains(&*fleet.path().to_string_lossy()));
        lines
            .iter()
            .filter(|line| line.message.contains(text))
            .count()
    };
    assert_eq!(told("dispatcher stands by"), 1);

    drop(first);
    let report = second.tick();
    assert_eq!(report.standby, None);
    assert_eq!(fleet.part(&report, "alpha")?.started, [next]);
    assert_eq!(
        (
            fleet.part(&report, "alpha")?.running,
            second.workers_alive()
        ),
        (2, 2)
    );
    fleet.has_processes(2)
}

#[test]
fn without_the_dispatchers_lock_nothing_is_dispatched() -> Result {
    let damages: [fn(&Path) -> std::io::Result<()>; 2] = [
        |kanban| fs::write(kanban, "a file where a directory should be"),
        |kanban| fs::create_dir_all(kanban.join(".dispatcher.lock")),
    ];
    for damage in damages {
        let fleet = Fleet::new()?;
        // Only the default board can be there without `kanban/`.
        let board = fleet.root.board(&kanban_dispatcher::Slug::default());
        let mut store = Store::init(&board, &fleet.clock)?;
        let id = store.create(&task(0))?;
        let kanban = fleet.path().join("kanban");
        damage(&kanban)?;
        let mut dispatcher = fleet.dispatcher();
        for _ in 0..3 {
            let report = dispatcher.tick();
            let reason = report.standby.as_ref().map(|standby| standby.reason);
            assert_eq!(reason, Some(StandbyReason::LockUnusable));
            assert!(report.boards.is_empty());
        }
        assert_eq!(store.show(&id)?.task.status, "ready");
        assert!(!board.tick_lock().exists(), "not even looked at");
        let complaints = fleet.complaints();
        assert_eq!(complaints.len(), 1, "{complaints:#?}");

        let _ = fs::remove_file(&kanban);
        let _ = fs::remove_dir_all(&kanban);
        assert_eq!(dispatcher.tick().started(), 1);
    }
    Ok(())
}

#[test]
fn a_lock_file_that_is_replaced_keeps_nobody_out_and_this_is_noticed() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 1)?;
    let mut dispatcher = fleet.dispatcher();
    assert_eq!(dispatcher.tick().started(), 1);
    let path = fleet.root.dispatcher_lock();
    fs::remove_file(&path)?;
    let other = FileLock::try_acquire(&path)?.ok_or("not free")?;

    fleet.store("alpha")?.create(&task(0))?;
    assert!(dispatcher.tick().standby.is_some());
    drop(other);
    let report = dispatcher.tick();
    assert_eq!((report.standby.as_ref(), report.started()), (None, 1));
    assert_eq!(fleet.part(&report, "alpha")?.running, 2);
    assert_eq!(dispatcher.workers_alive(), 2);
    fleet.has_processes(2)?;

    // Deleted and nobody there: taken again, on the file that is there now.
    fs::remove_file(&path)?;
    assert_eq!(dispatcher.tick().standby, None);
    assert!(FileLock::try_acquire(&path)?.is_none());
    Ok(())
}

#[test]
fn a_lock_file_that_goes_bad_while_it_is_held_ends_the_lead_until_it_is_mended() -> Result {
    let damages: [fn(&Path) -> std::io::Result<()>; 2] = [
        |lock| fs::create_dir(lock),
        // Nobody can open it, whatever rights he has.
        |lock| std::os::unix::fs::symlink(lock, lock),
    ];
    for (round, damage) in damages.into_iter().enumerate() {
        let fleet = Fleet::new()?;
        fleet.ready("alpha", 1)?;
        let mut dispatcher = fleet.dispatcher();
        assert_eq!(dispatcher.tick().started(), 1);
        let path = fleet.root.dispatcher_lock();
        fs::remove_file(&path)?;
        damage(&path)?;
        let next = fleet.store("alpha")?.create(&task(0))?;
        for _ in 0..3 {
            let report = dispatcher.tick();
            let standby = report.standby.as_ref().ok_or("it goes on")?;
            assert_eq!(standby.reason, StandbyReason::LockUnusable, "{round}");
            assert!(report.boards.is_empty());
        }
        assert_eq!(fleet.show("alpha", &next)?.task.status, "ready");
        assert_eq!(fleet.complaints().len(), 1, "{:#?}", fleet.complaints());
        assert_eq!(dispatcher.workers_alive(), 1, "workers are left alone");

        let _ = fs::remove_file(&path);
        let _ = fs::remove_dir(&path);
        let report = dispatcher.tick();
        assert_eq!(fleet.part(&report, "alpha")?.started, [next], "{round}");
        assert_eq!(fleet.part(&report, "alpha")?.running, 2);
        assert!(FileLock::try_acquire(&path)?.is_none(), "held again");
    }
    Ok(())
}

#[test]
fn a_board_that_another_program_ticks_is_left_to_it() -> Result {
    let fleet = Fleet::new()?;
    let ready = fleet.ready("alpha", 1)?;
    fleet.ready("other", 1)?;
    fleet.grow_old("alpha")?;
    let lock = FileLock::try_acquire(&fleet.board("alpha")?.tick_lock())?.ok_or("not free")?;
    let before = fleet.stamp("alpha")?;
    let mut dispatcher = fleet.dispatcher();
    for _ in 0..3 {
        let report = dispatcher.tick();
        let alpha = fleet.part(&report, "alpha")?;
        assert_eq!((alpha.outcome, &alpha.failure), (Outcome::Busy, &None));
        assert_eq!(fleet.part(&report, "other")?.outcome, Outcome::Ticked);
    }
    assert_eq!(fleet.stamp("alpha")?, before, "nothing was written");
    assert!(fleet.complaints().is_empty(), "{:#?}", fleet.complaints());
    // A holder that stays is told, as any failure is.
    fleet.advance(180);
    for _ in 0..3 {
        let report = dispatcher.tick();
        assert_eq!(fleet.part(&report, "alpha")?.outcome, Outcome::Busy);
    }
    assert_eq!(fleet.complaints().len(), 1, "{:#?}", fleet.complaints());
    drop(lock);
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.started, ready);

    // One that cannot be taken at all: the board is not touched.
    drop(dispatcher);
    let next = fleet.store("alpha")?.create(&task(0))?;
    let path = fleet.board("alpha")?.tick_lock();
    fs::remove_file(&path)?;
    fs::create_dir(&path)?;
    let mut dispatcher = fleet.dispatcher();
    let report = dispatcher.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!(alpha.outcome, Outcome::Failed);
    let reason = alpha.failure.as_ref().map_or("", |failure| &failure.reason);
    assert!(reason.contains("tick lock"), "{reason}");
    assert_eq!(fleet.store("alpha")?.show(&next)?.task.status, "ready");
    Ok(())
}
