//! Every result code in the header of the SQLite that is linked has its own row, under its own name and number.
//!
//! The header is found by asking Cargo where `libsqlite3-sys` lies; a code that a later SQLite adds turns this red.
#![cfg(feature = "rusqlite")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;

use error_classify::{Class, Classify as _, Remedy};
use rusqlite::ffi;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

fn header() -> Result<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // For this platform alone: of the others' packages nothing may have been fetched.
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--offline"])
        .args(["--filter-platform", &host()?])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "cargo metadata: {text}");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let manifest = metadata["packages"]
        .as_array()
        .ok_or("packages")?
        .iter()
        .find(|package| package["name"] == "libsqlite3-sys")
        .and_then(|package| package["manifest_path"].as_str())
        .ok_or("libsqlite3-sys is not in the tree")?;
    let header = Path::new(manifest)
        .with_file_name("sqlite3")
        .join("sqlite3.h");
    Ok(fs::read_to_string(header)?)
}

fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output()?;
    let version = String::from_utf8(output.stdout)?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.ok_or("rustc does not tell its host")?.to_owned())
}

/// The result codes by name: from `SQLITE_OK` to the first definition behind the extended codes.
fn codes(header: &str) -> Result<BTreeMap<String, i32>> {
    let mut codes = BTreeMap::new();
    let lines = header
        .lines()
        .skip_while(|line| !line.starts_with("#define SQLITE_OK "))
        .take_while(|line| !line.contains("SQLITE_OPEN_"));
    for line in lines {
        let Some(definition) = line.strip_prefix("#define SQLITE_") else {
            continue;
        };
        let definition = definition.split("/*").next().unwrap_or_default();
        let (name, value) = definition.split_once(' ').ok_or(line)?;
        let value = value.trim();
        let code = if let Ok(primary) = value.parse() {
            primary
        } else {
            let (primary, shifted) = value
                .trim_matches(['(', ')'])
                .strip_prefix("SQLITE_")
                .and_then(|value| value.split_once('|'))
                .ok_or(line)?;
            let sub = shifted.trim().trim_matches(['(', ')']);
            let sub: i32 = sub.strip_suffix("<<8").ok_or(line)?.parse()?;
            codes[primary.trim()] | sub << 8
        };
        codes.insert(name.to_owned(), code);
    }
    Ok(codes)
}

#[test]
fn every_code_of_the_linked_header_has_its_own_row() -> Result {
    let header = header()?;
    let version = format!("\"{}\"", rusqlite::version());
    assert!(header.contains(&version), "not the header of {version}");

    let codes = codes(&header)?;
    let primary = codes.values().filter(|code| **code < 256).count();
    assert!(primary >= 31 && codes.len() - primary >= 82, "{codes:?}");
    for (name, code) in &codes {
        let verdict = ffi::Error::new(*code)
            .verdict()
            .ok_or(name.as_str())?
            .into_owned();
        assert_eq!(verdict.rule(), format!("sqlite/{name}"), "code {code}");
        assert_eq!(verdict.code(), Some(*code));
    }
    Ok(())
}

#[test]
fn a_code_from_the_future_is_taken_as_its_primary_code() {
    for (code, rule) in [
        (10 | 200 << 8, "sqlite/IOERR"),
        (5 | 4 << 8, "sqlite/BUSY"),
        (4 | 1 << 8, "sqlite/ABORT"),
        (29, "sqlite/unlisted code"),
        (31 | 39 << 8, "sqlite/unlisted code"),
        (100 | 1 << 8, "sqlite/ROW"),
        (255, "sqlite/unlisted code"),
        (-1, "sqlite/unlisted code"),
        (i32::MIN | 11, "sqlite/CORRUPT"),
        (i32::MAX, "sqlite/unlisted code"),
    ] {
        let error = ffi::Error::new(code);
        let verdict = error
            .verdict()
            .map(|verdict| (verdict.rule(), verdict.code()));
        assert_eq!(verdict, Some((rule, Some(code))));
    }
}

/// What callers rely on. The table in the source may be regrouped; these must not move by accident.
#[test]
fn the_codes_that_decide_what_a_caller_does_mean_what_they_should() {
    use Class as C;
    use Remedy as R;
    for (code, class, remedy) in [
        (1, C::Unknown, R::GiveUp),
        (3, C::Permission, R::ExternalFix),
        (5, C::Busy, R::RetryCall),
        (5 | 1 << 8, C::Busy, R::RetryCall),
        (517, C::Stale, R::RestartTxn),
        (5 | 3 << 8, C::Busy, R::RetryCall),
        (6, C::Busy, R::RestartTxn),
        (6 | 1 << 8, C::Busy, R::RetryCall),
        (7, C::Exhausted, R::RetryCall),
        (8, C::ReadOnly, R::ExternalFix),
        (1032, C::Stale, R::Reopen),
        (9, C::Interrupted, R::RestartTxn),
        (4 | 2 << 8, C::Interrupted, R::RestartTxn),
        (10, C::Io, R::Reopen),
        (522, C::Io, R::Reopen),
        (10 | 12 << 8, C::Exhausted, R::RetryCall),
        (10 | 32 << 8, C::Corrupt, R::ExternalFix),
        (10 | 33 << 8, C::Corrupt, R::ExternalFix),
        (11, C::Corrupt, R::ExternalFix),
        (267, C::Corrupt, R::ExternalFix),
        (26, C::Corrupt, R::ExternalFix),
        (13, C::DiskFull, R::ExternalFix),
        (14, C::CannotOpen, R::ExternalFix),
        (15, C::Busy, R::RetryCall),
        (17, C::Stale, R::RetryCall),
        (18, C::Misuse, R::GiveUp),
        (19, C::Constraint, R::GiveUp),
        (1811, C::Constraint, R::GiveUp),
        (2067, C::Constraint, R::GiveUp),
        (20, C::Constraint, R::GiveUp),
        (21, C::Misuse, R::GiveUp),
        (23, C::Permission, R::GiveUp),
        (257, C::Unsupported, R::GiveUp),
    ] {
        let error = ffi::Error::new(code);
        let verdict = error.verdict().map(|v| (v.class(), v.remedy()));
        assert_eq!(verdict, Some((class, remedy)), "code {code}");
    }
}
