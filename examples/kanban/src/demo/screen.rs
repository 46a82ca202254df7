//! What the demo shows: one event a line, and on a terminal a status line below them.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use kanban_dispatcher::Clock;

use crate::output;

/// Everything the demo says goes through here.
#[derive(Debug)]
pub(super) struct Screen {
    clock: Clock,
    is_terminal: bool,
    has_colour: bool,
    /// The status line as it stands.
    status: Mutex<String>,
}

/// What kind of event a line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Where the story is.
    Story,
    /// The demo breaks something.
    Fault,
    /// The demo, as the operator, mends something.
    Cure,
    /// The dispatcher's own log.
    Info,
    Warn,
    Error,
    /// What the ticks did, from their reports.
    Tick,
    /// What got done, from the boards.
    Work,
}

// ===== impl Screen =====

impl Screen {
    pub(super) fn new(clock: Clock) -> Self {
        let is_terminal = io::stdout().is_terminal();
        Self {
            clock,
            is_terminal,
            has_colour: output::is_colourful(&io::stdout()),
            status: Mutex::default(),
        }
    }

    /// One event.
    pub(super) fn event(&self, kind: Kind, board: &str, text: &str) {
        let at = self.clock.monotonic().as_secs_f64();
        let word = self.paint(kind.colour(), format_args!("{:<5}", kind.word()));
        let line = format!("{at:>5.1}s  {word}  {board:<8}  {text}");
        self.print(line.trim_end());
    }

    /// Where the story is.
    pub(super) fn story(&self, text: &str) {
        self.event(
            Kind::Story,
            "",
            &self.paint(Kind::Story.colour(), format_args!("{text}")),
        );
    }

    /// A line of the summary.
    pub(super) fn print(&self, line: &str) {
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        let (clear, status) = match status.as_str() {
            "" => ("", ""),
            status => ("\r\x1b[2K", status),
        };
        // Nobody may be reading any more; the demo's exit code still tells.
        let mut out = io::stdout().lock();
        let _ = write!(out, "{clear}{line}\n{status}");
        let _ = out.flush();
    }

    /// Replaces the status line; shown on a terminal only. An empty one takes it away.
    pub(super) fn status(&self, text: String) {
        if !self.is_terminal {
            return;
        }
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = io::stdout().lock();
        let _ = write!(out, "\r\x1b[2K{text}");
        let _ = out.flush();
        *status = text;
    }

    /// `ok` in green or `FAILED` in red.
    pub(super) fn mark(&self, ok: bool) -> String {
        if ok {
            self.paint("32", format_args!("ok    "))
        } else {
            self.paint("1;31", format_args!("FAILED"))
        }
    }

    fn paint(&self, colour: &str, text: fmt::Arguments<'_>) -> String {
        if self.has_colour {
            format!("\x1b[{colour}m{text}\x1b[0m")
        } else {
            text.to_string()
        }
    }
}

// ===== impl Kind =====

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Story => "-----",
            Self::Fault => "FAULT",
            Self::Cure => "CURE",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Tick => "tick",
            Self::Work => "work",
        }
    }

    const fn colour(self) -> &'static str {
        match self {
            Self::Story => "1",
            Self::Fault => "35",
            Self::Cure => "36",
            Self::Info => "32",
            Self::Warn => "33",
            Self::Error => "31",
            Self::Tick => "2",
            Self::Work => "34",
        }
    }
}
