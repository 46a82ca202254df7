//! SIGKILL at every moment between a claim and the worker's first step, over and over.
//!
//! The real `kanban run` serves several boards. Others write to these boards all the time, so that each of its commits waits its
//! turn and the way from claim to spawn to record to release is a long one. It is killed on that way, started anew, and killed again.
//! Now and then it is left alone for three ticks after a restart: by then no task may be with an attempt that has no worker.

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

pub use crate::judge::Findings;

use crate::Result;
use crate::daemon::{Daemon, Deadline, PATIENCE, bare, pause, this_program};
use crate::seed::Seed;
use crate::site::{INTERVAL, Site, connect};
use crate::{ungated, worker};

/// How many boards there are, and how many ready tasks each is given before a start.
const BOARDS: usize = 3;
const READY: i64 = 6;

/// Every so many restarts the dispatcher may recover.
const CALM_EVERY: u32 = 10;

/// A storm to come.
#[derive(Debug, Clone)]
pub struct Storm {
    /// The `kanban` program; `None` is the control, a dispatcher without its gate.
    pub kanban: Option<PathBuf>,
    /// How often to kill it.
    pub kills: u32,
    /// What its moments are drawn from.
    pub seed: u64,
    /// The words after this program's own path that lead to [`play`](crate::play).
    pub player: Vec<String>,
}

// ===== impl Storm =====

impl Storm {
    /// Runs it, and says what was found afterwards.
    ///
    /// # Errors
    /// What kept it from running; what went wrong on the boards is no error but a finding.
    pub fn run(&self) -> Result<Findings> {
        let mut words = vec![this_program().to_string_lossy().into_owned()];
        words.extend(self.player.iter().cloned());
        let site = Site::new(BOARDS, &words)?;
        let over = AtomicBool::new(false);
        let mut findings = Findings::default();
        thread::scope(|scope| -> Result {
            for n in 0..BOARDS {
                let (site, over) = (&site, &over);
                let seed = Seed::new(self.seed.wrapping_add(n as u64 + 1));
                scope.spawn(move || write_now_and_then(site, n, seed, over));
            }
            let result = self.rage(&site, &mut findings);
            over.store(true, Ordering::Relaxed);
            result
        })?;
        findings.read(&site)?;
        Ok(findings)
    }

    fn rage(&self, site: &Site, findings: &mut Findings) -> Result {
        let mut seed = Seed::new(self.seed);
        while findings.kills < self.kills {
            site.feed(READY)?;
            let orphans = orphans(site)?;
            let mut daemon = self.start(site)?;
            if findings.kills % CALM_EVERY == CALM_EVERY - 1 {
                recover(site, &mut daemon, orphans, findings)?;
            } else {
                wait_for_the_moment(site, &daemon, &mut seed)?;
            }
            daemon.kill()?;
            findings.kills += 1;
        }
        let orphans = orphans(site)?;
        let mut daemon = self.start(site)?;
        recover(site, &mut daemon, orphans, findings)?;
        // What is left to do is done, and the last ones go.
        let deadline = Deadline::after(PATIENCE);
        while !deadline.is_over() && (site.undone()? > 0 || !site.processes().is_empty()) {
            pause(Duration::from_millis(50));
        }
        let left = site.processes();
        if !left.is_empty() {
            findings.notes.push(format!("left behind: {left:?}"));
        }
        if self.kanban.is_none() {
            // The control listens to no signal.
            return daemon.kill();
        }
        let status = daemon.stop()?;
        if !status.success() {
            return Err(format!("the dispatcher ended with {status}").into());
        }
        Ok(())
    }

    fn start(&self, site: &Site) -> Result<Daemon> {
        let mut command = match &self.kanban {
            Some(program) => {
                let mut command = bare(program);
                command.arg("--root").arg(site.root.dir()).arg("run");
                command
            }
            None => {
                let mut command: Command = bare(&this_program());
                command.args(&self.player);
                command.envs(ungated::variables(site.path(), &site.root)?);
                command
            }
        };
        command.env(worker::WITNESSES, site.witnesses());
        Daemon::start(command, &site.path().join("daemon.log"))
    }
}

/// Half of the moments lie shortly after its first child appears, some at the instant at which a worker's process is on the board and
/// its gate is about to open, and the others anywhere.
fn wait_for_the_moment(site: &Site, daemon: &Daemon, seed: &mut Seed) -> Result {
    let deadline = Deadline::after(Duration::from_secs(2));
    match seed.below(10) {
        0..5 => {
            while !deadline.is_over() && !daemon.has_children() {
                pause(Duration::from_micros(300));
            }
            pause(seed.between_ms(0, 50));
        }
        5..8 => {
            let n = usize::try_from(seed.below(BOARDS as u64))?;
            let db = connect(&site.boards[n])?;
            let mut newest =
                db.prepare("SELECT max(id) FROM task_events WHERE kind = 'spawned'")?;
            let mut look = || newest.query_row([], |row| row.get::<_, Option<i64>>(0));
            let before = look()?;
            // No pause: the gate opens at once.
            while !deadline.is_over() && look()? == before {}
        }
        _ => pause(seed.between_ms(0, 600)),
    }
    Ok(())
}

/// The open attempts without a worker: (board's number, attempt).
fn orphans(site: &Site) -> Result<HashSet<(usize, i64)>> {
    let open = open_attempts(site)?;
    let at_work: HashSet<(String, i64)> = site
        .processes()
        .into_iter()
        .map(|process| (process.board, process.run))
        .collect();
    let is_orphan = |(n, run): &(usize, i64)| {
        !at_work.contains(&(site.boards[*n].slug().as_str().to_owned(), *run))
    };
    Ok(open.into_iter().filter(is_orphan).collect())
}

fn open_attempts(site: &Site) -> Result<HashSet<(usize, i64)>> {
    let mut open = HashSet::new();
    for (n, board) in site.boards.iter().enumerate() {
        let db = connect(board)?;
        let mut statement = db.prepare("SELECT id FROM task_runs WHERE ended_at IS NULL")?;
        for run in statement.query_map([], |row| row.get(0))? {
            open.insert((n, run?));
        }
    }
    Ok(open)
}

/// Lets it be until each of these attempts is settled; what is not after three ticks is stuck.
fn recover(
    site: &Site,
    daemon: &mut Daemon,
    mut orphans: HashSet<(usize, i64)>,
    findings: &mut Findings,
) -> Result {
    let lock = site.root.dispatcher_lock();
    let deadline = Deadline::after(PATIENCE);
    while !daemon.holds(&lock)? {
        if deadline.is_over() || daemon.has_ended()? {
            return Err("the dispatcher never took its lock".into());
        }
        pause(Duration::from_millis(2));
    }
    let ticks = Deadline::after(3 * INTERVAL);
    while !orphans.is_empty() {
        let open = open_attempts(site)?;
        let passed = ticks.elapsed();
        let (stuck, settled): (HashSet<_>, HashSet<_>) = orphans
            .into_iter()
            .partition(|orphan| open.contains(orphan));
        let passed = u64::try_from(passed.as_millis())?;
        findings.recovery_ms.extend(settled.iter().map(|_| passed));
        orphans = stuck;
        if ticks.is_over() {
            findings.stuck += orphans.len();
            let stuck = orphans
                .iter()
                .map(|(n, run)| format!("board {n}: attempt {run} is stuck"));
            findings.notes.extend(stuck);
            break;
        }
        pause(Duration::from_millis(5));
    }
    Ok(())
}

/// Another program that writes: holds the board's write lock for a moment, lets go, takes it again.
fn write_now_and_then(site: &Site, board: usize, mut seed: Seed, over: &AtomicBool) {
    let Ok(db) = connect(&site.boards[board]) else {
        return;
    };
    while !over.load(Ordering::Relaxed) {
        if db.execute_batch("BEGIN IMMEDIATE").is_ok() {
            pause(seed.between_ms(1, 40));
            // Nothing was written: there is nothing that could be lost.
            let _ = db.execute_batch("COMMIT");
        }
        pause(seed.between_ms(1, 30));
    }
}
