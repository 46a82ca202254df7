//! Skipping quiet boards changes nothing: random histories are run by a dispatcher that skips and by one that opens every board each
//! time, and the boards must be equal, row for row.

mod support;

use std::fs;
use std::path::PathBuf;

use kanban_dispatcher::{Dispatcher, Levers};
use proptest::prelude::*;
use proptest::test_runner::{
    Config as RunnerConfig, RngAlgorithm, TestCaseError, TestRng, TestRunner,
};
use rusqlite::Connection;
use rusqlite::types::Value;
use rustix::process::{Pid, Signal, kill_process};

use self::support::{Fleet, Result, script, until};

const BOARDS: [&str; 2] = ["alpha", "beta"];

/// Ends by a signal in a chosen way: 75 "try later", 9, or 0 without a word.
const WORKER: &str = "trap 'exit 75' USR1; trap 'exit 9' USR2; trap 'exit 0' HUP; \
                      p=$HERMES_KANBAN_HOME/worker-$$; mkfifo $p; read x <>$p";

/// What happens between two ticks.
#[derive(Debug, Clone)]
enum Step {
    /// Time passes.
    Wait(u64),
    /// The wall clock is set.
    Set(i64),
    /// Another program writes to a board: which board, and what.
    Write(usize, Write),
    /// A worker ends: which of those alive, and how.
    End(usize, Signal),
    /// Somebody gets or loses a home.
    Profile(bool),
    Pause(usize, bool),
}

#[derive(Debug, Clone)]
enum Write {
    Task {
        status: &'static str,
        assignee: Option<&'static str>,
        max_runtime: Option<i64>,
        max_retries: Option<i64>,
    },
    /// The n-th task waits for the m-th.
    Link(usize, usize),
    /// A verb of a person or worker on the n-th task.
    Verb(usize, &'static str),
    /// The schema loses a column.
    Drift,
    Checkpoint,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let board = 0..BOARDS.len();
    let task = (
        prop::sample::select(vec!["ready", "ready", "ready", "todo", "blocked", "review"]),
        prop::sample::select(vec![Some("coder"), Some("coder"), Some("nobody-yet"), None]),
        prop::option::of(prop::sample::select(vec![1_i64, 30, 1000])),
        prop::option::of(1_i64..4),
    )
        .prop_map(|(status, assignee, max_runtime, max_retries)| Write::Task {
            status,
            assignee,
            max_runtime,
            max_retries,
        });
    let verb = prop::sample::select(vec![
        "UPDATE tasks SET last_heartbeat_at = NOW WHERE id = ID AND status = 'running'",
        "UPDATE tasks SET status = 'done', completed_at = NOW, claim_lock = NULL, claim_expires = NULL WHERE id = ID",
        "UPDATE tasks SET status = 'ready' WHERE id = ID AND status IN ('blocked', 'todo')",
        "UPDATE tasks SET status = 'archived', claim_lock = NULL WHERE id = ID",
        "UPDATE tasks SET status = 'running', claim_lock = 'elsewhere:1', claim_expires = NOW + 40 WHERE id = ID AND status = 'ready'",
        "INSERT INTO task_comments (task_id, author, body, created_at) VALUES (ID, 'ann', 'see https://github.com/a/b/pull/1', NOW)",
        "UPDATE tasks SET last_failure_error = 'quota exceeded', consecutive_failures = 1 WHERE id = ID AND status = 'ready'",
    ]);
    let write = prop_oneof![
        4 => task,
        1 => (0_usize..6, 0_usize..6).prop_map(|(child, parent)| Write::Link(child, parent)),
        4 => (0_usize..6, verb).prop_map(|(n, sql)| Write::Verb(n, sql)),
        1 => Just(Write::Drift),
        1 => Just(Write::Checkpoint),
    ];
    let signals = vec![
        Signal::USR1,
        Signal::USR2,
        Signal::HUP,
        Signal::KILL,
        Signal::TERM,
    ];
    let step = prop_oneof![
        6 => prop::sample::select(vec![0_u64, 1, 5, 20, 60, 299, 300, 301, 599, 601, 900, 3_601, 90_000]).prop_map(Step::Wait),
        1 => prop::sample::select(vec![-7_200_i64, -60, 60, 7_200]).prop_map(Step::Set),
        6 => (board.clone(), write).prop_map(|(board, write)| Step::Write(board, write)),
        3 => (0_usize..4, prop::sample::select(signals)).prop_map(|(n, signal)| Step::End(n, signal)),
        1 => any::<bool>().prop_map(Step::Profile),
        1 => (board, any::<bool>()).prop_map(|(board, on)| Step::Pause(board, on)),
    ];
    prop::collection::vec(step, 4..24)
}

/// One of the two worlds.
struct World {
    fleet: Fleet,
    dispatcher: Dispatcher,
    quiet: usize,
}

impl World {
    fn new(skips: bool, workers_max: usize) -> Result<Self> {
        let fleet = Fleet::new()?;
        for board in BOARDS {
            drop(fleet.store(board)?);
        }
        fs::create_dir_all(fleet.path().join("profiles/coder"))?;
        let dispatcher = fleet
            .builder(|config| {
                config.worker.require_profile = true;
                config.worker.command = Some(script(WORKER));
                config.workers_max = workers_max.try_into().expect("not zero");
                config.failure_limit = 3.try_into().expect("not zero");
                config.give_up_cooldown_seconds = 500;
                config.skip_quiet_boards = skips;
            })
            .build();
        Ok(Self {
            fleet,
            dispatcher,
            quiet: 0,
        })
    }

    fn take(&mut self, number: usize, step: &Step) -> Result {
        let fleet = &self.fleet;
        match step {
            Step::Wait(seconds) => fleet.advance(*seconds),
            Step::Set(seconds) => fleet.clock.step(*seconds),
            Step::Write(board, write) => {
                let db = fleet.connect(BOARDS[*board])?;
                write.run(&db, number, fleet.clock.unix())?;
            }
            Step::End(n, signal) => self.end(*n, *signal)?,
            Step::Profile(exists) => {
                let home = fleet.path().join("profiles/nobody-yet");
                drop(match exists {
                    true => fs::create_dir(home),
                    false => fs::remove_dir(home),
                });
            }
            Step::Pause(board, on) => {
                let mut levers = Levers::open(&fleet.root, &fleet.clock)?;
                let slug = fleet.slug(BOARDS[*board]).parse()?;
                match on {
                    true => drop(levers.pause(&slug, None)?),
                    false => drop(levers.resume(&slug)?),
                }
            }
        }
        Ok(())
    }

    /// Ends the n-th worker, in the order of boards and attempts, and waits until it has.
    fn end(&self, n: usize, signal: Signal) -> Result {
        let Some(pid) = self.workers()?.get(n).copied() else {
            return Ok(());
        };
        let ready: PathBuf = self.fleet.path().join(format!("worker-{pid}"));
        until("the worker waits for its end", || Ok(ready.exists()))?;
        kill_process(Pid::from_raw(pid).ok_or("no pid")?, signal)?;
        until("the worker has ended", || Ok(!is_alive(pid)))
    }

    /// The live workers of running tasks.
    fn workers(&self) -> Result<Vec<i32>> {
        let sql = "SELECT worker_pid FROM tasks WHERE worker_pid > 0 ORDER BY current_run_id";
        let mut workers = Vec::new();
        for board in BOARDS {
            let db = self.fleet.connect(board)?;
            let mut statement = db.prepare(sql)?;
            let pids = statement.query_map([], |row| row.get::<_, i32>(0))?;
            workers.extend(pids.collect::<Result<Vec<_>, _>>()?);
        }
        workers.retain(|pid| is_alive(*pid));
        Ok(workers)
    }

    fn tick(&mut self) -> Result {
        for board in BOARDS {
            self.fleet.grow_old(board)?;
        }
        let before = self.workers()?;
        let report = self.dispatcher.tick();
        self.quiet += report.quiet;
        // Those that were told to end do so at their own speed; the next tick finds them gone in both worlds.
        let stopped: u32 = report.boards.iter().map(|board| board.stopped).sum();
        until("the stopped workers have ended", || {
            let left = before.iter().filter(|pid| is_alive(**pid)).count();
            Ok(left + stopped as usize <= before.len())
        })
    }

    /// Everything on the boards, but what names a process or a moment of this machine.
    fn rows(&self) -> Result<Vec<String>> {
        let mut rows = Vec::new();
        for board in BOARDS {
            let db = self.fleet.connect(board)?;
            for table in ["tasks", "task_runs", "task_events", "task_links"] {
                rows.extend(
                    dump(&db, table)?
                        .into_iter()
                        .map(|row| format!("{board} {table} {row}")),
                );
            }
        }
        Ok(rows)
    }
}

impl Write {
    fn run(&self, db: &Connection, number: usize, now: i64) -> Result {
        let id = |n: &usize| -> Option<String> {
            let sql = "SELECT id FROM tasks ORDER BY created_at, id LIMIT 1 OFFSET ?1";
            db.query_row(sql, [*n as i64], |row| row.get(0)).ok()
        };
        match self {
            Self::Task {
                status,
                assignee,
                max_runtime,
                max_retries,
            } => {
                db.execute(
                    "INSERT INTO tasks (id, title, status, assignee, priority, created_at, workspace_kind, max_runtime_seconds, \
                     max_retries) VALUES (?1, 'work', ?2, ?3, 0, ?4, 'scratch', ?5, ?6)",
                    (format!("t_{number:08}"), status, assignee, now, max_runtime, max_retries),
                )?;
            }
            Self::Link(child, parent) => {
                if let (Some(child), Some(parent)) = (id(child), id(parent))
                    && child != parent
                {
                    let sql =
                        "INSERT OR IGNORE INTO task_links (parent_id, child_id) VALUES (?1, ?2)";
                    db.execute(sql, (parent, child))?;
                }
            }
            Self::Verb(n, sql) => {
                if let Some(id) = id(n) {
                    let sql = sql.replace("ID", &format!("'{id}'"));
                    db.execute_batch(&sql.replace("NOW", &now.to_string()))?;
                }
            }
            // Nobody's column twice.
            Self::Drift => drop(support::drop_column(db, "tasks", "skills")),
            Self::Checkpoint => db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?,
        }
        Ok(())
    }
}

/// Whether it has not ended; a zombie has.
fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.chars().next());
    state.is_some_and(|state| state != 'Z')
}

/// All rows of a table. Of events each task's own order counts: places are shared among the boards that have a turn, so in one tick a
/// board may start two tasks in one turn or in two.
fn dump(db: &Connection, table: &str) -> Result<Vec<String>> {
    let is_events = table == "task_events";
    let order = if is_events { "task_id, id" } else { "1, 2" };
    let mut statement = db.prepare(&format!("SELECT * FROM {table} ORDER BY {order}"))?;
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let rows = statement.query_map([], |row| {
        let mut text = String::new();
        for (at, name) in names.iter().enumerate() {
            if is_events && name == "id" {
                continue;
            }
            let value = row.get::<_, Value>(at)?;
            text += &format!("{name}={} ", plain(name, &value));
        }
        Ok(text)
    })?;
    Ok(rows.collect::<Result<Vec<_>, _>>()?)
}

/// A value without the numbers of processes and the names of claims.
fn plain(name: &str, value: &Value) -> String {
    let Value::Text(text) = value else {
        let is_process = name == "worker_pid" && *value != Value::Null;
        return if is_process {
            "some".to_owned()
        } else {
            format!("{value:?}")
        };
    };
    if matches!(name, "claim_lock" | "workspace_path") {
        return "some".to_owned();
    }
    if let Ok(mut json) = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text) {
        for (key, value) in &mut json {
            if key.contains("pid")
                || key.contains("lock")
                || value
                    .as_str()
                    .is_some_and(|text| text.contains("pid ") || text.starts_with("rs."))
            {
                *value = "some".into();
            }
        }
        return serde_json::Value::from(json).to_string();
    }
    let mut after_pid = false;
    let words = text.split(' ').map(|word| {
        if std::mem::replace(&mut after_pid, word == "pid") {
            "some"
        } else {
            word
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn same(workers_max: usize, steps: &[Step]) -> Result<usize> {
    let mut worlds = [
        World::new(true, workers_max)?,
        World::new(false, workers_max)?,
    ];
    for (number, step) in steps.iter().enumerate() {
        for world in &mut worlds {
            world.take(number, step)?;
            world.tick()?;
        }
        let [skips, looks] = [worlds[0].rows()?, worlds[1].rows()?];
        if skips != looks {
            let differ: Vec<_> = skips.iter().zip(&looks).filter(|(a, b)| a != b).collect();
            return Err(format!(
                "after step {number} {step:?}: {differ:#?} ({} and {} rows)",
                skips.len(),
                looks.len()
            )
            .into());
        }
    }
    assert_eq!(worlds[1].quiet, 0);
    Ok(worlds[0].quiet)
}

#[test]
fn with_and_without_skipping_the_boards_are_the_same_row_for_row() {
    // `CASES=100` tries so many others.
    let asked = std::env::var("CASES").ok().and_then(|n| n.parse().ok());
    let cases: u32 = asked.unwrap_or(12);
    let config = RunnerConfig {
        cases,
        max_shrink_iters: 60,
        ..RunnerConfig::default()
    };
    let mut runner = match asked {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    };
    let quiet = std::cell::Cell::new(0);
    let result = runner.run(&(1_usize..4, steps()), |(workers_max, steps)| {
        let skipped =
            same(workers_max, &steps).map_err(|error| TestCaseError::fail(error.to_string()))?;
        quiet.set(quiet.get() + skipped);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    assert!(
        quiet.get() > 2 * cases as usize,
        "hardly anything was skipped: {}",
        quiet.get()
    );
}
