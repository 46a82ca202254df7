//! What is wrong with a board's file, as SQLite's own checks tell it. Reads only.

use std::collections::{BTreeMap, BTreeSet};

use error_classify::{Class, Classify as _};
use rusqlite::{Connection, Result};

/// So many findings are read; a file with more has more than enough.
const FINDINGS_MAX: u32 = 10_000;

/// What a look through a whole file finds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FileHealth {
    /// Nothing; or pages that belong to nothing, which do no harm.
    Sound,
    /// Every table can be read from its first row to its last, and what is wrong is in these indexes.
    Indexes {
        /// The first finding.
        what: String,
        /// Their names.
        names: BTreeSet<String>,
    },
    /// Anything else.
    Damaged(String),
}

/// One finding.
enum Finding {
    /// A page that nothing uses.
    Lost,
    /// In this index.
    Index(String),
    Other,
}

/// Looks through the whole file: its pages first, then, if nothing is wrong with these, whether indexes and tables agree.
///
/// # Errors
/// What keeps SQLite from looking (busy, I/O, interrupted): nothing is known then.
pub(crate) fn file_health(db: &Connection) -> Result<FileHealth> {
    let indexes = match indexes(db) {
        Ok(indexes) => indexes,
        Err(error) if is_damage(&error) => return Ok(FileHealth::Damaged(error.to_string())),
        Err(error) => return Err(error),
    };
    let mut findings = harmful(findings(db, "quick_check")?);
    if findings.is_empty() {
        findings = harmful(self::findings(db, "integrity_check")?);
    }
    let Some(first) = findings.first().cloned() else {
        return Ok(FileHealth::Sound);
    };
    let mut names = BTreeSet::new();
    for finding in &findings {
        match judge(finding, &indexes) {
            Finding::Index(name) => {
                names.insert(name);
            }
            Finding::Lost => {}
            Finding::Other => return Ok(FileHealth::Damaged(finding.clone())),
        }
    }
    match read_tables(db) {
        Ok(_) => Ok(FileHealth::Indexes { what: first, names }),
        Err(error) if is_damage(&error) => Ok(FileHealth::Damaged(first)),
        Err(error) => Err(error),
    }
}

/// Only its pages are looked at, which is quick: the first thing that is wrong with them.
///
/// # Errors
/// As [`file_health`].
pub(crate) fn first_damage(db: &Connection) -> Result<Option<String>> {
    Ok(harmful(findings(db, "quick_check")?).into_iter().next())
}

/// What a check finds, one line each; damage that keeps it from going on is the last one.
pub(crate) fn findings(db: &Connection, check: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut read = || -> Result<()> {
        let mut statement = db.prepare(&format!("PRAGMA {check}({FINDINGS_MAX})"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            // A row can quote damaged text, and have several lines.
            let text = String::from_utf8_lossy(row.get_ref(0)?.as_bytes()?).into_owned();
            found.extend(text.lines().map(str::to_owned));
        }
        Ok(())
    };
    match read() {
        Ok(()) => {}
        Err(error) if is_damage(&error) => found.push(error.to_string()),
        Err(error) => return Err(error),
    }
    found.retain(|line| line != "ok" && !line.starts_with("*** in database"));
    Ok(found)
}

/// The findings that are more than a lost page.
pub(crate) fn harmful(mut findings: Vec<String>) -> Vec<String> {
    if findings.iter().all(|finding| is_lost_page(finding)) {
        findings.clear();
    }
    // What was lost by something else says less than that.
    findings.sort_by_key(|finding| is_lost_page(finding));
    findings
}

/// Reads every row of every table with all its columns, by no index. How many rows each has.
pub(crate) fn read_tables(db: &Connection) -> Result<BTreeMap<String, u64>> {
    let mut counts = BTreeMap::new();
    let tables: Vec<String> = db
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_>>()?;
    for table in tables {
        let sql = format!("SELECT * FROM {} NOT INDEXED", quoted(&table));
        let mut statement = db.prepare(&sql)?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            for column in 0..columns {
                row.get_ref(column)?;
            }
            count += 1;
        }
        counts.insert(table, count);
    }
    Ok(counts)
}

pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    let verdict = error.verdict();
    verdict.is_some_and(|verdict| verdict.class() == Class::Corrupt)
}

pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The indexes by the page that each begins with.
fn indexes(db: &Connection) -> Result<BTreeMap<i64, String>> {
    db.prepare("SELECT rootpage, name FROM sqlite_schema WHERE type = 'index'")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// Whose finding it is, by SQLite's words for it; words that are not known are nobody's.
fn judge(finding: &str, indexes: &BTreeMap<i64, String>) -> Finding {
    if is_lost_page(finding) {
        return Finding::Lost;
    }
    // "Tree 12 page 15 cell 3: ...": the number is the page that the index or table begins with.
    if let Some(rest) = finding.strip_prefix("Tree ") {
        let root = rest.split(' ').next().and_then(|root| root.parse().ok());
        let index = root.and_then(|root: i64| indexes.get(&root));
        return index.map_or(Finding::Other, |name| Finding::Index(name.clone()));
    }
    let about_an_index = [
        " missing from index ",
        " values differ from index ",
        "wrong # of entries in index ",
        "non-unique entry in index ",
        "rowid not at end-of-record for row ",
    ];
    let is_about_one = about_an_index.iter().any(|words| finding.contains(words));
    let name = finding.rsplit_once(" index ").map(|(_, name)| name);
    match name.filter(|name| is_about_one && indexes.values().any(|known| known == name)) {
        Some(name) => Finding::Index(name.to_owned()),
        None => Finding::Other,
    }
}

fn is_lost_page(finding: &str) -> bool {
    finding.starts_with("Page ") && finding.ends_with(" never used")
}
