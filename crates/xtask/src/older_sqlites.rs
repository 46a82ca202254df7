//! SQLite as it was in the years behind us, compiled from the copies that `libsqlite3-sys` has carried.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::old_sqlite::write;
use crate::run::{Done, answer, cargo, run};

/// Versions of `libsqlite3-sys`, and of the SQLite in each. On both sides of what has changed in the messages, at 3.46 and 3.47, and
/// the oldest that a supported Debian or Ubuntu is likely to have.
const CARRIERS: &[(&str, &str)] = &[
    ("0.25.2", "3.39.2"),
    ("0.28.0", "3.45.0"),
    ("0.30.1", "3.46.0"),
    ("0.35.0", "3.50.2"),
];

/// What the tests use, and what Debian builds with that may change a message.
const OPTIONS: &[&str] = &[
    "-DSQLITE_ENABLE_FTS5",
    "-DSQLITE_ENABLE_RTREE",
    "-DSQLITE_ENABLE_COLUMN_METADATA",
    "-DSQLITE_ENABLE_DBSTAT_VTAB",
    "-DSQLITE_ENABLE_API_ARMOR",
    "-DSQLITE_ENABLE_LOAD_EXTENSION=1",
    "-DSQLITE_THREADSAFE=1",
    "-DSQLITE_USE_URI",
    // Without it every short sleep takes a second.
    "-DHAVE_USLEEP=1",
];

/// One that the dynamic linker finds in `directory`.
pub(crate) struct Older {
    pub(crate) version: String,
    pub(crate) directory: PathBuf,
}

/// Compiles all of them below `under`, but for those that are there already.
pub(crate) fn build_all(under: &Path) -> Done<Vec<Older>> {
    let build = |&(carrier, version): &(&str, &str)| {
        let directory = under.join("older").join(version);
        let library = directory.join("libsqlite3.so.0");
        if !library.exists() {
            compile(&source(carrier, &directory)?, &library)?;
        }
        Ok(Older {
            version: version.to_owned(),
            directory,
        })
    };
    CARRIERS.iter().map(build).collect()
}

/// Where Cargo has put the amalgamation of `carrier`. Each has a package of its own: two cannot be in one dependency graph.
fn source(carrier: &str, directory: &Path) -> Done<PathBuf> {
    let manifest = format!(
        "[package]\nname = \"carrier\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n[dependencies]\nlibsqlite3-sys = \"={carrier}\"\n"
    );
    let package = directory.join("carrier");
    write(&package.join("Cargo.toml"), &manifest)?;
    write(&package.join("src/lib.rs"), "")?;
    let mut metadata = cargo("metadata --format-version 1");
    metadata.current_dir(&package);
    let packages = answer(&mut metadata)
        .and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok())
        .ok_or_else(|| {
            format!(
                "libsqlite3-sys {carrier} cannot be fetched: try `cargo metadata` in {package:?}"
            )
        })?;
    let manifests = packages["packages"].as_array().into_iter().flatten();
    let found = manifests
        .filter(|package| package["name"] == "libsqlite3-sys")
        .find_map(|package| Path::new(package["manifest_path"].as_str()?).parent());
    let found = found.ok_or_else(|| format!("no libsqlite3-sys in the graph of {package:?}"))?;
    Ok(found.join("sqlite3/sqlite3.c"))
}

fn compile(source: &Path, library: &Path) -> Done {
    // What is half written has another name.
    let unfinished = library.with_extension("unfinished");
    let mut cc = Command::new(env::var_os("CC").unwrap_or_else(|| "cc".into()));
    // Compiled quickly: the tests ask little of it.
    let how = "-O0 -w -shared -fPIC -Wl,-soname,libsqlite3.so.0";
    cc.args(how.split(' '))
        .args(OPTIONS)
        .arg(source)
        .arg("-o")
        .arg(&unfinished)
        .args(["-lpthread", "-lm", "-ldl"]);
    run(cc)?;
    fs::rename(&unfinished, library).map_err(|error| format!("rename {unfinished:?}: {error}"))
}
