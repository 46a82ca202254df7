//! The workspace's own chores: `cargo xtask test`, `cargo xtask ci`, `cargo xtask bench`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a chore talks to the terminal and measures real time"
)]

mod bench;
mod cases;
mod ci;
mod faults;
mod features;
mod fuzz;
mod gate;
mod msrv;
mod old_sqlite;
mod older_sqlites;
mod package;
mod packages;
mod peer;
#[cfg(test)]
mod recipes;
mod run;
mod scale;
mod syscalls;
mod test;
mod tools;
mod torture;

use std::process::ExitCode;

const HELP: &str = "\
Usage: cargo xtask CHORE

  test   everything that is tested: installs the peer into target/peer-venv, runs all tests, prints one summary
  ci     what CI runs, in its order; ends with a table of the steps
  bench  measures all benches properly, about nine minutes, and writes the tables into docs/benchmarks.md

  scale [--quick] [--only ROW] [--write]
         what a tick costs with 10 to 10,000 boards, beside the peer and the least that it can cost, under ten minutes; --write
         puts the tables into docs/benchmarks.md and draws docs/tick-cost.svg

  gate [--write]
         instructions and allocations against benches/baseline.toml, half a minute; --write accepts what is counted now

  cases [--write]
         the cases of production alone, and whether docs/reliability.md tells of each; --write has it tell
  faults [--write]
         each read, write, sync and open of a tick fails in turn, some minutes; --write puts the table into docs/reliability.md

  fuzz   ten million made-up errors through error-classify, half a minute

  torture --seed N [--minutes M | --seconds S] [--peer] [--ungated] [--write]
         everything at once: writers, a nemesis and a checker; then the same with the peer's dispatcher, or ours without its
         gate; --write puts ours and the peer's into docs/reliability.md
  torture storm [--kills N] [--seed S]
         kills the dispatcher between a claim and its worker's first step, again and again; then the same without the gate
  torture soak [--minutes M | --seconds S] [--seed S]
         thirty boards and a fault a second: descriptors, threads, memory and events return to where they were
  torture guard [--seconds N] [--processes N]
         the peer's processes on one board, beside our daemon; then the same without it

Two steps of `ci` alone:
  syscalls    what looking at files asks of the kernel, by strace
  old-sqlite  the tests of error-classify with the distribution's SQLite; with --all also with four others, from 3.39 to
              3.50, which it compiles (minutes)

All need a Rust toolchain, a C compiler and python3 (3.11 to 3.13). docs/contributing.md says what each step is for.";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["test"] => test::run(),
        ["ci"] => ci::run_all(),
        ["bench"] => bench::proper(),
        ["gate"] => gate::run_one(false),
        ["gate", "--write"] => gate::run_one(true),
        ["scale", options @ ..] => scale::run_one(options),
        ["syscalls"] => syscalls::check(),
        ["old-sqlite"] => old_sqlite::check(),
        ["cases"] => cases::run_all(false),
        ["cases", "--write"] => cases::run_all(true),
        ["faults"] => faults::run_all(false),
        ["faults", "--write"] => faults::run_all(true),
        ["fuzz"] => fuzz::run_all(),
        ["old-sqlite", "--all"] => old_sqlite::check_all(),
        ["torture", words @ ..] => torture::run_one(words),
        ["-h" | "--help" | "help"] => {
            println!("{HELP}");
            Ok(())
        }
        _ => {
            eprintln!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}
