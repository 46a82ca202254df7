//! Which root, which board: what was said, then the environment, then what the root itself says, as the peer does it.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use kanban_dispatcher::{Board, Clock, Root, Slug, Store, discover};

use crate::cli::TaskRef;
use crate::exit::{Code, Failure};
use crate::output::say;

/// Where this call works.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) root: Root,
    pub(crate) clock: Clock,
    named: Option<Slug>,
    is_root_named: bool,
}

impl Place {
    /// The root that was named, else the environment's. Workers get these paths and work elsewhere, so they are absolute.
    pub(crate) fn find(root: Option<PathBuf>, board: Option<Slug>) -> Result<Self, Failure> {
        let is_root_named = root.is_some();
        let root = match root {
            Some(dir) => Root::at(absolute(&dir)?),
            None => {
                let root = Root::from_env(|name| env::var_os(name))?;
                Root::at(absolute(root.dir())?).with_hermes(absolute(root.hermes())?)
            }
        };
        let root = match variable("HERMES_KANBAN_WORKSPACES_ROOT") {
            Some(dir) => root.with_workspaces(absolute(&expand_home(&dir))?),
            None => root,
        };
        let root = match variable("HERMES_KANBAN_ATTACHMENTS_ROOT") {
            Some(dir) => root.with_attachments(absolute(&expand_home(&dir))?),
            None => root,
        };
        Ok(Self {
            root,
            clock: Clock::system(),
            named: board,
            is_root_named,
        })
    }

    /// Fails unless the root is a directory: a dispatcher would stand by for ever beside a typing error.
    pub(crate) fn must_exist(&self) -> Result<(), Failure> {
        let dir = self.root.dir();
        if dir.is_dir() {
            return Ok(());
        }
        let what = format!("find the directory {}", dir.display());
        Err(Failure::new(
            Code::Failed,
            what,
            "`kanban init` makes it, with a board in it",
        ))
    }

    /// The same for a dispatcher: under `HERMES_KANBAN_DB` it serves the one board whose file that is, once.
    pub(crate) fn served(self) -> Result<Self, Failure> {
        let Some(db) = variable("HERMES_KANBAN_DB").map(|db| expand_home(&db)) else {
            return Ok(self);
        };
        let resolved = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path));
        let is_it = |board: &Board| {
            let pair = resolved(board.db()).ok().zip(resolved(&db).ok());
            pair.is_some_and(|(one, other)| one == other)
        };
        let Some(board) = discover(&self.root)?.into_iter().find(is_it) else {
            let (db, root) = (db.display(), self.root.dir().display());
            let what =
                format!("serve {db}, which HERMES_KANBAN_DB names: it is no board of {root}");
            return Err(Failure::new(
                Code::Config,
                what,
                "unset it to serve every board of the root",
            ));
        };
        let slug = board.slug().clone();
        tracing::warn!(board = %slug, "HERMES_KANBAN_DB is set: only this board is served");
        let root = self.root.serving_only(slug);
        Ok(Self { root, ..self })
    }

    /// The board that `--board`, else the environment, else the file `kanban/current` names; else `default`.
    pub(crate) fn board(&self) -> Board {
        self.pinned(&self.current(), self.named.is_some())
    }

    /// The board of this task.
    pub(crate) fn board_of(&self, task: &TaskRef) -> Result<Board, Failure> {
        match (&task.board, &self.named) {
            (Some(one), Some(other)) if one != other => {
                let what = format!("choose between --board {other} and {one}/{}", task.id);
                Err(Failure::new(Code::Usage, what, "name the board once"))
            }
            (Some(slug), _) => Ok(self.pinned(slug, true)),
            (None, _) => Ok(self.board()),
        }
    }

    /// Opens the board; never makes one.
    pub(crate) fn open(&self, board: &Board) -> Result<Store, Failure> {
        Ok(Store::open(board, &self.clock)?)
    }

    /// The name of the board in use; one that does not exist is passed over, unless `--board` names it.
    pub(crate) fn current(&self) -> Slug {
        let exists = |slug: &Slug| {
            let board = self.root.board(slug);
            slug.is_default() || board.metadata().exists() || board.db().exists()
        };
        let from_env = || variable("HERMES_KANBAN_BOARD")?.parse().ok().filter(exists);
        let from_file = || {
            let path = self.root.dir().join("kanban").join("current");
            std::fs::read_to_string(path)
                .ok()?
                .parse()
                .ok()
                .filter(exists)
        };
        self.named
            .clone()
            .or_else(from_env)
            .or_else(from_file)
            .unwrap_or_default()
    }

    /// `HERMES_KANBAN_DB` beats everything, as it does for the peer. Where that contradicts what was said, say so.
    fn pinned(&self, slug: &Slug, is_named: bool) -> Board {
        let board = self.root.board(slug);
        let Some(db) = variable("HERMES_KANBAN_DB").map(|path| expand_home(&path)) else {
            return board;
        };
        if (is_named || self.is_root_named) && db != board.db() {
            let (db, board) = (db.display(), board.db().display());
            say(&format!(
                "kanban: HERMES_KANBAN_DB wins: this is {db}, not {board}"
            ));
        }
        board.with_db(db)
    }
}

/// An environment variable without the blanks around it; an empty one counts as unset.
pub(crate) fn variable(name: &str) -> Option<String> {
    let text = env::var_os(name).map(OsString::into_string)?.ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// Who speaks: a worker's profile, else a person.
pub(crate) fn author() -> String {
    let name = variable("HERMES_PROFILE_NAME").or_else(|| variable("HERMES_PROFILE"));
    name.unwrap_or_else(|| "user".to_owned())
}

pub(crate) fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path)
        .map_err(|error| Failure::io(format!("find {}", path.display()), &error))
}

pub(crate) fn expand_home(text: &str) -> PathBuf {
    match (text.strip_prefix("~/"), env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(text),
    }
}
