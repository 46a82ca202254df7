//! Which version of the schema a file says it has: the one thing that tells a newer format from an incomplete one.

use rusqlite::Connection;

use crate::error::Error;

/// The version that this program knows. The format's programs have never set another one than SQLite's default.
pub(crate) const KNOWN: i64 = 0;

/// Refuses a file whose schema is newer than this program: what its columns mean is not known here, so nothing is written
/// to it, least of all a repair.
///
/// # Errors
/// [`ErrorKind::Newer`](crate::ErrorKind::Newer), naming both versions; or what SQLite says.
pub(crate) fn refuse_newer(db: &Connection) -> Result<(), Error> {
    // In the header of the file, which is read anyway.
    let mut statement = db.prepare_cached("PRAGMA user_version")?;
    let found: i64 = statement.query_row([], |row| row.get(0))?;
    match found {
        ..=KNOWN => Ok(()),
        newer => Err(Error::newer(newer, KNOWN)),
    }
}
