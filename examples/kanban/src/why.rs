//! `why`: the one reason why a task is where it is.

use kanban_dispatcher::{HeldReason, Reason, Slug, Why, why};
use serde::Serialize;

use crate::cli;
use crate::exit::{Code, Failure};
use crate::output::{self, plain};
use crate::place::Place;
use crate::{age, daemon};

/// The content of the document.
#[derive(Serialize)]
struct Answer<'a> {
    board: &'a Slug,
    task: &'a str,
    #[serde(flatten)]
    why: Why,
}

pub(crate) fn run(args: &cli::Why, place: &Place) -> Result<Code, Failure> {
    let board = place.board_of(&args.task)?;
    let (config, _) = daemon::load(&args.settings, &place.root)?;
    let task = args.task.id.as_str();
    let why = why(&place.root, &config, &place.clock, &board, task)?;
    if args.json {
        let board = board.slug();
        output::document("kanban.why", Answer { board, task, why })?;
    } else {
        output::print(&page(task, &why, place.clock.unix()))?;
    }
    Ok(Code::Done)
}

fn page(task: &str, why: &Why, now: i64) -> String {
    let change = match why.next_change {
        Some(at) => age::full(at, now),
        None => "when something else happens".to_owned(),
    };
    let (task, reason, meaning) = (plain(task), why.reason.as_str(), meaning(why.reason));
    format!("{task}  {reason}\n  {meaning}\n  next change: {change}")
}

/// The reason in a sentence.
fn meaning(reason: Reason) -> &'static str {
    match reason {
        Reason::Starts => "the next tick starts it",
        Reason::NoDispatcher => "it would start, but no dispatcher runs: `kanban run`",
        Reason::Running => "an attempt is open",
        Reason::Stopping => "its worker is asked to stop",
        Reason::Claimed => "somebody's claim lies on it, although it is not running",
        Reason::WaitsForParents => "a parent is neither done nor archived",
        Reason::Blocked => "a person or its worker blocked it: `kanban unblock` frees it",
        Reason::GivenUp => "it failed too often: see its last error, then `kanban unblock`",
        Reason::Held(reason) => held(reason),
        Reason::Triage => "it waits for a person to specify it",
        Reason::Scheduled => "somebody put it off",
        Reason::Done => "it is done",
        Reason::Archived => "it is archived",
        Reason::OtherStatus => "its status is none of this format's: it is left alone",
        Reason::BoardHeld => "its whole board is left alone: see `kanban status`",
        _ => "see docs/operations.md",
    }
}

fn held(reason: HeldReason) -> &'static str {
    match reason {
        HeldReason::Unassigned => "nobody is to do it",
        HeldReason::UnknownAssignee => "its assignee has no profile directory here",
        HeldReason::Cooldown => "its worker said \"try later\"",
        HeldReason::BlockerAuth => "its last error speaks of permission or quota",
        HeldReason::RecentSuccess => "it was completed within the hour",
        HeldReason::ActivePr => "a comment of the last day names a pull request",
        HeldReason::BoardCap => "the limit of its board is reached",
        HeldReason::ProfileCap => "the limit of its assignee is reached",
        HeldReason::HostCap => "the limit over all boards is reached",
        HeldReason::NoWorker => "no worker can be started: the worker program is missing",
        HeldReason::WorkerEnding => "the worker of its earlier attempt has not ended yet",
        HeldReason::BadRow => "its row cannot be read",
        _ => "see docs/operations.md",
    }
}
