//! What a board's turn depends on wakes it, one cause after the other: each of these tests fails if its cause is forgotten.

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use fingerprint_quarantine::FileState;
use kanban_dispatcher::{BoardState, Dispatcher, Job, Levers, Outcome, WorkerCommand};

use self::support::child::{self, Role};
use self::support::halted::{self, Halted};
use self::support::{Fleet, LONG, Result, task, until};

/// The other processes: see [`support::child`].
#[test]
fn as_child() -> Result {
    match child::role().as_deref() {
        Some(halted::ROLE) => halted::play(),
        _ => Ok(()),
    }
}

/// Ticks until so many boards are left out, and are known to be watched.
fn settle(fleet: &Fleet, dispatcher: &mut Dispatcher, boards: &[&str]) -> Result {
    for quiet in [1, 2] {
        until("the boards are quiet", || {
            for board in boards {
                fleet.grow_old(board)?;
            }
            let report = dispatcher.tick();
            let has_turn = |board: &&str| fleet.part(&report, board).is_ok();
            Ok(!boards.iter().any(has_turn))
        })
        .map_err(|error| format!("{quiet}: {error}"))?;
    }
    Ok(())
}

fn archive(fleet: &Fleet, board: &str) -> Result {
    let path = fleet.board(board)?.metadata();
    Ok(fs::write(path, r#"{"archived": true}"#)?)
}

const TASK: &str = "INSERT INTO tasks (id, title, status, assignee, priority, created_at, workspace_kind) \
                    VALUES ('t_other', 'work', 'ready', 'coder', 0, 1700000000, 'scratch')";

#[test]
fn a_change_is_not_overlooked_when_another_board_goes_away_in_the_same_pass() -> Result {
    let fleet = Fleet::new()?;
    for board in ["alpha", "beta"] {
        fleet.ready(board, 0)?;
    }
    let mut dispatcher = fleet.dispatcher();
    settle(&fleet, &mut dispatcher, &["alpha", "beta"])?;
    fleet.sql("alpha", TASK)?;
    // It is listed, has changed, and turns out to be none of ours any more when its turn comes.
    fleet.sql("beta", TASK)?;
    archive(&fleet, "beta")?;
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.started, ["t_other"]);
    assert!(report.board(&fleet.slug("beta")).is_none());
    Ok(())
}

/// Says when it goes that it is over.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_commit_that_is_in_the_log_and_not_yet_seen_is_not_slept_through() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 0)?;
    let mut dispatcher = fleet.dispatcher();
    settle(&fleet, &mut dispatcher, &["alpha"])?;

    let writer = Halted::spawn(&fleet, &fleet.db("alpha")?, TASK)?;
    for _ in 0..3 {
        fleet.grow_old("alpha")?;
        let report = dispatcher.tick();
        assert_eq!(report.started(), 0, "nobody sees it yet");
        let turn = fleet.part(&report, "alpha");
        assert!(turn.is_ok(), "somebody is in the middle of a write");
    }
    writer.go_on()?;
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.started, ["t_other"]);
    Ok(())
}

#[test]
fn a_mend_that_is_in_the_log_and_not_yet_seen_is_not_held_against_the_board() -> Result {
    let fleet = Fleet::new()?;
    let ids = fleet.ready("alpha", 1)?;
    fleet.sql("alpha", "ALTER TABLE tasks DROP COLUMN body")?;
    let mut dispatcher = fleet.dispatcher();
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.outcome, Outcome::Held);
    assert_eq!(fleet.status("alpha")?.state, BoardState::Held);
    // There is a log already: the one sync is that of the commit.
    let other = fleet.connect("alpha")?;
    other.execute_batch("UPDATE tasks SET priority = 1")?;
    until("it is held by the files of now", || {
        fleet.grow_old("alpha")?;
        dispatcher.tick();
        Ok(fleet.status("alpha")?.state == BoardState::Held)
    })?;

    let sql = "ALTER TABLE tasks ADD COLUMN body TEXT";
    let writer = Halted::spawn(&fleet, &fleet.db("alpha")?, sql)?;
    for _ in 0..3 {
        fleet.grow_old("alpha")?;
        dispatcher.tick();
    }
    writer.go_on()?;
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.started, ids);
    Ok(())
}

#[test]
fn a_board_that_others_write_to_all_the_time_is_told_and_held_all_the_same() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 1)?;
    let db = fleet.connect("alpha")?;
    db.execute_batch("ALTER TABLE tasks DROP COLUMN body")?;
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (is_over, over) = (&is_over, Over(&is_over));
        scope.spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                let _ = db.execute_batch("UPDATE tasks SET priority = priority + 1");
            }
        });
        let _over = over;
        let mut dispatcher = fleet.dispatcher();
        let mut outcomes = Vec::new();
        for _ in 0..40 {
            let report = dispatcher.tick();
            let part = fleet.part(&report, "alpha")?;
            assert!(part.failure.is_some(), "{part:?}");
            outcomes.push(part.outcome);
            fleet.advance(60);
        }
        assert!(outcomes.contains(&Outcome::Held), "{outcomes:?}");
        Ok(())
    })
}

#[test]
fn a_log_that_a_reader_takes_along_is_missed_only_by_a_board_with_a_connection() -> Result {
    let fleet = Fleet::new()?;
    let boards = ["alpha", "beta"];
    for board in boards {
        fleet.ready(board, 0)?;
    }
    let mut dispatcher = fleet
        .builder(|config| {
            config.guard_connections_max = 1;
            config.watch = false;
        })
        .build();
    settle(&fleet, &mut dispatcher, &boards)?;
    // The one connection is this board's, and then the other one's.
    for board in boards {
        fleet.sql(
            board,
            "UPDATE tasks SET priority = 1; PRAGMA wal_checkpoint(TRUNCATE)",
        )?;
        settle(&fleet, &mut dispatcher, &boards)?;
    }
    fleet.sql("alpha", "SELECT count(*) FROM tasks")?;
    assert!(
        !fleet.db("alpha")?.with_extension("db-wal").exists(),
        "its reader was the last"
    );
    let report = dispatcher.tick();
    assert!(fleet.part(&report, "alpha").is_err(), "nothing has changed");
    Ok(())
}

#[test]
fn a_board_that_hangs_is_not_told_as_one_that_is_fine() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 0)?;
    let (release, hang) = channel::<()>();
    let hang = Mutex::new(hang);
    let mut dispatcher = fleet
        .builder(|config| config.board_deadline_seconds = Duration::from_millis(300))
        .launcher(move |_: &Job<'_>| {
            let _ = hang.lock().map(|hang| hang.recv());
            Ok(WorkerCommand {
                argv: LONG.map(Into::into).to_vec(),
                env: Vec::new(),
            })
        })
        .build();
    settle(&fleet, &mut dispatcher, &["alpha"])?;
    let last = fleet.status("alpha")?.last_tick;
    fleet.store("alpha")?.create(&task(0))?;
    fleet.advance(5);
    let report = dispatcher.tick();
    assert!(
        fleet.part(&report, "alpha")?.failure.is_some(),
        "{report:?}"
    );
    assert_eq!(fleet.status("alpha")?.last_tick, last);
    drop(release);
    Ok(())
}

#[test]
fn a_reason_to_wait_that_lies_ahead_begins_on_time() -> Result {
    let fleet = Fleet::new()?;
    let id = fleet.ready("alpha", 1)?.remove(0);
    let mut dispatcher = fleet.dispatcher();
    Levers::open(&fleet.root, &fleet.clock)?.pause(&fleet.slug("alpha").parse()?, None)?;
    // Said before the clock was set back.
    fleet.sql(
        "alpha",
        &format!(
            "INSERT INTO task_comments (task_id, author, body, created_at) \
             VALUES ('{id}', 'ann', 'https://github.com/a/b/pull/1', {})",
            fleet.clock.unix() + 30
        ),
    )?;
    settle(&fleet, &mut dispatcher, &["alpha"])?;
    fleet.advance(30);
    dispatcher.tick();
    let detail = fleet.show("alpha", &id)?;
    assert!(
        detail
            .events
            .iter()
            .any(|event| event.kind == "respawn_guarded"),
        "{detail:?}"
    );
    Ok(())
}

#[test]
fn a_home_behind_a_link_is_found_when_it_comes() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 1)?;
    let profiles = fleet.path().join("profiles");
    fs::create_dir(&profiles)?;
    let home = fleet.path().join("home");
    symlink(&home, profiles.join("coder"))?;
    let mut dispatcher = fleet
        .builder(|config| config.worker.require_profile = true)
        .build();
    for _ in 0..3 {
        grow_old(&profiles)?;
        fleet.grow_old("alpha")?;
        assert_eq!(dispatcher.tick().started(), 0);
    }
    fs::create_dir(&home)?;
    assert_eq!(dispatcher.tick().started(), 1);
    Ok(())
}

#[test]
fn an_index_of_the_log_that_is_taken_from_under_a_board_keeps_nobody_apart() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 0)?;
    let mut dispatcher = fleet.dispatcher();
    settle(&fleet, &mut dispatcher, &["alpha"])?;
    fs::remove_file(fleet.db("alpha")?.with_extension("db-shm"))?;
    // Another process makes an index of its own: in this one all connections share theirs.
    let db = fleet.db("alpha")?.to_string_lossy().into_owned();
    let pid = fleet.path().join("pid").to_string_lossy().into_owned();
    let vars = [("TEST_DB", &*db), ("TEST_PID", &*pid), ("TEST_SQL", TASK)];
    let (is_well, said) = Role::start(halted::ROLE, &vars)?.finish()?;
    assert!(is_well, "{said}");
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.started, ["t_other"]);
    Ok(())
}

#[test]
fn an_empty_log_that_is_taken_from_under_a_quiet_board_is_missed() -> Result {
    for watch in [true, false] {
        let fleet = Fleet::new()?;
        fleet.ready("alpha", 0)?;
        let mut dispatcher = fleet.builder(|config| config.watch = watch).build();
        dispatcher.tick();
        fleet.sql("alpha", "PRAGMA wal_checkpoint(TRUNCATE)")?;
        settle(&fleet, &mut dispatcher, &["alpha"])?;
        let log = fleet.db("alpha")?.with_extension("db-wal");
        assert_eq!(fs::metadata(&log)?.len(), 0, "no stamp shows it");
        fs::remove_file(&log)?;
        until("it has a turn", || {
            let report = dispatcher.tick();
            Ok(fleet.part(&report, "alpha").is_ok())
        })?;
        assert!(log.exists(), "opened anew");
    }
    Ok(())
}

#[test]
fn a_profile_that_comes_wakes_the_boards_that_wait_for_it() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 1)?;
    let profiles = fleet.path().join("profiles");
    fs::create_dir(&profiles)?;
    grow_old(&profiles)?;
    let mut dispatcher = fleet
        .builder(|config| config.worker.require_profile = true)
        .build();
    settle(&fleet, &mut dispatcher, &["alpha"])?;
    fs::create_dir(profiles.join("coder"))?;
    assert_eq!(dispatcher.tick().started(), 1);
    Ok(())
}

/// As [`Fleet::grow_old`], of a directory.
fn grow_old(path: &Path) -> Result {
    until("it is old", || Ok(!FileState::of(path).is_young()))
}

#[test]
fn a_board_that_a_link_leads_to_is_followed_to_where_it_leads_now() -> Result {
    let fleet = Fleet::new()?;
    for board in ["alpha", "other"] {
        fleet.ready(board, 0)?;
    }
    let db = fleet.db("alpha")?;
    for moved in ["one", "two"] {
        let to = fleet.path().join(moved);
        fs::create_dir(&to)?;
        fleet.sql("alpha", "PRAGMA wal_checkpoint(TRUNCATE)")?;
        let copied = Command::new("cp")
            .arg(&db)
            .arg(to.join("kanban.db"))
            .status()?;
        assert!(copied.success());
    }
    let dir = fleet.board("alpha")?.dir().to_owned();
    fs::remove_dir_all(&dir)?;
    fs::create_dir(&dir)?;
    symlink(fleet.path().join("one/kanban.db"), &db)?;
    let mut dispatcher = fleet.dispatcher();
    settle(&fleet, &mut dispatcher, &["alpha", "other"])?;
    fs::remove_file(&db)?;
    symlink(fleet.path().join("two/kanban.db"), &db)?;
    settle(&fleet, &mut dispatcher, &["alpha", "other"])?;
    // Into the log, which lies beside the file that the link leads to.
    let writer = fleet.connect("alpha")?;
    writer.execute_batch(TASK)?;
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.started, ["t_other"]);
    Ok(())
}

#[test]
fn a_board_whose_directory_is_a_link_is_followed_to_where_it_leads_now() -> Result {
    let fleet = Fleet::new()?;
    for board in ["alpha", "beta"] {
        fleet.ready(board, 0)?;
    }
    let mut dirs = Vec::new();
    for board in ["alpha", "beta"] {
        let dir = fleet.board(board)?.dir().to_owned();
        let to = fleet.path().join(board);
        fs::rename(&dir, &to)?;
        dirs.push((dir, to));
    }
    let [(alpha, one), (_, two)] = &dirs[..] else {
        return Err("two".into());
    };
    symlink(one, alpha)?;
    let mut dispatcher = fleet.dispatcher();
    settle(&fleet, &mut dispatcher, &["alpha"])?;
    fs::remove_file(alpha)?;
    symlink(two, alpha)?;
    settle(&fleet, &mut dispatcher, &["alpha"])?;
    fleet.sql("alpha", TASK)?;
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.started, ["t_other"]);
    Ok(())
}

#[test]
fn boards_that_go_away_with_their_directory_are_dropped_when_it_comes_back_empty() -> Result {
    let fleet = Fleet::new()?;
    fleet.ready("alpha", 0)?;
    let mut dispatcher = fleet.dispatcher();
    settle(&fleet, &mut dispatcher, &["alpha"])?;
    let dir = fleet.root.boards_dir();
    fs::rename(&dir, dir.with_file_name("away"))?;
    assert!(dispatcher.tick().standby.is_some());
    fs::create_dir(&dir)?;
    dispatcher.tick();
    assert!(fleet.status("alpha").is_err(), "nobody has such a board");
    Ok(())
}
