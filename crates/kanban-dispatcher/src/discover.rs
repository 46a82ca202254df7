//! Which boards are there: a sorted look at the directories, which creates and opens no database.

use std::io;

use serde::Deserialize;

use crate::error::Error;
use crate::root::{Board, Root, Slug};

#[derive(Deserialize, Default)]
struct Metadata {
    #[serde(default)]
    archived: bool,
    /// A directory, if it is a text at all.
    #[serde(default)]
    default_workdir: serde_json::Value,
    /// A number, as a rule.
    #[serde(default)]
    created_at: serde_json::Value,
}

/// The boards below `root` in the peer's order: `default` first, then the others by name; archived ones are left out.
///
/// A board other than `default` exists if its directory holds `board.json` or `kanban.db`. Names that are no slug are passed over.
///
/// # Errors
/// The boards' directory exists but cannot be listed.
///
/// # Examples
/// ```
/// use kanban_dispatcher::{Root, discover};
///
/// let dir = tempfile::tempdir()?;
/// std::fs::create_dir_all(dir.path().join("kanban/boards/shop"))?;
/// std::fs::write(dir.path().join("kanban/boards/shop/board.json"), "{}")?;
/// let boards = discover(&Root::at(dir.path()))?;
/// let names: Vec<_> = boards.iter().map(|board| board.slug().as_str()).collect();
/// assert_eq!(names, ["default", "shop"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn discover(root: &Root) -> Result<Vec<Board>, Error> {
    Ok(list(root, |slug| root.board(slug))?.boards)
}

/// What the boards' directory holds.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) boards: Vec<Board>,
    /// Names that are no board now and may become one without the directory changing: archived, or without a file of a board.
    pub(crate) others: Vec<Board>,
}

/// The board of each name comes from `board`: who lists again and again has it already.
pub(crate) fn list(root: &Root, board: impl Fn(&Slug) -> Board) -> Result<Listing, Error> {
    let dir = root.boards_dir();
    let failed = |error| Error::io(format!("list the boards in {}", dir.display()), error);
    let mut slugs = Vec::new();
    match std::fs::read_dir(&dir) {
        Ok(entries) => {
            for entry in entries {
                let name = entry.map_err(failed)?.file_name();
                if let Some(slug) = name.to_str().and_then(|name| name.parse::<Slug>().ok()) {
                    slugs.push(slug);
                }
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    slugs.retain(|slug| !slug.is_default());
    slugs.sort();
    slugs.dedup();
    slugs.insert(0, Slug::default());
    let all = slugs.iter().map(board);
    let (boards, others) = all.partition(is_served);
    Ok(Listing { boards, others })
}

/// Whether this is a board that a dispatcher works on: there, and not archived.
pub(crate) fn is_served(board: &Board) -> bool {
    (board.slug().is_default() || exists(board)) && !is_archived(board)
}

/// A look that fails tells nothing: the board is kept, and its own turn will say what is wrong.
pub(crate) fn exists(board: &Board) -> bool {
    board.metadata().try_exists().unwrap_or(true) || board.db().try_exists().unwrap_or(true)
}

/// A malformed `board.json` means defaults, as the peer reads it.
fn is_archived(board: &Board) -> bool {
    metadata(board).archived
}

fn metadata(board: &Board) -> Metadata {
    std::fs::read(board.metadata())
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default()
}

impl Board {
    /// When `board.json` says that the board was made (unix seconds).
    pub(crate) fn made_at(&self) -> Option<i64> {
        metadata(self).created_at.as_i64()
    }

    /// The directory that `board.json` names for tasks that name none themselves.
    #[must_use]
    pub fn default_workdir(&self) -> Option<String> {
        let dir = metadata(self).default_workdir;
        let dir = dir.as_str().map(str::trim).filter(|dir| !dir.is_empty());
        dir.map(str::to_owned)
    }
}
