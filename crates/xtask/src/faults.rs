//! `cargo xtask faults`: every k-th read, write, sync and open of a tick fails, and the table of it in docs/reliability.md.

use std::fs;

use crate::run::{Done, cargo, root, run, target};

const PAGE: &str = "docs/reliability.md";
const BEGIN: &str = "<!-- begin: written by `cargo xtask faults --write` -->\n";
const END: &str = "<!-- end of the faults -->";

const HEAD: &str = "\
| files of | fails | which | such calls in a tick | runs with the fault | tasks or rows lost, run twice, charged |
| --- | --- | --- | --- | --- | --- |
";

/// Runs the series without leaving any call out; the page is written if that is asked for. A run that finds something fails.
pub(crate) fn run_all(is_to_be_written: bool) -> Done {
    let dir = target().join("faults");
    let failed = |error| format!("make {}: {error}", dir.display());
    fs::create_dir_all(&dir).map_err(failed)?;
    let mut suite = cargo("test -p kanban --test faults");
    suite
        .env("KANBAN_FAULTS", "all")
        .env("KANBAN_FAULTS_REPORT", &dir);
    run(suite)?;
    let mut table = HEAD.to_owned();
    for part in ["board", "ledger"] {
        let path = dir.join(part);
        table += &fs::read_to_string(&path)
            .map_err(|error| format!("read {}: {error}", path.display()))?;
    }
    print!("{table}");
    match is_to_be_written {
        true => write(&table),
        false => Ok(()),
    }
}

fn write(table: &str) -> Done {
    let page = root().join(PAGE);
    let text = fs::read_to_string(&page).map_err(|error| format!("read {PAGE}: {error}"))?;
    let begin = text.find(BEGIN).map(|at| at + BEGIN.len());
    let (Some(begin), Some(end)) = (begin, text.find(END)) else {
        return Err(format!(
            "{PAGE} has no place for the faults: `{}`",
            BEGIN.trim_end()
        ));
    };
    let written = format!("{}{table}{}", &text[..begin], &text[end..]);
    fs::write(&page, written).map_err(|error| format!("write {PAGE}: {error}"))
}
