//! Signals as events on a thread of their own: nothing of ours runs inside a handler.

use std::io;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use kanban_dispatcher::Wake;
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// What a shell reports for a program that SIGINT ended.
const INTERRUPTED: i32 = 130;

/// From now on SIGTERM and SIGINT stop the dispatcher, SIGCHLD makes it look at its workers, and a SIGINT during the stop
/// ends the process at once.
pub(crate) fn forward_to(wake: &Wake) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGCHLD])?;
    let wake = wake.clone();
    let forward = move || {
        for signal in signals.forever() {
            match signal {
                SIGCHLD => wake.news(),
                SIGINT if wake.is_stopped() => leave(),
                _ => {
                    // Whatever becomes of the line, the stop comes first.
                    wake.stop();
                    tracing::info!("told to stop; the tick under way ends first");
                }
            }
        }
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(forward)?;
    Ok(())
}

/// Says so when SIGTERM or SIGINT arrives, instead of ending the process.
pub(crate) fn interruption() -> io::Result<Receiver<()>> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let (tell, told) = channel();
    let forward = move || {
        for _ in signals.forever() {
            if tell.send(()).is_err() {
                leave();
            }
        }
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(forward)?;
    Ok(told)
}

#[expect(
    clippy::exit,
    reason = "somebody is out of patience, and the gate keeps workers safe"
)]
fn leave() -> ! {
    std::process::exit(INTERRUPTED)
}
