//! The peer: `hermes-agent` in a Python environment of its own below `target/`, for the tests that run against it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::run::{Done, answer, run, target};
use crate::tools;

/// The version whose boards and behaviour this workspace follows.
pub(crate) const VERSION: &str = "0.19.0";

/// Interpreters that version accepts, the likely one first.
const PYTHONS: &[&str] = &["python3", "python3.13", "python3.12", "python3.11"];

/// Prints "yes" if this interpreter can be used.
const IS_RIGHT: &str =
    "import sys; print('yes' if (3, 11) <= sys.version_info < (3, 14) else 'no')";

const INSTALLED: &str = "import importlib.metadata as m; print(m.version('hermes-agent'))";

/// Held by whoever installs it.
static INSTALLING: Mutex<()> = Mutex::new(());

/// An installed peer.
#[derive(Debug)]
pub(crate) struct Peer {
    dir: PathBuf,
    pub(crate) hermes: PathBuf,
    pub(crate) python: PathBuf,
}

impl Peer {
    /// The peer, installed if it is not there yet.
    pub(crate) fn ready() -> Done<Self> {
        // Who comes second finds what the first has made.
        let _one = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = target().join("peer-venv");
        let peer = Self {
            hermes: dir.join("bin/hermes"),
            python: dir.join("bin/python"),
            dir,
        };
        if peer.is_right() {
            println!("peer: hermes-agent {VERSION} is in {}", peer.dir.display());
            return Ok(peer);
        }
        println!(
            "peer: installing hermes-agent {VERSION} into {} (about a minute)",
            peer.dir.display()
        );
        make_venv(&peer.dir)?;
        let mut pip = Command::new(&peer.python);
        pip.args([
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--quiet",
        ]);
        run_in(pip.arg(format!("hermes-agent=={VERSION}")))?;
        if peer.is_right() {
            return Ok(peer);
        }
        Err(format!(
            "{} is not what was asked for after its installation",
            peer.hermes.display()
        ))
    }

    fn is_right(&self) -> bool {
        let version = answer(Command::new(&self.python).args(["-c", INSTALLED]));
        // A target directory that was moved leaves a script behind that names an interpreter elsewhere.
        let names_ours = std::fs::read_to_string(&self.hermes)
            .is_ok_and(|script| script.contains(&*self.dir.to_string_lossy()));
        version.as_deref() == Some(VERSION) && names_ours
    }
}

fn make_venv(dir: &Path) -> Done {
    if dir.exists() {
        std::fs::remove_dir_all(dir)
            .map_err(|error| format!("remove {}: {error}", dir.display()))?;
    }
    let python = match usable_python() {
        Some(python) => python,
        None => {
            install_python()?;
            usable_python()
                .ok_or("the installed python3 has no venv module, or is not 3.11 to 3.13")?
        }
    };
    run_in(Command::new(python).args(["-m", "venv"]).arg(dir))
}

/// An interpreter of the right version that can make environments: Debian has the modules for it in a package of their own.
fn usable_python() -> Option<&'static str> {
    let can_make = |python: &&&str| {
        answer(Command::new(python).args(["-c", "import venv, ensurepip"])).is_some()
    };
    of_right_version().into_iter().find(can_make).copied()
}

fn of_right_version() -> Vec<&'static &'static str> {
    let is_right = |python: &&&str| {
        answer(Command::new(python).args(["-c", IS_RIGHT])).as_deref() == Some("yes")
    };
    PYTHONS.iter().filter(is_right).collect()
}

/// Installs what is missing if this is a Debian machine's root; says what to install otherwise.
fn install_python() -> Done {
    let wanted: &[&str] = match of_right_version().first() {
        Some(_) => &["python3-venv"],
        None => &["python3", "python3-venv"],
    };
    let advice = format!(
        "python3 (3.11 to 3.13) with its venv module is needed: apt-get install {}",
        wanted.join(" ")
    );
    println!("peer: {advice}");
    tools::install(wanted).map_err(|why| format!("{advice}: {why}"))
}

fn run_in(command: &mut Command) -> Done {
    // Someone's own environment must not leak into this one.
    for name in ["PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "PIP_USER"] {
        command.env_remove(name);
    }
    run(std::mem::replace(command, Command::new("")))
}
