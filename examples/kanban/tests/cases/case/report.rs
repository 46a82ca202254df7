//! How a case is run, and the row that it leaves for the table in docs/reliability.md.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use super::{Case, Result};

/// The directory for the rows; without it none are left. `cargo xtask test` sets it.
const REPORT: &str = "KANBAN_CASES_REPORT";

/// Runs a case, checks what must hold after every one, and leaves its row.
pub(crate) fn run(
    name: &str,
    injects: &str,
    holds: &str,
    body: impl FnOnce(&mut Case) -> Result,
) -> Result {
    let mut case = Case::new()?;
    body(&mut case)?;
    case.holds()?;
    leave(name, injects, holds)
}

/// A case that fails leaves none: a row missing is a case that does not hold.
fn leave(name: &str, injects: &str, holds: &str) -> Result {
    let Some(dir) = std::env::var_os(REPORT).map(PathBuf::from) else {
        return Ok(());
    };
    fs::create_dir_all(&dir)?;
    let row = json!({"case": name, "injects": injects, "holds": holds});
    Ok(fs::write(
        dir.join(name).with_extension("json"),
        row.to_string(),
    )?)
}
