//! One odd row costs the others nothing: ids that are no text, texts in number columns, numbers that no clock shows, rows that
//! refuse to be changed. SQLite keeps any type in any column, and boards have had many writers.

mod support;

use kanban_dispatcher::{Block, Complete, ErrorKind, HeldReason, NewTask, Outcome};
use rusqlite::Connection;
use support::{Fleet, Result, START, task, value};

/// A task's row by itself, whatever the values are. Ready and with an assignee, unless `columns` says otherwise.
fn insert(db: &Connection, id: &str, columns: &[(&str, &str)]) -> Result {
    let mut row = vec![
        ("id", id),
        ("title", "'odd'"),
        ("assignee", "'coder'"),
        ("status", "'ready'"),
        ("created_at", "1"),
    ];
    row.retain(|(name, _)| !columns.iter().any(|(other, _)| other == name));
    row.extend(columns);
    let (names, values): (Vec<&str>, Vec<&str>) = row.into_iter().unzip();
    let (names, values) = (names.join(", "), values.join(", "));
    Ok(db.execute_batch(&format!("INSERT INTO tasks ({names}) VALUES ({values})"))?)
}

/// Text that is no UTF-8.
const NOT_UTF8: &str = "CAST(x'745fff' AS TEXT)";

/// Ids that no program can name, with a parent to wait for and an attempt to remember.
fn insert_unreadable(db: &Connection) -> Result {
    insert(db, "'t_parent'", &[("status", "'triage'")])?;
    for id in ["x'00ff'", "CAST(x'74ff' AS TEXT)", "NULL"] {
        for status in ["'ready'", "'todo'", "'blocked'"] {
            // One of each, since ids are unique.
            let id = if id == "NULL" {
                id.to_owned()
            } else {
                format!(
                    "CAST({id} || {status} AS {})",
                    if id.starts_with('x') { "BLOB" } else { "TEXT" }
                )
            };
            insert(
                db,
                &id,
                &[("status", status), ("last_failure_error", "'x'")],
            )?;
            if id != "NULL" {
                db.execute_batch(&format!(
                    "INSERT INTO task_links VALUES ('t_parent', {id});
                     INSERT INTO task_runs (task_id, status, started_at, ended_at, outcome) \
                     VALUES ({id}, 'rate_limited', 1, {START}, 'rate_limited')"
                ))?;
            }
        }
    }
    Ok(())
}

#[test]
fn rows_that_cannot_be_named_are_set_aside_and_the_rest_of_the_board_is_served() -> Result {
    let fleet = Fleet::new()?;
    let ready = fleet.ready("alpha", 2)?;
    let db = fleet.connect("alpha")?;
    insert_unreadable(&db)?;
    insert(&db, "'t_lock'", &[("claim_lock", "x'6162'")])?;
    insert(&db, "'t_lock8'", &[("claim_lock", NOT_UTF8)])?;
    insert(&db, "'t_time'", &[("started_at", "'long ago'")])?;

    let mut dispatcher = fleet.dispatcher();
    for tick in 0..2 {
        let report = dispatcher.tick();
        let alpha = fleet.part(&report, "alpha")?;
        assert_eq!(alpha.outcome, Outcome::Ticked, "{:?}", alpha.failure);
        assert_eq!(alpha.started, if tick == 0 { &ready[..] } else { &[] });
        // Those that a statement can find are blocked by then; four wait for a parent, and are not looked at.
        let bad = if tick == 0 { 8 } else { 5 };
        assert_eq!(alpha.held.get(&HeldReason::BadRow), Some(&bad), "{alpha:?}");
    }
    for (id, reason) in [
        ("t_lock", "claim_lock is not text"),
        ("t_lock8", "claim_lock is not text"),
        ("t_time", "started_at is not a time"),
    ] {
        let detail = fleet.store("alpha")?.show(id)?;
        assert_eq!(detail.task.status, "blocked", "{id}");
        let event = detail.events.last().ok_or("no event")?;
        assert_eq!(
            (event.kind.as_str(), &event.payload["reason"]),
            ("blocked", &reason.into())
        );
    }
    assert!(fleet.complaints().is_empty(), "{:#?}", fleet.complaints());
    Ok(())
}

#[test]
fn an_attempt_that_is_no_number_is_no_attempt() -> Result {
    let fleet = Fleet::new()?;
    fleet.store("alpha")?;
    let db = fleet.connect("alpha")?;
    for (n, run) in ["'none'", "x'01'", "1.5", NOT_UTF8].iter().enumerate() {
        let claim = [
            ("status", "'running'"),
            ("claim_lock", "'elsewhere:1'"),
            ("claim_expires", "5"),
        ];
        insert(&db, &format!("'t_a{n}'"), &[("current_run_id", run)])?;
        let mut columns = claim.to_vec();
        columns.push(("current_run_id", run));
        insert(&db, &format!("'t_b{n}'"), &columns)?;
    }
    let mut dispatcher = fleet.dispatcher();
    let report = dispatcher.tick();
    let alpha = fleet.part(&report, "alpha")?;
    // The expired ones are ready again, and start in the same tick.
    assert_eq!(alpha.started.len(), 8, "{alpha:?}");
    assert_eq!(
        value::<i64>(
            &db,
            "SELECT count(*) FROM tasks t JOIN task_runs r ON r.id = t.current_run_id WHERE r.ended_at IS NULL"
        )?,
        8
    );
    Ok(())
}

#[test]
fn a_rest_never_outlasts_its_cooldown_whatever_time_is_stored() -> Result {
    let fleet = Fleet::new()?;
    fleet.store("alpha")?;
    let db = fleet.connect("alpha")?;
    let ends = [
        (START, false),
        (START + 86_400, true),
        (i64::MAX, true),
        (i64::MIN, true),
    ];
    for (n, (ended_at, _)) in ends.iter().enumerate() {
        insert(
            &db,
            &format!("'t_{n}'"),
            &[("last_failure_error", "'later'")],
        )?;
        db.execute(
            "INSERT INTO task_runs (task_id, status, started_at, ended_at, outcome) \
             VALUES (?1, 'rate_limited', 1, ?2, 'rate_limited')",
            (format!("t_{n}"), ended_at),
        )?;
    }
    let report = fleet.dispatcher().tick();
    let alpha = fleet.part(&report, "alpha")?;
    let started: Vec<bool> = (0..ends.len())
        .map(|n| alpha.started.contains(&format!("t_{n}")))
        .collect();
    assert_eq!(started, ends.map(|(_, starts)| starts), "{alpha:?}");
    assert_eq!(alpha.held.get(&HeldReason::Cooldown), Some(&1));
    Ok(())
}

#[test]
fn a_list_shows_every_row_and_of_each_what_can_be_read() -> Result {
    let fleet = Fleet::new()?;
    let store = fleet.store("alpha")?;
    let db = fleet.connect("alpha")?;
    // Without the constraints, as a board may have it that another program made.
    db.execute_batch(
        "ALTER TABLE tasks RENAME TO strict;
         CREATE TABLE tasks AS SELECT * FROM strict;
         DROP TABLE strict;",
    )?;
    insert_unreadable(&db)?;
    insert(
        &db,
        "'t_odd'",
        &[
            ("title", "NULL"),
            ("body", "x'6869ff'"),
            ("assignee", NOT_UTF8),
            ("priority", "'high'"),
            ("created_at", "' 12 '"),
            ("started_at", "12.0"),
            ("completed_at", "'yesterday'"),
            ("result", "7"),
            ("consecutive_failures", "x'01'"),
        ],
    )?;
    assert_eq!(store.list(None)?.len(), 11);
    assert_eq!(store.list(Some("ready"))?.len(), 4);
    let odd = store.show("t_odd")?.task;
    assert_eq!(
        (odd.title.as_str(), odd.body.as_deref()),
        ("", Some("hi\u{fffd}"))
    );
    assert_eq!(odd.assignee.as_deref(), Some("t_\u{fffd}"));
    assert_eq!((odd.priority, odd.consecutive_failures), (0, 0));
    assert_eq!(
        (odd.created_at, odd.started_at, odd.completed_at),
        (12, Some(12), None)
    );
    assert_eq!(odd.result.as_deref(), Some("7"));

    insert(&db, "'t_lost'", &[("status", "NULL")])?;
    insert(&db, "'t_none'", &[("status", "x'ff'")])?;
    assert_eq!(store.list(None)?.len(), 13);
    assert_eq!(store.counts()?.iter().map(|(_, n)| n).sum::<i64>(), 13);
    Ok(())
}

#[test]
fn a_history_of_odd_rows_is_shown() -> Result {
    let fleet = Fleet::new()?;
    let id = fleet.ready("alpha", 1)?.remove(0);
    let db = fleet.connect("alpha")?;
    db.execute_batch(&format!(
        "INSERT INTO task_links VALUES (x'ff', '{id}'), ({NOT_UTF8}, '{id}'), ('{id}', x'fe');
         INSERT INTO task_comments (task_id, author, body, created_at) VALUES ('{id}', x'6d65', {NOT_UTF8}, 'then');
         INSERT INTO task_events (task_id, run_id, kind, payload, created_at) VALUES
             ('{id}', 'none', x'6f6464', x'7b7d', 'then'), ('{id}', 1.5, 'odd', {NOT_UTF8}, 2.5);
         INSERT INTO task_runs (task_id, profile, status, summary, metadata, worker_pid, started_at, ended_at) VALUES
             ('{id}', x'ff', x'6f6464', 7, '{{', 'none', 'then', '1e3');"
    ))?;
    let detail = fleet.store("alpha")?.show(&id)?;
    assert_eq!((detail.parents.len(), detail.children.len()), (2, 1));
    assert_eq!(detail.comments[0].author, "me");
    assert_eq!(detail.comments[0].created_at, 0);
    let events = &detail.events[1..];
    assert_eq!(events[0].kind, "odd");
    assert_eq!((events[0].run_id, events[0].created_at), (None, 0));
    assert_eq!((events[1].run_id, events[1].created_at), (None, 2));
    let run = &detail.runs[0];
    assert_eq!(
        (run.status.as_str(), run.summary.as_deref()),
        ("odd", Some("7"))
    );
    assert_eq!(
        (run.worker_pid, run.started_at, run.ended_at),
        (None, 0, Some(1000))
    );
    Ok(())
}

#[test]
fn what_people_do_goes_on_beside_odd_rows_and_on_them() -> Result {
    let fleet = Fleet::new()?;
    let mut store = fleet.store("alpha")?;
    let parent = store.create(&task(0))?;
    let child = store.create(&NewTask {
        parents: vec![parent.clone()],
        ..task(0)
    })?;
    let db = fleet.connect("alpha")?;
    insert_unreadable(&db)?;
    db.execute_batch(&format!(
        "INSERT INTO task_links SELECT '{parent}', id FROM tasks WHERE typeof(id) = 'blob'"
    ))?;
    for id in ["'t_beats'", "'t_blocks'", "'t_odd'"] {
        insert(
            &db,
            id,
            &[
                ("status", "'running'"),
                ("current_run_id", "'none'"),
                ("block_kind", "x'ff'"),
                ("block_recurrences", "'often'"),
            ],
        )?;
    }
    insert(&db, "'t_status'", &[("status", "x'ff'")])?;

    store.heartbeat("t_beats", None, None, None)?;
    assert_eq!(store.block("t_blocks", &Block::default())?, "blocked");
    assert_eq!(store.unblock("t_blocks")?, "ready");
    store.complete("t_odd", &Complete::default())?;
    let error = store.complete(
        "t_beats",
        &Complete {
            run: Some(1),
            ..Complete::default()
        },
    );
    assert_eq!(
        error.err().map(|error| error.kind()),
        Some(ErrorKind::Refused)
    );
    let error = store.complete("t_status", &Complete::default());
    assert_eq!(
        error.err().map(|error| error.kind()),
        Some(ErrorKind::Refused)
    );
    let waiting = store.create(&NewTask {
        parents: vec!["t_status".to_owned()],
        ..task(0)
    })?;
    assert_eq!(store.show(&waiting)?.task.status, "todo");

    store.complete(&parent, &Complete::default())?;
    assert_eq!(store.show(&child)?.task.status, "ready");
    assert_eq!(
        value::<i64>(
            &db,
            "SELECT count(*) FROM tasks WHERE id = 't_odd' AND current_run_id IS NULL"
        )?,
        1,
        "nothing points at an attempt that is over"
    );
    Ok(())
}

#[test]
fn a_child_that_refuses_to_become_ready_does_not_keep_its_parent_from_being_done() -> Result {
    let fleet = Fleet::new()?;
    let mut store = fleet.store("alpha")?;
    let parent = store.create(&task(0))?;
    let new = NewTask {
        parents: vec![parent.clone()],
        ..task(0)
    };
    let (barred, free) = (store.create(&new)?, store.create(&new)?);
    fleet.sql(
        "alpha",
        &format!(
            "CREATE TRIGGER gate BEFORE UPDATE ON tasks WHEN old.id = '{barred}' \
             BEGIN SELECT RAISE(ABORT, 'a person decides'); END"
        ),
    )?;
    store.complete(&parent, &Complete::default())?;
    for (id, status) in [(&parent, "done"), (&barred, "todo"), (&free, "ready")] {
        assert_eq!(store.show(id)?.task.status, status);
    }
    Ok(())
}
