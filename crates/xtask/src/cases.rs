//! `cargo xtask cases`: the cases of production, and their table in docs/reliability.md.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde::Deserialize;

use crate::run::{Done, cargo, root, run, target};
use crate::tools;

/// So many cases are promised: C01 to C60.
const PROMISED: u32 = 60;

/// They wait more than they work.
const THREADS: &str = "6";

const PAGE: &str = "docs/reliability.md";
const BEGIN: &str = "<!-- begin: written by `cargo xtask cases --write` -->\n";
const END: &str = "<!-- end of the cases -->";

/// What a case leaves that holds.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Row {
    case: String,
    injects: String,
    holds: String,
}

/// The variable that tells the suite where to leave its rows, and an empty directory for them.
pub(crate) fn report() -> Done<(&'static str, PathBuf)> {
    let dir = target().join("cases");
    let failed = |error| format!("make {}: {error}", dir.display());
    if dir.exists() {
        fs::remove_dir_all(&dir).map_err(failed)?;
    }
    fs::create_dir_all(&dir).map_err(failed)?;
    Ok(("KANBAN_CASES_REPORT", dir))
}

/// Runs the suite; the page is compared with what it says, or written.
pub(crate) fn run_all(is_to_be_written: bool) -> Done {
    tools::strace()?;
    let (name, dir) = report()?;
    let mut suite = cargo("test -p kanban --all-features --test cases");
    suite.args(["--", "--test-threads", THREADS]).env(name, dir);
    run(suite)?;
    if !is_to_be_written {
        return check();
    }
    let page = root().join(PAGE);
    let text = read(&page)?;
    let (before, _, after) = parts(&text)?;
    let written = format!("{before}{}{after}", table(&rows()?));
    fs::write(&page, written).map_err(|error| format!("write {PAGE}: {error}"))?;
    println!("the table of the cases is in {PAGE}");
    Ok(())
}

/// Whether each promised case has left its row, and the page has just these rows.
pub(crate) fn check() -> Done {
    let rows = rows()?;
    let there: BTreeSet<u32> = rows.iter().filter_map(Row::number).collect();
    let missing: Vec<String> = (1..=PROMISED)
        .filter(|number| !there.contains(number))
        .map(|number| format!("C{number:02}"))
        .collect();
    if !missing.is_empty() {
        return Err(format!(
            "cases that do not hold, or have no test: {}",
            missing.join(", ")
        ));
    }
    let text = read(&root().join(PAGE))?;
    match parts(&text)?.1 == table(&rows) {
        true => Ok(()),
        false => Err(format!(
            "{PAGE} tells something else than the cases do: `cargo xtask cases --write`"
        )),
    }
}

fn rows() -> Done<Vec<Row>> {
    let dir = target().join("cases");
    let failed = |error: &dyn std::fmt::Display| format!("read {}: {error}", dir.display());
    let mut rows = Vec::new();
    for entry in fs::read_dir(&dir).map_err(|error| failed(&error))? {
        let path = entry.map_err(|error| failed(&error))?.path();
        let row = serde_json::from_str(&read(&path)?).map_err(|error| failed(&error))?;
        rows.push(row);
    }
    rows.sort();
    Ok(rows)
}

fn table(rows: &[Row]) -> String {
    let mut text =
        String::from("| case | injected | must hold | result |\n| --- | --- | --- | --- |\n");
    for row in rows {
        let Row { injects, holds, .. } = row;
        text.push_str(&format!(
            "| {} | {injects} | {holds} | holds |\n",
            row.name()
        ));
    }
    text
}

/// What stands before the table, the table, and what comes after.
fn parts(page: &str) -> Done<(&str, &str, &str)> {
    let begin = page.find(BEGIN).map(|at| at + BEGIN.len());
    let end = page.find(END);
    match (begin, end) {
        (Some(begin), Some(end)) if begin <= end => {
            Ok((&page[..begin], &page[begin..end], &page[end..]))
        }
        _ => Err(format!(
            "{PAGE} has no place for the cases: `{}`",
            BEGIN.trim_end()
        )),
    }
}

fn read(path: &std::path::Path) -> Done<String> {
    fs::read_to_string(path).map_err(|error| format!("read {}: {error}", path.display()))
}

impl Row {
    /// 17 for `c17_...`; none for what is no case of the list.
    fn number(&self) -> Option<u32> {
        let (number, _) = self.case.strip_prefix('c')?.split_once('_')?;
        number.parse().ok()
    }

    fn name(&self) -> String {
        match self.number() {
            Some(number) => format!("C{number:02}"),
            None => self.case.trim_start_matches("faults_").replace('_', " "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_named_by_their_number_and_stand_between_the_marks() {
        let row = |case: &str| Row {
            case: case.to_owned(),
            injects: "this".to_owned(),
            holds: "that".to_owned(),
        };
        let rows = [row("c07_seven"), row("faults_each_read_fails_once")];
        let text = table(&rows);
        assert!(text.ends_with(
            "| C07 | this | that | holds |\n| each read fails once | this | that | holds |\n"
        ));
        let page = format!("before\n{BEGIN}{text}{END}\nafter\n");
        assert_eq!(parts(&page).map(|parts| parts.1), Ok(&*text));
        assert!(parts("no place").is_err());
    }
}
