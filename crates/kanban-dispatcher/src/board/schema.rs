//! The schema as data: every table, column and index of the format, and what a given file lacks of it.

use std::collections::{HashMap, HashSet};
use std::fmt;

use rusqlite::{Connection, Result};

/// A column as the format declares it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) decl: &'static str,
    /// Older files may lack it, and a migration adds it; the absence of any other column is not repairable.
    pub(crate) additive: bool,
}

/// A table as the format declares it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [Column],
    pub(crate) constraint: &'static str,
    /// Older files may lack it. Any other table that is missing from a board with content is loss, not drift: made anew it
    /// would be empty, and (links, events) tasks would start that must not.
    pub(crate) additive: bool,
}

const fn base(name: &'static str, decl: &'static str) -> Column {
    Column {
        name,
        decl,
        additive: false,
    }
}

const fn added(name: &'static str, decl: &'static str) -> Column {
    Column {
        name,
        decl,
        additive: true,
    }
}

const TASKS: &[Column] = &[
    base("id", "TEXT PRIMARY KEY"),
    base("title", "TEXT NOT NULL"),
    base("body", "TEXT"),
    base("assignee", "TEXT"),
    base("status", "TEXT NOT NULL"),
    base("priority", "INTEGER DEFAULT 0"),
    base("created_by", "TEXT"),
    base("created_at", "INTEGER NOT NULL"),
    base("started_at", "INTEGER"),
    base("completed_at", "INTEGER"),
    base("workspace_kind", "TEXT NOT NULL DEFAULT 'scratch'"),
    base("workspace_path", "TEXT"),
    added("branch_name", "TEXT"),
    added("project_id", "TEXT"),
    base("claim_lock", "TEXT"),
    base("claim_expires", "INTEGER"),
    added("tenant", "TEXT"),
    added("result", "TEXT"),
    added("idempotency_key", "TEXT"),
    added("consecutive_failures", "INTEGER NOT NULL DEFAULT 0"),
    added("worker_pid", "INTEGER"),
    added("last_failure_error", "TEXT"),
    added("max_runtime_seconds", "INTEGER"),
    added("last_heartbeat_at", "INTEGER"),
    added("current_run_id", "INTEGER"),
    added("workflow_template_id", "TEXT"),
    added("current_step_key", "TEXT"),
    added("skills", "TEXT"),
    added("model_override", "TEXT"),
    added("max_retries", "INTEGER"),
    added("goal_mode", "INTEGER NOT NULL DEFAULT 0"),
    added("goal_max_turns", "INTEGER"),
    added("session_id", "TEXT"),
    added("block_kind", "TEXT"),
    added("block_recurrences", "INTEGER NOT NULL DEFAULT 0"),
];

const LINKS: &[Column] = &[
    base("parent_id", "TEXT NOT NULL"),
    base("child_id", "TEXT NOT NULL"),
];

const COMMENTS: &[Column] = &[
    base("id", "INTEGER PRIMARY KEY AUTOINCREMENT"),
    base("task_id", "TEXT NOT NULL"),
    base("author", "TEXT NOT NULL"),
    base("body", "TEXT NOT NULL"),
    base("created_at", "INTEGER NOT NULL"),
];

const EVENTS: &[Column] = &[
    base("id", "INTEGER PRIMARY KEY AUTOINCREMENT"),
    base("task_id", "TEXT NOT NULL"),
    added("run_id", "INTEGER"),
    base("kind", "TEXT NOT NULL"),
    base("payload", "TEXT"),
    base("created_at", "INTEGER NOT NULL"),
];

const RUNS: &[Column] = &[
    base("id", "INTEGER PRIMARY KEY AUTOINCREMENT"),
    base("task_id", "TEXT NOT NULL"),
    base("profile", "TEXT"),
    base("step_key", "TEXT"),
    base("status", "TEXT NOT NULL"),
    base("claim_lock", "TEXT"),
    base("claim_expires", "INTEGER"),
    base("worker_pid", "INTEGER"),
    base("max_runtime_seconds", "INTEGER"),
    base("last_heartbeat_at", "INTEGER"),
    base("started_at", "INTEGER NOT NULL"),
    base("ended_at", "INTEGER"),
    base("outcome", "TEXT"),
    base("summary", "TEXT"),
    base("metadata", "TEXT"),
    base("error", "TEXT"),
];

const ATTACHMENTS: &[Column] = &[
    base("id", "INTEGER PRIMARY KEY AUTOINCREMENT"),
    base("task_id", "TEXT NOT NULL"),
    base("filename", "TEXT NOT NULL"),
    base("stored_path", "TEXT NOT NULL"),
    base("content_type", "TEXT"),
    base("size", "INTEGER NOT NULL DEFAULT 0"),
    base("uploaded_by", "TEXT"),
    base("created_at", "INTEGER NOT NULL"),
];

const SUBSCRIPTIONS: &[Column] = &[
    base("task_id", "TEXT NOT NULL"),
    base("platform", "TEXT NOT NULL"),
    base("chat_id", "TEXT NOT NULL"),
    base("thread_id", "TEXT NOT NULL DEFAULT ''"),
    base("user_id", "TEXT"),
    added("notifier_profile", "TEXT"),
    base("created_at", "INTEGER NOT NULL"),
    base("last_event_id", "INTEGER NOT NULL DEFAULT 0"),
];

/// Every table, in the order a new file gets them.
pub(crate) const TABLES: &[Table] = &[
    Table {
        name: "tasks",
        columns: TASKS,
        constraint: "",
        additive: false,
    },
    Table {
        name: "task_links",
        columns: LINKS,
        constraint: ", PRIMARY KEY (parent_id, child_id)",
        additive: false,
    },
    Table {
        name: "task_comments",
        columns: COMMENTS,
        constraint: "",
        additive: false,
    },
    Table {
        name: "task_events",
        columns: EVENTS,
        constraint: "",
        additive: false,
    },
    Table {
        name: "task_runs",
        columns: RUNS,
        constraint: "",
        additive: true,
    },
    Table {
        name: "task_attachments",
        columns: ATTACHMENTS,
        constraint: "",
        additive: true,
    },
    Table {
        name: "kanban_notify_subs",
        columns: SUBSCRIPTIONS,
        constraint: ", PRIMARY KEY (task_id, platform, chat_id, thread_id)",
        additive: true,
    },
];

/// Indexes made with the tables: they name base columns only.
pub(crate) const BASE_INDEXES: &[(&str, &str)] = &[
    ("idx_tasks_assignee_status", "tasks(assignee, status)"),
    ("idx_tasks_status", "tasks(status)"),
    ("idx_links_child", "task_links(child_id)"),
    ("idx_links_parent", "task_links(parent_id)"),
    ("idx_comments_task", "task_comments(task_id, created_at)"),
    ("idx_events_task", "task_events(task_id, created_at)"),
    ("idx_runs_task", "task_runs(task_id, started_at)"),
    ("idx_runs_status", "task_runs(status)"),
    (
        "idx_attachments_task",
        "task_attachments(task_id, created_at)",
    ),
    ("idx_notify_task", "kanban_notify_subs(task_id)"),
];

/// Indexes that need an additive column, so they come after the columns.
pub(crate) const LATE_INDEXES: &[(&str, &str)] = &[
    ("idx_tasks_tenant", "tasks(tenant)"),
    ("idx_tasks_idempotency", "tasks(idempotency_key)"),
    ("idx_tasks_session_id", "tasks(session_id)"),
    ("idx_events_run", "task_events(run_id, id)"),
];

/// One thing a file lacks, or has in another shape than the format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drift {
    /// A table is missing.
    Table {
        /// Its name.
        table: &'static str,
        /// Whether a repair can make it.
        repairable: bool,
    },
    /// A column is missing.
    Column {
        /// The table it belongs to.
        table: &'static str,
        /// Its name.
        column: &'static str,
        /// Whether a repair can add it.
        repairable: bool,
    },
    /// A key or cursor column is not an integer; a repair rebuilds the table.
    Shape {
        /// The table.
        table: &'static str,
        /// The column whose type is wrong.
        column: &'static str,
    },
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table { table, .. } => write!(f, "table {table}"),
            Self::Column { table, column, .. } => write!(f, "column {table}.{column}"),
            Self::Shape { table, column } => write!(f, "integer column {table}.{column}"),
        }
    }
}

impl Drift {
    /// Several, in one line.
    pub(crate) fn list(lacks: &[Self]) -> String {
        let names: Vec<String> = lacks.iter().map(Self::to_string).collect();
        names.join(", ")
    }
}

/// What `db` lacks of the format; empty for a sound or newer file. One statement, which reads the schema only.
pub(crate) fn drift(db: &Connection) -> Result<Vec<Drift>> {
    let mut found: HashMap<String, HashMap<String, bool>> = HashMap::new();
    let mut statement = db.prepare(
        "SELECT m.name, c.name, c.type = 'INTEGER' COLLATE NOCASE \
         FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        found
            .entry(row.get(0)?)
            .or_default()
            .insert(row.get(1)?, row.get(2)?);
    }
    let mut lacks = Vec::new();
    for table in TABLES {
        let Some(columns) = found.get(table.name) else {
            lacks.push(Drift::Table {
                table: table.name,
                repairable: table.additive,
            });
            continue;
        };
        for column in table.columns {
            match columns.get(column.name) {
                None => lacks.push(Drift::Column {
                    table: table.name,
                    column: column.name,
                    repairable: column.additive,
                }),
                Some(false) if must_be_integer(table.name, column.name) => {
                    lacks.push(Drift::Shape {
                        table: table.name,
                        column: column.name,
                    });
                }
                Some(_) => {}
            }
        }
    }
    Ok(lacks)
}

/// Ids and cursors that other programs compare as numbers.
fn must_be_integer(table: &str, column: &str) -> bool {
    matches!(
        (table, column),
        ("task_events" | "task_comments" | "task_runs", "id")
            | ("kanban_notify_subs", "last_event_id")
    )
}

/// The names of the columns that table `name` of `db` has.
pub(crate) fn columns(db: &Connection, name: &str) -> Result<HashSet<String>> {
    db.prepare_cached("SELECT name FROM pragma_table_info(?1)")?
        .query_map([name], |row| row.get(0))?
        .collect()
}
