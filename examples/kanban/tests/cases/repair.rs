//! Boards whose schema lacks something: repaired once, in the same tick, or held.

use std::process::Stdio;

use rustix::process::Signal;

use super::case::{Case, Daemon, FAULTY, Line, Result};

/// Every table that came later, and every column.
const LATER_TABLES: &[&str] = &["task_runs", "task_attachments", "kanban_notify_subs"];
const LATER_COLUMNS: &[(&str, &[&str])] = &[
    (
        "tasks",
        &[
            "branch_name",
            "project_id",
            "tenant",
            "result",
            "idempotency_key",
            "consecutive_failures",
            "worker_pid",
            "last_failure_error",
            "max_runtime_seconds",
            "last_heartbeat_at",
            "current_run_id",
            "workflow_template_id",
            "current_step_key",
            "skills",
            "model_override",
            "max_retries",
            "goal_mode",
            "goal_max_turns",
            "session_id",
            "block_kind",
            "block_recurrences",
        ],
    ),
    ("task_events", &["run_id"]),
    ("kanban_notify_subs", &["notifier_profile"]),
];

/// Their indexes are in the way of a column's end.
const LATER_INDEXES: &str = "DROP INDEX IF EXISTS idx_tasks_tenant; DROP INDEX IF EXISTS idx_tasks_idempotency; \
     DROP INDEX IF EXISTS idx_tasks_session_id; DROP INDEX IF EXISTS idx_events_run;";

const COLUMNS: &str = "SELECT group_concat(t.name || '.' || c.name, ' ') FROM sqlite_schema t \
     JOIN pragma_table_info(t.name) c WHERE t.type = 'table' AND ?1 = '' ORDER BY 1";

/// As it was before anything came later.
fn make_old(case: &Case, slug: &str) -> Result {
    let mut sql = LATER_INDEXES.to_owned();
    for (table, columns) in LATER_COLUMNS {
        for column in *columns {
            sql += &format!("ALTER TABLE {table} DROP COLUMN {column};");
        }
    }
    for table in LATER_TABLES {
        sql += &format!("DROP TABLE {table};");
    }
    Ok(case.db(slug)?.execute_batch(&sql)?)
}

fn repairs(case: &Case) -> Result<Vec<Line>> {
    let mut lines = case.lines_about(FAULTY)?;
    lines.retain(|line| line.message().starts_with("board repaired"));
    Ok(lines)
}

case! {
    c20_boards_of_every_past_schema_dispatch_on_the_first_tick,
    injects: "27 boards: one as the first ones were, and one for each table and column that came later, without it",
    holds: "each starts its task on the first tick; no line above INFO",
    |case| {
        case.add(FAULTY, "waits")?;
        case.checkpoint(FAULTY)?;
        let mut olds = vec!["old".to_owned()];
        case.copy_board(FAULTY, "old")?;
        make_old(case, "old")?;
        for table in LATER_TABLES {
            let slug = format!("without-{table}");
            case.copy_board(FAULTY, &slug)?;
            case.db(&slug)?.execute_batch(&format!("DROP TABLE {table}"))?;
            olds.push(slug);
        }
        for (table, columns) in LATER_COLUMNS {
            for column in *columns {
                let slug = format!("without-{table}-{column}");
                case.copy_board(FAULTY, &slug)?;
                let sql = format!("{LATER_INDEXES} ALTER TABLE {table} DROP COLUMN {column}");
                case.db(&slug)?.execute_batch(&sql)?;
                olds.push(slug);
            }
        }
        assert_eq!(olds.len(), 27);
        for slug in &olds {
            // Tasks of different boards have different ids.
            let id = "UPDATE tasks SET id = 't_' || lower(hex(randomblob(4)))";
            case.db(slug)?.execute_batch(id)?;
        }
        case.start()?;
        let lines = case.lines()?;
        for slug in &olds {
            let started = |line: &&Line| line.board() == Some(slug) && line.started() == 1;
            let line = lines.iter().find(started);
            assert_eq!(line.map(|line| line.number("tick")), Some(1), "{slug}: {lines:#?}");
        }
        assert!(!lines.iter().any(Line::is_above_info), "{lines:#?}");
        Ok(())
    }
}

case! {
    c21_eight_processes_that_open_one_old_board_at_once_all_succeed,
    injects: "eight `kanban list` at once on a board as the first ones were",
    holds: "all succeed; each column is there once; nobody speaks of a duplicate",
    |case| {
        let today: String = case.query(FAULTY, COLUMNS, "")?;
        make_old(case, FAULTY)?;
        let mut children = Vec::new();
        for _ in 0..8 {
            let mut command = case.house.command(&["--board", FAULTY, "list"]);
            children.push(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?);
        }
        for child in children {
            let output = child.wait_with_output()?;
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && !said.contains("duplicate"), "{said}");
        }
        let now: String = case.query(FAULTY, COLUMNS, "")?;
        let sorted = |columns: &str| {
            let mut names: Vec<String> = columns.split(' ').map(str::to_owned).collect();
            names.sort();
            names
        };
        assert_eq!(sorted(&now), sorted(&today));
        case.start()?;
        case.start_within_two_ticks(&[FAULTY])
    }
}

case! {
    c22_a_column_dropped_while_running_is_put_back_in_the_same_tick,
    injects: "a column dropped and a task made in one transaction, under the daemon",
    holds: "one repair; the task starts in the same pass; `status` counts 1",
    |case| {
        case.start_telling_passes()?;
        case.db(FAULTY)?.execute_batch(
            "BEGIN IMMEDIATE; ALTER TABLE tasks DROP COLUMN skills; \
             INSERT INTO tasks(id, title, assignee, status, created_at) VALUES ('t_00000001', 'waits', 'anyone', 'ready', 1); \
             COMMIT",
        )?;
        case.line_before(FAULTY, "board repaired", case.passes()? + 2)?;
        case.task(FAULTY, "t_00000001", "done")?;
        let lines = case.lines()?;
        let place = |words: &str| {
            let is_it = |line: &Line| line.board() == Some(FAULTY) && line.message().starts_with(words);
            lines.iter().position(is_it).ok_or(format!("{words}: {lines:#?}"))
        };
        let (repaired, ticked) = (place("board repaired")?, place("board ticked")?);
        assert_eq!(lines[repaired].text("repaired"), Some("column tasks.skills"));
        assert_eq!(lines[ticked].started(), 1);
        assert!(repaired < ticked);
        let between = &lines[repaired..ticked];
        assert!(between.iter().all(|line| line.pass().is_none()), "{between:#?}");
        assert_eq!(repairs(case)?.len(), 1);
        case.counts_repairs(FAULTY, 1)
    }
}

case! {
    c23_a_repair_that_cannot_succeed_is_tried_once,
    injects: "a column of the first boards dropped, which no repair can make again",
    holds: "held, the column named; after 5 more ticks still one attempt",
    |case| {
        case.start()?;
        case.db(FAULTY)?.execute_batch("ALTER TABLE tasks DROP COLUMN priority")?;
        let line = case.line(FAULTY, "board held")?;
        assert_eq!((line.level(), line.text("class")), ("ERROR", Some("schema_drift")));
        assert!(line.message().contains("column tasks.priority"), "{line:?}");
        assert_eq!(line.text("missing"), Some("column tasks.priority"));
        case.let_ticks_pass(5)?;
        let status = case.state(FAULTY, "held")?;
        assert_eq!(status["repair_attempts"], 1);
        assert_eq!(status["missing"], "column tasks.priority");
        Ok(())
    }
}

case! {
    c24_a_failing_repair_of_the_schema_leaves_everything_as_it_was,
    injects: "a column that can be made again and one that cannot, dropped under the daemon",
    holds: "held; database file and log byte for byte as before the attempt",
    |case| {
        case.start()?;
        let sql = "ALTER TABLE tasks DROP COLUMN skills; ALTER TABLE tasks DROP COLUMN priority";
        let before = case.change_under_daemon(sql)?;
        case.daemon()?.signal(Signal::CONT)?;
        case.line(FAULTY, "board held")?;
        assert_eq!(case.state(FAULTY, "held")?["repair_attempts"], 1);
        assert!(case.bytes(FAULTY)? == before);
        Ok(())
    }
}

case! {
    c25_of_a_daemon_and_commands_that_meet_one_drift_one_repairs,
    injects: "a column dropped, and then at once: the daemon, a second daemon, and six commands that open the board",
    holds: "all succeed; the column is there once; the daemon says nothing above INFO of it, and dispatches",
    |case| {
        case.start()?;
        let args = ["run", "--log-format", "json"];
        let second = Daemon::start_with(&case.house, &[], &args)?;
        second.says(&case.house, "stands by")?;
        case.change_under_daemon("ALTER TABLE tasks DROP COLUMN skills")?;
        let mut children = Vec::new();
        for _ in 0..6 {
            let mut command = case.house.command(&["--board", FAULTY, "list"]);
            children.push(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?);
        }
        case.daemon()?.signal(Signal::CONT)?;
        for child in children {
            let output = child.wait_with_output()?;
            assert!(output.status.success(), "{output:?}");
        }
        case.start_within_two_ticks(&[FAULTY])?;
        let columns: String = case.query(FAULTY, COLUMNS, "")?;
        assert_eq!(columns.matches("tasks.skills").count(), 1);
        let lines = case.lines_about(FAULTY)?;
        assert!(!lines.iter().any(Line::is_above_info), "{lines:#?}");
        assert!(repairs(case)?.len() <= 1, "{lines:#?}");
        assert!(!second.log().contains("board repaired"));
        Ok(())
    }
}
