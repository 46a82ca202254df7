//! Whether a reader has seen all that is in the files. To a write-ahead log a commit is written first, as a rule then synced, and only then
//! shown to others, in shared memory: a reader in between sees neither it nor, later, any change of the files.

use std::time::Duration;

use rusqlite::{Connection, Result, TransactionBehavior};

/// A number that is another one after each commit of another connection.
pub(super) fn data_version(db: &Connection) -> Result<i64> {
    db.pragma_query_value(None, "data_version", |row| row.get(0))
}

/// Whether nobody has committed since it was at `version`. Nothing is written.
///
/// # Errors
/// That cannot be told, because somebody is in the middle of a write for longer than `wait`, or the file takes no write.
pub(crate) fn is_lull(db: &mut Connection, version: i64, wait: Duration) -> Result<bool> {
    db.busy_timeout(wait)?;
    // Whoever has this lock is alone: no commit is under way.
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let now = data_version(&tx)?;
    tx.rollback()?;
    Ok(now == version)
}
