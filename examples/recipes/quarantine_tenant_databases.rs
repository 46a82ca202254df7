//! One of many tenants' databases lacks a column; it is left alone until somebody adds it, which only its write-ahead log shows.
//!
//! Run with `cargo run -p examples --example quarantine_tenant_databases`.
#![expect(clippy::print_stdout, reason = "an example prints what it does")]

use std::error::Error;
use std::time::Duration;

use fingerprint_quarantine::{Backoff, Handle, Hold, Quarantine, SqliteFiles, SqliteStamp};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Result};

const HOLD: Hold = Hold::until_changed().or_retry(Backoff::every(Duration::from_secs(600)));

/// What the loop keeps of each tenant: nothing is looked up or put together in a round.
struct Tenant {
    files: SqliteFiles,
    slot: Handle<String, SqliteStamp>,
}

impl Tenant {
    fn open(&self) -> Result<Connection> {
        Connection::open_with_flags(self.files.main(), OpenFlags::SQLITE_OPEN_READ_WRITE)
    }

    fn cents(&self) -> Result<i64> {
        let db = self.open()?;
        // Else closing writes the log out, and our own failing visit changes the stamp.
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        db.query_row("SELECT sum(cents) FROM invoices", [], |row| row.get(0))
    }

    /// The bill; `None` if the tenant is left alone.
    fn bill(&self) -> Option<Result<i64>> {
        let attempt = self.slot.admit(|| self.files.observe()).go()?;
        let cents = self.cents();
        match &cents {
            Ok(_) => _ = attempt.ok(),
            Err(_) => _ = attempt.failed(&HOLD, |before| self.files.observe().aged_as(before)),
        }
        Some(cents)
    }
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let tenants = Quarantine::<String, SqliteStamp>::new();
    let mut all = Vec::new();
    for (name, column) in [("ada", "cents"), ("bob", "euros"), ("cleo", "cents")] {
        let path = dir.path().join(name).with_extension("db");
        let db = Connection::open_with_flags(&path, OpenFlags::default())?;
        db.pragma_update(None, "journal_mode", "wal")?;
        db.execute_batch(&format!("CREATE TABLE invoices ({column} INTEGER)"))?;
        db.execute("INSERT INTO invoices VALUES (7)", [])?;
        let (files, slot) = (SqliteFiles::new(&path), tenants.handle(name));
        all.push(Tenant { files, slot });
    }
    let bob = &all[1];
    // An application keeps this one open, so nothing is copied from the log into the file.
    let application = bob.open()?;
    application.query_row("SELECT count(*) FROM invoices", [], |_| Ok(()))?;
    let visits = (0..100).flat_map(|_| &all).filter_map(Tenant::bill);
    let failures = visits.filter(|bill| bill.is_err()).count();
    println!("100 rounds: {failures} failures, {} held", tenants.len());
    // Two, and one more if the first stamp was so young that a write could have hidden in it.
    assert!((2..=3).contains(&failures) && tenants.len() == 1);

    let before = bob.files.observe();
    bob.open()?
        .execute_batch("ALTER TABLE invoices ADD COLUMN cents INTEGER DEFAULT 700")?;
    let after = bob.files.observe();
    let ctime = |stamp: SqliteStamp| stamp.main.stamp().map(|file| file.ctime_ns);
    assert!(ctime(before) == ctime(after) && before.wal != after.wal);
    let cents = bob.bill().ok_or("still held")??;
    println!("repaired: {cents} cents, {} held", tenants.len());
    assert!(cents == 700 && tenants.is_empty());
    Ok(())
}
