//! A board on a disk of its own: one that can be full, or read-only. Needs the right to mount.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Case, Result};

/// A mount of this case; unmounted with it, whoever is still in it.
#[derive(Debug)]
pub(super) struct Mount(PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

// ===== impl Case =====

impl Case {
    /// Moves a board to a disk of its own with so many KiB. No daemon may run yet, and no connection be open.
    pub(crate) fn on_own_disk(&self, slug: &str, kib: u32) -> Result {
        let dir = self.dir(slug);
        let aside = self.house.beside(&format!("aside-{slug}"));
        fs::rename(&dir, &aside)?;
        fs::create_dir(&dir)?;
        self.mount(
            &["-t", "tmpfs", "-o", &format!("size={kib}k"), "tmpfs"],
            &dir,
        )?;
        needs(
            Command::new("cp").arg("-a").arg(aside.join(".")).arg(&dir),
            "cp (coreutils)",
        )
    }

    /// Makes a board's directory read-only for everybody who opens a file there from now on.
    pub(crate) fn make_read_only(&self, slug: &str) -> Result {
        let dir = self.dir(slug);
        let name = dir.display().to_string();
        self.mount(&["--bind", &name], &dir)?;
        mount(&["-o", "remount,bind,ro"], &dir)
    }

    /// Takes the last mount away.
    pub(crate) fn unmount(&self) {
        self.mounts.borrow_mut().pop();
    }

    fn mount(&self, words: &[&str], at: &Path) -> Result {
        mount(words, at)?;
        self.mounts.borrow_mut().push(Mount(at.to_owned()));
        Ok(())
    }

    /// Fills a board's disk to the last byte; the file that does it.
    pub(crate) fn fill(&self, slug: &str) -> Result<PathBuf> {
        let path = self.dir(slug).join("ballast");
        let mut file = File::create(&path)?;
        loop {
            match file.write_all(&[0; 1024]) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::StorageFull => return Ok(path),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn mount(words: &[&str], at: &Path) -> Result {
    needs(
        Command::new("mount").args(words).arg(at),
        "the right to mount: run the tests as root, in a container with CAP_SYS_ADMIN",
    )
}

/// Runs a program that a case cannot do without.
///
/// # Errors
/// Names what is missing.
pub(crate) fn needs(command: &mut Command, what: &str) -> Result {
    let failed = match command.output() {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    Err(format!("this case needs {what}; {command:?}: {failed}").into())
}
