//! `cargo xtask gate`: instructions and allocations, which no busy machine changes, against what `benches/baseline.toml` has.

mod judge;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::run::{Done, answer, cargo, root, run, target};
use crate::tools;
use judge::{Finding, judge};

const PAGE: &str = "benches/baseline.toml";
const HEAD: &str = "# Written by `cargo xtask gate --write`; `cargo xtask gate` compares. docs/benchmarks.md says what is allowed.\n\n";

/// How often something happens, by what is counted.
type Counts = BTreeMap<String, u64>;

/// What was counted once, and by what compiler.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Baseline {
    compiler: String,
    host: String,
    allocations: Counts,
    instructions: Counts,
}

/// Counts, and fails where something costs more than the baseline allows; or writes the baseline.
pub(crate) fn run_one(is_to_be_written: bool) -> Done {
    let page = root().join(PAGE);
    let (compiler, host) = compiler()?;
    if is_to_be_written {
        let baseline = Baseline {
            compiler,
            host,
            allocations: count("allocations")?,
            instructions: instructions()?
                .ok_or("a baseline without instructions is none: valgrind is needed")?,
        };
        let text = toml::to_string(&baseline).map_err(|error| error.to_string())?;
        fs::write(&page, format!("{HEAD}{text}"))
            .map_err(|error| cannot("write", &page, &error))?;
        println!("the baseline is in {PAGE}");
        return Ok(());
    }
    let text = fs::read_to_string(&page).map_err(|error| cannot("read", &page, &error))?;
    let baseline: Baseline =
        toml::from_str(&text).map_err(|error| format!("read {PAGE}: {error}"))?;
    if let Some(why) = differs(&baseline, &compiler, &host) {
        println!("gate: nothing is compared: {why}");
        return Ok(());
    }
    let mut findings = judge("allocations", &baseline.allocations, &count("allocations")?);
    match instructions()? {
        Some(now) => findings.extend(judge("instructions", &baseline.instructions, &now)),
        None => println!("gate: instructions are not compared: valgrind is not there"),
    }
    told(&findings)
}

/// Says what was found; fails for what has become worse.
fn told(findings: &[Finding]) -> Done {
    for finding in findings {
        println!("gate: {finding}");
    }
    let worse = findings.iter().filter(|finding| finding.is_bad());
    let worse: Vec<String> = worse.map(Finding::to_string).collect();
    if !worse.is_empty() {
        return Err(format!(
            "worse than {PAGE} allows; a change that is meant is accepted by `cargo xtask gate --write`, in the commit that makes it: {}",
            worse.join("; ")
        ));
    }
    match findings.is_empty() {
        true => println!("gate: as {PAGE} has it"),
        false => println!("gate: please keep that: `cargo xtask gate --write`, and commit {PAGE}"),
    }
    Ok(())
}

/// Why counts of this compiler say nothing about those of the baseline, if so.
fn differs(baseline: &Baseline, compiler: &str, host: &str) -> Option<String> {
    let pairs = [(&*baseline.compiler, compiler), (&*baseline.host, host)];
    let (was, is) = pairs.into_iter().find(|(was, is)| was != is)?;
    Some(format!("{PAGE} is of {was}, and this is {is}"))
}

/// The compiler and what it compiles for.
fn compiler() -> Done<(String, String)> {
    let text = answer(Command::new("rustc").arg("-vV")).ok_or("rustc does not tell its version")?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    let version = text.lines().next().unwrap_or_default();
    Ok((version.to_owned(), host.unwrap_or_default().to_owned()))
}

/// `None` where there is no valgrind, and none can be installed.
fn instructions() -> Done<Option<Counts>> {
    let is_there = || answer(Command::new("valgrind").arg("--version")).is_some();
    if !is_there() && tools::install(&["valgrind"]).is_err() {
        return Ok(None);
    }
    count("instructions").map(Some)
}

/// Runs one of the counting benches, and takes what it leaves.
fn count(bench: &str) -> Done<Counts> {
    let dir = target().join("gate");
    let path: PathBuf = dir.join(bench).with_extension("toml");
    fs::create_dir_all(&dir).map_err(|error| cannot("make", &dir, &error))?;
    if path.exists() {
        fs::remove_file(&path).map_err(|error| cannot("remove", &path, &error))?;
    }
    let mut command = cargo(&format!("bench --quiet -p benches --bench {bench}"));
    command.env("GATE_DIR", &dir);
    run(command)?;
    let text = fs::read_to_string(&path).map_err(|error| cannot("read", &path, &error))?;
    toml::from_str(&text).map_err(|error| format!("read {}: {error}", path.display()))
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> String {
    format!("{what} {}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline() -> Done<Baseline> {
        let text = fs::read_to_string(root().join(PAGE));
        let text = text.map_err(|error| error.to_string())?;
        toml::from_str(&text).map_err(|error| error.to_string())
    }

    #[test]
    fn the_stored_baseline_can_be_read_and_has_both_kinds() -> Done {
        let baseline = baseline()?;
        assert!(baseline.allocations.len() >= 4 && baseline.instructions.len() >= 12);
        Ok(())
    }

    #[test]
    fn another_compiler_or_machine_is_told_and_not_compared() -> Done {
        let mut baseline = baseline()?;
        baseline.compiler = "rustc 1.0.0".to_owned();
        baseline.host = "x".to_owned();
        assert_eq!(differs(&baseline, "rustc 1.0.0", "x"), None);
        let why = differs(&baseline, "rustc 2.0.0", "x").unwrap_or_default();
        assert!(why.contains("of rustc 1.0.0") && why.contains("this is rustc 2.0.0"));
        assert!(differs(&baseline, "rustc 1.0.0", "y").is_some());
        Ok(())
    }

    #[test]
    fn only_what_is_worse_fails_and_says_how_it_is_accepted() {
        let counts = |n: u64| Counts::from([("tick".to_owned(), n)]);
        assert_eq!(
            told(&judge("allocations", &counts(100), &counts(100))),
            Ok(())
        );
        assert_eq!(
            told(&judge("allocations", &counts(100), &counts(50))),
            Ok(())
        );
        let error = told(&judge("allocations", &counts(100), &counts(200)));
        assert!(error.is_err_and(|why| why.contains("gate --write") && why.contains("\"tick\"")));
    }
}
