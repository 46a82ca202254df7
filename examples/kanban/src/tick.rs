//! `tick`: one pass over all boards, or the plan of one.

use kanban_dispatcher::{
    BoardPlan, BoardReport, Dispatcher, Gate, HeldCounts, Outcome, PlanState, Standby,
    StandbyReason, plan,
};
use serde::Serialize;

use crate::age::NOTHING;
use crate::cli::Tick;
use crate::exit::{Code, Failure};
use crate::output;
use crate::place::Place;
use crate::table::{Cell, Table, Tone};
use crate::{age, daemon};

/// The content of the plan's document.
#[derive(Serialize)]
struct Plan {
    boards: Vec<BoardPlan>,
}

pub(crate) fn run(args: &Tick, place: Place, gate: Gate) -> Result<Code, Failure> {
    place.must_exist()?;
    let place = place.served()?;
    let (config, _) = daemon::load(&args.settings, &place.root)?;
    if args.dry_run {
        let boards = plan(&place.root, &config)?;
        match args.json {
            true => output::document("kanban.plan", Plan { boards })?,
            false => output::print(&plan_table(&boards).render())?,
        }
        return Ok(Code::Done);
    }
    let root = place.root;
    let mut dispatcher = Dispatcher::builder(root, config).gate(gate).build();
    let report = dispatcher.tick();
    drop(dispatcher);
    if args.json {
        output::document("kanban.tick", &report)?;
    }
    match &report.standby {
        Some(standby) => return Err(stood_by(standby)),
        None if !args.json => output::print(&tick_table(&report.boards).render())?,
        None => {}
    }
    Ok(Code::Done)
}

/// Why a tick dispatched nothing.
pub(crate) fn stood_by(standby: &Standby) -> Failure {
    let (code, hint) = match standby.reason {
        StandbyReason::AnotherDispatcher => {
            (Code::Busy, "`kanban status` shows who dispatches here")
        }
        StandbyReason::LedgerBusy => (Code::Busy, "another program is writing to it; try again"),
        _ => (Code::Failed, "without this nothing is dispatched"),
    };
    Failure::new(code, &standby.text, hint)
}

fn tick_table(boards: &[BoardReport]) -> Table {
    let head = [
        "slug",
        "outcome",
        "started",
        "promoted",
        "reclaimed",
        "failed",
        "gave_up",
        "ready",
        "running",
        "next_retry",
        "held",
        "reason",
    ];
    let mut table = Table::new(&head, output::is_colourful(&std::io::stdout()));
    for board in boards {
        let tone = match (board.outcome, &board.failure) {
            (Outcome::Ticked, None) => Tone::Good,
            (Outcome::Absent | Outcome::Busy, None) => Tone::Odd,
            _ => Tone::Bad,
        };
        let retry = board
            .next_retry
            .map(|wait| i64::try_from(wait.as_secs()).unwrap_or(i64::MAX));
        let repaired = format!("repaired {}", board.repaired.join(", "));
        let reason = match &board.failure {
            Some(failure) => &failure.reason,
            None if board.repaired.is_empty() => NOTHING,
            None => &repaired,
        };
        table.push(vec![
            Cell::text(board.slug.as_str()),
            Cell::text(board.outcome.as_str()).tone(tone),
            Cell::number(board.started.len() as i64),
            Cell::number(board.promoted.into()),
            Cell::number(board.reclaimed.into()),
            Cell::number(board.failed.into()),
            Cell::number(board.gave_up.into()),
            Cell::number(board.ready.into()),
            Cell::number(board.running.into()),
            Cell::text(&retry.map_or_else(|| NOTHING.to_owned(), age::short)),
            Cell::text(&held(&board.held)),
            Cell::text(reason),
        ]);
    }
    table
}

fn plan_table(boards: &[BoardPlan]) -> Table {
    let head = [
        "slug",
        "state",
        "would_start",
        "would_promote",
        "would_reclaim",
        "would_fail",
    ];
    let head = [&head[..], &["held", "reason"]].concat();
    let mut table = Table::new(&head, output::is_colourful(&std::io::stdout()));
    for board in boards {
        let (state, tone) = match board.state {
            PlanState::Tick => ("tick", Tone::Good),
            PlanState::Repair => ("repair", Tone::Odd),
            PlanState::Absent => ("absent", Tone::Odd),
            PlanState::Unreadable => ("unreadable", Tone::Bad),
            _ => ("other", Tone::Odd),
        };
        let tasks = |tasks: &[String]| match tasks {
            [] => Cell::text(NOTHING),
            tasks => Cell::text(&tasks.join(",")),
        };
        table.push(vec![
            Cell::text(board.slug.as_str()),
            Cell::text(state).tone(tone),
            tasks(&board.would_start),
            tasks(&board.would_promote),
            tasks(&board.would_reclaim),
            tasks(&board.would_fail),
            Cell::text(&held(&board.held)),
            Cell::text(board.reason.as_deref().unwrap_or(NOTHING)),
        ]);
    }
    table
}

fn held(counts: &HeldCounts) -> String {
    let parts: Vec<String> = counts
        .iter()
        .map(|(reason, count)| format!("{}:{count}", reason.as_str()))
        .collect();
    if parts.is_empty() {
        NOTHING.to_owned()
    } else {
        parts.join(",")
    }
}
