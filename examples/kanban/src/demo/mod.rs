//! `kanban demo`: a dozen boards, real workers, and everything that goes wrong with real boards, in one sitting.
//!
//! The dispatcher runs as it does in `kanban run`. The story waits for what its reports say, never for a time to pass, so it
//! tells the same on a slow machine; and what the verdict says is read from the boards afterwards.

mod expected;
mod faults;
mod fleet;
mod found;
mod log;
mod screen;
mod seen;
mod story;
mod verdict;
mod watch;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use kanban_dispatcher::{Clock, Dispatcher, Gate};

use self::fleet::Fleet;
use self::log::Log;
use self::screen::Screen;
use self::story::Story;
use self::verdict::Verdict;
use self::watch::Watch;
use crate::output;

/// The demo ends after this long, whatever is still to come; it takes a third of it.
const LENGTH: Duration = Duration::from_secs(50);

/// Why the demo could not be given.
type Mishap = Box<dyn std::error::Error + Send + Sync>;

/// Gives the demo: at most `seconds` long, its directory left behind if `keep`. Succeeds if every expectation held.
pub(crate) fn run(gate: Gate, seconds: Option<u64>, keep: bool) -> ExitCode {
    let limit = seconds.map_or(LENGTH, Duration::from_secs);
    let done = match faults::ordered() {
        Some(order) => faults::carry_out(&order).map(|()| true),
        None => play(gate, limit, keep),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            output::say(&format!("kanban: give the demo: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn play(gate: Gate, limit: Duration, keep: bool) -> Result<bool, Mishap> {
    let clock = Clock::system();
    let screen = Arc::new(Screen::new(clock.clone()));
    let fleet = Fleet::build(&clock)?;
    let janitor = (!keep)
        .then(|| faults::janitor(&fleet.path("")))
        .transpose()?;
    let log = Log::listen(Arc::clone(&screen), &fleet.root().boards_dir())?;

    let dispatcher = Dispatcher::builder(fleet.root().clone(), fleet.config()?)
        .clock(clock.clone())
        .gate(gate)
        .build();
    let (watch, thread) = Watch::start(dispatcher, clock.clone(), Arc::clone(&screen));
    let told = Story::new(&fleet, &watch, &screen, &clock, limit).tell();
    watch.stop();
    let dispatcher = thread
        .join()
        .map_err(|_| "the dispatcher's thread panicked")?;

    screen.status(String::new());
    let verdict = Verdict {
        fleet: &fleet,
        seen: &watch.seen(),
        dispatcher: &dispatcher,
        log: &log,
        told: &told?,
        took: clock.monotonic(),
    };
    let is_good = verdict.give(&screen)?;
    if keep {
        screen.print(&format!("\nleft behind: {}", fleet.keep().display()));
    } else {
        drop(fleet);
    }
    drop(janitor);
    Ok(is_good)
}
