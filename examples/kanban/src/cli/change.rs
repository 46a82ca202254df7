//! The arguments of the verbs by which people change what a board says: its tasks, who does them, and what waits for what.

use clap::Args;
use serde_json::{Map, Value};

use super::task::{Attempt, More, One, Said};
use super::value::{self, Assignee, TaskRef};

/// Write a comment below a task.
///
/// Everybody may comment on every task, workers too.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kanban comment t_1a2b3c4d \"the numbers are in the annex\"
  kanban comment shop/t_1a2b3c4d please hurry --author ann")]
pub(crate) struct Comment {
    #[command(flatten)]
    pub(crate) on: One,
    /// What there is to say.
    #[arg(value_name = "TEXT", required = true)]
    pub(crate) text: Vec<String>,
    /// Who says it [default: HERMES_PROFILE, else \"user\"].
    #[arg(long, value_name = "NAME")]
    pub(crate) author: Option<String>,
}

/// Let a task wait for another one.
///
/// A ready child goes back to todo until its parent is done. A task cannot wait for itself, also not through others.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  kanban link t_cut00001 t_sew00002      t_sew00002 waits for t_cut00001"
)]
pub(crate) struct Link {
    #[command(flatten)]
    pub(crate) ends: Ends,
}

/// Let a task no longer wait for another one.
///
/// If it waits for nothing else it becomes ready.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  kanban unlink t_cut00001 t_sew00002")]
pub(crate) struct Unlink {
    #[command(flatten)]
    pub(crate) ends: Ends,
}

#[derive(Debug, Args)]
pub(crate) struct Ends {
    /// The task that is to be done first: ID or BOARD/ID.
    #[arg(value_name = "PARENT")]
    pub(crate) parent: TaskRef,
    /// The task that waits, on the same board.
    #[arg(value_name = "CHILD")]
    pub(crate) child: TaskRef,
    #[command(flatten)]
    pub(crate) said: Said,
}

/// Take tasks off the board.
///
/// What waited for one may go on. A worker that is at it loses its claim, and its dispatcher stops it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kanban archive t_1a2b3c4d t_5e6f7a8b
  kanban archive --rm t_1a2b3c4d         nothing brings it back")]
pub(crate) struct Archive {
    /// The tasks: ID or BOARD/ID.
    #[arg(value_name = "ID", required_unless_present = "rm")]
    pub(crate) tasks: Vec<TaskRef>,
    /// Delete archived tasks for good, with their links, comments, events and attempts; attachments and their files stay.
    #[arg(long, value_name = "ID", num_args = 1.., conflicts_with = "tasks")]
    pub(crate) rm: Vec<TaskRef>,
    #[command(flatten)]
    pub(crate) said: Said,
}

/// Say who is to do a task.
///
/// Refused while somebody is at it; see `kanban reassign --reclaim`. A change of hands makes its count of failures start anew.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kanban assign t_1a2b3c4d coder
  kanban assign t_1a2b3c4d none          nobody: it does not start by itself")]
pub(crate) struct Assign {
    #[command(flatten)]
    pub(crate) on: One,
    /// A profile's name; `none` or `-` is nobody.
    #[arg(value_name = "PROFILE", allow_hyphen_values = true)]
    pub(crate) assignee: Assignee,
}

/// Take a task back from whoever is at it; it is ready again.
///
/// This changes the board only. The dispatcher that started the worker finds its claim gone and stops it, and starts no other
/// one before it has ended. Without a dispatcher nobody stops it, and this says so.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  kanban reclaim t_1a2b3c4d --reason \"it hangs\"")]
pub(crate) struct Reclaim {
    #[command(flatten)]
    pub(crate) on: One,
    /// Why.
    #[arg(long)]
    pub(crate) reason: Option<String>,
}

/// Give a task to somebody else, also one that is being worked on.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kanban reassign t_1a2b3c4d reviewer
  kanban reassign t_1a2b3c4d coder2 --reclaim --reason \"wrong hands\"")]
pub(crate) struct Reassign {
    #[command(flatten)]
    pub(crate) on: One,
    /// A profile's name; `none` or `-` is nobody.
    #[arg(value_name = "PROFILE", allow_hyphen_values = true)]
    pub(crate) assignee: Assignee,
    /// Take it back first if somebody is at it.
    #[arg(long)]
    pub(crate) reclaim: bool,
    /// Why it is taken back.
    #[arg(long, requires = "reclaim")]
    pub(crate) reason: Option<String>,
}

/// Let tasks start that wait or are blocked.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kanban promote t_1a2b3c4d \"looked at it\"
  kanban promote t_1a2b3c4d --ids t_5e6f7a8b --dry-run
  kanban promote t_1a2b3c4d --force      also while a parent is open; its next claim puts it back to todo")]
pub(crate) struct Promote {
    #[command(flatten)]
    pub(crate) on: More,
    /// Why.
    #[arg(value_name = "REASON")]
    pub(crate) reason: Vec<String>,
    /// Also while a parent is open.
    #[arg(long)]
    pub(crate) force: bool,
    /// Tell whether it would be done, and do nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Put tasks off, until somebody unblocks them.
///
/// Workers are held to their own task, as in `complete`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  kanban schedule t_1a2b3c4d \"after the holidays\" --ids t_5e6f7a8b"
)]
pub(crate) struct Schedule {
    #[command(flatten)]
    pub(crate) on: More,
    /// Until when, or why.
    #[arg(value_name = "REASON")]
    pub(crate) reason: Vec<String>,
    #[command(flatten)]
    pub(crate) attempt: Attempt,
}

/// Correct a task's words or priority, or the result of one that is done.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kanban edit t_1a2b3c4d --priority 5
  kanban edit t_1a2b3c4d --result 43 --summary \"counted again\"")]
pub(crate) struct Edit {
    #[command(flatten)]
    pub(crate) on: One,
    /// What it is called.
    #[arg(long)]
    pub(crate) title: Option<String>,
    /// What is to be done.
    #[arg(long)]
    pub(crate) body: Option<String>,
    /// Higher starts first.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) priority: Option<i64>,
    /// The result of a done task.
    #[arg(long)]
    pub(crate) result: Option<String>,
    /// The outcome in a few words [default: the result].
    #[arg(long, requires = "result")]
    pub(crate) summary: Option<String>,
    /// Anything else worth keeping: a JSON object.
    #[arg(long, value_name = "JSON", value_parser = value::object, requires = "result")]
    pub(crate) metadata: Option<Map<String, Value>>,
}
