//! The table of a chaos, for the terminal and for the page.

use std::collections::BTreeSet;

use super::checker::Findings;

type Value = fn(&Findings) -> usize;

/// What must be zero.
const FINDINGS: [(&str, &Value); 11] = [
    ("acknowledged writes lost", &((|found| found.lost) as Value)),
    ("duplicate runs", &((|found| found.duplicates) as Value)),
    ("stale writes accepted", &((|found| found.stale) as Value)),
    ("ghosts", &((|found| found.ghosts) as Value)),
    ("innocents signalled", &((|found| found.innocents) as Value)),
    ("false kills", &((|found| found.false_kills) as Value)),
    ("order violations", &((|found| found.order) as Value)),
    ("tasks stuck at the end", &((|found| found.stuck) as Value)),
    ("boards damaged", &((|found| found.damaged) as Value)),
    (
        "removed boards made anew",
        &((|found| found.resurrected) as Value),
    ),
    (
        "deaths of the dispatcher itself",
        &((|found| found.deaths) as Value),
    ),
];

const BEGIN: &str = "<!-- begin: written by `cargo xtask torture --write` -->";
const END: &str = "<!-- end of the chaos -->";

/// One column for each dispatcher that lived through it.
#[must_use]
pub fn render(seed: u64, minutes: f64, columns: &[(&str, &Findings)]) -> String {
    let mut text = format!("Seed {seed}, {minutes} minutes.\n\n");
    let mut line = |name: &str, cells: Vec<String>| {
        text.push_str(&format!("| {name} | {} |\n", cells.join(" | ")));
    };
    line(
        "",
        columns.iter().map(|(name, _)| (*name).to_owned()).collect(),
    );
    line("---", columns.iter().map(|_| "---:".to_owned()).collect());
    let mut row = |name: &str, value: &dyn Fn(&Findings) -> usize| {
        line(
            name,
            columns
                .iter()
                .map(|(_, found)| value(found).to_string())
                .collect(),
        );
    };
    row("faults", &|found| found.struck());
    row("workers started", &|found| found.starts);
    row("writes acknowledged", &|found| found.acknowledged);
    for (name, value) in FINDINGS {
        row(name, value);
    }
    let recovery = |found: &Findings| {
        [50, 99, 100]
            .map(|percent| found.recovery(percent).to_string())
            .join(" / ")
    };
    line(
        "recovery p50 / p99 / max, ms",
        columns.iter().map(|(_, found)| recovery(found)).collect(),
    );
    let kinds: BTreeSet<&str> = columns
        .iter()
        .flat_map(|(_, found)| found.faults.keys().copied())
        .collect();
    text.push_str("\nFaults by kind: ");
    let kinds = kinds.into_iter().map(|kind| {
        let counts = columns
            .iter()
            .map(|(_, found)| found.faults.get(kind).copied().unwrap_or(0).to_string());
        format!("{kind} {}", counts.collect::<Vec<_>>().join("/"))
    });
    text.push_str(&kinds.collect::<Vec<_>>().join(", "));
    text.push_str(".\n");
    text
}

/// The page with the table between its marks.
///
/// # Errors
/// When the page has no marks.
pub fn page(page: &str, table: &str) -> Result<String, String> {
    let begin = page
        .find(BEGIN)
        .ok_or_else(|| format!("no line \"{BEGIN}\""))?
        + BEGIN.len();
    let end = page
        .find(END)
        .filter(|end| begin <= *end)
        .ok_or_else(|| format!("no line \"{END}\" after it"))?;
    Ok(format!("{}\n\n{table}\n{}", &page[..begin], &page[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_goes_between_the_marks_and_nowhere_else() {
        let (before, after) = (format!("a\n{BEGIN}\nold\n"), format!("{END}\nz\n"));
        let new = page(&format!("{before}{after}"), "| new |\n").unwrap();
        assert_eq!(new, format!("a\n{BEGIN}\n\n| new |\n\n{END}\nz\n"));
        assert_eq!(page(&new, "| new |\n").unwrap(), new);
        assert!(page(&after, "").is_err() && page(&before, "").is_err());
    }

    #[test]
    fn every_kind_of_finding_has_a_row() {
        let found = Findings::default();
        let table = render(7, 0.5, &[("a", &found), ("b", &found)]);
        assert_eq!(
            table.matches("| 0 | 0 |").count(),
            FINDINGS.len() + 3,
            "{table}"
        );
        assert!(table.contains("| recovery p50 / p99 / max, ms | 0 / 0 / 0 | 0 / 0 / 0 |"));
    }
}
