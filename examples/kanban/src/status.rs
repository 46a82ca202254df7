//! `status`: what the dispatcher keeps about itself, read by another process.

use std::io::{IsTerminal, stdout};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use kanban_dispatcher::{
    BoardState, BoardStatus, DispatcherState, DispatcherStatus, Health, Status,
};
use serde_json::Value;

use crate::age::{self, NOTHING};
use crate::cli;
use crate::exit::{Code, Failure};
use crate::output::{self, Layout};
use crate::place::Place;
use crate::signals;
use crate::table::{Cell, Table, Tone, paint};

/// How often `--watch` looks.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// A reason longer than this is cut in the table and told in full below it.
const REASON_MAX: usize = 40;

/// Moves to the top left corner and clears the screen.
const CLEAR: &str = "\x1b[H\x1b[2J";

pub(crate) fn run(args: &cli::Status, place: &Place) -> Result<Code, Failure> {
    if !args.watch {
        let layout = args.json.then_some(Layout::Pretty);
        return look(place, layout, "");
    }
    let layout = args.json.then_some(Layout::Line);
    let before = if !args.json && stdout().is_terminal() {
        CLEAR
    } else {
        ""
    };
    let told = signals::interruption().map_err(|e| Failure::io("listen for signals", &e))?;
    loop {
        let code = look(place, layout, before)?;
        match told.recv_timeout(WATCH_EVERY) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return Ok(code),
        }
    }
}

fn look(place: &Place, json: Option<Layout>, before: &str) -> Result<Code, Failure> {
    let status = Status::read(&place.root, &place.clock)?;
    match json {
        Some(layout) => output::json(&status, layout)?,
        None => {
            let text = render(&status, place.clock.unix(), output::is_colourful(&stdout()));
            output::print(&format!("{before}{text}"))?;
        }
    }
    Ok(match status.health() {
        Health::Healthy => Code::Done,
        Health::Degraded => Code::Degraded,
        _ => Code::NotRunning,
    })
}

fn render(status: &Status, now: i64, is_colourful: bool) -> String {
    let mut text = dispatcher_line(status, now, is_colourful);
    if !status.boards.is_empty() {
        text.push('\n');
        text.push_str(&boards(&status.boards, now, is_colourful));
    }
    text.push_str(&usage_line(&status.dispatcher));
    text
}

/// The table, and what does not fit into it.
fn boards(boards: &[BoardStatus], now: i64, is_colourful: bool) -> String {
    let mut text = table(boards, now, is_colourful).render();
    for board in boards {
        if let Some(reason) = board
            .reason
            .as_ref()
            .filter(|r| r.chars().count() > REASON_MAX)
        {
            text.push_str(&format!("\n{}: {}", board.slug, output::plain(reason)));
        }
    }
    for board in boards {
        if let Some(risk) = &board.risk {
            text.push_str(&format!("\n{}: {}", board.slug, output::plain(risk)));
        }
    }
    let unguarded: Vec<&str> = boards
        .iter()
        .filter(|board| matches!(board.state, BoardState::Ok | BoardState::Paused))
        .filter(|board| board.last_tick.is_some() && !board.guarded)
        .map(|board| board.slug.as_str())
        .collect();
    if !unguarded.is_empty() {
        let names = unguarded.join(", ");
        text.push_str(&format!("\nno connection is kept open to: {names}"));
    }
    text
}

fn dispatcher_line(status: &Status, now: i64, is_colourful: bool) -> String {
    let dispatcher = &status.dispatcher;
    let (word, tone) = match dispatcher.state {
        DispatcherState::Serving => ("serving", Tone::Good),
        DispatcherState::Stale => ("stale", Tone::Bad),
        DispatcherState::Stopped => ("stopped", Tone::Bad),
        DispatcherState::Never => ("never ran here", Tone::Bad),
        _ => ("unknown", Tone::Odd),
    };
    let mut text = format!("dispatcher {}", paint(word, tone, is_colourful));
    if let Some(pid) = dispatcher
        .pid
        .filter(|_| dispatcher.state != DispatcherState::Stopped)
    {
        text.push_str(&format!("  pid {pid}"));
    }
    if let Some(then) = dispatcher.started_at {
        text.push_str(&format!("  started {}", age::relative(then, now)));
    }
    if let Some(then) = dispatcher.last_tick {
        text.push_str(&format!("  last tick {}", age::relative(then, now)));
    }
    if let Some(seconds) = dispatcher.interval_seconds {
        text.push_str(&format!("  every {seconds}s"));
    }
    text.push_str("  root ");
    text.push_str(&output::plain(&status.root));
    text
}

/// What the dispatcher's process uses, on a line of its own.
fn usage_line(dispatcher: &DispatcherStatus) -> String {
    let serves = dispatcher.state == DispatcherState::Serving;
    let Some(usage) = dispatcher.usage.filter(|_| serves) else {
        return String::new();
    };
    format!(
        "\n{} descriptors, at most {}; {} MiB of memory, at most {}",
        usage.descriptors,
        usage.descriptors_max,
        usage.resident_kib / 1024,
        usage.resident_max_kib / 1024
    )
}

fn table(boards: &[BoardStatus], now: i64, is_colourful: bool) -> Table {
    let head = [
        "slug",
        "state",
        "class",
        "reason",
        "since",
        "next_retry",
        "repair_attempts",
        "last_tick",
        "ready",
        "running",
        "held",
        "suppressed",
    ];
    let mut table = Table::new(&head, is_colourful);
    for board in boards {
        let (state, tone) = match board.state {
            BoardState::Ok => ("ok", Tone::Good),
            BoardState::Paused if board.breaker_round.is_some() => ("paused", Tone::Bad),
            BoardState::Paused => ("paused", Tone::Odd),
            BoardState::Held => ("held", Tone::Bad),
            BoardState::Failing => ("failing", Tone::Bad),
            BoardState::Busy => ("busy", Tone::Odd),
            BoardState::Absent => ("absent", Tone::Odd),
            _ => ("unknown", Tone::Odd),
        };
        table.push(vec![
            Cell::text(&board.slug),
            Cell::text(state).tone(tone),
            Cell::text(board.class.as_deref().unwrap_or(NOTHING)),
            Cell::short(board.reason.as_deref().unwrap_or(NOTHING), REASON_MAX),
            Cell::text(&age::relative_or_nothing(board.since, now)),
            Cell::text(&age::relative_or_nothing(board.next_retry, now)),
            Cell::number(board.repair_attempts),
            Cell::text(&age::relative_or_nothing(board.last_tick, now)),
            Cell::number(board.ready.into()),
            Cell::number(board.running.into()),
            Cell::text(&held(&board.held)),
            Cell::number(board.suppressed.cast_signed()),
        ]);
    }
    table
}

/// `{"host_cap": 3}` as `host_cap:3`.
fn held(counts: &Value) -> String {
    match counts.as_object() {
        Some(counts) if !counts.is_empty() => {
            let parts = counts
                .iter()
                .map(|(reason, count)| format!("{reason}:{count}"));
            parts.collect::<Vec<_>>().join(",")
        }
        _ => NOTHING.to_owned(),
    }
}
