//! The arguments of the verbs on tasks in triage.

use clap::Args;

use super::task::One;

/// Say what a task in triage is about, so that it can start.
///
/// It is ready then, or waits for its parents. What is not given stays as it is.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kanban specify t_1a2b3c4d --title \"write the report\" --assignee coder
  kanban specify t_1a2b3c4d                     it is fine as it is")]
pub(crate) struct Specify {
    #[command(flatten)]
    pub(crate) on: One,
    /// What it is called.
    #[arg(long)]
    pub(crate) title: Option<String>,
    /// What is to be done.
    #[arg(long)]
    pub(crate) body: Option<String>,
    /// Who is to do it: a profile's name.
    #[arg(long, value_name = "PROFILE")]
    pub(crate) assignee: Option<String>,
    /// Who says so, in a comment if anything changes [default: HERMES_PROFILE, else "user"].
    #[arg(long, value_name = "NAME")]
    pub(crate) author: Option<String>,
}

/// Divide a task in triage into new tasks, and print their ids.
///
/// The task waits for all of them. They work where it works, and those that wait for no other one are ready.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kanban decompose t_1a2b3c4d --child \"cut the cloth\" --child \"order buttons\" --assignee tailor
  kanban decompose t_1a2b3c4d --file parts.json          - is standard input

parts.json is an array of titles and objects; `parents` are other parts, the first is 0:
  [\"order buttons\",
   {\"title\": \"cut the cloth\", \"assignee\": \"cutter\", \"body\": \"size 48\"},
   {\"title\": \"sew\", \"assignee\": \"tailor\", \"parents\": [0, 1], \"workspace\": \"dir:/srv/coat\"}]

Once they are made the exit code is 0, also if their ids cannot be written: then standard error tells them.")]
pub(crate) struct Decompose {
    #[command(flatten)]
    pub(crate) on: One,
    /// The title of a new task; may be given again.
    #[arg(long = "child", value_name = "TITLE", required_unless_present = "file")]
    pub(crate) children: Vec<String>,
    /// A file with the new tasks, in JSON.
    #[arg(long, value_name = "FILE", conflicts_with = "children")]
    pub(crate) file: Option<String>,
    /// Who is to do the task itself when they are done: a profile's name.
    #[arg(long, value_name = "PROFILE")]
    pub(crate) assignee: Option<String>,
    /// Who divides it [default: HERMES_PROFILE, else "user"].
    #[arg(long, value_name = "NAME")]
    pub(crate) author: Option<String>,
}
