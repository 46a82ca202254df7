//! The dry run writes nothing, and the tick that follows does what it told.

mod support;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use kanban_dispatcher::{
    BoardPlan, Config, HeldReason, Job, PlanState, Reason, WorkerCommand, plan_at, why,
};
use proptest::prelude::*;
use rusqlite::Connection;
use support::{Fleet, Result, START, bytes};

/// One task of a board, as columns.
#[derive(Debug, Clone)]
struct Row {
    status: &'static str,
    assignee: Option<&'static str>,
    priority: i64,
    failures: i64,
    error: Option<&'static str>,
    claim: Option<(&'static str, i64)>,
    began: i64,
    rest: Option<(&'static str, i64)>,
    has_parent: bool,
}

fn row() -> impl Strategy<Value = Row> {
    let statuses = vec![
        "todo", "ready", "ready", "running", "running", "blocked", "review", "done", "triage",
    ];
    let claim = (
        prop::sample::select(vec!["elsewhere:1", "rs.elsewhere:1:a:0"]),
        prop::sample::select(vec![-50_i64, 50]),
    );
    let rest = (
        prop::sample::select(vec!["rate_limited", "completed", "crashed"]),
        prop::sample::select(vec![10_i64, 5_000]),
    );
    (
        (
            prop::sample::select(statuses),
            prop::option::of(prop::sample::select(vec!["coder", "tester", ""])),
            -1..2_i64,
            0..3_i64,
        ),
        prop::option::of(prop::sample::select(vec!["HTTP 403", "boom"])),
        prop::option::of(claim),
        prop::sample::select(vec![20_i64, 20_000]),
        prop::option::of(rest),
        any::<bool>(),
    )
        .prop_map(|(who, error, claim, began, rest, has_parent)| Row {
            status: who.0,
            assignee: who.1,
            priority: who.2,
            failures: who.3,
            error,
            claim,
            began,
            rest,
            has_parent,
        })
}

fn quoted(text: Option<&str>) -> String {
    text.map_or_else(|| "NULL".to_owned(), |text| format!("'{text}'"))
}

fn sql(rows: &[Row]) -> String {
    let mut sql =
        "INSERT INTO tasks (id, title, status, created_at) VALUES ('open', 'x', 'triage', 1);\n"
            .to_owned();
    for (n, row) in rows.iter().enumerate() {
        let claim = row.claim.filter(|_| row.status == "running");
        let lock = quoted(claim.map(|claim| claim.0));
        let expires = claim.map_or("NULL".to_owned(), |claim| (START + claim.1).to_string());
        let _ = writeln!(
            sql,
            "INSERT INTO task_runs (task_id, status, started_at) VALUES ('t{n}', 'running', {began}); \
             INSERT INTO tasks (id, title, status, assignee, priority, created_at, consecutive_failures, last_failure_error, \
             claim_lock, claim_expires, started_at, current_run_id) \
             VALUES ('t{n}', 'work', '{status}', {assignee}, {priority}, 5, {failures}, {error}, {lock}, {expires}, {began}, \
             CASE WHEN '{status}' = 'running' THEN last_insert_rowid() END);",
            began = START - row.began,
            status = row.status,
            assignee = quoted(row.assignee),
            priority = row.priority,
            failures = row.failures,
            error = quoted(row.error),
        );
        if let Some((outcome, ago)) = row.rest {
            let _ = writeln!(
                sql,
                "INSERT INTO task_runs (task_id, status, outcome, started_at, ended_at) \
                 VALUES ('t{n}', '{outcome}', '{outcome}', {0}, {0});",
                START - ago
            );
        }
        if row.has_parent {
            let _ = writeln!(sql, "INSERT INTO task_links VALUES ('open', 't{n}');");
        }
    }
    sql
}

/// The tasks that have an event of these kinds.
fn told(db: &Connection, kinds: &str) -> Result<BTreeSet<String>> {
    let sql = format!("SELECT DISTINCT task_id FROM task_events WHERE kind IN ({kinds})");
    let mut statement = db.prepare(&sql)?;
    let ids = statement.query_map([], |row| row.get(0))?;
    Ok(ids.collect::<rusqlite::Result<_>>()?)
}

fn set(ids: &[String]) -> BTreeSet<String> {
    ids.iter().cloned().collect()
}

fn plan_of_alpha(fleet: &Fleet, config: &Config) -> Result<BoardPlan> {
    let slug = fleet.slug("alpha");
    let mut plans = plan_at(&fleet.root, config, &fleet.clock)?.into_iter();
    let of_alpha = plans.find(|plan| plan.slug.as_str() == slug);
    of_alpha.ok_or_else(|| "no plan".into())
}

fn agrees(rows: &[Row], cap: Option<u32>, profile_cap: Option<u32>) -> Result {
    let fleet = Fleet::new()?;
    fleet.store("alpha")?;
    fleet.sql("alpha", &sql(rows))?;
    let config = {
        let mut config = fleet.config();
        config.max_in_progress = cap.and_then(|cap| cap.try_into().ok());
        config.max_in_progress_per_profile = profile_cap.and_then(|cap| cap.try_into().ok());
        config.default_assignee = Some("coder".to_owned());
        config.worker.command = Some(["true"].map(str::to_owned).to_vec());
        config
    };
    let db = fleet.db("alpha")?;
    let files = || -> Result<_> { Ok((bytes(&db)?, bytes(&db.with_file_name("kanban.db-wal"))?)) };
    let before = files()?;
    let plan = plan_of_alpha(&fleet, &config)?;
    assert!(files()? == before, "the dry run wrote");
    assert_eq!(plan.state, PlanState::Tick);

    let mut dispatcher = fleet.builder(|own| *own = config.clone()).build();
    let report = dispatcher.tick();
    let did = fleet.part(&report, "alpha")?;
    assert_eq!(did.started, plan.would_start);
    assert_eq!(did.held, plan.held);
    let board = fleet.connect("alpha")?;
    assert_eq!(told(&board, "'promoted'")?, set(&plan.would_promote));
    assert_eq!(
        told(&board, "'reclaimed', 'stale'")?,
        set(&plan.would_reclaim)
    );
    assert_eq!(
        told(&board, "'crashed', 'timed_out', 'protocol_violation'")?,
        set(&plan.would_fail)
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_tick_does_what_the_dry_run_told_and_the_dry_run_does_nothing(
        rows in prop::collection::vec(row(), 0..8),
        cap in prop::option::of(1..4_u32),
        profile_cap in prop::option::of(1..3_u32),
    ) {
        if let Err(error) = agrees(&rows, cap, profile_cap) {
            return Err(TestCaseError::fail(error.to_string()));
        }
    }
}

#[test]
fn what_no_board_knows_is_told_too_a_missing_program_and_a_worker_that_lives_on() -> Result {
    let fleet = Fleet::new()?;
    let ids = fleet.ready("alpha", 2)?;
    let mut config = fleet.config();
    config.max_in_progress = Some(1.try_into()?);
    let mut dispatcher = fleet.builder(|own| *own = config.clone()).build();
    assert_eq!(dispatcher.tick().started(), 1);
    fleet.take_back("alpha", &ids[0])?;
    let plan = |config: &Config| plan_of_alpha(&fleet, config);
    config.max_in_progress = None;
    let told = plan(&config)?;
    assert_eq!(told.would_start, ids[1..]);
    assert_eq!(told.held.get(&HeldReason::WorkerEnding), Some(&1));
    config.worker.command = Some(vec!["/no/such/program".to_owned()]);
    let told = plan(&config)?;
    assert!(told.would_start.is_empty());
    assert_eq!(told.held.get(&HeldReason::NoWorker), Some(&2));
    Ok(())
}

#[test]
fn the_limit_over_all_boards_is_told_as_a_first_tick_shares_it() -> Result {
    for workers_max in 1..8 {
        let fleet = Fleet::new()?;
        for (board, tasks) in [("alpha", 4), ("beta", 1), ("gamma", 0), ("zeta", 2)] {
            fleet.ready(board, tasks)?;
        }
        let mut config = fleet.config();
        config.workers_max = workers_max.try_into()?;
        let plans = plan_at(&fleet.root, &config, &fleet.clock)?;
        let report = fleet.builder(|own| *own = config.clone()).build().tick();
        assert_eq!(report.started(), workers_max.min(7));
        for plan in &plans {
            let did = report.board(plan.slug.as_str()).ok_or("no report")?;
            let word = format!("{workers_max} places, {}", plan.slug);
            assert_eq!(did.started, plan.would_start, "{word}");
            assert_eq!(did.held, plan.held, "{word}");
        }
    }
    Ok(())
}

/// A launcher that asks the dry run and `why` while its task is claimed and has no process yet.
#[test]
fn a_task_whose_worker_is_being_made_is_running_and_not_about_to_start() -> Result {
    let fleet = Fleet::new()?;
    fleet.store("alpha")?;
    let mut config = fleet.config();
    config.workers_max = 1.try_into()?;
    let heard = std::sync::Arc::new(std::sync::Mutex::new(None));
    let (told, root, clock, own) = (
        heard.clone(),
        fleet.root.clone(),
        fleet.clock.clone(),
        config.clone(),
    );
    let launcher = move |job: &Job<'_>| -> std::io::Result<WorkerCommand> {
        let plans = plan_at(&root, &own, &clock).map_err(std::io::Error::other)?;
        let starts: usize = plans.iter().map(|plan| plan.would_start.len()).sum();
        let because = why(&root, &own, &clock, job.board, &job.work.task);
        let because = because.map_err(std::io::Error::other)?;
        *told.lock().unwrap() = Some((starts, because.reason));
        Err(std::io::Error::other("seen enough"))
    };
    let builder = fleet.builder(|own| *own = config.clone());
    let mut dispatcher = builder.launcher(launcher).build();
    // The first tick makes it known as the one that serves.
    dispatcher.tick();
    fleet.ready("alpha", 1)?;
    dispatcher.tick();
    let heard = heard.lock().unwrap().take();
    assert_eq!(heard, Some((0, Reason::Running)));
    Ok(())
}
