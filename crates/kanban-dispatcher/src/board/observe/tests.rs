//! What is read of a row, and that a later turn prepares nothing to do so.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use tempfile::TempDir;

use super::*;
use crate::board::{Started, apply, open_existing, record_started};
use crate::clock::Clock;
use crate::root::{Root, Slug};
use crate::transition::{Claim, Transition};

type Test<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

fn board() -> Test<(TempDir, Connection)> {
    let dir = tempfile::tempdir()?;
    let board = Root::at(dir.path()).board(&Slug::default());
    crate::Store::init(&board, &Clock::system())?;
    let db = open_existing(board.db(), Duration::ZERO)?;
    Ok((dir, db))
}

#[test]
fn every_column_is_read_from_its_own_place() -> Test {
    let (_dir, db) = board()?;
    db.execute_batch(
        "INSERT INTO tasks (id, title, assignee, status, priority, created_at, started_at, claim_lock, claim_expires, \
         worker_pid, last_heartbeat_at, consecutive_failures, max_retries, max_runtime_seconds, current_run_id, \
         workspace_kind, last_failure_error, skills) \
         VALUES ('t', 'title', 'coder', 'ready', 1, 2, 3, 'lock', 4, 5, 6, 7, 8, 9, 10, 'dir', 'why', '[\"skill\"]'); \
         INSERT INTO task_runs (id, task_id, status, started_at) VALUES (10, 't', 'running', 11); \
         INSERT INTO tasks (id, title, status, created_at) VALUES ('p', 'parent', 'triage', 1); \
         INSERT INTO task_links VALUES ('p', 't')",
    )?;
    let expected = Task {
        id: "t".to_owned(),
        status: Status::Ready,
        assignee: Some("coder".to_owned()),
        priority: 1,
        created_at: 2,
        started_at: Some(3),
        claim_lock: Some("lock".to_owned()),
        claim_expires: Some(4),
        worker_pid: Some(5),
        last_heartbeat_at: Some(6),
        failures: 7,
        max_retries: Some(8),
        max_runtime: Some(9),
        run: Some(10),
        run_started_at: Some(11),
        workspace_kind: "dir".to_owned(),
        has_open_parent: true,
        past: Past {
            error: Some("why".to_owned()),
            ..Past::default()
        },
        ..Task::default()
    };
    assert_eq!(observe(&db)?.tasks, std::slice::from_ref(&expected));
    db.execute_batch("UPDATE task_runs SET max_runtime_seconds = 12; DELETE FROM task_links")?;
    let expected = Task {
        max_runtime: Some(12),
        has_open_parent: false,
        ..expected
    };
    assert_eq!(observe(&db)?.tasks, [expected]);
    Ok(())
}

#[test]
fn what_cannot_be_read_is_named_as_the_board_names_it() -> Test {
    let (_dir, db) = board()?;
    db.execute_batch(
        "INSERT INTO tasks (id, title, status, created_at, current_run_id) VALUES ('t', 'title', 'ready', 1, 1); \
         INSERT INTO task_runs (id, task_id, status, started_at) VALUES (1, 't', 'running', 2)",
    )?;
    for (table, column, reason) in [
        ("tasks", "priority", "priority is not a number"),
        ("tasks", "started_at", "started_at is not a time"),
        ("tasks", "claim_lock", "claim_lock is not text"),
        ("tasks", "claim_expires", "claim_expires is not a time"),
        ("tasks", "worker_pid", "worker_pid is not a number"),
        (
            "tasks",
            "last_heartbeat_at",
            "last_heartbeat_at is not a time",
        ),
        (
            "tasks",
            "consecutive_failures",
            "consecutive_failures is not a number",
        ),
        ("tasks", "max_retries", "max_retries is not a number"),
        (
            "tasks",
            "max_runtime_seconds",
            "max_runtime_seconds is not a number",
        ),
        ("tasks", "title", "title is not text"),
        ("tasks", "skills", "skills is not a JSON array of names"),
        ("task_runs", "started_at", "run_started_at is not a time"),
        (
            "task_runs",
            "max_runtime_seconds",
            "run_limit is not a number",
        ),
    ] {
        let tx = db.unchecked_transaction()?;
        tx.execute(&format!("UPDATE {table} SET {column} = x'ff'"), [])?;
        for read in [all, movable] {
            let view = read(&tx)?;
            let reasons: Vec<&str> = view.bad_rows.iter().map(|row| &*row.reason).collect();
            assert_eq!(reasons, [reason]);
        }
        tx.rollback()?;
    }
    Ok(())
}

/// One of so many, drawn from this seed.
fn drawn(seed: &mut u64, below: u32) -> u32 {
    // The constants of Knuth's MMIX.
    *seed = seed
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    u32::try_from(*seed >> 33).unwrap_or_default() % below
}

#[test]
fn what_may_move_is_what_is_unfinished_but_for_those_that_wait() -> Test {
    let statuses = [
        "todo", "todo", "todo", "ready", "running", "blocked", "review", "done", "archived",
        "triage",
    ];
    let kinds = ["blocked", "unblocked", "claimed"];
    let mut seen = (0, 0);
    for start in 0..60 {
        let mut seed = start;
        // Also so many that each task is asked about by itself.
        let links = [15, 60, 900][start as usize % 3];
        let (_dir, db) = board()?;
        let tx = db.unchecked_transaction()?;
        for task in 0..30 {
            let status = statuses[drawn(&mut seed, 10) as usize];
            db.execute(
                "INSERT INTO tasks (id, title, status, created_at, consecutive_failures) VALUES (?1, 'work', ?2, 1, ?3)",
                (format!("t{task}"), status, drawn(&mut seed, 3)),
            )?;
        }
        for _ in 0..links {
            // A parent may be gone, and may be the task itself.
            let (parent, child) = (drawn(&mut seed, 35), drawn(&mut seed, 15) * 2);
            db.execute(
                "INSERT OR IGNORE INTO task_links VALUES (?1, ?2)",
                (format!("t{parent}"), format!("t{child}")),
            )?;
        }
        for _ in 0..90 {
            db.execute(
                "INSERT INTO task_events (task_id, kind, created_at) VALUES (?1, ?2, ?3)",
                (
                    format!("t{}", drawn(&mut seed, 30)),
                    kinds[drawn(&mut seed, 3) as usize],
                    // Not by the clock: by what came later.
                    drawn(&mut seed, 90),
                ),
            )?;
        }
        tx.commit()?;
        // And it may have a name that is no text, or none that can be shown.
        db.execute_batch(
            "INSERT INTO task_links VALUES ('t7', 't29'), ('t8', 't27'); \
             UPDATE tasks SET id = x'7437' WHERE id = 't7'; UPDATE task_links SET parent_id = x'7437' WHERE parent_id = 't7'; \
             UPDATE tasks SET id = CAST(x'74ff' AS TEXT) WHERE id = 't8'; \
             UPDATE task_links SET parent_id = CAST(x'74ff' AS TEXT) WHERE parent_id = 't8'",
        )?;
        // As one would ask about each by itself.
        let open = open_parent!();
        let plain = [
            (free::to_do(&db)?, format!("t.status = 'todo' AND NOT {open}")),
            (
                free::blocked(&db)?,
                "t.status = 'blocked' AND (SELECT e.kind FROM task_events e WHERE e.task_id = t.id \
                 AND e.kind IN ('blocked', 'unblocked') ORDER BY e.id DESC LIMIT 1) IS NOT 'blocked'"
                    .to_owned(),
            ),
        ];
        for (free, which) in plain {
            let sql = format!("SELECT t.rowid FROM tasks t WHERE {which} ORDER BY t.rowid");
            let mut statement = db.prepare(&sql)?;
            let expected: Result<Vec<i64>> = statement.query_map([], |row| row.get(0))?.collect();
            assert_eq!(free, expected?, "seed {start}: {which}");
        }
        let mut all = observe(&db)?.tasks;
        all.retain(|task| match task.status {
            Status::Todo => !task.has_open_parent,
            Status::Blocked => !task.has_open_parent && !task.is_sticky,
            Status::Ready | Status::Running | Status::Review => true,
        });
        let mut those = movable(&db)?.tasks;
        all.sort_by(|a, b| a.id.cmp(&b.id));
        those.sort_by(|a, b| a.id.cmp(&b.id));
        assert_eq!(those, all, "seed {start}");
        let count = |status| those.iter().filter(|task| task.status == status).count();
        seen = (
            seen.0 + count(Status::Todo),
            seen.1 + count(Status::Blocked),
        );
    }
    assert!(seen.0 > 10 && seen.1 > 10, "{seen:?}");
    Ok(())
}

#[test]
fn a_word_whose_number_is_none_costs_the_board_nothing() -> Test {
    let (_dir, db) = board()?;
    // A copy of a table is without its key.
    db.execute_batch(
        "INSERT INTO tasks (id, title, status, created_at) VALUES ('t', 'work', 'blocked', 1); \
         CREATE TABLE copy (id INTEGER, task_id TEXT, run_id INTEGER, kind TEXT, payload TEXT, created_at INTEGER); \
         DROP TABLE task_events; ALTER TABLE copy RENAME TO task_events; \
         INSERT INTO task_events (id, task_id, kind) VALUES ('one', 't', 'blocked'), (1.5, 't', 'unblocked')",
    )?;
    assert_eq!(movable(&db)?.tasks.len(), 1);
    Ok(())
}

#[test]
fn everything_is_read_as_of_the_first_question() -> Test {
    let (_dir, db) = board()?;
    let path = db.path().ok_or("no path")?.to_owned();
    let other = open_existing(path.as_ref(), Duration::ZERO)?;
    let look = Look::begin(&db)?;
    look.schema_version()?;
    other.execute_batch(
        "INSERT INTO tasks (id, title, status, created_at) VALUES ('t', 'title', 'ready', 1)",
    )?;
    assert_eq!(look.view()?.tasks, []);
    assert_eq!(observe(&db)?.tasks.len(), 1);
    Ok(())
}

/// One turn of a board: what it takes to read it, to claim what is ready, to demote one, and to record the starts.
fn turn(db: &mut Connection) -> Test {
    let look = Look::begin(db)?;
    look.schema_version()?;
    let view = look.view()?;
    let of = |status| {
        view.tasks
            .iter()
            .filter(move |task| task.status == status)
            .take(3)
    };
    let claims: Vec<Claim> = of(Status::Ready)
        .map(|task| Claim {
            task: task.id.clone(),
            from: Status::Ready,
            lock: "rs.host:1:a".to_owned(),
            expires: 900,
        })
        .collect();
    let promotions: Vec<Transition> = of(Status::Todo)
        .map(|task| Transition::Promote {
            task: task.id.clone(),
            from: Status::Todo,
        })
        .collect();
    let applied = apply(db, &promotions, &claims, 1)?;
    assert_eq!((applied.written.len(), applied.claimed.len()), (3, 3));
    let started: Vec<Started> = applied
        .claimed
        .into_iter()
        .map(|work| Started {
            task: work.task,
            run: work.run,
            lock: work.lock,
            pid: 7,
            workspace: "/w".to_owned(),
            branch: None,
        })
        .collect();
    assert!(record_started(db, &started, 1)?.is_empty());
    Ok(())
}

/// So many tasks of each kind, with the same past: what is read of one of each.
fn alike(many: usize) -> Test<Vec<Task>> {
    let (_dir, db) = board()?;
    let tx = db.unchecked_transaction()?;
    for status in ["ready", "blocked"] {
        for n in 0..many {
            let id = format!("{status} {n}");
            tx.execute(
                "INSERT INTO tasks (id, title, status, created_at) VALUES (?1, 'work', ?2, 1)",
                (&id, status),
            )?;
            tx.execute(
                "INSERT INTO task_runs (task_id, status, started_at, ended_at, outcome, error) \
                 VALUES (?1, 'crashed', 1, 5, 'crashed', 'protocol violation')",
                [&id],
            )?;
            tx.execute(
                "INSERT INTO task_comments (task_id, author, body, created_at) \
                 VALUES (?1, 'coder', 'see https://github.com/a/b/pull/7', 6)",
                [&id],
            )?;
            tx.execute(
                "INSERT INTO task_events (task_id, kind, created_at) VALUES (?1, 'gave_up', 7)",
                [&id],
            )?;
        }
    }
    tx.commit()?;
    let mut tasks = movable(&db)?.tasks;
    assert_eq!(tasks.len(), 2 * many);
    for task in &mut tasks {
        task.id.clear();
    }
    tasks.sort_by_key(|task| task.status == Status::Blocked);
    tasks.dedup();
    Ok(tasks)
}

#[test]
fn the_pasts_of_many_are_read_like_those_of_few() -> Test {
    let few = alike(1)?;
    assert_eq!(few.len(), 2);
    for task in &few {
        assert_eq!((task.violations, task.past.ended_at), (1, Some(5)));
        assert_eq!(task.past.pull_request_at, Some(6));
        assert_eq!(task.past.give_ups > 0, task.status == Status::Blocked);
    }
    assert_eq!(alike(70)?, few);
    Ok(())
}

#[test]
fn a_claim_does_not_end_the_attempt_that_it_makes() -> Test {
    let (_dir, mut db) = board()?;
    // An attempt that is not there, and whose number comes next.
    db.execute_batch(
        "INSERT INTO tasks (id, title, assignee, status, created_at, current_run_id) \
         VALUES ('t', 'work', 'coder', 'ready', 1, 1)",
    )?;
    let claim = Claim {
        task: "t".to_owned(),
        from: Status::Ready,
        lock: "rs.host:1:a".to_owned(),
        expires: 900,
    };
    let applied = apply(&mut db, &[], &[claim], 1)?;
    assert_eq!(applied.claimed.len(), 1);
    let run: (i64, String, Option<i64>) =
        db.query_row("SELECT id, status, ended_at FROM task_runs", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    assert_eq!(run, (1, "running".to_owned(), None));
    Ok(())
}

#[test]
fn a_later_turn_prepares_no_statement() -> Test {
    let (_dir, mut db) = board()?;
    for n in 0..15 {
        let status = if n < 6 { "ready" } else { "todo" };
        db.execute(
            "INSERT INTO tasks (id, title, assignee, status, created_at) VALUES (?1, 'work', 'coder', ?2, 1)",
            (format!("t{n}"), status),
        )?;
    }
    turn(&mut db)?;
    // SQLite asks while it prepares a statement, and only then.
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    db.authorizer(Some(move |context: AuthContext<'_>| {
        // The level of a commit's sync: a pragma that acts when it is prepared.
        let is_level = matches!(
            context.action,
            AuthAction::Pragma {
                pragma_name: "synchronous",
                ..
            }
        );
        count.fetch_add(usize::from(!is_level), Ordering::Relaxed);
        Authorization::Allow
    }))?;
    // The hook itself makes every statement be prepared once more.
    turn(&mut db)?;
    assert!(asked.swap(0, Ordering::Relaxed) > 0);
    turn(&mut db)?;
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    Ok(())
}
