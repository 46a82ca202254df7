//! The criterion benches, and their medians as tables of ratios: a short run for CI, a proper one for the page.

mod table;

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use serde::Deserialize;

use crate::run::{Done, cargo, root, run, target};
use table::Row;

/// Long enough for an order of magnitude, short enough for CI.
const SHORT: &str =
    "--noplot --warm-up-time 0.05 --measurement-time 0.2 --sample-size 10 --nresamples 1000";
/// Long enough for two digits on an idle machine: about nine minutes in all.
const PROPER: &str = "--noplot --warm-up-time 0.5 --measurement-time 2 --sample-size 30";

/// The tables stand between these two lines of the page.
const BEGIN: &str = "<!-- begin: written by `cargo xtask bench` -->";
const END: &str = "<!-- end -->";

/// Runs all benches briefly and writes `target/benchmarks.md`.
pub(crate) fn brief() -> Done {
    let path = target().join("benchmarks.md");
    let text = measure(SHORT, "criterion-ci")?;
    fs::write(&path, text).map_err(|error| cannot("write", &path, &error))?;
    println!("tables written to {}", path.display());
    Ok(())
}

/// Runs all benches properly and writes the tables into `docs/benchmarks.md`.
pub(crate) fn proper() -> Done {
    let path = root().join("docs/benchmarks.md");
    let page = fs::read_to_string(&path).map_err(|error| cannot("read", &path, &error))?;
    // Before the long run, not after it.
    let (head, rest) = page
        .split_once(BEGIN)
        .ok_or_else(|| format!("{} has no line `{BEGIN}`", path.display()))?;
    let (_, tail) = rest
        .split_once(END)
        .ok_or_else(|| format!("{} has no line `{END}`", path.display()))?;
    let text = measure(PROPER, "criterion-proper")?;
    let page = format!("{head}{BEGIN}\n\n{text}\n{END}{tail}");
    fs::write(&path, page).map_err(|error| cannot("write", &path, &error))?;
    println!("tables written to {}", path.display());
    Ok(())
}

/// Runs all benches with a place of their own, so that results of other runs stay out of the tables.
fn measure(settings: &str, place: &str) -> Done<String> {
    let home = target().join(place);
    if home.exists() {
        fs::remove_dir_all(&home).map_err(|error| cannot("remove", &home, &error))?;
    }
    let mut benches = cargo("bench -p benches --");
    benches.args(settings.split_ascii_whitespace());
    benches.env("CRITERION_HOME", &home);
    run(benches)?;

    let mut rows = Vec::new();
    collect(&home, &mut rows)?;
    if rows.is_empty() {
        return Err(format!("no results below {}", home.display()));
    }
    rows.sort_by_key(|(at, _)| *at);
    let mut text = table::render(rows.into_iter().map(|(_, row)| row));
    // Only where there is valgrind.
    if let Ok(counts) = fs::read_to_string(home.join("instructions.md")) {
        text.push_str("\n### Instructions\n\nFor one question, counted by valgrind: the clock's noise is not in them.\n\n");
        text.push_str(&counts);
    }
    Ok(text)
}

/// The results below `dir`, each with the time at which it was written: the tables keep the order of measuring.
fn collect(dir: &Path, rows: &mut Vec<(SystemTime, Row)>) -> Done {
    let entries = fs::read_dir(dir).map_err(|error| cannot("list", dir, &error))?;
    for path in entries.flatten().map(|entry| entry.path()) {
        if !path.is_dir() {
            continue;
        }
        if !path.ends_with("new") {
            collect(&path, rows)?;
            continue;
        }
        let estimates = path.join("estimates.json");
        let at = fs::metadata(&estimates)
            .and_then(|metadata| metadata.modified())
            .map_err(|error| cannot("stat", &estimates, &error))?;
        rows.push((
            at,
            row(&read(&path.join("benchmark.json"))?, &read(&estimates)?),
        ));
    }
    Ok(())
}

/// `benchmark.json`, as far as it matters.
#[derive(Deserialize)]
struct About {
    group_id: String,
    function_id: Option<String>,
    throughput: Option<Throughput>,
}

#[derive(Deserialize)]
enum Throughput {
    Elements(f64),
    #[serde(untagged)]
    Other(serde::de::IgnoredAny),
}

/// `estimates.json`, as far as it matters.
#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    /// Nanoseconds for one iteration.
    point_estimate: f64,
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Done<T> {
    let text = fs::read(path).map_err(|error| cannot("read", path, &error))?;
    serde_json::from_slice(&text).map_err(|error| format!("parse {}: {error}", path.display()))
}

fn row(about: &About, estimates: &Estimates) -> Row {
    let elements = match about.throughput {
        Some(Throughput::Elements(elements)) => elements,
        _ => 1.0,
    };
    Row {
        group: about.group_id.clone(),
        case: about.function_id.clone().unwrap_or_default(),
        ns: estimates.median.point_estimate / elements,
    }
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> String {
    format!("{what} {}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn criterions_files_become_a_row_for_one_element() -> serde_json::Result<()> {
        let about = serde_json::from_str(
            r#"{"group_id":"g/tick","function_id":"ours","value_str":null,"throughput":{"Elements":100},"full_id":"g/tick/ours"}"#,
        )?;
        let estimates = serde_json::from_str(
            r#"{"mean":{"point_estimate":9.0},"median":{"confidence_interval":{"upper_bound":7.5},"point_estimate":4200.5,"standard_error":1}}"#,
        )?;
        let row = row(&about, &estimates);
        assert_eq!(
            (row.group.as_str(), row.case.as_str(), row.ns),
            ("g/tick", "ours", 42.005)
        );
        Ok(())
    }

    #[test]
    fn the_page_has_a_place_for_the_tables() -> std::io::Result<()> {
        let page = fs::read_to_string(root().join("docs/benchmarks.md"))?;
        assert!(page.find(BEGIN) < page.rfind(END) && page.contains(BEGIN));
        Ok(())
    }
}
