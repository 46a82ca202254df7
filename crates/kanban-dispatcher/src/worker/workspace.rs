//! Where a worker works: a scratch directory of its own, a directory the task names, or a git worktree.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::git::{Git, resolved};
use super::log::make_dir;
use crate::board::Work;
use crate::root::{Board, expand_home};

/// A workspace that is there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) path: PathBuf,
    /// What is checked out there, if it is a worktree.
    pub(super) branch: Option<String>,
}

/// Makes the task's workspace. Runs git for a worktree, so never inside a transaction.
pub(super) fn make(board: &Board, work: &Work) -> io::Result<Made> {
    let named = work.workspace_path.as_deref().map(absolute).transpose()?;
    let path = match (work.workspace_kind.as_str(), named) {
        ("dir", Some(path)) => {
            fs::create_dir_all(&path)?;
            path
        }
        ("dir", None) => return Err(invalid("the task names no directory".to_owned())),
        ("scratch" | "", named) => scratch(board, work, named)?,
        ("worktree", named) => return worktree(board, work, named),
        (other, _) => {
            return Err(invalid(format!("workspace kind \"{other}\" is not known")));
        }
    };
    Ok(Made { path, branch: None })
}

/// Whether the task works outside of the board's own directories.
pub(super) fn is_elsewhere(board: &Board, work: &Work) -> bool {
    let is_scratch = matches!(work.workspace_kind.as_str(), "scratch" | "");
    let named = work.workspace_path.as_deref().map(Path::new);
    !is_scratch || named.is_some_and(|path| !path.starts_with(board.workspaces_dir()))
}

fn scratch(board: &Board, work: &Work, named: Option<PathBuf>) -> io::Result<PathBuf> {
    let root = board.workspaces_dir();
    match named {
        Some(path) if !path.starts_with(&root) => {
            fs::create_dir_all(&path)?;
            Ok(path)
        }
        named => {
            if board.has_workspaces_elsewhere() {
                fs::create_dir_all(&root)?;
            }
            // Level by level: the board's own directory is never made by a start.
            make_dir(&root)?;
            let path = named.unwrap_or_else(|| root.join(&work.task));
            make_dir(&path)?;
            Ok(path)
        }
    }
}

/// The worktree that is there, or a new one: where the task says, or below the repository's own `.worktrees`.
fn worktree(board: &Board, work: &Work, named: Option<PathBuf>) -> io::Result<Made> {
    let git = Git::new();
    let branch = work.branch.as_deref().map(str::trim);
    let branch = branch.map_or_else(|| format!("wt/{}", work.task), str::to_owned);
    let beside = |repo: &Path| repo.join(".worktrees").join(&work.task);
    let Some(named) = named else {
        let Some(anchor) = board.default_workdir() else {
            return Err(invalid(
                "the task names no repository, and the board has no default_workdir".to_owned(),
            ));
        };
        let repo = git.toplevel(&absolute(&anchor)?)?.map_err(|why| {
            invalid(format!(
                "the board's default_workdir {anchor} is in no git repository: {why}"
            ))
        })?;
        return ensure(&git, &repo, beside(&repo), branch);
    };
    if named.exists() && git.is_linked(&named)? {
        let path = resolved(&named);
        let branch = git.branch(&path)?.unwrap_or(branch);
        return Ok(Made {
            path,
            branch: Some(branch),
        });
    }
    if let Ok(repo) = git.toplevel(&named)?
        && repo == resolved(&named)
    {
        return ensure(&git, &repo, beside(&repo), branch);
    }
    let parent = named.ancestors().skip(1).find(|path| path.exists());
    let repo = git.toplevel(parent.unwrap_or(Path::new("/")))?;
    let repo = repo.map_err(|why| {
        invalid(format!(
            "{} is in no git repository: {why}",
            named.display()
        ))
    })?;
    ensure(&git, &repo, named, branch)
}

/// A checkout of `repo` at `path`: the one that is there, or a new one.
fn ensure(git: &Git, repo: &Path, path: PathBuf, branch: String) -> io::Result<Made> {
    git.let_finish(&path);
    if path.exists() && git.is_checkout(&path, repo)? {
        let branch = git.branch(&path)?.unwrap_or(branch);
        return Ok(Made {
            path,
            branch: Some(branch),
        });
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    git.add(repo, &path, &branch)?;
    Ok(Made {
        path,
        branch: Some(branch),
    })
}

fn absolute(text: &str) -> io::Result<PathBuf> {
    let path = expand_home(text, env::home_dir().as_deref());
    if path.is_absolute() {
        return Ok(path);
    }
    Err(invalid(format!(
        "{} is not an absolute path",
        path.display()
    )))
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}
