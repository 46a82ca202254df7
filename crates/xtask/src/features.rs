//! Each feature of each published crate alone: in a workspace, unification hides a feature that lacks something.

use std::fs;

use crate::run::{Done, cargo, root, run};

/// Lints every published crate without features, and with each of its features alone.
pub(crate) fn check() -> Done {
    let crates = root().join("crates");
    let listed =
        fs::read_dir(&crates).map_err(|error| format!("list {}: {error}", crates.display()))?;
    let mut names: Vec<String> = listed
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name != "xtask")
        .collect();
    names.sort();
    for name in names {
        let manifest = crates.join(&name).join("Cargo.toml");
        let text = fs::read_to_string(&manifest)
            .map_err(|error| format!("read {}: {error}", manifest.display()))?;
        let alone = of_manifest(&text)
            .into_iter()
            .map(|feature| format!(" --features {feature}"));
        for features in std::iter::once(String::new()).chain(alone) {
            // The lints apply to this crate only, so nothing below it is built anew for them.
            run(cargo(&format!(
                "clippy --quiet -p {name} --no-default-features{features} -- -D warnings"
            )))?;
        }
    }
    Ok(())
}

/// The names in a manifest's `[features]`.
fn of_manifest(text: &str) -> Vec<String> {
    text.lines()
        .map(str::trim)
        .skip_while(|line| *line != "[features]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(line.split_once('=')?.0.trim().to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifests_features_are_read_without_its_other_keys() {
        let text = "[package]\nname = \"x\"\n\n[features]\n# Why = because.\nserde = [\"dep:serde\"]\nfast = []\n\n[dependencies]\na = \"1\"\n";
        assert_eq!(of_manifest(text), ["serde", "fast"]);
        assert!(of_manifest("[package]\nname = \"x\"\n").is_empty());
    }
}
