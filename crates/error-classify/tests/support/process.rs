//! A test that needs a process of its own: another user, a lower limit, a mount namespace.

use std::error::Error;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

const MARK: &str = "ERROR_CLASSIFY_CHILD";

/// The directory that the parent handed over, in the child; `None` in the parent.
pub(crate) fn handed_over() -> Option<std::path::PathBuf> {
    std::env::var_os(MARK).map(Into::into)
}

/// Runs the test `name` of this binary once more, with `dir` handed over, and demands that it passes there.
pub(crate) fn again(
    name: &str,
    dir: &Path,
    program: impl FnOnce(&Path) -> Command,
) -> Result<(), Box<dyn Error>> {
    // The build directory may be closed to other users.
    let own = tempfile::tempdir()?;
    fs::set_permissions(own.path(), fs::Permissions::from_mode(0o755))?;
    let binary = own.path().join("test");
    // By another process: a child that a test beside this one forks would inherit our descriptor for writing, and a program
    // that is open for writing cannot be executed.
    let copied = Command::new("cp")
        .arg(std::env::current_exe()?)
        .arg(&binary)
        .status()?;
    assert!(copied.success(), "copy the test to {}", binary.display());
    let output = program(&binary)
        .args(["--exact", name, "--nocapture"])
        .env(MARK, dir)
        .output()?;
    let told = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{complained}");
    assert!(told.contains("1 passed"), "{told}\n{complained}");
    Ok(())
}

/// The command as a user without privileges; as ourselves if that is what we are.
pub(crate) fn as_nobody(binary: &Path) -> Command {
    use std::os::unix::process::CommandExt as _;
    let mut command = Command::new(binary);
    if rustix::process::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    command
}

/// The command with a real user without privileges, and ourselves as the effective one; as ourselves where that cannot be.
pub(crate) fn started_by_nobody(binary: &Path) -> Command {
    let by_nobody = |program: &Path| {
        let mut command = Command::new("setpriv");
        command.arg("--ruid=65534").arg(program);
        command
    };
    let possible = by_nobody(Path::new("true")).output();
    match possible.is_ok_and(|output| output.status.success()) {
        true => by_nobody(binary),
        false => Command::new(binary),
    }
}

/// The command in a mount namespace where `dir` is read-only; `None` where the machine allows no namespaces.
pub(crate) fn on_read_only_mount(dir: &Path) -> io::Result<Option<impl FnOnce(&Path) -> Command>> {
    const SCRIPT: &str =
        r#"mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@""#;
    let namespace = if rustix::process::geteuid().is_root() {
        "-m"
    } else {
        "-rm"
    };
    let dir = dir.to_owned();
    let unshare = move |program: &Path| {
        let mut command = Command::new("unshare");
        command
            .args([namespace, "sh", "-c", SCRIPT, "sh"])
            .arg(&dir)
            .arg(program);
        command
    };
    let possible = unshare(Path::new("true")).output();
    Ok(possible
        .is_ok_and(|output| output.status.success())
        .then_some(unshare))
}
