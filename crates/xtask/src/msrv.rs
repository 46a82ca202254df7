//! The `rust-version` of each published crate, by that compiler itself.

use std::collections::BTreeMap;
use std::process::Command;

use crate::packages::published;
use crate::run::{Done, answer, root, run, target, with_any_sqlite};

/// Checks every published crate with the compiler that it promises to need, and features that need a newer one with that.
///
/// A toolchain that is not there is asked of rustup. Where it cannot be had (no network), that is said and nothing is checked.
pub(crate) fn check() -> Done {
    let packages = published()?;
    let mut tasks: BTreeMap<&str, Vec<(&str, String)>> = BTreeMap::new();
    for package in &packages {
        tasks
            .entry(&package.rust_version)
            .or_default()
            .push((&package.name, String::new()));
        let mut by_version: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for feature in package.features() {
            let version = package.rust_version_of(feature);
            by_version.entry(version).or_default().push(feature);
        }
        for (version, features) in by_version {
            let features = format!("--features={}", features.join(","));
            tasks
                .entry(version)
                .or_default()
                .push((&package.name, features));
        }
    }
    for (version, crates) in tasks {
        let toolchain = format!("{version}.0");
        if let Err(why) = ready(&toolchain) {
            println!("NOT CHECKED with {version}: {why}");
            continue;
        }
        for (name, features) in crates {
            let mut check = Command::new("rustup");
            check
                .current_dir(root())
                .args(["run", &toolchain, "cargo", "check", "--quiet", "-p", name])
                .args((!features.is_empty()).then_some(features))
                // Flags of the newest compiler are none of the oldest's.
                .env_remove("RUSTFLAGS")
                .arg("--target-dir")
                .arg(target().join("msrv"));
            with_any_sqlite(&mut check);
            run(check)?;
        }
    }
    Ok(())
}

/// Installs the toolchain, unless it is there.
fn ready(toolchain: &str) -> Done {
    let mut there = Command::new("rustup");
    there.args(["run", toolchain, "rustc", "--version"]);
    if answer(&mut there).is_some() {
        return Ok(());
    }
    let mut install = Command::new("rustup");
    install.args(["toolchain", "install", toolchain]);
    install.args(["--profile", "minimal", "--no-self-update"]);
    run(install)
}
