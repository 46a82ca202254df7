//! Running other programs: shown before they start, judged by how they end.

use std::env;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// What a chore ends with: nothing, or why it failed.
pub(crate) type Done<T = ()> = Result<T, String>;

/// The workspace's root.
pub(crate) fn root() -> &'static Path {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    crates
        .and_then(Path::parent)
        .expect("this crate lies two levels below the root")
}

/// Where Cargo builds.
pub(crate) fn target() -> PathBuf {
    // `join` keeps an absolute path as it is.
    root().join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// The Cargo that runs this chore, at the workspace's root.
pub(crate) fn cargo(words: &str) -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command
        .args(words.split_ascii_whitespace())
        .current_dir(root());
    command
}

/// Shows the command, runs it, and wants it to succeed.
pub(crate) fn run(mut command: Command) -> Done {
    println!("$ {}", shown(&command));
    let status = command.status().map_err(|error| cannot(&command, &error))?;
    judge(&command, status)
}

/// As [`run`], but through a pipe: the program sees no terminal, and `look` sees each line before it is printed.
pub(crate) fn stream(command: &mut Command, mut look: impl FnMut(&str)) -> Done {
    println!("$ {}", shown(command));
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| cannot(command, &error))?;
    let output = child.stdout.take().expect("it is piped");
    for line in BufReader::new(output).split(b'\n') {
        let line = line.map_err(|error| cannot(command, &error))?;
        let line = String::from_utf8_lossy(&line);
        look(&line);
        println!("{line}");
    }
    let status = child.wait().map_err(|error| cannot(command, &error))?;
    judge(command, status)
}

/// What a program prints, when it succeeds; its errors are nobody's business.
pub(crate) fn answer(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}

/// Has a build take the system's SQLite if there is one: where nothing is asked of it, compiling it anew is a waste of a minute.
pub(crate) fn with_any_sqlite(command: &mut Command) -> &mut Command {
    if answer(Command::new("pkg-config").args(["--modversion", "sqlite3"])).is_some() {
        command.env("LIBSQLITE3_SYS_USE_PKG_CONFIG", "1");
    }
    command
}

fn judge(command: &Command, status: ExitStatus) -> Done {
    if status.success() {
        return Ok(());
    }
    Err(format!("`{}` ended with {status}", shown(command)))
}

fn cannot(command: &Command, error: &std::io::Error) -> String {
    format!("run `{}`: {error}", shown(command))
}

/// The command as one would type it, with what it adds to the environment.
fn shown(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| {
        let (name, value) = (name.to_string_lossy(), value?.to_string_lossy());
        Some(format!("{name}={}", quoted(&value)))
    });
    // Cargo's own path is long and says nothing.
    let program = Path::new(command.get_program());
    let program = program
        .file_name()
        .filter(|name| *name == "cargo")
        .unwrap_or(program.as_os_str());
    let words = std::iter::once(program)
        .chain(command.get_args())
        .map(|word| quoted(&word.to_string_lossy()));
    variables.chain(words).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    if word.contains([' ', '"', ';', '$']) {
        format!("'{word}'")
    } else {
        word.to_owned()
    }
}
