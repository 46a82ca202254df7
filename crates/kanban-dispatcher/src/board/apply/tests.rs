//! What becomes of changes: written, lost, or refused by their row.

use std::time::Duration;

use rusqlite::OpenFlags;
use tempfile::TempDir;

use super::*;
use crate::board::{NewTask, Started, Store, record_started};
use crate::clock::Clock;
use crate::root::{Root, Slug};
use crate::transition::Reclaim;

type Result<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

const NOW: i64 = 1_000;

/// A board with this many ready tasks.
fn board(tasks: usize) -> Result<(TempDir, Store, Vec<String>)> {
    let dir = tempfile::tempdir()?;
    let mut store = Store::init(
        &Root::at(dir.path()).board(&Slug::default()),
        &Clock::system(),
    )?;
    let new = NewTask {
        title: "work".to_owned(),
        assignee: Some("coder".to_owned()),
        ..NewTask::default()
    };
    let ids = (0..tasks)
        .map(|_| store.create(&new))
        .collect::<std::result::Result<_, _>>()?;
    Ok((dir, store, ids))
}

fn claims(ids: &[String]) -> Vec<Claim> {
    ids.iter()
        .map(|task| Claim {
            task: task.clone(),
            from: Status::Ready,
            lock: "rs.host:1:a".to_owned(),
            expires: NOW + 900,
        })
        .collect()
}

fn reclaim(task: &str, lock: &str) -> Transition {
    Transition::Reclaim(Reclaim {
        task: task.to_owned(),
        lock: lock.to_owned(),
        pid: None,
        expires: None,
        last_heartbeat_at: None,
        host_local: false,
        heartbeat_stale: false,
        attempted: false,
        terminated: false,
    })
}

/// This task's row refuses every change from now on: `how` is what `RAISE` is given.
fn protect(store: &Store, id: &str, how: &str) -> Result {
    Ok(store.db.execute_batch(&format!(
        "CREATE TRIGGER protect BEFORE UPDATE ON tasks WHEN old.id = '{id}' BEGIN SELECT RAISE({how}); END"
    ))?)
}

#[test]
fn a_change_that_somebody_else_forestalled_is_lost_and_one_that_its_row_refuses_is_refused()
-> Result {
    let (_dir, mut store, ids) = board(4)?;
    let [free, taken, barred, demoted] = &ids[..] else {
        unreachable!()
    };
    store.db.execute(
        "UPDATE tasks SET claim_lock = 'elsewhere:1' WHERE id = ?1",
        [taken],
    )?;
    protect(&store, barred, "ABORT, 'hands off'")?;
    let demotions = [barred, demoted].map(|task| Transition::Demote { task: task.clone() });

    let applied = apply(&mut store.db, &demotions, &claims(&ids), NOW)?;
    assert_eq!(applied.written, demotions[1..]);
    let claimed: Vec<&String> = applied.claimed.iter().map(|work| &work.task).collect();
    assert_eq!(claimed, [free]);
    assert_eq!(applied.lost, [taken.clone(), demoted.clone()]);
    assert_eq!(
        applied.refused,
        [barred.clone(), barred.clone()],
        "its demotion and its claim"
    );
    let detail = store.show(barred)?;
    assert_eq!(
        (detail.task.status.as_str(), detail.runs.len()),
        ("ready", 0)
    );
    Ok(())
}

#[test]
fn a_claim_ends_the_attempt_that_was_left_open_and_no_other() -> Result {
    let (_dir, mut store, ids) = board(2)?;
    store.db.execute_batch(&format!(
        "INSERT INTO task_runs (id, task_id, status, started_at, ended_at, outcome) \
         VALUES (1, '{open}', 'running', 1, NULL, NULL), (2, '{ended}', 'crashed', 1, 5, 'crashed'); \
         UPDATE tasks SET current_run_id = CASE id WHEN '{open}' THEN 1 ELSE 2 END",
        open = ids[0],
        ended = ids[1],
    ))?;
    assert_eq!(
        apply(&mut store.db, &[], &claims(&ids), NOW)?.claimed.len(),
        2
    );
    let runs = [store.show(&ids[0])?, store.show(&ids[1])?]
        .map(|mut detail| detail.runs.swap_remove(0))
        .map(|run| (run.id, run.outcome, run.ended_at));
    let ends = [(1, "reclaimed", NOW), (2, "crashed", 5)];
    assert_eq!(
        runs,
        ends.map(|(run, outcome, at)| (run, Some(outcome.to_owned()), Some(at)))
    );
    Ok(())
}

#[test]
fn a_task_whose_parent_was_opened_meanwhile_is_lost() -> Result {
    let (_dir, mut store, ids) = board(2)?;
    store
        .db
        .execute("INSERT INTO task_links VALUES (?1, ?2)", [&ids[0], &ids[1]])?;
    let applied = apply(&mut store.db, &[], &claims(&ids[1..]), NOW)?;
    assert_eq!((applied.claimed, applied.lost), (vec![], ids[1..].to_vec()));
    store
        .db
        .execute("UPDATE tasks SET status = 'done' WHERE id = ?1", [&ids[0]])?;
    assert_eq!(
        apply(&mut store.db, &[], &claims(&ids[1..]), NOW)?
            .claimed
            .len(),
        1
    );
    Ok(())
}

/// The claim of one row of three is refused, and nothing of it stays.
fn refuses_the_claim_of_one(store: &mut Store, ids: &[String]) -> Result {
    let applied = apply(&mut store.db, &[], &claims(ids), NOW)?;
    assert_eq!(applied.claimed.len(), 2);
    assert_eq!(applied.refused, ids[1..2]);
    let left: (String, i64) = store.db.query_row(
        "SELECT max(status), (SELECT count(*) FROM task_runs WHERE task_id = ?1) FROM tasks WHERE id = ?1",
        [&ids[1]],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    assert_eq!(left, ("ready".to_owned(), 0));
    Ok(())
}

#[test]
fn a_row_that_ignores_its_claim_is_refused() -> Result {
    let (_dir, mut store, ids) = board(3)?;
    protect(&store, &ids[1], "IGNORE")?;
    refuses_the_claim_of_one(&mut store, &ids)
}

#[test]
fn an_attempt_that_is_ignored_starts_nobody() -> Result {
    let (_dir, mut store, ids) = board(3)?;
    store.db.execute_batch(&format!(
        "CREATE TRIGGER protect BEFORE INSERT ON task_runs WHEN new.task_id = '{}' BEGIN SELECT RAISE(IGNORE); END",
        ids[1]
    ))?;
    refuses_the_claim_of_one(&mut store, &ids)
}

#[test]
fn of_two_rows_with_one_id_neither_is_claimed() -> Result {
    let (_dir, mut store, ids) = board(3)?;
    // A copy of a table is without its key.
    store.db.execute_batch(&format!(
        "CREATE TABLE copy AS SELECT * FROM tasks; INSERT INTO copy SELECT * FROM tasks WHERE id = '{}'; \
         DROP TABLE tasks; ALTER TABLE copy RENAME TO tasks",
        ids[1]
    ))?;
    refuses_the_claim_of_one(&mut store, &ids)
}

#[test]
fn whether_to_claim_is_asked_again_when_the_wait_for_the_lock_is_over() -> Result {
    let (_dir, mut store, ids) = board(2)?;
    let path = store.db.path().ok_or("no path")?.to_owned();
    let other = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    other.busy_timeout(Duration::ZERO)?;
    let demotions = [Transition::Demote {
        task: ids[0].clone(),
    }];
    let may_claim = || {
        assert!(other.execute_batch("BEGIN IMMEDIATE").is_err(), "not ours");
        false
    };
    let applied = apply_while(&mut store.db, &demotions, &claims(&ids), NOW, may_claim)?;
    assert_eq!(applied.written, demotions, "what has ended is written");
    assert_eq!(applied.claimed, []);
    assert_eq!(store.list(Some("ready"))?.len(), 1);
    Ok(())
}

#[test]
fn a_row_that_rolls_everything_back_fails_the_decision_and_nothing_of_it_stays() -> Result {
    let (_dir, mut store, ids) = board(3)?;
    protect(&store, &ids[1], "ROLLBACK, 'hands off'")?;
    assert!(apply(&mut store.db, &[], &claims(&ids), NOW).is_err());
    assert!(store.db.is_autocommit());
    assert_eq!(store.list(Some("ready"))?.len(), 3);
    Ok(())
}

#[test]
fn identities_are_synced_whatever_the_level_was_before() -> Result {
    let (_dir, mut store, ids) = board(1)?;
    let applied = apply(&mut store.db, &[], &claims(&ids), NOW)?;
    store.db.execute_batch("PRAGMA synchronous = NORMAL")?;
    let started = applied.claimed.iter().map(|work| Started {
        task: work.task.clone(),
        run: work.run,
        lock: work.lock.clone(),
        pid: 1,
        workspace: String::new(),
        branch: None,
    });
    let started: Vec<Started> = started.collect();
    assert_eq!(record_started(&mut store.db, &started, NOW)?, [""; 0]);
    let level: i64 = store
        .db
        .pragma_query_value(None, "synchronous", |row| row.get(0))?;
    assert_eq!(level, 2);
    Ok(())
}

#[test]
fn whatever_comes_of_claims_the_next_commit_is_synced() -> Result {
    let (_dir, mut store, ids) = board(3)?;
    let level = |store: &Store| {
        store
            .db
            .pragma_query_value(None, "synchronous", |row| row.get(0))
    };
    const FULL: i64 = 2;
    let path = store.db.path().ok_or("no path")?.to_owned();

    apply(&mut store.db, &[], &claims(&ids[..1]), NOW)?;
    assert_eq!(level(&store), Ok(FULL));

    let other = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    other.execute_batch("BEGIN IMMEDIATE")?;
    store.db.busy_timeout(Duration::ZERO)?;
    assert!(apply(&mut store.db, &[], &claims(&ids[1..]), NOW).is_err());
    assert_eq!(level(&store), Ok(FULL), "it did not begin");

    other.execute_batch("ROLLBACK")?;
    protect(&store, &ids[1], "ROLLBACK, 'hands off'")?;
    assert!(apply(&mut store.db, &[], &claims(&ids[1..]), NOW).is_err());
    assert_eq!(level(&store), Ok(FULL), "it was rolled back");

    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        apply_while(&mut store.db, &[], &claims(&ids[2..]), NOW, || {
            panic!("on purpose")
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(level(&store), Ok(FULL), "it was given up");
    Ok(())
}

#[test]
fn a_running_task_without_a_claim_leaves_running_under_the_empty_lock() -> Result {
    let (_dir, mut store, ids) = board(2)?;
    let applied = apply(&mut store.db, &[], &claims(&ids), NOW)?;
    assert_eq!(applied.claimed.len(), 2);
    store.db.execute(
        "UPDATE tasks SET claim_lock = NULL, claim_expires = NULL WHERE id = ?1",
        [&ids[0]],
    )?;

    let ends = [reclaim(&ids[0], ""), reclaim(&ids[1], "")];
    let applied = apply(&mut store.db, &ends, &[], NOW + 1)?;
    assert_eq!(applied.written, ends[..1]);
    assert_eq!(applied.lost, ids[1..], "a claim that is there still counts");
    let ended = store.show(&ids[0])?;
    assert_eq!(ended.task.status, "ready");
    assert_eq!(ended.runs[0].outcome.as_deref(), Some("reclaimed"));
    assert_eq!(store.show(&ids[1])?.task.status, "running");
    Ok(())
}

#[test]
fn a_claimed_row_of_odd_values_gives_the_work_that_can_be_read_off_it() -> Result {
    let (_dir, mut store, ids) = board(1)?;
    // The column's declared type would turn some of these into what they should have been.
    store.db.execute_batch(
        "UPDATE tasks SET title = x'00ff', assignee = CAST(x'636f646572ff' AS TEXT), tenant = 7, skills = x'5b5d', \
         goal_mode = 'yes', goal_max_turns = 3.5, max_runtime_seconds = '60', workspace_path = CAST(x'2fff' AS TEXT), \
         current_run_id = 'none'",
    )?;
    let applied = apply(&mut store.db, &[], &claims(&ids), NOW)?;
    let [work] = &applied.claimed[..] else {
        return Err(format!("{applied:?}").into());
    };
    assert_eq!(
        (work.title.as_str(), work.profile.as_str()),
        ("", "coder\u{fffd}")
    );
    assert_eq!(work.tenant.as_deref(), Some("7"));
    assert_eq!((work.goal_mode, work.goal_turns_max), (false, Some(3)));
    assert_eq!(work.max_runtime, Some(60));
    assert_eq!(
        work.workspace_path, None,
        "no other path than the one that was meant"
    );
    assert_eq!(current_run(&store.db, &ids[0])?, Some(work.run));
    Ok(())
}
