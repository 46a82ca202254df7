//! What can be said on the command line; the verbs on tasks are in `cli/task.rs`.

mod change;
mod lever;
mod task;
mod triage;
mod value;

use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use kanban_dispatcher::Slug;

pub(crate) use self::change::{
    Archive, Assign, Comment, Edit, Ends, Link, Promote, Reassign, Reclaim, Schedule, Unlink,
};
pub(crate) use self::lever::{Lever, Pause};
pub(crate) use self::task::{Add, Block, Complete, Heartbeat, List, Said, Show, Unblock, Why};
pub(crate) use self::triage::{Decompose, Specify};
pub(crate) use self::value::{Place as Workplace, TaskRef};

/// A self-healing dispatcher for Hermes kanban boards.
///
/// Many SQLite boards, one dispatcher: what breaks is repaired once, what stays broken is left alone until it changes, and
/// every other board goes on.
#[derive(Debug, Parser)]
#[command(name = "kanban", version, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// Where the boards and profiles are [default: HERMES_KANBAN_HOME, else the Hermes root].
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// The board, for verbs on one board [default: HERMES_KANBAN_BOARD, else the current one].
    #[arg(long, global = true, value_name = "SLUG")]
    pub(crate) board: Option<Slug>,
    /// How log lines are written; KANBAN_LOG says which (`info`, `warn`, `kanban_dispatcher=debug`).
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        default_value_t
    )]
    pub(crate) log_format: LogFormat,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

const EXAMPLES: &str = "\
Examples:
  kanban demo                                  see it break and heal itself, in a temporary place
  kanban init                                  make the default board
  kanban add \"write the report\" --assignee coder
  kanban run                                   dispatch until Ctrl-C
  kanban status --watch                        look on from another terminal

Exit codes: 0 done, 1 failed, 2 usage, 75 busy elsewhere, 78 bad configuration;
`status` has 3 for \"not running or stale\" and 4 for \"degraded\".
JSON and answers go to standard output, everything else to standard error.";

/// How log lines are written.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Demo(Demo),
    Run(Run),
    Tick(Tick),
    Status(Status),
    Why(Why),
    Boards(Boards),
    Init(Init),
    Add(Add),
    List(List),
    Show(Show),
    Complete(Complete),
    Block(Block),
    Unblock(Unblock),
    Heartbeat(Heartbeat),
    Specify(Specify),
    Decompose(Decompose),
    Comment(Comment),
    Link(Link),
    Unlink(Unlink),
    Schedule(Schedule),
    Promote(Promote),
    Assign(Assign),
    Reassign(Reassign),
    Reclaim(Reclaim),
    Archive(Archive),
    Edit(Edit),
    Pause(Pause),
    /// Lift a pause: the board starts tasks again.
    #[command(
        after_help = "Examples:\n  kanban resume shop                what an operator or the dispatcher has paused goes on"
    )]
    Resume(Lever),
    /// Lift what the dispatcher holds a board by: it is looked at again.
    #[command(
        after_help = "Examples:\n  kanban release shop               its cause was elsewhere, so none of its files has changed"
    )]
    Release(Lever),
    /// Allow one more repair of a board's schema.
    #[command(
        after_help = "Examples:\n  kanban repair shop                what was in the way of the last one is gone"
    )]
    Repair(Lever),
}

/// Break a temporary fleet on purpose and watch it heal itself.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  kanban demo                       exit 0 if everything healed"
)]
pub(crate) struct Demo {
    /// An upper bound of its length.
    #[arg(long, value_name = "N")]
    pub(crate) seconds: Option<u64>,
    /// Leave the temporary root behind.
    #[arg(long)]
    pub(crate) keep: bool,
}

/// Dispatch until told to stop.
///
/// SIGTERM, SIGINT and SIGHUP end it after the tick under way; workers go on and the next dispatcher adopts them. While another
/// dispatcher holds the root, this one stands by and takes over when that one ends.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kanban run                        settings: kanban/dispatcher.toml below the root, if it is there
  kanban run --config my.toml       settings from elsewhere; changes apply at the next tick
  kanban run --once                 one tick, for cron: exit 75 if busy elsewhere, 4 if degraded")]
pub(crate) struct Run {
    /// Seconds between two ticks, fractions allowed. Wins over the settings file, which is then read only at the start.
    #[arg(long, value_name = "SECONDS", value_parser = value::interval)]
    pub(crate) interval: Option<Duration>,
    /// One tick, then end.
    #[arg(long)]
    pub(crate) once: bool,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// The settings file [default: kanban/dispatcher.toml below the root, if it exists].
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// Pass over all boards once.
///
/// Exits with 75 when another dispatcher holds the root. A broken board does not fail the tick; it has its own line.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kanban tick --dry-run             what would start now; locks, writes and starts nothing
  kanban tick --json | jq '.boards[].outcome'")]
pub(crate) struct Tick {
    /// Write a JSON document.
    #[arg(long)]
    pub(crate) json: bool,
    /// Tell what a tick would do, and do nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// Tell how the dispatcher and its boards are.
///
/// Reads what the dispatcher keeps about itself; opens no board. Exit code: 0 healthy, 3 not running or stale, 4 degraded.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kanban status --watch             once a second, until Ctrl-C
  kanban status --json | jq '.boards[] | select(.state == \"held\") | .reason'")]
pub(crate) struct Status {
    /// Write a JSON document; with --watch one per line.
    #[arg(long)]
    pub(crate) json: bool,
    /// Look again every second.
    #[arg(long)]
    pub(crate) watch: bool,
}

/// List the boards; opens none.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  kanban boards --json | jq -r '.boards[].slug'")]
pub(crate) struct Boards {
    /// Write a JSON document.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Make a board, with its directory, if it does not exist.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kanban init                       the default board
  kanban init shop                  a board of that name")]
pub(crate) struct Init {
    /// Which board [default: the one that other verbs would use].
    pub(crate) slug: Option<Slug>,
}

// ===== impl Cli =====

impl Cli {
    /// Reads the arguments; help, version and usage errors end the process here.
    pub(crate) fn read() -> Self {
        let cli = Self::parse();
        if cli.board.is_some() && !cli.verb.is_on_one_board() {
            let what = "--board is for verbs on one board; this one is about all of them, or names its own";
            Self::command()
                .error(ErrorKind::ArgumentConflict, what)
                .exit();
        }
        cli
    }
}

impl Verb {
    fn is_on_one_board(&self) -> bool {
        match self {
            Self::Demo(_) | Self::Run(_) | Self::Tick(_) | Self::Status(_) | Self::Boards(_) => {
                false
            }
            // They name their board themselves.
            Self::Pause(_) | Self::Resume(_) | Self::Release(_) | Self::Repair(_) => false,
            Self::Init(_) | Self::Add(_) | Self::List(_) | Self::Show(_) | Self::Why(_) => true,
            Self::Complete(_) | Self::Block(_) | Self::Unblock(_) | Self::Heartbeat(_) => true,
            Self::Comment(_) | Self::Link(_) | Self::Unlink(_) | Self::Schedule(_) => true,
            Self::Promote(_) | Self::Assign(_) | Self::Reassign(_) | Self::Reclaim(_) => true,
            Self::Archive(_) | Self::Edit(_) | Self::Specify(_) | Self::Decompose(_) => true,
        }
    }
}
