//! Programs of the system that the tests want; installed where that is allowed, named where it is not.

use std::process::Command;

use crate::run::{Done, answer, run};

/// Sees to it that strace is there: the cases count opens and let system calls fail by it.
pub(crate) fn strace() -> Done {
    if answer(Command::new("strace").arg("--version")).is_some() {
        return Ok(());
    }
    install(&["strace"]).map_err(|why| {
        format!("strace is needed: {why}; `apt-get install strace`, or your system's package of that name")
    })
}

/// Installs packages of Debian and its kin, as root.
///
/// # Errors
/// It is not allowed, there is no apt-get, or it fails.
pub(crate) fn install(packages: &[&str]) -> Done {
    let is_root = answer(Command::new("id").arg("-u")).as_deref() == Some("0");
    if !is_root || answer(Command::new("apt-get").arg("--version")).is_none() {
        return Err("it can be installed as root, by apt-get".to_owned());
    }
    let apt = |words: &[&str]| {
        let mut apt = Command::new("apt-get");
        apt.args(["-qq", "-o", "Dpkg::Use-Pty=0"])
            .args(words)
            .env("DEBIAN_FRONTEND", "noninteractive");
        run(apt)
    };
    apt(&["update"])?;
    apt(&[&["install", "-y", "--no-install-recommends"], packages].concat())
}
