//! `cargo xtask test`: the peer, all tests, one summary.

use std::time::Instant;

use crate::cases;
use crate::peer::{Peer, VERSION};
use crate::run::{Done, cargo, stream};
use crate::tools;

/// What libtest's result lines add up to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sum {
    suites: u64,
    passed: u64,
    failed: u64,
    ignored: u64,
    /// The failed tests by name: their output is far up by then.
    names: Vec<String>,
}

/// Installs the peer if need be, runs every test of the workspace, and says how it went in one line.
pub(crate) fn run() -> Done {
    tools::strace()?;
    let peer = Peer::ready()?;
    let begun = Instant::now();
    let mut sum = Sum::default();
    let mut tests = cargo("test --workspace --all-features --no-fail-fast");
    tests.env("KANBAN_PEER", &peer.hermes);
    tests.env("KANBAN_PEER_PYTHON", &peer.python);
    // Most of them wait for other processes.
    if std::env::var_os("RUST_TEST_THREADS").is_none() {
        tests.env("RUST_TEST_THREADS", threads());
    }
    let (name, dir) = cases::report()?;
    tests.env(name, dir);
    let mut done = stream(&mut tests, |line| sum.add(line));
    if done.is_ok() && sum.suites == 0 {
        done = Err("no test result was seen".to_owned());
    }
    if done.is_ok() {
        done = cases::check();
    }
    let seconds = begun.elapsed().as_secs();
    let Sum {
        suites,
        passed,
        failed,
        ignored,
        names,
    } = sum;
    if !names.is_empty() {
        println!("\nfailed:\n  {}", names.join("\n  "));
        done = done.map_err(|why| format!("{why}: {}", names.join(", ")));
    }
    let word = if done.is_ok() { "passed" } else { "FAILED" };
    println!(
        "\ntests {word}: {suites} suites, {passed} passed, {failed} failed, {ignored} ignored, {seconds} s; peer hermes-agent {VERSION}"
    );
    done
}

/// One for each core, and four at least.
fn threads() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    cores.max(4).to_string()
}

impl Sum {
    /// Adds a line such as `test a::b ... FAILED`, or `test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; ...`.
    fn add(&mut self, line: &str) {
        let Some(result) = line.trim_start().strip_prefix("test result: ") else {
            let name = line
                .strip_prefix("test ")
                .and_then(|rest| rest.strip_suffix(" ... FAILED"));
            self.names.extend(name.map(str::to_owned));
            return;
        };
        self.suites += 1;
        for part in result.split(['.', ';']) {
            let mut words = part.split_ascii_whitespace();
            let (Some(Ok(count)), Some(word)) = (words.next().map(str::parse::<u64>), words.next())
            else {
                continue;
            };
            match word {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                "ignored" => self.ignored += count,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_added_up_and_nothing_else_is() {
        let mut sum = Sum::default();
        for line in [
            "running 3 tests",
            "test a::b ... ok",
            "test a::c ... FAILED",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.05s",
            "all doctests ran in 1.20s; merged doctests compilation took 0.90s",
            "test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s",
        ] {
            sum.add(line);
        }
        assert_eq!(
            sum,
            Sum {
                suites: 2,
                passed: 7,
                failed: 2,
                ignored: 1,
                names: vec!["a::c".to_owned()],
            }
        );
    }
}
