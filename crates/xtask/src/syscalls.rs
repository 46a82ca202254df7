//! What `fingerprint-quarantine` asks the kernel for, by strace: nothing for a healthy key, one `stat` per file for a held one, and
//! never an `open` of what it watches.
//!
//! Beside it what `kanban-dispatcher` does where nothing is to be done, and around its workers: `idle.rs`, `workers.rs`.
//!
//! Its example `observe` sets markers by a `stat` of a path that is nowhere; between two of them lies one kind of question, asked
//! three times.

mod idle;
mod workers;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::run::{Done, cargo, run, target};

const TIMES: usize = 3;
const MARKER: &str = "/quarantine-marker/";
/// The only files in the directory that the example works in.
const WATCHED: &[&str] = &["watched.db", "watched.db-wal"];

/// The `stat`s of either architecture: x86_64 has all four, aarch64 `newfstatat` and `statx`.
const STATS: &[&str] = &["stat", "lstat", "newfstatat", "statx"];
/// Whatever leads to a descriptor of a file, and so to its close.
const OPENS: &[&str] = &["open", "openat", "openat2", "creat", "open_by_handle_at"];

/// No call at all where the vDSO has the clock, which is nearly everywhere; under some hypervisors it is one.
const CLOCK: &str = "clock_gettime";

/// How many `stat`s each kind of question makes; other calls are never allowed.
const EXPECTED: &[(&str, usize)] = &[
    ("file-healthy", 0),
    ("file-healthy-beside-a-held-one", 0),
    ("file-held-in-min-hold", 0),
    ("file-held-by-key", 1),
    ("file-held-by-handle", 1),
    ("sqlite-healthy", 0),
    ("sqlite-healthy-beside-a-held-one", 0),
    ("sqlite-held-in-min-hold", 0),
    ("sqlite-held-by-key", 2),
    ("sqlite-held-by-handle", 2),
];

/// Builds the example, runs it below strace and judges what it did.
pub(crate) fn check() -> Done {
    if !cfg!(target_os = "linux") {
        println!("strace is Linux only: nothing to check here");
        return Ok(());
    }
    let strace = Command::new("strace")
        .arg("-V")
        .stdout(Stdio::null())
        .status();
    if let Err(error) = strace {
        return Err(format!(
            "strace is needed to count system calls: {error}; `apt-get install strace`, or your system's package of that name"
        ));
    }
    run(cargo(
        "build --quiet -p fingerprint-quarantine --example observe",
    ))?;
    let dir = prepare("observe")?;
    let program = target().join("debug/examples/observe");
    judge(&read(&trace(&program, &dir, &dir)?)?)?;
    idle::check()?;
    workers::check()
}

/// An empty directory to work in.
fn prepare(example: &str) -> Done<PathBuf> {
    let dir = target().join("syscalls").join(example);
    let prepared = fs::remove_dir_all(&dir)
        .or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })
        .and_then(|()| fs::create_dir_all(&dir));
    prepared.map_err(|error| format!("empty {}: {error}", dir.display()))?;
    Ok(dir)
}

/// Runs a program below strace with one argument; the trace is in `dir`, with the path of each descriptor.
fn trace(program: &Path, argument: &Path, dir: &Path) -> Done<PathBuf> {
    let trace = dir.join("trace");
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-y", "-s", "4096", "-o"])
        .arg(&trace)
        .arg(program)
        .arg(argument);
    run(command)?;
    Ok(trace)
}

fn read(trace: &Path) -> Done<String> {
    fs::read_to_string(trace).map_err(|error| format!("read {}: {error}", trace.display()))
}

fn judge(trace: &str) -> Done {
    let calls = trace.lines().filter_map(Call::parse);
    let calls: Vec<Call<'_>> = calls.filter(|call| call.name != CLOCK).collect();
    let watching = calls
        .iter()
        .position(|call| call.is_marker(&format!("{MARKER}watching")))
        .ok_or("the trace shows no marker: did the example run?")?;
    for call in &calls[watching..] {
        let watched = WATCHED.iter().any(|name| call.names(name));
        if watched && OPENS.contains(&call.name) {
            return Err(format!("a watched file was opened: {}", call.line));
        }
    }
    for (question, stats) in EXPECTED {
        let between = between(&calls, MARKER, question)?;
        let is_look = |call: &&Call<'_>| {
            STATS.contains(&call.name) && WATCHED.iter().any(|name| call.names(name))
        };
        if let Some(other) = between.iter().find(|call| !is_look(call)) {
            return Err(format!("{question} made another call: {}", other.line));
        }
        if between.len() != stats * TIMES {
            return Err(format!(
                "{question} made {} stats in {TIMES} questions, and not {stats} in each",
                between.len()
            ));
        }
        println!("{question:<33} {stats} stat, no other call");
    }
    Ok(())
}

/// What lies between the two markers of this name.
fn between<'c, 't>(calls: &'c [Call<'t>], markers: &str, name: &str) -> Done<&'c [Call<'t>]> {
    let at = |which: &str| {
        let marker = format!("{markers}{name}/{which}");
        let at = calls.iter().position(|call| call.is_marker(&marker));
        at.ok_or_else(|| format!("the trace has no marker {name}/{which}"))
    };
    let (begin, end) = (at("begin")?, at("end")?);
    let between = calls.get(begin + 1..end);
    between.ok_or_else(|| format!("the markers of {name} are in the wrong order"))
}

/// One line of strace: `1234 statx(AT_FDCWD, "path", ...) = 0`.
struct Call<'t> {
    name: &'t str,
    line: &'t str,
}

// ===== impl Call =====

impl<'t> Call<'t> {
    /// `None` for signals and exits.
    fn parse(line: &'t str) -> Option<Self> {
        let call = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
        let (name, _) = call.split_once('(')?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        name.chars()
            .all(is_name)
            .then_some(Self { name, line })
            .filter(|call| !call.name.is_empty())
    }

    /// Whether a path in it ends with this file name.
    fn names(&self, file: &str) -> bool {
        self.line.contains(&format!("/{file}\""))
    }

    fn is_marker(&self, marker: &str) -> bool {
        STATS.contains(&self.name) && self.line.contains(&format!("\"{marker}\""))
    }
}

#[cfg(test)]
mod tests {
    use super::{EXPECTED, TIMES, judge};

    /// A trace as strace writes it, in which each question behaves; `extra` follows the begin of `question`.
    fn trace(question: &str, extra: &str) -> String {
        let stat = |path: &str| {
            format!("77 statx(AT_FDCWD, \"{path}\", AT_STATX_SYNC_AS_STAT, STATX_ALL, 0x7f) = 0\n")
        };
        let mut text = format!(
            "77 openat(AT_FDCWD, \"/d/watched.db\", O_RDWR) = 3\n{}",
            stat("/quarantine-marker/watching")
        );
        for (name, stats) in EXPECTED {
            text += &stat(&format!("/quarantine-marker/{name}/begin"));
            if *name == question {
                text += extra;
            }
            let looks = ["/d/watched.db", "/d/watched.db-wal"].map(stat);
            (0..TIMES).for_each(|_| text += &looks[..*stats].concat());
            text += &stat(&format!("/quarantine-marker/{name}/end"));
        }
        text + "77 +++ exited with 0 +++\n"
    }

    #[test]
    fn a_program_that_behaves_passes() {
        assert_eq!(judge(&trace("", "")), Ok(()));
    }

    #[test]
    fn an_open_one_look_too_many_or_any_other_call_fails() {
        for (question, extra) in [
            (
                "file-held-by-key",
                "77 openat(AT_FDCWD, \"/d/watched.db\", O_RDONLY) = 3\n",
            ),
            (
                "sqlite-held-by-key",
                "77 open(\"/d/watched.db-wal\", O_RDONLY) = 3\n",
            ),
            (
                "sqlite-held-by-handle",
                "77 newfstatat(AT_FDCWD, \"/d/watched.db\", 0x7f, 0) = 0\n",
            ),
            (
                "file-healthy",
                "77 statx(AT_FDCWD, \"/d/watched.db\", 0, 0, 0x7f) = 0\n",
            ),
            (
                "file-held-in-min-hold",
                "77 futex(0x7f, FUTEX_WAKE, 1) = 0\n",
            ),
        ] {
            assert!(judge(&trace(question, extra)).is_err(), "{extra}");
        }
        assert!(judge("").is_err());
        let cut = trace("", "").replace("sqlite-held-by-key/end", "elsewhere");
        assert!(judge(&cut).is_err());
    }
}
