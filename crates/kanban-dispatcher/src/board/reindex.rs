//! Rebuilding damaged indexes from their tables: in one transaction, which is committed only if a look through the whole file finds
//! nothing any more.

use std::collections::BTreeSet;

use once_per_key_repair::Token;
use rusqlite::{Connection, OptionalExtension as _, Result, Transaction, TransactionBehavior};

use super::health::{findings, harmful, is_damage, quoted, read_tables};
use super::repair::RepairKey;
use crate::error::{Error, ErrorKind};

/// A new index has this name for a moment, inside of the transaction.
const FRESH: &str = "kanban_rebuilt_index";

/// What is left to do after the indexes are sound again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Left {
    Nothing,
    /// Pages of the damaged index belong to nothing now. They do no harm, and could not be given back.
    LostPages,
}

/// Builds these indexes anew. On an error the file and its log are byte for byte as they were.
///
/// First in place; pages that cannot be read as a part of an index cannot be emptied either, and then the index begins at a new page
/// and the old ones are lost. They are given back afterwards, by a second transaction; when that fails, nothing else does.
#[expect(
    clippy::needless_pass_by_value,
    reason = "a token is spent by the repair it allows"
)]
pub(crate) fn rebuild_indexes(
    token: Token<'_, RepairKey>,
    db: &mut Connection,
    names: &BTreeSet<String>,
) -> std::result::Result<Left, Error> {
    let slug = &token.key().slug;
    // A spilled page would reach the log before the commit.
    db.pragma_update(None, "cache_spill", false)?;
    let rebuilt = match in_transaction(db, |tx| tx.execute_batch("REINDEX")) {
        Err(Trouble::Sqlite(error)) if !is_damage(&error) => Err(Trouble::Sqlite(error)),
        Err(_) => in_transaction(db, |tx| begin_anew(tx, names)),
        done => done,
    };
    match rebuilt {
        Ok(false) => Ok(Left::Nothing),
        Ok(true) => match db.execute_batch("VACUUM") {
            Ok(()) => Ok(Left::Nothing),
            Err(error) => {
                tracing::debug!(board = %slug, %error, "lost pages could not be given back");
                Ok(Left::LostPages)
            }
        },
        Err(Trouble::Sqlite(error)) => Err(Error::from(error).on(slug)),
        Err(Trouble::Still(finding)) => {
            let what = format!("rebuild indexes: the file would still be damaged: {finding}");
            Err(Error::new(ErrorKind::Damaged, what).on(slug))
        }
    }
}

enum Trouble {
    Sqlite(rusqlite::Error),
    /// This would be wrong with the file afterwards.
    Still(String),
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// Does it and looks through everything; commits only what is sound, with every row that was there. Whether pages were lost.
fn in_transaction(
    db: &mut Connection,
    rebuild: impl FnOnce(&Transaction<'_>) -> Result<()>,
) -> std::result::Result<bool, Trouble> {
    // IMMEDIATE: nothing changes between the look before and the look after.
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let before = read_tables(&tx)?;
    rebuild(&tx)?;
    let found = findings(&tx, "integrity_check")?;
    let has_lost_pages = !found.is_empty();
    if let Some(finding) = harmful(found).into_iter().next() {
        return Err(Trouble::Still(finding));
    }
    if read_tables(&tx)? != before {
        return Err(Trouble::Still("rows of a table are gone".to_owned()));
    }
    tx.commit()?;
    Ok(has_lost_pages)
}

/// Lets each index begin at a new page, without a look at its old ones.
fn begin_anew(tx: &Transaction<'_>, names: &BTreeSet<String>) -> Result<()> {
    let mut statements = Vec::new();
    for name in names {
        let select = "SELECT tbl_name, sql FROM sqlite_schema WHERE type = 'index' AND name = ?1";
        let found: Option<(String, Option<String>)> = tx
            .query_row(select, [name], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        match found {
            Some((_, Some(sql))) => statements.push((name, sql)),
            // One that belongs to a PRIMARY KEY or UNIQUE has no statement of its own.
            Some((table, None)) => swap(tx, name, &table)?,
            None => {}
        }
    }
    tx.execute_batch("PRAGMA writable_schema = ON")?;
    for (name, _) in &statements {
        tx.execute(
            "DELETE FROM sqlite_schema WHERE type = 'index' AND name = ?1",
            [name],
        )?;
    }
    tx.execute_batch("PRAGMA writable_schema = RESET")?;
    for (_, sql) in &statements {
        tx.execute_batch(sql)?;
    }
    Ok(())
}

/// Makes another index on the same columns, and puts its pages in the place of the old one's.
fn swap(tx: &Transaction<'_>, name: &str, table: &str) -> Result<()> {
    let columns: Vec<String> = tx
        .prepare("SELECT name, coll, desc FROM pragma_index_xinfo(?1) WHERE key ORDER BY seqno")?
        .query_map([name], |row| {
            let (column, collation): (String, String) = (row.get(0)?, row.get(1)?);
            let order = if row.get(2)? { "DESC" } else { "ASC" };
            let (column, collation) = (quoted(&column), quoted(&collation));
            Ok(format!("{column} COLLATE {collation} {order}"))
        })?
        .collect::<Result<_>>()?;
    let (table, columns) = (quoted(table), columns.join(", "));
    tx.execute_batch(&format!(
        "CREATE UNIQUE INDEX {FRESH} ON {table} ({columns}); PRAGMA writable_schema = ON"
    ))?;
    let root = "(SELECT rootpage FROM sqlite_schema WHERE name = ?2)";
    tx.execute(
        &format!("UPDATE sqlite_schema SET rootpage = {root} WHERE type = 'index' AND name = ?1"),
        (name, FRESH),
    )?;
    tx.execute("DELETE FROM sqlite_schema WHERE name = ?1", [FRESH])?;
    tx.execute_batch("PRAGMA writable_schema = RESET")
}
