//! The files that a finished task leaves: those that it names inside its scratch directory are copied to its attachments,
//! before that directory is removed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rusqlite::{OptionalExtension, Transaction};
use rustix::fs::{Mode, OFlags, open};
use serde_json::{Map, Value};

use super::super::event::{self, Payload};
use super::super::store::Store;
use super::super::value;
use super::{Complete, Result, scratch};
use crate::error::{Error, ErrorKind};
use crate::root::{Board, expand_home};

/// What one attachment may hold.
const SIZE_MAX: u64 = 25 * 1024 * 1024;

/// Copies that are made. Dropped before they are recorded, they are removed again.
#[derive(Debug)]
pub(super) struct Kept {
    dir: PathBuf,
    copies: Vec<Copy>,
    /// The completion's metadata, with the copies in the places of what they are copies of.
    pub(super) metadata: Map<String, Value>,
}

#[derive(Debug)]
struct Copy {
    name: String,
    path: PathBuf,
    size: u64,
}

// ===== impl Kept =====

impl Kept {
    /// Copies what a completion names.
    ///
    /// # Errors
    /// A named file of the scratch directory that is none, is too large, or cannot be copied: nothing is kept then.
    pub(super) fn of(store: &Store, id: &str, done: &Complete) -> Result<Self> {
        let mut kept = Self {
            dir: store.board().attachments_dir().join(id),
            copies: Vec::new(),
            metadata: done.metadata.clone(),
        };
        let Some((stored, workspace)) = workspace(store, id)? else {
            return Ok(kept);
        };
        let named = named(done, &stored);
        let mut places = Vec::new();
        for name in &named {
            match kept.copy(store.board(), name, &workspace) {
                Ok(place) => places.push(place),
                Err(why) => {
                    let what = format!("keep {name} of task {id}: {why}");
                    return Err(Error::new(ErrorKind::Refused, what).on(store.slug()));
                }
            }
        }
        if !kept.copies.is_empty() {
            kept.metadata.insert("artifacts".to_owned(), places.into());
        }
        Ok(kept)
    }

    /// The files as the completion's event names them; `None` for none.
    pub(super) fn artifacts(&self) -> Option<Vec<String>> {
        let listed = listed(&self.metadata);
        (!listed.is_empty()).then_some(listed)
    }

    /// Writes the copies down.
    pub(super) fn record(&self, tx: &Transaction<'_>, id: &str, now: i64) -> Result {
        const BY: &str = "kanban_complete";
        for Copy { name, path, size } in &self.copies {
            let size = i64::try_from(*size).unwrap_or(i64::MAX);
            tx.execute(
                "INSERT INTO task_attachments (task_id, filename, stored_path, size, uploaded_by, created_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                (id, name, path.to_string_lossy(), size, BY, now),
            )?;
            let payload = Payload::new()
                .with("filename", name.as_str())
                .with("size", size)
                .with("by", BY);
            event::append(tx, id, "attached", &payload, None, now)?;
        }
        Ok(())
    }

    /// They are recorded: they stay.
    pub(super) fn stay(mut self) {
        self.copies.clear();
    }

    /// Copies one file, if it lies in the scratch directory. Where it is to be found from now on.
    fn copy(&mut self, board: &Board, name: &str, workspace: &Path) -> io::Result<String> {
        let path = expand_home(name, std::env::home_dir().as_deref());
        let path = path.canonicalize().unwrap_or(path);
        if !path.starts_with(workspace) {
            return Ok(name.to_owned());
        }
        // Held before it is judged, so that nothing else can come into its place; such a hold reads nothing and drops no lock.
        let held = File::from(open(&path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?);
        let metadata = held.metadata()?;
        if !metadata.is_file() || is_board(board, &metadata) {
            return Err(io::Error::other("it is no file to be copied"));
        }
        if metadata.len() > SIZE_MAX {
            return Err(too_large());
        }
        fs::create_dir_all(&self.dir)?;
        let copy = unused(&self.dir, &path)?;
        let (name, to) = (copy.name.clone(), copy.path.clone());
        self.copies.push(copy);
        let judged = format!("/proc/self/fd/{}", held.as_raw_fd());
        let mut from = File::open(judged)?.take(SIZE_MAX + 1);
        let size = io::copy(&mut from, &mut OpenOptions::new().write(true).open(&to)?)?;
        if size > SIZE_MAX {
            return Err(too_large());
        }
        let to = to.canonicalize()?;
        let place = to.to_string_lossy().into_owned();
        if let Some(last) = self.copies.last_mut() {
            *last = Copy {
                name,
                path: to,
                size,
            };
        }
        Ok(place)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        for copy in self.copies.drain(..) {
            let _ = fs::remove_file(copy.path);
            // Only if nothing else is in it.
            let _ = fs::remove_dir(&self.dir);
        }
    }
}

/// The task's scratch directory, if it is one of the board's own: as it is stored, and where it really is.
fn workspace(store: &Store, id: &str) -> Result<Option<(PathBuf, PathBuf)>> {
    let path = store
        .db
        .query_row(
            "SELECT workspace_path FROM tasks WHERE id = ?1 AND workspace_kind = 'scratch'",
            [id],
            |row| value::exact(row, 0),
        )
        .optional()
        .map_err(|error| Error::from(error).on(store.slug()))?;
    let path = path.flatten().map(PathBuf::from);
    Ok(path.and_then(|path| {
        let real = scratch::inside(store.board(), &path)?;
        Some((path, real))
    }))
}

/// What is declared, then what the words mention.
fn named(done: &Complete, workspace: &Path) -> Vec<String> {
    let mut named = listed(&done.metadata);
    let prefix = format!("{}/", workspace.display());
    for text in [&done.summary, &done.result].into_iter().flatten() {
        for (at, _) in text.match_indices(&prefix) {
            let rest = &text[at..];
            let is_end = |c: char| c.is_whitespace() || "`\"'<>".contains(c);
            let path = rest.split(is_end).next().unwrap_or(rest);
            let path = path.trim_end_matches(|c| ".,;:!?)]}".contains(c));
            if Path::new(path).is_file() && !named.iter().any(|known| known == path) {
                named.push(path.to_owned());
            }
        }
    }
    named
}

fn listed(metadata: &Map<String, Value>) -> Vec<String> {
    let list = metadata.get("artifacts").and_then(Value::as_array);
    let texts = list.into_iter().flatten().filter_map(Value::as_str);
    let texts = texts.map(str::trim).filter(|text| !text.is_empty());
    texts.map(str::to_owned).collect()
}

/// Whether it is the board itself, by another name: to open and close that would drop the locks that we hold on it.
fn is_board(board: &Board, metadata: &fs::Metadata) -> bool {
    let beside = |ending: &str| {
        let mut path = board.db().as_os_str().to_owned();
        path.push(ending);
        fs::metadata(path)
    };
    ["", "-wal", "-shm"].iter().any(|ending| {
        beside(ending).is_ok_and(|own| (own.dev(), own.ino()) == (metadata.dev(), metadata.ino()))
    })
}

/// A file of this name that was not there before, with a number if there is one already.
fn unused(dir: &Path, of: &Path) -> io::Result<Copy> {
    let text =
        |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned());
    let stem = text(of.file_stem()).unwrap_or_else(|| "artifact".to_owned());
    let ending = text(of.extension()).map_or_else(String::new, |ending| format!(".{ending}"));
    let mut n = 0;
    loop {
        let number = if n == 0 {
            String::new()
        } else {
            format!("_{n}")
        };
        let name = format!("{stem}{number}{ending}");
        let path = dir.join(&name);
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(_) => {
                return Ok(Copy {
                    name,
                    path,
                    size: 0,
                });
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => n += 1,
            Err(error) => return Err(error),
        }
    }
}

fn too_large() -> io::Error {
    io::Error::other(format!("it is larger than {SIZE_MAX} bytes"))
}
