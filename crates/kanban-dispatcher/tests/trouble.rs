//! Trouble around a board - its log deleted under us, its row locked by a trigger, its lock held, its turn hung, its worker program
//! missing - costs that board some time and no task its life; it is told once a window, and is over as soon as its cause is.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use kanban_dispatcher::{
    BoardState, Clock, Complete, FileLock, Health, HeldReason, Job, NewTask, Outcome, Status, Wake,
    WorkerCommand,
};
use rusqlite::Connection;
use support::child::{self, Role};
use support::{Fleet, LONG, Result, START, connect, names, outcomes, task, until, value};
use tracing::Level;

/// The other processes: see [`support::child`].
#[test]
fn as_child() -> Result {
    match child::role().as_deref() {
        Some("use a board") => {
            let db = connect(Path::new(&child::variable("TEST_DB")?))?;
            run(&db, &child::variable("TEST_SQL")?)?;
            child::say_ready()?;
            child::wait_for_go()
        }
        Some("tick a board") => {
            let path = child::variable("TEST_LOCK")?;
            let _lock = FileLock::try_acquire(Path::new(&path))?.ok_or("not free")?;
            child::say_ready()?;
            child::wait_for_go()
        }
        _ => Ok(()),
    }
}

/// Runs statements, and asserts that a check among them says ok.
fn run(db: &Connection, sql: &str) -> Result {
    for statement in sql
        .split(';')
        .filter(|statement| !statement.trim().is_empty())
    {
        let mut statement = db.prepare(statement)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            if let Ok(text) = row.get::<_, String>(0) {
                assert_eq!(text, "ok");
            }
        }
    }
    Ok(())
}

/// Another process that has run this SQL on a board, and keeps its connection until it is told to go on. This process's own
/// connections all share one view of the files beside a database.
fn other(fleet: &Fleet, board: &str, sql: &str) -> Result<Role> {
    let db = fleet.db(board)?.to_string_lossy().into_owned();
    Role::start("use a board", &[("TEST_DB", &db), ("TEST_SQL", sql)])?.ready()
}

/// The same, and it is gone again.
fn by_another(fleet: &Fleet, board: &str, sql: &str) -> Result {
    let (is_ok, said) = other(fleet, board, sql)?.finish()?;
    if is_ok { Ok(()) } else { Err(said.into()) }
}

// ===== files =====

#[test]
fn a_log_that_is_deleted_under_an_open_board_is_noticed_and_nothing_is_lost_or_doubled() -> Result {
    // What was only in the log is lost with it, a claim for one; what was in the database is not.
    let checkpoint = "PRAGMA wal_checkpoint(PASSIVE)";
    for is_claim_kept in [true, false] {
        let fleet = Fleet::new()?;
        let first = fleet.ready("alpha", 1)?.remove(0);
        by_another(&fleet, "alpha", checkpoint)?;
        let mut dispatcher = fleet.dispatcher();
        assert_eq!(dispatcher.tick().started(), 1);
        if is_claim_kept {
            by_another(&fleet, "alpha", checkpoint)?;
        }
        let db = fleet.db("alpha")?;
        for file in ["kanban.db-wal", "kanban.db-shm"] {
            fs::remove_file(db.with_file_name(file))?;
        }
        by_another(
            &fleet,
            "alpha",
            "INSERT INTO tasks (id, title, assignee, status, created_at, priority) \
             VALUES ('t_new', 'x', 'coder', 'ready', 1, 9)",
        )?;

        let mut started: Vec<String> = Vec::new();
        for _ in 0..2 {
            let report = dispatcher.tick();
            let alpha = fleet.part(&report, "alpha")?;
            assert_eq!(alpha.outcome, Outcome::Ticked, "{alpha:?}");
            started.extend_from_slice(&alpha.started);
            fleet.advance(60);
        }
        assert!(started.contains(&"t_new".to_owned()), "{started:?}");
        until("both are at work", || {
            dispatcher.tick();
            assert!(fleet.processes().len() <= 2);
            Ok(fleet.store("alpha")?.list(Some("running"))?.len() == 2)
        })?;
        for _ in 0..3 {
            assert_eq!(dispatcher.tick().started(), 0);
        }
        assert_eq!(
            (dispatcher.workers_alive(), fleet.processes().len()),
            (2, 2)
        );
        let kept = started.iter().all(|id| *id != first);
        assert_eq!(kept, is_claim_kept, "{started:?}");
        assert!(fleet.complaints().is_empty(), "{:#?}", fleet.complaints());

        // Others see what was written since, and the file is whole.
        let check = "PRAGMA integrity_check; \
                     SELECT CASE count(*) WHEN 2 THEN 'ok' ELSE 'not ok' END FROM tasks \
                     WHERE status = 'running' AND worker_pid IS NOT NULL";
        by_another(&fleet, "alpha", check)?;
        drop(dispatcher);
        by_another(&fleet, "alpha", check)?;
    }
    Ok(())
}

#[test]
fn a_drifted_board_that_is_also_locked_costs_the_others_no_time() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("drifted", 1)?;
    fleet.drop_column("drifted", "tasks", "skills")?;
    let sound: Vec<String> = (0..8).map(|n| format!("sound-{n}")).collect();
    for board in &sound {
        fleet.store(board)?;
    }
    let locked = other(&fleet, "drifted", "BEGIN IMMEDIATE")?;
    let mut dispatcher = fleet
        .builder(|config| config.lanes = 1.try_into().expect("not zero"))
        .build();
    for _ in 0..3 {
        let ids = sound
            .iter()
            .map(|board| Ok(fleet.ready(board, 1)?.remove(0)));
        let ids = ids.collect::<Result<Vec<String>>>()?;
        let watch = Clock::system();
        let report = dispatcher.tick();
        let took = watch.monotonic();
        assert!(took < Duration::from_secs(2), "{took:?}");
        for (board, id) in sound.iter().zip(ids) {
            assert_eq!(fleet.part(&report, board)?.started, [id]);
        }
        let drifted = fleet.part(&report, "drifted")?;
        assert_eq!(drifted.outcome, Outcome::Busy, "{drifted:?}");
        fleet.advance(1);
    }
    assert_eq!(
        fleet.ledger_attempts("drifted")?,
        0,
        "none of that was a repair"
    );
    drop(locked);
    let report = dispatcher.tick();
    let drifted = fleet.part(&report, "drifted")?;
    assert_eq!(drifted.repaired.len(), 1, "{drifted:?}");
    assert_eq!(drifted.started.len(), 1);
    Ok(())
}

// ===== rows =====

#[test]
fn a_row_that_refuses_its_claim_does_not_take_the_others_place() -> Result {
    let fleet = Fleet::new()?;
    let ids = fleet.ready("alpha", 3)?;
    fleet.sql(
        "alpha",
        &format!(
            "CREATE TRIGGER frozen BEFORE UPDATE ON tasks WHEN OLD.id = '{}' BEGIN SELECT RAISE(ABORT, 'frozen'); END",
            ids[0]
        ),
    )?;
    let mut dispatcher = fleet
        .builder(|config| config.max_spawn = 1.try_into().ok())
        .build();
    let mut started: Vec<String> = Vec::new();
    for _ in 0..2 {
        let report = dispatcher.tick();
        started.extend_from_slice(&fleet.part(&report, "alpha")?.started);
        fleet.advance(60);
    }
    assert_eq!(started, ids[1..2]);
    fleet
        .store("alpha")?
        .complete(&ids[1], &Complete::default())?;
    let report = dispatcher.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!(alpha.started, ids[2..]);
    assert_eq!(alpha.held.get(&HeldReason::BadRow), Some(&1));
    assert_eq!(fleet.show("alpha", &ids[0])?.runs, []);

    // It is asked again, by and by.
    fleet
        .store("alpha")?
        .complete(&ids[2], &Complete::default())?;
    fleet.sql("alpha", "DROP TRIGGER frozen")?;
    fleet.advance(600);
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.started, ids[..1]);
    Ok(())
}

#[test]
fn a_task_whose_id_is_no_file_name_is_given_up_and_leads_nowhere() -> Result {
    let fleet = Fleet::new()?;
    fleet.store("alpha")?;
    let absolute = fleet.path().join("outside").to_string_lossy().into_owned();
    let ids = ["../../x", "..", ".", "a/b", "a/", "", &absolute];
    let db = fleet.connect("alpha")?;
    for id in ids {
        db.execute(
            "INSERT INTO tasks (id, title, assignee, status, created_at) VALUES (?1, 'x', 'coder', 'ready', 1)",
            [id],
        )?;
    }
    let everything = || -> Result<Vec<Vec<String>>> {
        let board = fleet.board("alpha")?;
        let dirs = [
            fleet.path(),
            &fleet.path().join("kanban"),
            &fleet.root.boards_dir(),
            board.dir(),
        ];
        dirs.into_iter().map(names).collect()
    };
    let mut dispatcher = fleet.dispatcher();
    let report = dispatcher.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!((alpha.started.len(), alpha.failed), (0, 6), "{alpha:?}");
    assert_eq!(
        alpha.held.get(&HeldReason::BadRow),
        Some(&1),
        "no id at all"
    );
    let before = everything()?;
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.gave_up, 6);
    assert_eq!(dispatcher.tick().started(), 0);
    assert_eq!(everything()?, before);
    let allowed = BTreeSet::from(["board.json", "kanban.db", "kanban.db-wal", "kanban.db-shm"]);
    for name in before.last().ok_or("no names")? {
        assert!(
            allowed.contains(&**name) || name.ends_with(".lock"),
            "{name}"
        );
    }
    assert_eq!(names(fleet.path())?, ["kanban"]);
    for id in ids.into_iter().filter(|id| !id.is_empty()) {
        let detail = fleet.show("alpha", id)?;
        assert_eq!(detail.task.status, "blocked", "{id}");
        let error = detail.task.last_failure_error.unwrap_or_default();
        assert!(error.contains("is no file name"), "{error}");
    }
    assert_eq!(fleet.processes(), [] as [i32; 0]);
    Ok(())
}

// ===== locks and lanes =====

#[test]
fn a_tick_lock_that_is_never_given_back_is_told_once_a_window() -> Result {
    let fleet = Fleet::new()?;
    let ids = fleet.ready("alpha", 1)?;
    let path = fleet
        .board("alpha")?
        .tick_lock()
        .to_string_lossy()
        .into_owned();
    let holder = Role::start("tick a board", &[("TEST_LOCK", &path)])?.ready()?;
    let mut dispatcher = fleet
        .builder(|config| config.dispatch_interval_seconds = Duration::from_secs(10))
        .build();
    let mut told = Vec::new();
    for seconds in (0..180).step_by(10) {
        let report = dispatcher.tick();
        let alpha = fleet.part(&report, "alpha")?;
        assert_eq!((alpha.outcome, alpha.started.len()), (Outcome::Busy, 0));
        // Three intervals are nothing.
        let is_told = seconds >= 30;
        let status = fleet.status("alpha")?;
        assert_eq!(status.state, BoardState::Busy);
        assert_eq!(status.is_degraded(), is_told, "{seconds}");
        let class = alpha.failure.as_ref().map(|failure| failure.class.as_str());
        assert_eq!(class, is_told.then_some("busy"), "{seconds}");
        if let Some(failure) = &alpha.failure {
            assert!(failure.reason.contains(&path), "{}", failure.reason);
        }
        let complaints = fleet.complaints();
        assert!(complaints.iter().all(|line| line.level == Level::WARN));
        if complaints.len() > told.len() {
            told.push(seconds);
        }
        assert_eq!(complaints.len(), told.len());
        fleet.advance(10);
    }
    assert_eq!(told, [30, 90, 150]);
    let health = Status::read(&fleet.root, &fleet.clock)?.health();
    assert_eq!(health, Health::Degraded);

    holder.finish()?;
    let report = dispatcher.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!((&alpha.started, &alpha.failure), (&ids, &None));
    let status = fleet.status("alpha")?;
    assert_eq!(
        (status.state, status.is_degraded()),
        (BoardState::Ok, false)
    );

    // The time begins anew.
    let _again = Role::start("tick a board", &[("TEST_LOCK", &path)])?.ready()?;
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.failure, None);
    Ok(())
}

#[test]
fn a_turn_that_hangs_is_told_and_keeps_what_was_known_and_comes_back() -> Result {
    let fleet = Fleet::new()?;
    for board in ["hangs", "other"] {
        fleet.ready(board, 1)?;
    }
    let (release, hang) = channel::<()>();
    let hang = Mutex::new(hang);
    let marked = fleet.slug("hangs");
    let mut dispatcher = fleet
        .builder(|config| {
            config.lanes = 1.try_into().expect("not zero");
            config.board_deadline_seconds = Duration::from_millis(500);
        })
        .launcher(move |job: &Job<'_>| {
            if job.board.slug().as_str() == marked && job.work.title == "hangs" {
                let _ = hang.lock().map(|hang| hang.recv());
            }
            Ok(WorkerCommand {
                argv: LONG.map(Into::into).to_vec(),
                env: Vec::new(),
            })
        })
        .build();
    assert_eq!(dispatcher.tick().started(), 2);
    let hanging = fleet.store("hangs")?.create(&NewTask {
        title: "hangs".to_owned(),
        ..task(0)
    })?;
    for seconds in [0, 50, 100] {
        let next = fleet.store("other")?.create(&task(0))?;
        let report = dispatcher.tick();
        assert_eq!(fleet.part(&report, "other")?.started, [next]);
        let hung = fleet.part(&report, "hangs")?;
        assert_eq!(hung.outcome, Outcome::Busy);
        let failure = hung.failure.as_ref().ok_or("no failure")?;
        assert_eq!(failure.class.as_str(), "busy");
        let age = format!("not come back for {seconds} s");
        assert!(failure.reason.contains(&age), "{}", failure.reason);
        let status = fleet.status("hangs")?;
        assert_eq!(
            (status.state, status.is_degraded()),
            (BoardState::Busy, true)
        );
        assert_eq!((status.last_tick, status.running), (Some(START), 1));
        assert_eq!(status.reason.as_ref(), Some(&failure.reason));
        fleet.advance(50);
    }
    assert_eq!(fleet.complaints().len(), 2, "{:#?}", fleet.complaints());

    drop(release);
    until("the board is home", || {
        let report = dispatcher.tick();
        Ok(fleet.part(&report, "hangs")?.outcome == Outcome::Ticked)
    })?;
    // That may have been the old turn itself, of the time when it began.
    dispatcher.tick();
    let status = fleet.status("hangs")?;
    assert_eq!((status.state, status.running), (BoardState::Ok, 2));
    assert_eq!(status.last_tick, Some(fleet.clock.unix()));
    assert_eq!(outcomes(&fleet.show("hangs", &hanging)?), ["open"]);
    assert_eq!(
        (dispatcher.workers_alive(), fleet.processes().len()),
        (6, 6)
    );
    Ok(())
}

// ===== programs =====

#[test]
fn without_a_worker_program_tasks_wait_uncharged_and_start_when_it_appears() -> Result {
    let fleet = Fleet::new()?;
    const BOARDS: [&str; 3] = ["a", "b", "c"];
    for board in BOARDS {
        fleet.ready(board, 20)?;
    }
    let program = fleet.path().join("worker-program");
    let name = program.to_string_lossy().into_owned();
    let command = vec![name.clone(), LONG[1].to_owned()];
    let mut dispatcher = fleet
        .builder(|config| config.worker.command = Some(command))
        .build();
    for (ticks, windows) in [(5, 1), (1, 2)] {
        for _ in 0..ticks {
            let report = dispatcher.tick();
            for board in BOARDS {
                let part = fleet.part(&report, board)?;
                assert_eq!(
                    (part.outcome, part.started.len(), part.failed),
                    (Outcome::Ticked, 0, 0)
                );
                assert_eq!(part.held.get(&HeldReason::NoWorker), Some(&20));
            }
            fleet.advance(1);
        }
        for board in BOARDS {
            let lines = fleet.lines_of(board);
            let complaints: Vec<_> = lines.iter().filter(|line| line.is_above_info()).collect();
            assert_eq!(complaints.len(), windows, "{complaints:#?}");
            for line in complaints {
                assert_eq!(line.level, Level::WARN);
                assert!(line.message.contains(&name), "{}", line.message);
            }
        }
        fleet.advance(60);
    }
    for board in BOARDS {
        let db = fleet.connect(board)?;
        let untouched = "SELECT count(*) FROM tasks WHERE status = 'ready' AND claim_lock IS NULL \
                         AND consecutive_failures = 0 AND last_failure_error IS NULL";
        assert_eq!(value::<i64>(&db, untouched)?, 20);
        assert_eq!(value::<i64>(&db, "SELECT count(*) FROM task_runs")?, 0);
        let claims = "SELECT count(*) FROM task_events WHERE kind <> 'created'";
        assert_eq!(value::<i64>(&db, claims)?, 0);
        assert_eq!(fleet.status(board)?.held["no_worker"], 20);
    }

    let recovered = || {
        let mut lines = fleet.lines();
        lines.retain(|line| line.message.starts_with("board works again"));
        lines.len()
    };
    assert_eq!(recovered(), 0, "none of them works yet");
    symlink(find(LONG[0])?, &program)?;
    assert_eq!(dispatcher.tick().started(), 60);
    assert_eq!(recovered(), 3);
    assert_eq!(fleet.status("a")?.held, serde_json::json!({}));
    Ok(())
}

/// Where a program of the system is.
fn find(name: &str) -> Result<std::path::PathBuf> {
    let path = std::env::var_os("PATH").ok_or("no PATH")?;
    let found = std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|path| path.is_file());
    found.ok_or_else(|| format!("no {name}").into())
}

// ===== the loop =====

#[test]
fn an_end_that_cannot_be_recorded_does_not_keep_the_dispatcher_busy() -> Result {
    let fleet = Fleet::new()?;
    let id = fleet.store("alpha")?.create(&NewTask {
        max_runtime: Some(5),
        ..task(0)
    })?;
    let mut dispatcher = fleet
        .builder(|config| {
            config.worker.stop_grace_seconds = Duration::ZERO;
            config.dispatch_interval_seconds = Duration::from_secs(5);
        })
        .build();
    let wake = Wake::new();
    let (send, receive) = channel();
    std::thread::scope(|scope| -> Result {
        let run = scope.spawn(|| {
            let _ = send.send(fs::read_link("/proc/thread-self"));
            dispatcher.run(&wake);
        });
        let watch = || -> Result {
            let stat = Path::new("/proc").join(receive.recv()??).join("stat");
            until("it works", || Ok(fleet.processes().len() == 1))?;
            until("it is known", || {
                Ok(fleet.show("alpha", &id)?.task.status == "running")
            })?;
            let _locked = other(&fleet, "alpha", "BEGIN IMMEDIATE")?;
            // Its time is over. No tick comes after that one, since the clock stands still again.
            fleet.advance(6);
            until("its end was found and not recorded", || {
                Ok(fleet.processes().is_empty() && !fleet.complaints().is_empty())
            })?;
            let before = cpu(&stat)?;
            let clock = Clock::system();
            until("some time has gone by", || {
                Ok(clock.monotonic() > Duration::from_millis(1500))
            })?;
            let used = cpu(&stat)? - before;
            // No assertion, which would leave the dispatcher running.
            match used {
                0..10 => Ok(()),
                _ => Err(format!("{used} of 150 ticks of the processor").into()),
            }
        };
        let watched = watch();
        wake.stop();
        run.join().map_err(|_| "the dispatcher panicked")?;
        watched
    })?;
    assert_eq!(fleet.show("alpha", &id)?.task.status, "running");
    dispatcher.tick();
    assert_eq!(outcomes(&fleet.show("alpha", &id)?)[0], "timed_out");
    Ok(())
}

#[test]
fn a_board_that_stays_locked_never_seems_to_work_while_others_have_news() -> Result {
    let fleet = Fleet::new()?;
    let id = &fleet.ready("locked", 1)?[0];
    fleet.ready("busy", 0)?;
    let mut dispatcher = fleet
        .builder(|config| {
            config.busy_timeout_ms = Duration::from_millis(1);
            config.workers_max = std::num::NonZeroUsize::MIN;
        })
        .build();
    let locked = other(&fleet, "locked", "BEGIN IMMEDIATE")?;
    for _ in 0..6 {
        // Whoever has news asks for every place there is.
        fleet.sql("busy", "INSERT INTO task_comments (task_id, author, body, created_at) VALUES ('t_0', 'a', 'b', 1)")?;
        let report = dispatcher.tick();
        let part = fleet.part(&report, "locked")?;
        assert_eq!(part.outcome, Outcome::Busy, "{part:?}");
    }
    let lines = fleet.lines_of("locked");
    assert!(
        !lines
            .iter()
            .any(|line| line.message.contains("works again")),
        "{lines:#?}"
    );
    drop(locked);
    dispatcher.tick();
    assert_eq!(fleet.show("locked", id)?.task.status, "running");
    Ok(())
}

/// What a thread has used of a processor, in ticks of 10 ms.
fn cpu(stat: &Path) -> Result<u64> {
    let text = fs::read_to_string(stat)?;
    let rest = &text[text.rfind(')').ok_or("no name")? + 1..];
    let times = rest.split_ascii_whitespace().skip(11).take(2);
    Ok(times
        .map(str::parse::<u64>)
        .sum::<std::result::Result<u64, _>>()?)
}
