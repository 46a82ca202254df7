//! Writes a decision: one transaction, every change guarded by what the decision saw.

use rusqlite::{Connection, Result};

use super::claim::take;
use super::event::{self, Payload, current_run};
use super::failure::fail;
use super::given_back::{assign, give_back_stale, guard, release, set_aside};
use super::txn::{Txn, guarded};
use super::work::Work;
use crate::transition::{Claim, Transition};
use crate::view::Status;

/// What became of a decision.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// Changes that were written.
    pub(crate) written: Vec<Transition>,
    /// Tasks that somebody else changed in between: left as they are, and seen as they are by the next look.
    pub(crate) lost: Vec<String>,
    /// Tasks whose row refused the change, by a constraint or a trigger: left as they are, and the next look decides the same.
    pub(crate) refused: Vec<String>,
    /// Tasks that are now ours to start.
    pub(crate) claimed: Vec<Work>,
}

/// Writes `transitions` and then `claims` in one transaction. A change whose guard fails is skipped; an error undoes all.
pub(crate) fn apply(
    db: &mut Connection,
    transitions: &[Transition],
    claims: &[Claim],
    now: i64,
) -> Result<Applied> {
    apply_while(db, transitions, claims, now, || true)
}

/// Whether a write could begin now. Nothing is written.
pub(crate) fn prove_writable(db: &mut Connection) -> Result<()> {
    Txn::write(db)?.rollback()
}

/// As [`apply`], but each claim only if `may_claim` still says so. It is asked with the write lock held: to get it may take a while.
pub(crate) fn apply_while(
    db: &mut Connection,
    transitions: &[Transition],
    claims: &[Claim],
    now: i64,
    may_claim: impl Fn() -> bool,
) -> Result<Applied> {
    let mut applied = Applied::default();
    if transitions.is_empty() && claims.is_empty() {
        return Ok(applied);
    }
    // A claim must last from when its worker begins: `record_started` syncs it with the worker's identity, before a gate opens.
    let tx = match transitions.is_empty() {
        true => Txn::write_unsynced(db)?,
        false => Txn::write(db)?,
    };
    for transition in transitions {
        let task = transition.task();
        match guarded(&tx, task, |db| write(db, transition, now))? {
            Some(true) => applied.written.push(transition.clone()),
            Some(false) => applied.lost.push(task.to_owned()),
            None => applied.refused.push(task.to_owned()),
        }
    }
    for claim in claims.iter().take_while(|_| may_claim()) {
        match guarded(&tx, &claim.task, |db| take(db, claim, now))? {
            Some(Some(work)) => applied.claimed.push(work),
            Some(None) => applied.lost.push(claim.task.clone()),
            None => applied.refused.push(claim.task.clone()),
        }
    }
    tx.commit()?;
    Ok(applied)
}

/// Writes promotions inside a transaction of the caller's. A row that refuses its own stays where it is.
pub(super) fn promote(db: &Connection, promotions: &[Transition], now: i64) -> Result<()> {
    for promotion in promotions {
        guarded(db, promotion.task(), |db| write(db, promotion, now))?;
    }
    Ok(())
}

fn write(db: &Connection, transition: &Transition, now: i64) -> Result<bool> {
    match transition {
        Transition::Renew {
            task,
            lock,
            expires,
        } => renew(db, task, lock, *expires),
        Transition::Extend {
            task,
            lock,
            pid,
            expires_was,
            expires,
            last_heartbeat_at,
        } => {
            let payload = Payload::new()
                .with("reason", "pid_alive")
                .with("worker_pid", *pid)
                .with("claim_lock", lock.as_str())
                .with("claim_expires_was", *expires_was)
                .with("claim_expires_now", *expires)
                .with("last_heartbeat_at", *last_heartbeat_at);
            Ok(renew(db, task, lock, *expires)? && {
                event::append(
                    db,
                    task,
                    "claim_extended",
                    &payload,
                    current_run(db, task)?,
                    now,
                )?;
                true
            })
        }
        Transition::Reclaim(reclaim) => release(db, reclaim, now),
        Transition::Stale(stale) => give_back_stale(db, stale, now),
        Transition::Fail(failure) => fail(db, failure, now),
        Transition::Assign { task, assignee } => assign(db, task, assignee, now),
        Transition::Guard { task, reason } => guard(db, task, reason, now),
        Transition::SetAside { task, reason } => set_aside(db, task, reason, now),
        Transition::Probe { task, give_ups } => {
            let payload = Payload::new()
                .with("reason", "probe")
                .with("give_ups", *give_ups);
            Ok(step(db, task, Status::Blocked, Status::Ready)? && {
                event::append(db, task, "promoted", &payload, None, now)?;
                true
            })
        }
        Transition::Promote { task, from } => Ok(step(db, task, *from, Status::Ready)? && {
            event::append(db, task, "promoted", &Payload::new(), None, now)?;
            true
        }),
        Transition::Demote { task } => {
            let payload = Payload::new().with("reason", "parents_not_done");
            Ok(step(db, task, Status::Ready, Status::Todo)? && {
                event::append(db, task, "claim_rejected", &payload, None, now)?;
                true
            })
        }
    }
}

fn step(db: &Connection, task: &str, from: Status, to: Status) -> Result<bool> {
    let rows = db
        .prepare_cached("UPDATE tasks SET status = ?3 WHERE id = ?1 AND status = ?2")?
        .execute((task, from.as_str(), to.as_str()))?;
    Ok(rows == 1)
}

fn renew(db: &Connection, task: &str, lock: &str, expires: i64) -> Result<bool> {
    let rows = db
        .prepare_cached(
            "UPDATE tasks SET claim_expires = ?3 WHERE id = ?1 AND status = 'running' AND claim_lock = ?2",
        )?
        .execute((task, lock, expires))?;
    if rows == 1 {
        db.prepare_cached(
            "UPDATE task_runs SET claim_expires = ?2 WHERE ended_at IS NULL \
             AND id = (SELECT current_run_id FROM tasks WHERE id = ?1)",
        )?
        .execute((task, expires))?;
    }
    Ok(rows == 1)
}

/// running -> `to`, the claim cleared, guarded by the exact lock and pid. The lock of a task that has none is the empty text.
pub(super) fn leave_running(
    db: &Connection,
    task: &str,
    lock: &str,
    pid: Option<i64>,
    to: Status,
) -> Result<bool> {
    let rows = db
        .prepare_cached(
            "UPDATE tasks SET status = ?4, claim_lock = NULL, claim_expires = NULL, worker_pid = NULL \
             WHERE id = ?1 AND status = 'running' AND COALESCE(claim_lock, '') = ?2 AND worker_pid IS ?3",
        )?
        .execute((task, lock, pid, to.as_str()))?;
    Ok(rows == 1)
}

#[cfg(test)]
mod tests {
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

    /// This task's row refuses every change from now on.
    fn protect(store: &Store, id: &str, how: &str) -> Result {
        Ok(store.db.execute_batch(&format!(
            "CREATE TRIGGER protect BEFORE UPDATE ON tasks WHEN old.id = '{id}' \
             BEGIN SELECT RAISE({how}, 'hands off'); END"
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
        protect(&store, barred, "ABORT")?;
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
        protect(&store, &ids[1], "ROLLBACK")?;
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
        protect(&store, &ids[1], "ROLLBACK")?;
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
}
