//! The control: the same dispatcher without its gate. A storm that this one survives would prove nothing.
//!
//! The library has no way to leave the gate out, and gets none for this: the shell form of the gate is found through `PATH`, and the
//! control's `PATH` begins with a `setsid` that starts the worker at once.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use kanban_dispatcher::{Config, Dispatcher, Root, Wake};

use crate::Result;

/// The role of a process that is the control.
pub(crate) const ROLE: &str = "ungated";

/// The root that it serves.
const ROOT: &str = "TORTURE_ROOT";

/// `setsid sh -c SCRIPT kanban-gate WORKER...`, without the script that waits.
const SETSID: &str = "#!/bin/sh\nshift 4\nPATH=\"${PATH#*:}\"\nexec setsid \"$@\" </dev/null\n";

/// What makes a process the control.
pub(crate) fn variables(dir: &Path, root: &Root) -> Result<[(&'static str, String); 3]> {
    let bin = dir.join("no-gate");
    if !bin.exists() {
        fs::create_dir(&bin)?;
        fs::write(bin.join("setsid"), SETSID)?;
        fs::set_permissions(bin.join("setsid"), fs::Permissions::from_mode(0o755))?;
    }
    let path = env::var("PATH")?;
    Ok([
        (crate::ROLE, ROLE.to_owned()),
        (ROOT, root.dir().to_string_lossy().into_owned()),
        ("PATH", format!("{}:{path}", bin.display())),
    ])
}

/// Dispatches until it is killed.
pub(crate) fn dispatch() -> Result {
    let root = Root::at(env::var(ROOT)?);
    let config = Config::load(&root.dir().join("kanban/dispatcher.toml"))?;
    Dispatcher::new(root, config).run(&Wake::new());
    Ok(())
}
