//! The criterion benches, measured for a moment only, and their medians as one table.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use crate::run::{Done, cargo, run, target};

/// Long enough for an order of magnitude, short enough for CI. docs/benchmarks.md says how to measure properly.
const SHORT: &str =
    "bench -p benches -- --noplot --warm-up-time 0.2 --measurement-time 0.5 --sample-size 10";

/// One bench's result.
#[derive(Debug)]
struct Row {
    name: String,
    /// Nanoseconds for one iteration.
    median: f64,
    /// How many elements one iteration handles, where the bench says so.
    elements: f64,
    /// When it was measured: the table keeps that order.
    at: SystemTime,
}

/// Runs all benches briefly and writes `target/benchmarks.md`.
pub(crate) fn measure() -> Done {
    // A place of its own: results of other runs stay out of the table, and their baselines as they were.
    let home = target().join("criterion-ci");
    let _ = fs::remove_dir_all(&home);
    let mut benches = cargo(SHORT);
    benches.env("CRITERION_HOME", &home);
    run(benches)?;

    let mut rows = Vec::new();
    collect(&home, &mut rows).map_err(|error| format!("read {}: {error}", home.display()))?;
    if rows.is_empty() {
        return Err(format!("no results below {}", home.display()));
    }
    rows.sort_by_key(|row| row.at);
    let path = target().join("benchmarks.md");
    fs::write(&path, table(&rows)).map_err(|error| format!("write {}: {error}", path.display()))?;
    println!("{} results in {}", rows.len(), path.display());
    Ok(())
}

fn collect(dir: &Path, rows: &mut Vec<Row>) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if !path.is_dir() {
            continue;
        }
        if !path.ends_with("new") {
            collect(&path, rows)?;
        } else if let (Ok(about), Ok(estimates)) = (
            fs::read_to_string(path.join("benchmark.json")),
            fs::read_to_string(path.join("estimates.json")),
        ) {
            let at = fs::metadata(path.join("estimates.json"))?.modified()?;
            rows.extend(read(&about, &estimates, at));
        }
    }
    Ok(())
}

fn read(about: &str, estimates: &str, at: SystemTime) -> Option<Row> {
    let name = after(about, "\"full_id\":\"")?
        .split('"')
        .next()?
        .to_owned();
    let median = number(after(
        after(estimates, "\"median\":")?,
        "\"point_estimate\":",
    )?)?;
    let elements = after(about, "\"Elements\":")
        .and_then(number)
        .unwrap_or(1.0);
    Some(Row {
        name,
        median,
        elements,
        at,
    })
}

/// What follows `key` in a text that criterion wrote without blanks.
fn after<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    text.split_once(key).map(|(_, rest)| rest)
}

fn number(text: &str) -> Option<f64> {
    text.split([',', '}']).next()?.parse().ok()
}

fn table(rows: &[Row]) -> String {
    let mut text = String::from("| bench | median | per element |\n|---|--:|--:|\n");
    for row in rows {
        let each = if row.elements > 1.0 {
            time(row.median / row.elements)
        } else {
            String::new()
        };
        text.push_str(&format!(
            "| {} | {} | {each} |\n",
            row.name,
            time(row.median)
        ));
    }
    text
}

/// Three digits and a unit.
fn time(ns: f64) -> String {
    let (value, unit) = match ns {
        ns if ns < 1e3 => (ns, "ns"),
        ns if ns < 1e6 => (ns / 1e3, "µs"),
        ns if ns < 1e9 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    let decimals = match value {
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn criterions_files_become_a_row() {
        let about =
            r#"{"group_id":"g","throughput":{"Elements":100},"full_id":"g/tick, 100 boards"}"#;
        let estimates = r#"{"mean":{"point_estimate":9.0},"median":{"confidence_interval":{"upper_bound":7.5},"point_estimate":4200.5,"standard_error":1}}"#;
        let row = read(about, estimates, SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(
            (row.name.as_str(), row.median, row.elements),
            ("g/tick, 100 boards", 4200.5, 100.0)
        );
        assert!(table(&[row]).ends_with("| g/tick, 100 boards | 4.20 µs | 42.0 ns |\n"));
    }

    #[test]
    fn times_have_three_digits() {
        let times = [0.5, 12.34, 999.4, 9_999.0, 1_234_567.0, 2.5e9].map(time);
        assert_eq!(
            times,
            [
                "0.50 ns", "12.3 ns", "999 ns", "10.0 µs", "1.23 ms", "2.50 s"
            ]
        );
    }
}
