//! What is in the workspace, asked of Cargo itself.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::run::{Done, cargo};

/// A package of the workspace, as far as a chore cares.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) rust_version: String,
    features: BTreeMap<String, IgnoredAny>,
    dependencies: Vec<Dependency>,
    targets: Vec<Target>,
    /// Where it may be published; empty for nowhere.
    publish: Option<Vec<String>>,
    metadata: Option<Metadata>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    /// Set for those that lie in the workspace.
    path: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Metadata {
    /// Features with a `rust-version` of their own, above that of the package.
    #[serde(default)]
    feature_rust_version: BTreeMap<String, String>,
}

// ===== impl Package =====

impl Package {
    pub(crate) fn is_published(&self) -> bool {
        self.publish
            .as_ref()
            .is_none_or(|places| !places.is_empty())
    }

    /// Whether it depends on no other package of the workspace.
    pub(crate) fn stands_alone(&self) -> bool {
        self.dependencies.iter().all(|other| other.path.is_none())
    }

    pub(crate) fn features(&self) -> impl Iterator<Item = &str> {
        self.features.keys().map(String::as_str)
    }

    /// The oldest compiler that builds this feature.
    pub(crate) fn rust_version_of(&self, feature: &str) -> &str {
        let own = self
            .metadata
            .as_ref()
            .and_then(|metadata| metadata.feature_rust_version.get(feature));
        own.unwrap_or(&self.rust_version)
    }

    pub(crate) fn examples(&self) -> impl Iterator<Item = &str> {
        self.targets
            .iter()
            .filter(|target| target.kind == ["example"])
            .map(|target| target.name.as_str())
    }
}

/// All packages of the workspace.
pub(crate) fn all() -> Done<Vec<Package>> {
    #[derive(Deserialize)]
    struct Answer {
        packages: Vec<Package>,
    }
    let output = cargo("metadata --no-deps --format-version 1")
        .output()
        .map_err(|error| format!("run `cargo metadata`: {error}"))?;
    let answer: Answer = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("read what `cargo metadata` says: {error}"))?;
    Ok(answer.packages)
}

/// Those that users can depend on.
pub(crate) fn published() -> Done<Vec<Package>> {
    let mut packages = all()?;
    packages.retain(Package::is_published);
    Ok(packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_crates_are_published_and_stand_alone() {
        let packages = published().unwrap();
        let alone: Vec<&str> = packages
            .iter()
            .filter(|package| package.stands_alone())
            .map(|package| package.name.as_str())
            .collect();
        assert_eq!(
            alone,
            [
                "error-classify",
                "fingerprint-quarantine",
                "keyed-log-throttle",
                "once-per-key-repair"
            ]
        );
        assert!(
            packages
                .iter()
                .any(|package| package.name == "kanban-dispatcher")
        );
        assert!(packages.iter().all(|package| package.name != "xtask"));
    }

    #[test]
    fn a_feature_may_need_a_newer_compiler_than_its_package() {
        let package: Package = serde_json::from_str(
            r#"{"name":"a","rust_version":"1.85","features":{"old":[],"new":[]},"dependencies":[],"targets":[],
                "publish":null,"metadata":{"feature-rust-version":{"new":"1.89"}}}"#,
        )
        .unwrap();
        assert_eq!(package.rust_version_of("old"), "1.85");
        assert_eq!(package.rust_version_of("new"), "1.89");
    }
}
