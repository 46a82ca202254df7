//! The arguments of the verbs on tasks.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::{Map, Value};

use super::Settings;
use super::value::{self, Place, TaskRef};

/// Every status that a board knows.
const STATUSES: [&str; 9] = [
    "triage",
    "todo",
    "scheduled",
    "ready",
    "running",
    "blocked",
    "review",
    "done",
    "archived",
];

const BLOCK_KINDS: [&str; 4] = ["dependency", "needs_input", "capability", "transient"];

/// Make a task and print its id.
///
/// It is ready, or waits for its parents. Without an assignee it never starts by itself.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kanban add \"write the report\" --assignee coder --max-runtime 30m
  kanban add \"send it\" --assignee mailer --parent t_1a2b3c4d
  kanban add \"fix it\" --assignee coder --workspace worktree:/srv/shop --branch fix/it
  kanban add \"weekly report\" --idempotency-key report-2026-48
  id=$(kanban --board shop add \"count the stock\")

Once the task is made the exit code is 0, also if its id cannot be written: then standard error tells it.")]
pub(crate) struct Add {
    /// What it is called.
    pub(crate) title: String,
    /// What is to be done.
    #[arg(long)]
    pub(crate) body: Option<String>,
    /// Who is to do it: a profile's name.
    #[arg(long, value_name = "PROFILE")]
    pub(crate) assignee: Option<String>,
    /// Higher starts first.
    #[arg(long, value_name = "N", default_value_t, allow_negative_numbers = true)]
    pub(crate) priority: i64,
    /// A task that must be done before; may be given again.
    #[arg(long = "parent", value_name = "ID")]
    pub(crate) parents: Vec<String>,
    /// Where its worker works: `scratch`, `dir:PATH`, `worktree`, or `worktree:PATH` (the repository, or the worktree itself).
    #[arg(long, value_name = "WHERE", default_value = "scratch")]
    pub(crate) workspace: Place,
    /// An existing directory to work in: as `--workspace dir:PATH`, and it must be there.
    #[arg(long, value_name = "PATH", conflicts_with = "workspace")]
    pub(crate) dir: Option<PathBuf>,
    /// The branch of its worktree [default: `wt/ID`].
    #[arg(long)]
    pub(crate) branch: Option<String>,
    /// Whose it is.
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// A skill that its worker is to load; may be given again.
    #[arg(long = "skill", value_name = "SKILL")]
    pub(crate) skills: Vec<String>,
    /// The model that its worker is to use.
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// The longest one attempt may take: 90, 90s, 30m, 2h or 1d.
    #[arg(long, value_name = "TIME", value_parser = value::runtime)]
    pub(crate) max_runtime: Option<i64>,
    /// Its own limit for failures in a row.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    pub(crate) max_retries: Option<i64>,
    /// Its worker works towards a goal, turn after turn.
    #[arg(long)]
    pub(crate) goal: bool,
    /// How many turns it has for that.
    #[arg(long, value_name = "N", requires = "goal", value_parser = clap::value_parser!(i64).range(1..))]
    pub(crate) goal_max_turns: Option<i64>,
    /// Let it wait in triage until somebody says what it is.
    #[arg(long)]
    pub(crate) triage: bool,
    /// `blocked`: it waits until somebody unblocks it.
    #[arg(long, value_name = "STATUS", value_parser = PossibleValuesParser::new(["blocked", "running"]), default_value = "running", hide_default_value = true)]
    pub(crate) initial_status: String,
    /// Make it once: a task with the same key that is not archived is the answer instead of a second one.
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
    /// Who makes it [default: HERMES_PROFILE, else \"user\"].
    #[arg(long, value_name = "NAME")]
    pub(crate) created_by: Option<String>,
    /// Write a JSON document instead of the id.
    #[arg(long)]
    pub(crate) json: bool,
}

/// List tasks in the order they would start; without archived ones.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kanban list --status ready
  kanban --board shop list --json | jq -r '.tasks[].id'")]
pub(crate) struct List {
    /// Only those with this status.
    #[arg(long, value_parser = PossibleValuesParser::new(STATUSES))]
    pub(crate) status: Option<String>,
    /// Write a JSON document.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show one task with its history.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kanban show t_1a2b3c4d
  kanban show shop/t_1a2b3c4d --json | jq '.runs[-1].error'")]
pub(crate) struct Show {
    /// The task: ID or BOARD/ID.
    #[arg(value_name = "ID")]
    pub(crate) task: TaskRef,
    /// Write a JSON document.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Tell why a task is where it is, and when that can change.
///
/// Asks the function that every tick asks, of the board as it is now; reads only.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kanban why t_1a2b3c4d
  kanban why shop/t_1a2b3c4d --json | jq -r .reason")]
pub(crate) struct Why {
    /// The task: ID or BOARD/ID.
    #[arg(value_name = "ID")]
    pub(crate) task: TaskRef,
    /// Write a JSON document.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// Mark tasks as done.
///
/// Of several tasks each is done by itself, whatever becomes of the others; only a result may be given to all of them.
/// A worker is recognised by HERMES_KANBAN_TASK: it may end its own task only, and only while its attempt
/// (HERMES_KANBAN_RUN_ID) is the current one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kanban complete t_1a2b3c4d --summary \"report sent\"
  kanban complete t_1a2b3c4d t_5e6f7a8b --result checked
  kanban complete \"$HERMES_KANBAN_TASK\" --result \"42\" --metadata '{\"pages\": 3}'")]
pub(crate) struct Complete {
    #[command(flatten)]
    pub(crate) on: Several,
    /// The outcome in a few words.
    #[arg(long)]
    pub(crate) summary: Option<String>,
    /// The result itself.
    #[arg(long)]
    pub(crate) result: Option<String>,
    /// Anything else worth keeping: a JSON object.
    #[arg(long, value_name = "JSON", value_parser = value::object)]
    pub(crate) metadata: Option<Map<String, Value>>,
    #[command(flatten)]
    pub(crate) attempt: Attempt,
}

/// Say that tasks cannot go on, and why.
///
/// Blocked twice in a row for the same kind of reason it goes to triage; `dependency` lets it wait for its parents. The reason
/// is kept as a comment too. Workers are held to their own task, as in `complete`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kanban block t_1a2b3c4d \"which quarter?\" --kind needs_input
  kanban block t_1a2b3c4d \"no network\" --ids t_5e6f7a8b t_9c0d1e2f")]
pub(crate) struct Block {
    #[command(flatten)]
    pub(crate) on: More,
    /// What is missing.
    #[arg(value_name = "REASON")]
    pub(crate) reason: Vec<String>,
    /// What kind of reason it is.
    #[arg(long, value_parser = PossibleValuesParser::new(BLOCK_KINDS))]
    pub(crate) kind: Option<String>,
    #[command(flatten)]
    pub(crate) attempt: Attempt,
}

/// Let blocked tasks go on; their failures are forgotten.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  kanban unblock t_1a2b3c4d t_5e6f7a8b --reason \"the network is back\""
)]
pub(crate) struct Unblock {
    #[command(flatten)]
    pub(crate) on: Several,
    /// Why they may; kept as a comment.
    #[arg(long)]
    pub(crate) reason: Option<String>,
}

/// Give a sign of life of a running task.
///
/// A worker, recognised by HERMES_KANBAN_CLAIM_LOCK, renews its claim with it: for HERMES_KANBAN_CLAIM_TTL_SECONDS, or 900.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  kanban heartbeat \"$HERMES_KANBAN_TASK\" --note \"page 3 of 7\""
)]
pub(crate) struct Heartbeat {
    #[command(flatten)]
    pub(crate) on: One,
    /// What it is at.
    #[arg(long)]
    pub(crate) note: Option<String>,
    #[command(flatten)]
    pub(crate) attempt: Attempt,
}

/// What a verb on one task is about.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// The task: ID or BOARD/ID.
    #[arg(value_name = "ID")]
    pub(crate) task: TaskRef,
    #[command(flatten)]
    pub(crate) said: Said,
}

/// What a verb on tasks is about.
#[derive(Debug, Args)]
pub(crate) struct Several {
    /// The tasks: ID or BOARD/ID. Each is done by itself; the exit code is 1 if one failed.
    #[arg(value_name = "ID", required = true)]
    pub(crate) tasks: Vec<TaskRef>,
    #[command(flatten)]
    pub(crate) said: Said,
}

/// The same of a verb whose first ID is followed by other words.
#[derive(Debug, Args)]
pub(crate) struct More {
    /// The task: ID or BOARD/ID.
    #[arg(value_name = "ID")]
    pub(crate) task: TaskRef,
    /// More tasks: each is done by itself; the exit code is 1 if one failed.
    #[arg(long = "ids", value_name = "ID", num_args = 1..)]
    others: Vec<TaskRef>,
    #[command(flatten)]
    pub(crate) said: Said,
}

impl More {
    /// All of them, in their order.
    pub(crate) fn tasks(&self) -> Vec<TaskRef> {
        let others = self.others.iter().cloned();
        std::iter::once(self.task.clone()).chain(others).collect()
    }
}

/// How a verb answers.
#[derive(Debug, Args)]
pub(crate) struct Said {
    /// Write a JSON document: the task as it is now, or of several tasks each one's fate.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Attempt {
    /// The attempt that speaks; refused if another one is current [default: a worker's own].
    #[arg(long, value_name = "N")]
    pub(crate) run: Option<i64>,
}
