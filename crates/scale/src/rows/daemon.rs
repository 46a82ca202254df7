//! The real `kanban run`: its memory over many ticks, and the time from a ready task to its running worker.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kanban_dispatcher::{Clock, NewTask, Root, Status, Store};
use rustix::process::{Pid, Signal, kill_process};

use super::Plan;
use crate::Result;
use crate::fleet::Fleet;
use crate::meter::{now, pause, percentile, until};
use crate::peer::bare;
use crate::report::{Line, Section, Value, thousands};
use crate::roles::WORK;
use crate::settings::Mode;

/// The descriptors that a process may have by default.
const DESCRIPTORS: usize = 1_024;

/// A running `kanban run`; ends with this value.
struct Daemon {
    child: Child,
    root: Root,
}

// ===== impl Daemon =====

impl Daemon {
    fn start(kanban: &Path, fleet: &Fleet, settings: &str) -> Result<Self> {
        fs::create_dir_all(fleet.root.dir().join("kanban"))?;
        fs::write(fleet.root.dir().join("kanban/dispatcher.toml"), settings)?;
        let mut command = bare(Path::new("sh"));
        command
            .args(["-c", &format!("ulimit -n {DESCRIPTORS}; exec \"$@\""), "sh"])
            .arg(kanban)
            .arg("--root")
            .arg(fleet.root.dir())
            .arg("run");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(fs::File::create(fleet.path().join("daemon.log"))?);
        Ok(Self {
            child: command.spawn()?,
            root: fleet.root.clone(),
        })
    }

    /// Passes over all boards so far.
    fn ticks(&self) -> Result<u64> {
        if !self.root.ledger().exists() {
            return Ok(0);
        }
        // It may be in use just now.
        let status = Status::read(&self.root, &Clock::system());
        Ok(status
            .ok()
            .and_then(|status| status.dispatcher.ticks)
            .unwrap_or(0))
    }

    fn has_ticked(&mut self, times: u64, limit: Duration) -> Result {
        until("the daemon has ticked", limit, || {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("the daemon has ended: {status}").into());
            }
            pause(Duration::from_millis(100));
            Ok(self.ticks()? >= times)
        })
    }

    /// Resident memory in KiB.
    fn resident(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        Ok(kib.ok_or("no VmRSS")?.trim().parse()?)
    }

    fn descriptors(&self) -> Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.child.id()))?.count())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

// ===== memory =====

pub(crate) fn memory(plan: &Plan) -> Result<Section> {
    let (count, ticks) = plan.or((10_000, 10_000), (100, 20));
    eprintln!("memory of a daemon with {count} boards");
    let fleet = Fleet::idle(&plan.place, count)?;
    let mut daemon = Daemon::start(&plan.kanban, &fleet, "dispatch_interval_seconds = 0.01\n")?;
    daemon.has_ticked(2, Duration::from_secs(120))?;
    let (first_ticks, first) = (daemon.ticks()?, daemon.resident()?);
    // Where a tick takes long, fewer have to do.
    let enough = daemon.has_ticked(ticks, Duration::from_secs(plan.or(150, 10)));
    if daemon.child.try_wait()?.is_some() {
        enough?;
    }
    let (last_ticks, last) = (daemon.ticks()?, daemon.resident()?);
    let line = |ticks: u64, resident| {
        Line::new(
            format!("resident after {} ticks", thousands(ticks as f64)),
            Value::Memory(resident),
        )
    };
    let descriptors = Value::Count(daemon.descriptors()? as f64);
    let about = format!(
        "`kanban run` on {} idle boards at an interval of 10 ms, with `ulimit -n {DESCRIPTORS}`; it is given {} ticks or two \
         minutes and a half. The limit is 60 MiB.",
        thousands(count as f64),
        thousands(ticks as f64)
    );
    Ok(Section {
        title: "Memory of the daemon",
        about,
        lines: vec![
            line(first_ticks, first),
            line(last_ticks, last).limit(Value::Memory(60.0 * 1024.0)),
            Line::new("open descriptors", descriptors).limit(Value::Count(DESCRIPTORS as f64)),
        ],
    })
}

// ===== from ready to running =====

pub(crate) fn latency(plan: &Plan) -> Result<Section> {
    let (count, tasks) = plan.or((100, 200), (10, 20));
    eprintln!("from ready to running");
    let fleet = Fleet::idle(&plan.place, count)?;
    let notes = fleet.path().join("notes");
    let worker = std::env::current_exe()?;
    let words = [&*worker.to_string_lossy(), WORK, &*notes.to_string_lossy()];
    let mut settings =
        format!("workers_max = 64\nworker.require_profile = false\nworker.command = {words:?}\n");
    let is_told = Mode::Watch.config("")?.is_some();
    settings.push_str(match is_told {
        true => "watch = true\n",
        false => "dispatch_interval_seconds = 1\n",
    });
    let mut daemon = Daemon::start(&plan.kanban, &fleet, &settings)?;
    daemon.has_ticked(1, Duration::from_secs(60))?;
    pause(Duration::from_millis(500));

    let mut written = HashMap::new();
    let mut chance = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..tasks {
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        pause(Duration::from_millis(10 + chance % 80));
        let board = &fleet.boards[usize::try_from(chance >> 32)? % count];
        let mut store = Store::open(board, &Clock::system())?;
        // Before the write, so that the commit's own sync is part of it.
        let at = now();
        let task = NewTask {
            title: "task".to_owned(),
            assignee: Some("coder".to_owned()),
            ..NewTask::default()
        };
        written.insert(store.create(&task)?, at);
    }
    until("all workers have run", Duration::from_secs(90), || {
        Ok(noted(&notes)?.len() >= tasks)
    })?;
    drop(daemon);
    let waits = noted(&notes)?
        .into_iter()
        .map(|(task, at)| (at - written.get(&task).copied().unwrap_or(at)) as f64);
    let waits: Vec<f64> = waits.collect();
    let spawns = spawns(fleet.path(), plan.or(50, 10))?;
    let line = |percent| {
        let of = |times: &[f64]| Value::Time(percentile(times.iter().copied(), percent));
        Line::new(format!("p{percent}"), of(&waits)).limit(of(&spawns))
    };
    let how = match is_told {
        true => "with the watch and its interval of 60 s",
        false => "which has no watch yet, at an interval of 1 s",
    };
    let about = format!(
        "From before the write of a ready task by another process to the first instruction of its worker: {tasks} tasks at random moments \
         on {count} boards of `kanban run`, {how}. The limit is starting the same program. The peer looks once in 60 s."
    );
    Ok(Section {
        title: "From ready to running",
        about,
        lines: [50, 99]
            .map(|percent| line(percent).peer(Value::Word("up to 60 s")))
            .into(),
    })
}

/// When each worker has begun.
fn noted(notes: &Path) -> Result<HashMap<String, i64>> {
    let text = match fs::read_to_string(notes) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error.into()),
    };
    let mut noted = HashMap::new();
    // A line is one write, so each of them is whole.
    for line in text.lines() {
        let (task, at) = line.split_once(' ').ok_or("half a line")?;
        noted.entry(task.to_owned()).or_insert(at.parse()?);
    }
    Ok(noted)
}

/// How long it takes to start the worker's program.
fn spawns(dir: &Path, times: usize) -> Result<Vec<f64>> {
    let notes = dir.join("spawns");
    let mut begun = HashMap::new();
    for n in 0..times {
        let task = format!("spawn-{n}");
        begun.insert(task.clone(), now());
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(WORK).arg(&notes);
        command
            .env("HERMES_KANBAN_TASK", task)
            .env_remove("HERMES_KANBAN_HOME");
        command.status()?;
    }
    let noted = noted(&notes)?;
    Ok(noted
        .iter()
        .filter_map(|(task, at)| Some((at - begun.get(task)?) as f64))
        .collect())
}
