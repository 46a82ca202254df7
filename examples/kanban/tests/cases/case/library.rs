//! C libraries that stand between the daemon and the C library.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Result;

/// Compiles one; the workspace needs a C compiler anyway.
pub(crate) fn compile(dir: &Path, name: &str, source: &str) -> Result<PathBuf> {
    let (file, library) = (
        dir.join(name).with_extension("c"),
        dir.join(name).with_extension("so"),
    );
    fs::write(&file, source)?;
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let status = Command::new(&compiler)
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&library, &file])
        .status()
        .map_err(|error| {
            format!("a C compiler is needed (apt-get install gcc): {compiler}: {error}")
        })?;
    match status.success() {
        true => Ok(library),
        false => Err(format!("`{compiler}` could not compile {}", file.display()).into()),
    }
}
