//! The crates as strangers get them: packed, unpacked, and built from that alone.

use crate::packages::{Package, published};
use crate::run::{Done, cargo, run};

/// `cargo publish --dry-run` for each crate that stands alone. What it forgets to pack fails here and not at a user.
///
/// The dispatcher is not among them: it can be packed only when those it depends on are published.
pub(crate) fn dry_run() -> Done {
    for package in published()?.iter().filter(|one| Package::stands_alone(one)) {
        // A laptop's tree may have changes; CI's has none.
        run(cargo(&format!(
            "publish --quiet --dry-run --allow-dirty -p {}",
            package.name
        )))?;
    }
    Ok(())
}
