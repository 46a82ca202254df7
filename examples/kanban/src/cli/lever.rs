//! The arguments of the operator's levers.

use clap::Args;
use kanban_dispatcher::Slug;

/// Start nothing on a board from now on; its running workers go on.
///
/// Holds until `kanban resume`, over restarts of the dispatcher, and also when none runs now.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kanban pause shop --reason \"the price list is being replaced\"
  kanban resume shop")]
pub(crate) struct Pause {
    /// Which board.
    #[arg(value_name = "BOARD")]
    pub(crate) slug: Slug,
    /// Why; `kanban status` shows it.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

/// A lever on one board.
#[derive(Debug, Args)]
pub(crate) struct Lever {
    /// Which board.
    #[arg(value_name = "BOARD")]
    pub(crate) slug: Slug,
}
