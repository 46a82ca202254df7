//! One SQLite file per tenant, and a remedy per tenant: migrate one, wait for one, leave one to its owner.
//!
//! Run with `cargo run --example classify_tenant_databases`.
#![expect(clippy::print_stdout, reason = "an example prints what it does")]

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use error_classify::{PathFacts, Remedy, classify, confirm_missing};
use rusqlite::{Connection, OpenFlags};

const SCHEMA: &str = "CREATE TABLE invoices(id INTEGER PRIMARY KEY)";
const MIGRATION: &str = "ALTER TABLE invoices ADD COLUMN due TEXT";

fn open(file: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    db.busy_timeout(Duration::ZERO)?;
    Ok(db)
}

fn bill(file: &Path) -> rusqlite::Result<usize> {
    open(file)?.execute("INSERT INTO invoices(due) VALUES ('today')", [])
}

/// Bills one tenant, and does what would help: at most one migration, and never one on a guess.
fn visit(file: &Path) -> Result<String, Box<dyn Error>> {
    let Err(error) = bill(file) else {
        return Ok("billed".to_owned());
    };
    let verdict = PathFacts::of(file).refine(classify(&error));
    if verdict.remedy() == Remedy::Repair {
        let db = open(file)?;
        // The error is a hint; the schema has the last word.
        if let Some(missing) = verdict.missing()
            && confirm_missing(&db, missing)?
        {
            db.execute_batch(MIGRATION)?;
            bill(file)?;
            return Ok(format!("migrated ({missing}) and billed"));
        }
    }
    Ok(match verdict.remedy() {
        remedy if remedy.is_transient() => format!("next round: {verdict}"),
        _ => format!("left alone: {verdict}"),
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let tenant = |name: &str| dir.path().join(name);
    for name in ["sound", "older", "locked"] {
        std::fs::write(tenant(name), "")?;
        open(&tenant(name))?.execute_batch(SCHEMA)?;
    }
    for name in ["sound", "locked"] {
        open(&tenant(name))?.execute_batch(MIGRATION)?;
    }
    std::fs::write(tenant("garbage"), "this is no database".repeat(50))?;
    std::fs::write(tenant("emptied"), "")?;
    let holder = open(&tenant("locked"))?;
    holder.execute_batch("BEGIN IMMEDIATE")?;

    for (name, expected) in [
        ("sound", "billed"),
        ("older", "migrated (column invoices.due) and billed"),
        ("locked", "next round: busy"),
        ("garbage", "left alone: corrupt"),
        // Its table is missing, too, but there it is the data that is lost: no migration brings that back.
        ("emptied", "left alone: emptied"),
        ("absent", "left alone: missing"),
    ] {
        let told = visit(&tenant(name))?;
        println!("{name:<8} {told}");
        assert!(told.starts_with(expected), "{name}: {told}");
    }
    Ok(())
}
