//! Each feature of each published crate alone: in a workspace, unification hides a feature that lacks something.

use crate::packages::published;
use crate::run::{Done, cargo, run};

/// Lints every published crate without features, and with each of its features alone.
pub(crate) fn check() -> Done {
    for package in published()? {
        let alone = package
            .features()
            .map(|feature| format!(" --features {feature}"));
        for features in std::iter::once(String::new()).chain(alone) {
            // The lints apply to this crate only, so nothing below it is built anew for them.
            run(cargo(&format!(
                "clippy --quiet -p {} --no-default-features{features} -- -D warnings",
                package.name
            )))?;
        }
    }
    Ok(())
}
