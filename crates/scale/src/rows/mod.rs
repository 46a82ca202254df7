//! The rows, each in a file with those that need the same boards.

pub(crate) mod claim_syncs;
pub(crate) mod claims;
pub(crate) mod daemon;
pub(crate) mod decision;
pub(crate) mod idle;
mod plain_claims;
pub(crate) mod trouble;

use std::path::PathBuf;
use std::time::Duration;

use kanban_dispatcher::{Dispatcher, Gate, Outcome, TickReport};

use crate::Result;
use crate::fleet::Fleet;
use crate::meter::{pause, until};
use crate::settings::Mode;

/// What all rows are measured by.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Only shows that everything works.
    pub(crate) quick: bool,
    /// Where the boards are made.
    pub(crate) place: PathBuf,
    pub(crate) kanban: PathBuf,
    /// The peer's interpreter; without it there is nothing beside ours.
    pub(crate) python: Option<PathBuf>,
    pub(crate) gate: Gate,
}

impl Plan {
    /// The one number or, for a quick run, the other.
    pub(crate) const fn or<T: Copy>(&self, proper: T, quick: T) -> T {
        if self.quick { quick } else { proper }
    }
}

/// Ticks until there is nothing left that only the first ones do: boards are opened, and where that is possible they are quiet.
fn settled(fleet: &Fleet, mode: Mode, more: &str) -> Result<Option<Dispatcher>> {
    let Some(config) = mode.config(more)? else {
        return Ok(None);
    };
    let mut dispatcher = Dispatcher::new(fleet.root.clone(), config);
    let mut ticks = 0;
    until("the boards are quiet", Duration::from_secs(120), || {
        pause(Duration::from_millis(20));
        let report = dispatcher.tick();
        sound(&report)?;
        ticks += 1;
        Ok(ticks >= 3 && (mode == Mode::Open || report.quiet == fleet.boards.len()))
    })?;
    Ok(Some(dispatcher))
}

/// Fails unless each board of the report is a working one: what is measured must be what is said.
fn sound(report: &TickReport) -> Result {
    if let Some(standby) = &report.standby {
        return Err(format!("the dispatcher stands by: {}", standby.text).into());
    }
    let is_bad = |outcome| {
        matches!(
            outcome,
            Outcome::Held | Outcome::Busy | Outcome::Absent | Outcome::Failed
        )
    };
    match report.boards.iter().find(|board| is_bad(board.outcome)) {
        Some(board) => Err(format!("a board does not work: {board:?}").into()),
        None => Ok(()),
    }
}
