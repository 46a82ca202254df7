//! A pid is not an identity. Whatever makes another process look like a worker by its number alone, a number used again, another
//! boot, another namespace, another host, a start time that is off by a tick: it is never signalled.
//!
//! Numbers are used again, and namespaces entered, in a pid namespace of the test's own; where the system allows none, the two tests
//! that need one say so.

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use kanban_dispatcher::{Clock, Config, Dispatcher, Root};
use support::child::{self, Role};
use support::sentinel::Sentinel;
use support::{Fleet, LONG, Result, connect, kill, outcomes, script, task, until, value};

/// The other processes: see [`support::child`].
#[test]
fn as_child() -> Result {
    match child::role().as_deref() {
        Some("first dispatcher") => dispatch_once(),
        Some("number used again") => meet_a_number_again(),
        _ => Ok(()),
    }
}

/// Starts what is ready, and is gone; or waits for a word before.
fn dispatch_once() -> Result {
    let root = Root::at(child::variable("TEST_ROOT")?);
    let started = dispatcher(root, Clock::system()).tick().started();
    assert_eq!(started, 1);
    child::say_ready()?;
    child::wait_for_go()
}

fn dispatcher(root: Root, clock: Clock) -> Dispatcher {
    let mut config = Config::default();
    config.worker.require_profile = false;
    config.worker.command = Some(LONG.map(str::to_owned).to_vec());
    config.worker.stop_grace_seconds = Duration::ZERO;
    Dispatcher::builder(root, config).clock(clock).build()
}

// ===== namespaces =====

/// Ways into a pid namespace whose `/proc` shows it.
const PID: [&[&str]; 2] = [
    &["--pid", "--mount-proc", "--kill-child"],
    &[
        "--user",
        "--map-root-user",
        "--pid",
        "--mount-proc",
        "--kill-child",
    ],
];
/// Ways into a time namespace in which the machine was started a day earlier.
const TIME: [&[&str]; 2] = [
    &["--time", "--boottime", "86400"],
    &["--user", "--map-root-user", "--time", "--boottime", "86400"],
];

/// This binary in a role, in a namespace of its own. `None` where the system allows none.
#[expect(
    clippy::print_stderr,
    reason = "whoever reads the output is to know what was not tested"
)]
fn in_namespace(
    ways: [&[&str]; 2],
    role: &str,
    variables: &[(&str, &str)],
) -> Result<Option<Command>> {
    for how in ways {
        let unshare = |words: &[&str]| {
            let mut command = Command::new("unshare");
            command.args(how).arg("--fork").args(words);
            command
        };
        let allowed = unshare(&["true"]).stderr(Stdio::null()).status();
        if allowed.is_ok_and(|status| status.success()) {
            // Its usual path names a process that is not there.
            let (exe, [_, args @ ..]) = (std::env::current_exe()?, child::words());
            // The first process of a namespace collects the orphans: a shell does, this binary does not.
            let mut command = unshare(&["sh", "-c", "\"$@\"; exit $?", "init"]);
            command.arg(exe).args(args).env(child::ROLE, role);
            command.envs(variables.iter().copied());
            return Ok(Some(command));
        }
    }
    eprintln!("{ways:?}: not allowed here, not tested");
    Ok(None)
}

#[test]
fn a_number_that_is_used_again_is_somebody_else() -> Result {
    let Some(mut command) = in_namespace(PID, "number used again", &[])? else {
        return Ok(());
    };
    let output = command.output()?;
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&said)
    );
    Ok(())
}

/// In a pid namespace: the worker ends while no dispatcher is there, and its number goes to a sentinel.
fn meet_a_number_again() -> Result {
    let mut fleet = Fleet::new()?;
    fleet.clock = Clock::manual(Clock::system().unix());
    let mut store = fleet.store("alpha")?;
    let id = store.create(&kanban_dispatcher::NewTask {
        max_runtime: Some(1),
        ..task(0)
    })?;
    let root = fleet.path().to_string_lossy().into_owned();
    drop(Role::start("first dispatcher", &[("TEST_ROOT", &root)])?.ready()?);
    let pid = fleet.show("alpha", &id)?.runs[0]
        .worker_pid
        .ok_or("no pid")?;
    let started = start_of(pid)?;
    kill(pid)?;
    until("its number is free", || {
        Ok(!Path::new(&format!("/proc/{pid}")).exists())
    })?;
    let mut sentinel = None;
    until("its number is used again", || {
        fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string())?;
        let next = Sentinel::start(fleet.path())?;
        // The kernel tells starts apart by its tick: within one, nobody could.
        let is_it = i64::from(next.pid()) == pid && start_of(pid)? != started;
        sentinel = Some(next);
        Ok(is_it)
    })?;
    let mut sentinel = sentinel.ok_or("none")?.ready()?;

    // Long over its time, and taken away: whoever goes by the number stops it.
    fleet.advance(100);
    let mut dispatcher = dispatcher(fleet.root.clone(), fleet.clock.clone());
    let report = dispatcher.tick();
    assert_eq!(
        fleet.part(&report, "alpha")?.started,
        std::slice::from_ref(&id)
    );
    fleet.take_back("alpha", &id)?;
    for _ in 0..3 {
        dispatcher.tick();
        fleet.advance(10);
    }
    assert_ne!(outcomes(&fleet.show("alpha", &id)?)[0], "open");
    sentinel.is_untouched()
}

/// When a process was started, in the kernel's ticks: the 22nd field, counted behind the name, which may hold anything.
fn start_of(pid: i64) -> Result<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, rest) = stat.rsplit_once(')').ok_or("no name")?;
    Ok(rest
        .split_whitespace()
        .nth(19)
        .ok_or("no start")?
        .to_owned())
}

#[test]
fn a_worker_of_another_pid_namespace_keeps_its_claim_and_gets_no_second_beside_it() -> Result {
    keeps_its_claim(PID)
}

#[test]
fn a_worker_whose_start_time_is_shifted_by_a_time_namespace_does_too() -> Result {
    keeps_its_claim(TIME)
}

fn keeps_its_claim(ways: [&[&str]; 2]) -> Result {
    let mut fleet = Fleet::new()?;
    fleet.clock = Clock::manual(Clock::system().unix());
    let id = fleet.ready("alpha", 1)?.remove(0);
    let root = fleet.path().to_string_lossy().into_owned();
    let Some(command) = in_namespace(ways, "first dispatcher", &[("TEST_ROOT", &root)])? else {
        return Ok(());
    };
    let inside = Role::spawn(command)?.ready()?;
    let there = |process: &i32| {
        let words = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        words.starts_with(b"sleep\0")
    };
    let worker: Vec<i32> = fleet.processes().into_iter().filter(there).collect();
    assert_eq!(worker.len(), 1, "seen from outside");
    until("its dispatcher has let go of the lock", || {
        let lock = kanban_dispatcher::FileLock::try_acquire(&fleet.root.dispatcher_lock())?;
        Ok(lock.is_some())
    })?;

    // Here its number is another process's or nobody's.
    let mut dispatcher = dispatcher(fleet.root.clone(), fleet.clock.clone());
    for _ in 0..3 {
        let report = dispatcher.tick();
        if let Some(alpha) = fleet.turn(&report, "alpha")? {
            let counts = [alpha.failed, alpha.reclaimed, alpha.stopped, alpha.gave_up];
            assert_eq!((alpha.started.len(), counts), (0, [0; 4]), "{alpha:?}");
        }
        assert_eq!(outcomes(&fleet.show("alpha", &id)?), ["open"]);
        fleet.advance(200);
    }
    assert_eq!(fleet.complaints().len(), 1, "{:?}", fleet.complaints());
    assert!(fleet.complaints()[0].message.contains("cannot be seen"));

    // Nobody renews the claim. When it has run out the task starts again, and nothing is held against it.
    fleet.advance(400);
    let report = dispatcher.tick();
    let alpha = fleet.part(&report, "alpha")?;
    assert_eq!((alpha.reclaimed, alpha.failed), (1, 0), "{alpha:?}");
    let detail = fleet.show("alpha", &id)?;
    assert_eq!(outcomes(&detail), ["reclaimed", "open"]);
    assert_eq!(detail.task.consecutive_failures, 0);
    assert!(fleet.processes().contains(&worker[0]), "not signalled");
    drop(inside);
    Ok(())
}

// ===== rows and ledgers =====

#[test]
fn an_innocent_process_is_never_signalled_whatever_the_ledger_and_the_rows_say_of_its_number()
-> Result {
    let mut fleet = Fleet::new()?;
    fleet.clock = Clock::manual(Clock::system().unix());
    let now = fleet.clock.unix();
    let mut sentinel = Sentinel::start(fleet.path())?.ready()?;
    let pid = sentinel.pid();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let start: i64 = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.split_ascii_whitespace().nth(19)?.parse().ok())
        .ok_or("no start time")?;
    fleet.dispatcher().tick();
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let boot = boot.trim();
    let elsewhere = format!("{boot} pid:[1] time:[1]");
    let ours = format!("rs.{host}:1:0:0");
    // What the claim says, and what the ledger has: start time and place.
    let cases = [
        (&*ours, Some((start + 1, boot))),
        (&*ours, Some((start - 1, boot))),
        (&*ours, Some((start, "another-boot"))),
        (&*ours, Some((start, &*elsewhere))),
        (&*ours, None),
        (&*format!("{host}:999"), None),
        (&*format!("rs.another-{host}:1:0:0"), None),
        (&*format!("another-{host}:999"), None),
    ]
    .map(|(lock, ledger)| (lock.to_owned(), ledger));
    let ids = fleet.ready("alpha", cases.len())?;
    let (db, ledger) = (fleet.connect("alpha")?, connect(&fleet.root.ledger())?);
    for (id, (lock, known)) in ids.iter().zip(&cases) {
        // Over its time, silent, and its claim has run out.
        db.execute(
            "INSERT INTO task_runs (task_id, status, claim_lock, worker_pid, started_at, max_runtime_seconds) \
             VALUES (?1, 'running', ?2, ?3, ?4, 1)",
            (id, lock, pid, now - 5),
        )?;
        let run = db.last_insert_rowid();
        db.execute(
            "UPDATE tasks SET status = 'running', claim_lock = ?2, worker_pid = ?3, claim_expires = ?4, started_at = ?5, \
             last_heartbeat_at = ?5, max_runtime_seconds = 1, max_retries = 99, current_run_id = ?6 WHERE id = ?1",
            (id, lock, pid, now - 1, now - 5, run),
        )?;
        if let Some((start, place)) = known {
            ledger.execute(
                "INSERT INTO workers VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                (fleet.slug("alpha"), id, run, pid, start, place),
            )?;
        }
    }
    let mut dispatcher = fleet
        .builder(|config| {
            config.worker.stop_grace_seconds = Duration::ZERO;
            config.worker.command = Some(script("sleep 60"));
            config.crash_grace_seconds = 0;
        })
        .build();
    for _ in 0..2 {
        dispatcher.tick();
        sentinel.is_untouched()?;
        fleet.advance(4000);
    }
    // Taken away, and then the board goes, too: whatever was known of it is to be stopped.
    for id in &ids {
        fleet.take_back("alpha", id)?;
    }
    dispatcher.tick();
    fs::remove_dir_all(fleet.board("alpha")?.dir())?;
    for _ in 0..3 {
        dispatcher.tick();
        fleet.advance(10);
    }
    until("our own workers have ended", || {
        dispatcher.tick();
        Ok(dispatcher.workers_alive() == 0)
    })?;
    // By then nobody expects the board back.
    fleet.advance(3_600);
    dispatcher.tick();
    let left: i64 = value(&ledger, "SELECT count(*) FROM workers")?;
    assert_eq!(left, 0);
    sentinel.is_untouched()
}

#[test]
fn a_live_process_that_is_not_proven_ours_is_told_once() -> Result {
    let mut fleet = Fleet::new()?;
    fleet.clock = Clock::manual(Clock::system().unix());
    let mut sentinel = Sentinel::start(fleet.path())?.ready()?;
    let id = fleet.ready("alpha", 1)?.remove(0);
    let now = fleet.clock.unix();
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    fleet.connect("alpha")?.execute(
        "UPDATE tasks SET status = 'running', claim_lock = ?2, worker_pid = ?3, claim_expires = ?4, started_at = ?4 WHERE id = ?1",
        (&id, format!("{host}:999"), sentinel.pid(), now - 1),
    )?;
    let mut dispatcher = fleet.dispatcher();
    let told = || {
        let mut lines = fleet.lines_of("alpha");
        lines.retain(|line| line.message.contains("not proven ours"));
        lines
    };
    // In every other tick the claim is valid again.
    for _ in 0..5 {
        dispatcher.tick();
        assert_eq!(told().len(), 1);
        fleet.advance(500);
    }
    assert_eq!(told()[0].field("task"), Some(&*id));
    sentinel.is_untouched()
}

#[test]
fn a_worker_of_before_the_machine_was_started_anew_is_started_again_and_not_counted() -> Result {
    let fleet = Fleet::new()?;
    let id = fleet.ready("alpha", 1)?.remove(0);
    let mut first = fleet.dispatcher();
    first.tick();
    drop(first);
    kill(
        fleet.show("alpha", &id)?.runs[0]
            .worker_pid
            .ok_or("no pid")?,
    )?;
    fleet.has_processes(0)?;
    connect(&fleet.root.ledger())?.execute_batch("UPDATE workers SET boot_id = 'another-boot'")?;
    assert_eq!(fleet.dispatcher().tick().started(), 1);
    let detail = fleet.show("alpha", &id)?;
    assert_eq!(outcomes(&detail), ["reclaimed", "open"]);
    assert_eq!(detail.task.consecutive_failures, 0);
    Ok(())
}
