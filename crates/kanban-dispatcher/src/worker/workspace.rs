//! Where a worker works: a scratch directory of its own, or a directory the task names.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::log::make_dir;
use crate::board::Work;
use crate::root::Board;

/// Makes the task's workspace and returns its path.
pub(super) fn make(board: &Board, work: &Work) -> io::Result<PathBuf> {
    let named = work.workspace_path.as_deref().map(Path::new);
    if let Some(relative) = named.filter(|path| !path.is_absolute()) {
        return Err(invalid(format!(
            "{} is not an absolute path",
            relative.display()
        )));
    }
    match (work.workspace_kind.as_str(), named) {
        ("dir", Some(path)) => fs::create_dir_all(path).map(|()| path.to_owned()),
        ("dir", None) => Err(invalid("the task names no directory".to_owned())),
        ("scratch", Some(path)) if !path.starts_with(board.workspaces_dir()) => {
            fs::create_dir_all(path).map(|()| path.to_owned())
        }
        ("scratch", _) => {
            // Level by level: the board's own directory is never made by a start.
            make_dir(&board.workspaces_dir())?;
            let path =
                named.map_or_else(|| board.workspaces_dir().join(&work.task), Path::to_owned);
            make_dir(&path).map(|()| path)
        }
        (other, _) => Err(invalid(format!(
            "workspace kind \"{other}\" is not supported"
        ))),
    }
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}
