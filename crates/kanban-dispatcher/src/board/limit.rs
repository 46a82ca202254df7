//! A limit on the time of one connection's statements: SQLite gives up in the middle of one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::{Connection, Result};

use crate::clock::Clock;

/// SQLite asks after so many of its instructions: some tens of microseconds.
const INSTRUCTIONS: std::ffi::c_int = 1000;

/// Says whether the limit was reached.
#[derive(Debug, Clone)]
pub(crate) struct Cut(Arc<AtomicBool>);

impl Cut {
    pub(crate) fn happened(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// From now on whatever runs on `db` fails as interrupted once `limit` is over, until [`lift`].
pub(crate) fn limit(db: &mut Connection, clock: &Clock, limit: Duration) -> Result<Cut> {
    let cut = Cut(Arc::new(AtomicBool::new(false)));
    let (clock, end) = (clock.clone(), clock.monotonic().saturating_add(limit));
    let told = Arc::clone(&cut.0);
    let is_over = move || {
        let is_over = clock.monotonic() >= end;
        if is_over {
            told.store(true, Ordering::Relaxed);
        }
        is_over
    };
    db.progress_handler(INSTRUCTIONS, Some(is_over))?;
    Ok(cut)
}

/// No limit any more.
pub(crate) fn lift(db: &mut Connection) -> Result<()> {
    db.progress_handler(0, None::<fn() -> bool>)
}
