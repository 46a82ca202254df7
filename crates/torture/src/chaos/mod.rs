//! Chaos: everything at once, for as long as one likes.
//!
//! The dispatcher works on several boards. Three kinds of programs write to them, a nemesis strikes boards, workers and the dispatcher
//! several times a second, and in the end a checker reads the boards and the workers' own diaries and says what must not have been.

mod checker;
mod diary;
mod history;
mod host;
mod nemesis;
mod place;
mod programs;
mod read;
mod schedule;
mod sql;
mod table;
mod worker;
mod writers;

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

pub use self::checker::Findings;
pub use self::host::Dispatcher;
pub use self::table::{page, render};
pub use self::worker::work;

use self::diary::Diary;
use self::host::Host;
use self::nemesis::{Sentinels, strike_board, strike_workers};
use self::place::{BOARDS, Place};
use self::programs::{Cli, Peer, Sql};
use self::writers::{Writer, write_on};
use crate::Result;
use crate::daemon::{Daemon, Deadline, pause, this_program};
use crate::seed::Seed;
use crate::wall::WallClock;

/// The word that makes this program a worker.
pub const WORKER: &str = "chaos-worker";

/// How long all that is left may take when the nemesis has gone; it ends as soon as nothing is left.
const QUIET: Duration = Duration::from_secs(90);

/// A chaos to come.
#[derive(Debug, Clone)]
pub struct Chaos {
    /// What everything in it is drawn from.
    pub seed: u64,
    /// How long the nemesis strikes.
    pub time: Duration,
    /// Who has to live with it.
    pub dispatcher: Dispatcher,
    /// The `kanban` program.
    pub kanban: PathBuf,
    /// The Python that has the peer's modules.
    pub python: PathBuf,
}

// ===== impl Chaos =====

impl Chaos {
    /// Runs it and says what was found afterwards. Where something was, everything is left behind, and the last note says where.
    ///
    /// # Errors
    /// What kept it from running; what went wrong on the boards is no error but a finding.
    pub fn run(&self) -> Result<Findings> {
        let place = Place::new(&self.kanban, &["placeholder".to_owned()])?;
        let program = this_program().canonicalize()?;
        let words = [
            &program.to_string_lossy(),
            WORKER,
            &place.path().to_string_lossy(),
            &self.seed.to_string(),
        ];
        let mut host = Host {
            place: &place,
            dispatcher: self.dispatcher,
            kanban: self.kanban.clone(),
            python: self.python.clone(),
            worker: words.map(str::to_owned).to_vec(),
            wall: WallClock::new(place.path())?,
            deaths: Vec::new(),
        };
        place.set(&place::settings(&host.worker, 0))?;
        let sentinels = Sentinels::post(4)?;
        let resurrected = Mutex::default();
        let daemon = self.rage(&mut host, &sentinels, &resurrected)?;
        settle(&place)?;
        self.end(daemon)?;
        let mut history = read::history(&place)?;
        history.innocents = sentinels.dead()?;
        history.deaths = std::mem::take(&mut host.deaths);
        history.resurrected = resurrected
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let mut findings = Findings::of(&history);
        drop(host);
        if findings.wrong() > 0 {
            let left = place.keep();
            findings
                .notes
                .push(format!("boards, diaries and log: {}", left.display()));
        }
        Ok(findings)
    }

    /// The dispatcher that is left in the end.
    fn rage(
        &self,
        host: &mut Host<'_>,
        sentinels: &Sentinels,
        resurrected: &Mutex<Vec<String>>,
    ) -> Result<Daemon> {
        let place = host.place;
        let mut writers: Vec<Box<dyn Writer + Send>> = vec![
            Box::new(Cli {
                kanban: self.kanban.clone(),
                root: place.root.dir().to_owned(),
            }),
            Box::new(Sql::new(place)?),
        ];
        for name in ["peer-a", "peer-b"] {
            writers.push(Box::new(Peer::start(name, &self.python, place)?));
        }
        let seed = self.seed;
        thread::scope(|scope| {
            let mut others = Vec::new();
            for (n, mut writer) in writers.into_iter().enumerate() {
                let seed = Seed::new(seed.wrapping_mul(31).wrapping_add(n as u64));
                others.push(scope.spawn(move || {
                    write_on(place, &mut *writer, seed).map_err(|error| error.to_string())
                }));
            }
            for at in 0..BOARDS {
                let strike = move || strike_board(place, at, sentinels, seed, resurrected);
                others.push(scope.spawn(move || strike().map_err(|error| error.to_string())));
            }
            for lane in 0..3 {
                others.push(scope.spawn(move || {
                    strike_workers(place, lane, seed).map_err(|error| error.to_string())
                }));
            }
            scope.spawn(move || {
                pause_for(self.time, place);
                place.end();
            });
            let daemon = host.strike(seed);
            // Also when the host's lane failed: the others must come to their ends.
            place.end();
            for other in others {
                other.join().map_err(|_| "a thread panicked")??;
            }
            daemon
        })
    }

    fn end(&self, daemon: Daemon) -> Result {
        if self.dispatcher != Dispatcher::Kanban {
            return daemon.kill();
        }
        let status = daemon.stop()?;
        if !status.success() {
            return Err(format!("the dispatcher ended with {status}").into());
        }
        Ok(())
    }
}

fn pause_for(time: Duration, place: &Place) {
    let deadline = Deadline::after(time);
    while !deadline.is_over() && !place.is_over() {
        pause(Duration::from_millis(50));
    }
}

/// Waits until nothing is left to do and no worker lives; what is left after all that time is for the checker.
fn settle(place: &Place) -> Result {
    let deadline = Deadline::after(QUIET);
    while !deadline.is_over() {
        pause(Duration::from_millis(200));
        let open = place.boards.iter().try_fold(0, |sum, spot| {
            Ok::<_, Box<dyn std::error::Error>>(sum + read::open_tasks(spot)?)
        })?;
        if open == 0
            && !Diary::all(&place.diaries())?
                .iter()
                .any(|diary| !diary.ended && diary.is_alive())
        {
            break;
        }
    }
    Ok(())
}
