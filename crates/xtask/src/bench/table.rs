//! Medians as markdown: one table per crate, and beside each case how many times its group's limit it takes.

use std::fmt::Write as _;

/// What the case that is a group's limit is called: the least work that still gives the answer.
const LIMIT: &str = "limit: ";

/// One result.
#[derive(Debug)]
pub(super) struct Row {
    /// The crate, a slash, and what the cases have in common.
    pub(super) group: String,
    pub(super) case: String,
    /// The median for one element, in nanoseconds.
    pub(super) ns: f64,
}

pub(super) fn render(rows: impl IntoIterator<Item = Row>) -> String {
    let rows: Vec<Row> = rows.into_iter().collect();
    let mut text = String::new();
    let (mut krate, mut group) = ("", "");
    for row in &rows {
        let (of, about) = row.group.split_once('/').unwrap_or((&row.group, ""));
        if of != krate {
            let gap = if krate.is_empty() { "" } else { "\n" };
            let _ = writeln!(
                text,
                "{gap}### {of}\n\n| case | median | × limit |\n|---|--:|--:|"
            );
            krate = of;
        }
        if row.group != group {
            let _ = writeln!(text, "| **{about}** | | |");
            group = &row.group;
        }
        let limit = rows
            .iter()
            .find(|other| other.group == row.group && other.case.starts_with(LIMIT));
        let times = limit.map_or(String::new(), |limit| digits(row.ns / limit.ns));
        let _ = writeln!(text, "| {} | {} | {times} |", row.case, time(row.ns));
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
    format!("{} {unit}", digits(value))
}

fn digits(value: f64) -> String {
    let decimals = match value {
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(group: &str, case: &str, ns: f64) -> Row {
        Row {
            group: group.to_owned(),
            case: case.to_owned(),
            ns,
        }
    }

    #[test]
    fn each_case_stands_beside_its_own_groups_limit() {
        let rows = [
            row("a/hit", "limit: one load", 2.0),
            row("a/hit", "by key", 30.0),
            row("a/miss", "by key", 7.0),
            row("b/hit", "by key", 5.0),
            row("b/hit", "limit: one probe", 10.0),
        ];
        let head = "| case | median | × limit |\n|---|--:|--:|\n";
        let a = "| **hit** | | |\n| limit: one load | 2.00 ns | 1.00 |\n| by key | 30.0 ns | 15.0 |\n\
                 | **miss** | | |\n| by key | 7.00 ns |  |\n";
        let b =
            "| **hit** | | |\n| by key | 5.00 ns | 0.50 |\n| limit: one probe | 10.0 ns | 1.00 |\n";
        assert_eq!(
            render(rows),
            format!("### a\n\n{head}{a}\n### b\n\n{head}{b}")
        );
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
