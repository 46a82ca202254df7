//! Takes a failure back that was charged to a task before it was known whose fault it was.

use rusqlite::{Connection, ErrorCode, Result};

/// One failure less for each of these tasks that still waits to be tried again. One that was given up meanwhile stays so: a person may
/// have seen it.
pub(crate) fn refund(db: &Connection, tasks: &[String]) -> Result<()> {
    for task in tasks {
        let refunded = db
            .prepare_cached(
                "UPDATE tasks SET consecutive_failures = consecutive_failures - 1 \
                 WHERE id = ?1 AND status = 'ready' AND claim_lock IS NULL AND consecutive_failures > 0",
            )?
            .execute([task]);
        match refunded {
            // A row that a trigger protects keeps its count.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {}
            result => drop(result?),
        }
    }
    Ok(())
}
