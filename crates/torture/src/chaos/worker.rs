//! The worker of a chaos: keeps its diary, works for a seeded time, and reports through the `kanban` program, or ends in one of the
//! other ways that workers end.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use signal_hook::consts::SIGTERM;

use super::diary::{Writer, start_of, token};
use crate::Result;
use crate::daemon::{Deadline, pause};
use crate::seed::Seed;

const STEP: Duration = Duration::from_millis(10);

/// How long a report is tried that finds no board: longer than one is away.
const PATIENCE: Duration = Duration::from_secs(60);

struct Worker {
    root: PathBuf,
    kanban: PathBuf,
    board: String,
    task: String,
    run: i64,
    diary: Writer,
    /// Set by SIGTERM.
    asked: Arc<AtomicBool>,
    /// Goes on when it is asked to end.
    is_stubborn: bool,
    noted: bool,
}

/// How it is going to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    Complete,
    Block,
    Exit(u8),
    Kill,
}

/// Works on the task that the environment names.
///
/// # Errors
/// What kept it from beginning.
pub fn work(dir: &Path, seed: u64) -> Result<ExitCode> {
    let asked = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGTERM, Arc::clone(&asked))?;
    let (board, task) = (
        env::var("HERMES_KANBAN_BOARD")?,
        env::var("HERMES_KANBAN_TASK")?,
    );
    let run: i64 = env::var("HERMES_KANBAN_RUN_ID")?.parse()?;
    let diary = Writer::begin(&dir.join("diaries"), &board, &task, run)?;
    let mut seed = Seed::new(seed ^ run.unsigned_abs() << 40 ^ letters(&task) ^ letters(&board));
    let mut worker = Worker {
        root: dir.join("root"),
        kanban: dir.join("kanban"),
        board,
        task,
        run,
        diary,
        asked,
        is_stubborn: seed.below(20) == 0,
        noted: false,
    };
    let (plan, time) = draw(&mut seed);
    worker.work(time)?;
    worker.end(plan)
}

/// What it will do and how long it will take.
fn draw(seed: &mut Seed) -> (Plan, Duration) {
    let plan = match seed.below(100) {
        0..82 => Plan::Complete,
        82..88 => Plan::Block,
        88..92 => Plan::Exit(1),
        92..95 => Plan::Exit(75),
        95..96 => Plan::Exit(78),
        96..98 => Plan::Exit(0),
        _ => Plan::Kill,
    };
    let time = match seed.below(20) {
        0 => seed.between_ms(3000, 6000),
        _ => seed.between_ms(20, 800),
    };
    (plan, time)
}

/// FNV-1a.
fn letters(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

// ===== impl Worker =====

impl Worker {
    fn work(&mut self, time: Duration) -> Result {
        let deadline = Deadline::after(time);
        for step in 1_u32.. {
            if deadline.is_over() {
                break;
            }
            self.step()?;
            if step % 5 == 0 {
                self.diary.note("beat")?;
            }
        }
        Ok(())
    }

    /// Waits a moment; ends here when it was asked to and is not stubborn.
    fn step(&mut self) -> Result {
        pause(STEP);
        if self.asked.load(Ordering::Relaxed) && !self.noted {
            self.noted = true;
            self.diary.force("asked")?;
            if !self.is_stubborn {
                signal_hook::low_level::emulate_default_handler(SIGTERM)?;
            }
        }
        Ok(())
    }

    fn end(mut self, plan: Plan) -> Result<ExitCode> {
        let code = match plan {
            Plan::Complete => self.report("complete")?,
            Plan::Block => self.report("block")?,
            Plan::Exit(code) => {
                self.diary.force(&format!("planned exit {code}"))?;
                code
            }
            Plan::Kill => {
                self.diary.force("planned kill")?;
                kill_process(getpid(), Signal::KILL)?;
                1
            }
        };
        self.diary.force("end")?;
        Ok(ExitCode::from(code))
    }

    /// Reports until it is written or refused.
    fn report(&mut self, verb: &str) -> Result<u8> {
        let deadline = Deadline::after(PATIENCE);
        while !deadline.is_over() {
            let mut command = self.command(verb)?;
            let output = command.output()?;
            self.step()?;
            if output.status.success() {
                self.diary.force(&format!("reported {verb}"))?;
                return Ok(0);
            }
            let said = String::from_utf8_lossy(&output.stderr);
            if said.contains("no longer the current one") || said.contains("allowed are") {
                self.diary.force("refused")?;
                return Ok(0);
            }
            self.diary.note("beat")?;
            pause(STEP);
        }
        self.diary.force("planned nobody took the report")?;
        Ok(1)
    }

    fn command(&self, verb: &str) -> Result<Command> {
        let pid = i64::from(std::process::id());
        let words = token(pid, start_of(pid).ok_or("no start time")?, self.run);
        let mut command = Command::new(&self.kanban);
        command.arg("--root").arg(&self.root);
        command.args(["--board", &self.board, verb, &self.task]);
        command.args(["--run", &self.run.to_string()]);
        match verb {
            "complete" => command.args(["--summary", &words]),
            _ => command.args(["--kind", "needs_input", &words]),
        };
        command.stdin(Stdio::null());
        Ok(command)
    }
}
