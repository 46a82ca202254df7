//! Thirty boards and a fault a second, for as long as one likes: whatever the dispatcher uses is in the end where it was before.

mod faults;
mod log;

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use kanban_dispatcher::{Clock, Status, Usage};

use self::faults::Fault;
use crate::Result;
use crate::daemon::{Daemon, Deadline, PATIENCE, bare, pause};
use crate::seed::Seed;
use crate::site::{Site, connect, value};

const BOARDS: usize = 30;

/// The log window; failures of one board and cause have a line in each.
const WINDOW: Duration = Duration::from_secs(10);

/// A minute's log may have so many bytes: about one line for each fault, one for its end, and one for each started task.
const LOG_BYTES_MAX: u64 = 96 * 1024;

/// How far above where they were descriptors, threads and memory may be in the end.
const DESCRIPTORS: u32 = 5;
const THREADS: u64 = 2;
const RESIDENT_KIB: u64 = 20 * 1024;

/// What a worker does, by chance: fails, says "try later", or completes its task.
const WORKER: &str = "case $(($$ % 10)) in 0) exit 1;; 1) exit 75;; esac; \"$1\" complete \"$HERMES_KANBAN_TASK\" >/dev/null";

/// A soak.
#[derive(Debug, Clone)]
pub struct Soak {
    /// The program.
    pub kanban: PathBuf,
    /// How long faults strike.
    pub time: Duration,
    /// What they are drawn from.
    pub seed: u64,
}

/// What it came to.
#[derive(Debug, Clone)]
pub struct Soaked {
    /// Faults that struck.
    pub faults: u64,
    /// Attempts at tasks.
    pub attempts: i64,
    /// Before the first fault and after the last one.
    pub before: Used,
    /// After the last one.
    pub after: Used,
    /// The most at any time.
    pub most: Used,
    /// Bytes of log in the minute with most of them.
    pub log_bytes_per_minute: u64,
    /// Failures, as the dispatcher counted them, and as its log's lines add up.
    pub failures: (u64, u64),
    /// Rows of events that were added in a quiet time.
    pub idle_events: i64,
    /// Everything that must not be.
    pub wrong: Vec<String>,
}

/// What a process uses.
#[derive(Debug, Clone, Copy, Default)]
pub struct Used {
    /// Open descriptors.
    pub descriptors: u32,
    /// Threads.
    pub threads: u64,
    /// Resident memory.
    pub resident_kib: u64,
}

// ===== impl Soak =====

impl Soak {
    /// Runs it.
    ///
    /// # Errors
    /// What kept it from being run; what was found is in the answer.
    pub fn run(&self) -> Result<Soaked> {
        let site = Site::new(BOARDS, &[])?;
        match self.run_on(&site) {
            Ok(soaked) if soaked.wrong.is_empty() => Ok(soaked),
            Ok(mut soaked) => {
                let kept = site.keep().display().to_string();
                soaked.wrong.push(format!("everything is kept in {kept}"));
                Ok(soaked)
            }
            Err(error) => {
                let kept = site.keep();
                Err(format!("{error}; everything is kept in {}", kept.display()).into())
            }
        }
    }

    fn run_on(&self, site: &Site) -> Result<Soaked> {
        fs::write(settings_file(site), self.settings())?;
        let log = site.path().join("log");
        let mut command = bare(&self.kanban);
        command.arg("--root").arg(site.root.dir());
        command.args(["run", "--log-format", "json"]);
        let daemon = Daemon::start(command, &log)?;
        // Every board has been worked on once before anything is measured.
        feed(site, 0..BOARDS)?;
        settle(site)?;
        let before = used(daemon.pid())?;

        let mut seed = Seed::new(self.seed);
        let (mut open, mut drops) = (Vec::<Fault>::new(), [0; BOARDS]);
        let (mut faults, mut most, mut log_sizes) = (0, before, Vec::new());
        let time = Deadline::after(self.time);
        while !time.is_over() {
            for over in open.extract_if(.., |fault| fault.is_over()) {
                over.end(site)?;
            }
            if let Some(fault) = Fault::strike(site, &daemon, &open, &mut drops, &mut seed)? {
                open.push(fault);
                faults += 1;
            }
            let free = (0..BOARDS).filter(|at| open.iter().all(|fault| fault.board() != Some(*at)));
            let lot: Vec<usize> = free.collect();
            if !lot.is_empty() {
                let at = lot[usize::try_from(seed.below(lot.len() as u64))?];
                feed(site, at..at + 1)?;
            }
            most = most.max(used(daemon.pid())?);
            log_sizes.push(fs::metadata(&log)?.len());
            pause(Duration::from_secs(1));
        }
        for fault in open {
            fault.end(site)?;
        }
        settle(site)?;
        let idle_events = quiet_events(site)?;
        let after = used(daemon.pid())?;
        daemon.stop()?;
        let mut soaked = Soaked {
            faults,
            attempts: total(site, "SELECT count(*) FROM task_runs")?,
            before,
            after,
            most,
            log_bytes_per_minute: per_minute(&log_sizes),
            failures: (observed(site)?, log::failures(&log)?),
            idle_events,
            wrong: Vec::new(),
        };
        soaked.judge(site)?;
        Ok(soaked)
    }

    fn settings(&self) -> String {
        let words =
            ["sh", "-c", WORKER, "worker", &self.kanban.to_string_lossy()].map(str::to_owned);
        format!(
            "dispatch_interval_seconds = 0.25\nworkers_max = 8\nfailure_limit = 1000\nrate_limit_cooldown_seconds = 1\n\
             [worker]\nrequire_profile = false\ncommand = {words:?}\n\
             [throttle]\nwindow_seconds = {}\n\
             [quarantine]\nfirst_retry_seconds = 2\nmax_retry_seconds = 8\n\
             [breaker]\ndeaths = 0\n",
            WINDOW.as_secs()
        )
    }
}

fn settings_file(site: &Site) -> PathBuf {
    site.root.dir().join("kanban/dispatcher.toml")
}

/// One more task for each of these boards.
fn feed(site: &Site, boards: std::ops::Range<usize>) -> Result {
    for at in boards {
        let sql = "INSERT INTO tasks (id, title, assignee, status, created_at) \
                   VALUES ('t_' || lower(hex(randomblob(4))), 'work', 'anyone', 'ready', unixepoch())";
        connect(&site.boards[at])?.execute(sql, [])?;
    }
    Ok(())
}

/// Waits until every board works and every task is done.
fn settle(site: &Site) -> Result {
    let deadline = Deadline::after(PATIENCE);
    loop {
        let status = Status::read(&site.root, &Clock::system())?;
        let is_healthy = status.health() == kanban_dispatcher::Health::Healthy;
        if is_healthy && status.boards.len() > BOARDS && site.undone()? == 0 {
            return Ok(());
        }
        if deadline.is_over() {
            let ill = status.boards.iter().filter(|board| board.is_degraded());
            let ill: Vec<_> = ill
                .map(|board| format!("{}: {:?}", board.slug, board.reason))
                .collect();
            let undone = site.undone()?;
            return Err(format!(
                "{undone} tasks are not done, {} boards; {ill:?}",
                status.boards.len()
            )
            .into());
        }
        pause(Duration::from_millis(200));
    }
}

fn total(site: &Site, sql: &str) -> Result<i64> {
    site.boards.iter().try_fold(0, |sum, board| {
        Ok(sum + value::<i64>(&connect(board)?, sql)?)
    })
}

/// Events that come when nothing happens.
fn quiet_events(site: &Site) -> Result<i64> {
    let sql = "SELECT count(*) FROM task_events";
    let before = total(site, sql)?;
    pause(Duration::from_secs(3));
    Ok(total(site, sql)? - before)
}

fn used(pid: u32) -> Result<Used> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let number = |name: &str| -> Result<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let text = line.ok_or_else(|| format!("no {name}"))?;
        Ok(text.trim_end_matches("kB").trim().parse()?)
    };
    Ok(Used {
        descriptors: u32::try_from(fs::read_dir(format!("/proc/{pid}/fd"))?.count())?,
        threads: number("Threads:")?,
        resident_kib: number("VmRSS:")?,
    })
}

fn observed(site: &Site) -> Result<u64> {
    let status = Status::read(&site.root, &Clock::system())?;
    let usage: Usage = status.dispatcher.usage.ok_or("no usage in the ledger")?;
    Ok(usage.log.observed)
}

/// The most in sixty sizes, a second apart, or fewer.
fn per_minute(sizes: &[u64]) -> u64 {
    let minutes = sizes.windows(sizes.len().clamp(1, 60));
    minutes
        .filter_map(|minute| Some(minute.last()? - minute.first()?))
        .max()
        .unwrap_or_default()
}

// ===== impl Soaked =====

impl Soaked {
    fn judge(&mut self, site: &Site) -> Result {
        let (before, after) = (self.before, self.after);
        let mut check = |is_right: bool, what: String| {
            if !is_right {
                self.wrong.push(what);
            }
        };
        check(
            after.descriptors <= before.descriptors + DESCRIPTORS
                && after.threads <= before.threads + THREADS
                && after.resident_kib <= before.resident_kib + RESIDENT_KIB,
            format!("it does not return to where it was: {before:?}, {after:?}"),
        );
        check(
            self.log_bytes_per_minute <= LOG_BYTES_MAX,
            format!("{} bytes of log in a minute", self.log_bytes_per_minute),
        );
        let (counted, told) = self.failures;
        check(
            counted == told,
            format!("{counted} failures, and the log tells of {told}"),
        );
        check(
            self.idle_events == 0,
            format!("{} events while nothing happened", self.idle_events),
        );
        for board in &site.boards {
            let says: String = value(&connect(board)?, "PRAGMA integrity_check")?;
            check(says == "ok", format!("{}: {says}", board.slug()));
        }
        Ok(())
    }
}

impl Used {
    fn max(self, other: Self) -> Self {
        Self {
            descriptors: self.descriptors.max(other.descriptors),
            threads: self.threads.max(other.threads),
            resident_kib: self.resident_kib.max(other.resident_kib),
        }
    }
}

impl fmt::Display for Soaked {
    /// A table of one row per figure.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            before,
            most,
            after,
            ..
        } = self;
        writeln!(f, "| | before | most | after |")?;
        writeln!(f, "| --- | ---: | ---: | ---: |")?;
        let mut row = |name: &str, figures: [u64; 3]| {
            let [a, b, c] = figures;
            writeln!(f, "| {name} | {a} | {b} | {c} |")
        };
        row(
            "descriptors",
            [before, most, after].map(|used| used.descriptors.into()),
        )?;
        row("threads", [before, most, after].map(|used| used.threads))?;
        row(
            "resident memory, KiB",
            [before, most, after].map(|used| used.resident_kib),
        )?;
        writeln!(
            f,
            "\n{} faults, {} attempts; at most {} bytes of log in a minute; {} failures counted, {} told by the log; \
             {} events while nothing happened.",
            self.faults,
            self.attempts,
            self.log_bytes_per_minute,
            self.failures.0,
            self.failures.1,
            self.idle_events
        )
    }
}
