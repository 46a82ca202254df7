//! Takes back what was charged to a task before it was known whose fault it was.

use rusqlite::{Connection, ErrorCode, Result};

/// So many failures less for a task that is, or will be, tried again. One that was given up meanwhile stays so: a person may have seen it.
pub(crate) fn refund(db: &Connection, task: &str, failures: u32) -> Result<()> {
    let refunded = db
        .prepare_cached(
            "UPDATE tasks SET consecutive_failures = max(consecutive_failures - ?2, 0) \
             WHERE id = ?1 AND status IN ('ready', 'running') AND consecutive_failures > 0",
        )?
        .execute((task, failures));
    match refunded {
        // A row that a trigger protects keeps its count.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => Ok(()),
        result => result.map(drop),
    }
}
