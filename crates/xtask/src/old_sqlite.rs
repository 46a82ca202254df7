//! The tests of error-classify against the SQLite of the system, which is older than the bundled one.
//!
//! In the workspace Cargo's feature unification turns on `bundled`, and with it `modern_sqlite`, for everybody. So this writes
//! a package of its own below `target/`, whose tests are the crate's own files, and runs it there.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::older_sqlites;
use crate::run::{Done, answer, cargo, root, run, target};

/// The tests that talk to SQLite. Not `codes`, which reads the header of the bundled one.
const TESTS: &[&str] = &[
    "golden",
    "files",
    "confirm",
    "from_rust",
    "paths",
    "prop",
    "alloc",
    "rare",
];

/// Runs the tests with the system's SQLite, or with the one that `pkg-config` is pointed at.
pub(crate) fn check() -> Done {
    let version = linked()?;
    println!("SQLite {version}");
    test(&version, &version, None)
}

/// The same, and then with each of [`older_sqlites`]. They take the system's place when the tests are run, not when they are linked.
pub(crate) fn check_all() -> Done {
    check()?;
    let linked = linked()?;
    for older in older_sqlites::build_all(&target().join("old-sqlite"))? {
        println!("SQLite {}", older.version);
        test(&linked, &older.version, Some(&older.directory))?;
    }
    Ok(())
}

/// The version of the SQLite that the tests are linked with.
fn linked() -> Done<String> {
    answer(Command::new("pkg-config").args(["--modversion", "sqlite3"])).ok_or_else(|| {
        "the system's SQLite is not to be found: install pkg-config and libsqlite3-dev (Debian), or set PKG_CONFIG_PATH".to_owned()
    })
}

/// Runs the tests with the SQLite of `version`: the one that is linked, or the one in `directory`.
fn test(linked: &str, version: &str, directory: Option<&Path>) -> Done {
    let package = target().join("old-sqlite");
    write(&package.join("Cargo.toml"), &manifest())?;
    write(&package.join("src/lib.rs"), "")?;
    // The same versions as in the workspace. Cargo leaves out what is not needed.
    write(
        &package.join("Cargo.lock"),
        &read(&root().join("Cargo.lock"))?,
    )?;
    let mut tests = cargo("test --quiet");
    // `golden` fails if another version answers than this one.
    tests.current_dir(&package).env("EXPECT_SQLITE", version);
    if let Some(directory) = directory {
        tests.env("LD_LIBRARY_PATH", directory);
    }
    // One directory per version: the build script of libsqlite3-sys remembers what it has linked.
    let built = package.join("build").join(linked);
    tests.arg("--target-dir").arg(built);
    if let Some(filter) = env::var_os("OLD_SQLITE_TEST") {
        tests.arg("--test").arg(filter);
    }
    run(tests)
}

fn manifest() -> String {
    let error_classify = root().join("crates/error-classify");
    let mut manifest = format!(
        r#"# Written by `cargo xtask`; see crates/xtask/src/old_sqlite.rs.
[package]
name = "old-sqlite"
version = "0.0.0"
edition = "2024"
publish = false
autotests = false

[workspace]

[dev-dependencies]
error-classify = {{ path = {error_classify:?}, features = ["rusqlite", "path-facts"] }}
rusqlite = {{ version = "0.43", default-features = false }}
allocation-counter = "0.8"
anyhow = "1"
proptest = "1"
tempfile = "3"
thiserror = "2"

[features]
# The tests ask for the features of the crate that they stand in.
rusqlite = []
path-facts = []
serde = []
sqlstate = []
default = ["rusqlite", "path-facts"]

[profile.dev]
debug = false
"#
    );
    for name in TESTS {
        let path = error_classify.join("tests").join(format!("{name}.rs"));
        manifest.push_str(&format!("\n[[test]]\nname = {name:?}\npath = {path:?}\n"));
    }
    manifest
}

fn read(path: &Path) -> Done<String> {
    fs::read_to_string(path).map_err(|error| format!("read {}: {error}", path.display()))
}

/// Writes only what has changed, so that Cargo does not build anew.
pub(crate) fn write(path: &Path, text: &str) -> Done {
    if fs::read_to_string(path).is_ok_and(|kept| kept == text) {
        return Ok(());
    }
    let parent = path.parent().expect("it lies in a directory");
    fs::create_dir_all(parent)
        .and_then(|()| fs::write(path, text))
        .map_err(|error| format!("write {}: {error}", path.display()))
}
