//! The `rust-version` of each published crate, by that compiler itself.

use std::collections::BTreeMap;
use std::process::Command;

use crate::packages::published;
use crate::run::{Done, answer, root, run, target, with_any_sqlite};

/// What one compiler is to check: packages without features, and features, as `package/feature`.
#[derive(Default)]
struct Tasks<'a> {
    packages: Vec<&'a str>,
    features: BTreeMap<&'a str, Vec<String>>,
}

/// Checks every published crate with the compiler that it promises to need, and features that need a newer one with that.
///
/// A toolchain that is not there is asked of rustup. Where it cannot be had (no network), that is said and nothing is checked.
pub(crate) fn check() -> Done {
    let packages = published()?;
    let mut by_version: BTreeMap<&str, Tasks<'_>> = BTreeMap::new();
    for package in &packages {
        let name = &*package.name;
        let tasks = by_version.entry(&package.rust_version).or_default();
        tasks.packages.push(name);
        for feature in package.features() {
            let version = package.rust_version_of(feature);
            let tasks = by_version.entry(version).or_default();
            let features = tasks.features.entry(name).or_default();
            features.push(format!("{name}/{feature}"));
        }
    }
    for (version, tasks) in by_version {
        let toolchain = format!("{version}.0");
        if let Err(why) = ready(&toolchain) {
            println!("NOT CHECKED with {version}: {why}");
            continue;
        }
        run(check_by(&toolchain, &tasks.packages))?;
        if !tasks.features.is_empty() {
            let packages: Vec<&str> = tasks.features.keys().copied().collect();
            let features: Vec<String> = tasks.features.into_values().flatten().collect();
            let mut check = check_by(&toolchain, &packages);
            check.arg("--features").arg(features.join(","));
            run(check)?;
        }
    }
    Ok(())
}

fn check_by(toolchain: &str, packages: &[&str]) -> Command {
    let mut check = Command::new("rustup");
    check
        .current_dir(root())
        .args(["run", toolchain, "cargo", "check", "--quiet"])
        .args(packages.iter().flat_map(|name| ["-p", name]))
        // Flags of the newest compiler are none of the oldest's.
        .env_remove("RUSTFLAGS")
        .arg("--target-dir")
        .arg(target().join("msrv"));
    with_any_sqlite(&mut check);
    check
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
