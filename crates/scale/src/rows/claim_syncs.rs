//! How many syncs a backlog costs, by strace.

use std::hint::black_box;
use std::path::Path;

use kanban_dispatcher::Gate;

use super::claims::{Asked, BACKLOG, Start, feed, write};
use super::{Plan, sound};
use crate::Result;
use crate::fleet::{Fleet, connect};
use crate::peer::Peer;
use crate::report::{Line, NONE, Value};
use crate::syncs::{self, Syncs};

/// The first argument of the process that strace watches.
const ONE: &str = "--one-backlog";

/// Ours and the peer's, each in a process that strace watches.
pub(super) fn measure(plan: &Plan) -> Result<Vec<Line>> {
    if !syncs::is_there() {
        return Ok(vec![Line::new("syncs", Value::Word("strace is not there"))]);
    }
    let trace = plan.place.join("syncs.trace");
    let fleet = Fleet::idle(&plan.place, 1)?;
    let mut command = syncs::strace(&trace);
    command
        .arg(std::env::current_exe()?)
        .arg(ONE)
        .arg(fleet.path());
    if !command.status()?.success() {
        return Err("the traced process failed".into());
    }
    let ours = syncs::count(&trace)?;
    let mut theirs = None;
    if let Some(python) = &plan.python {
        let fleet = Fleet::idle(&plan.place, 1)?;
        let mut peer = Peer::traced(python, &fleet, &trace)?;
        peer.claims(&[], false)?;
        // The trace must have one pair of markers, so it begins anew.
        std::fs::OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(&trace)?;
        peer.claims(&feed(1, BACKLOG), false)?;
        drop(peer);
        theirs = Some(syncs::count(&trace)?);
    }
    std::fs::remove_file(&trace)?;
    let line = |name: &str, limit: f64, of: fn(&Syncs) -> u32| {
        let count = |syncs: &Syncs| Value::Count(f64::from(of(syncs)));
        Line::new(name, count(&ours))
            .limit(Value::Count(limit))
            .peer(theirs.as_ref().map_or(NONE, count))
    };
    Ok(vec![
        line(
            "syncs of the board, 64 claims and 64 failures",
            1.0,
            |syncs| syncs.board,
        ),
        line("syncs of other files", 0.0, |syncs| syncs.others),
    ])
}

/// The process that strace watches: one tick between two markers.
pub(crate) fn play(words: &[String]) -> Result<bool> {
    let [first, root] = words else {
        return Ok(false);
    };
    if first != ONE {
        return Ok(false);
    }
    let fleet = Fleet::at(Path::new(root));
    let mut asked = Asked::new(&fleet, &Gate::shell(), Start::Refused)?;
    let db = connect(&fleet.boards[0])?;
    for _ in 0..3 {
        sound(&asked.dispatcher.tick())?;
    }
    write(&db, &feed(0, BACKLOG))?;
    let marked = |marker: &str| drop(black_box(std::fs::metadata(marker)));
    marked(syncs::BEGIN);
    let done = asked.tick(BACKLOG, Start::Refused);
    marked(syncs::END);
    done.map(|_| true)
}
