//! Signals as events on a thread of their own: nothing of ours runs inside a handler.

use std::io;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use kanban_dispatcher::Wake;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// What a shell reports for a program that SIGINT ended.
const INTERRUPTED: i32 = 130;

/// From now on SIGTERM, SIGINT and SIGHUP stop the dispatcher, SIGCHLD makes it look at its workers, and a SIGINT during the stop
/// ends the process at once.
pub(crate) fn forward_to(wake: &Wake) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGCHLD])?;
    // `nohup` asks to outlive the terminal, and says so by ignoring this one.
    if !is_ignored(SIGHUP) {
        signals.add_signal(SIGHUP)?;
    }
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

/// Whether whoever started this program had it ignore a signal.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}

#[expect(
    clippy::exit,
    reason = "somebody is out of patience, and the gate keeps workers safe"
)]
fn leave() -> ! {
    std::process::exit(INTERRUPTED)
}
