//! One board's files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Slug;

/// One board's files; cheap to clone. Holding this opens and creates nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Board(pub(super) Arc<Places>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) slug: Slug,
    pub(super) db: PathBuf,
    pub(super) home: PathBuf,
    pub(super) workspaces: Option<PathBuf>,
    pub(super) attachments: Option<PathBuf>,
}

// ===== impl Board =====

impl Board {
    /// The board's name.
    #[must_use]
    pub fn slug(&self) -> &Slug {
        &self.0.slug
    }

    /// The same board with its database elsewhere, as `HERMES_KANBAN_DB` asks for; the locks follow the database.
    #[must_use]
    pub fn with_db(mut self, db: impl Into<PathBuf>) -> Self {
        Arc::make_mut(&mut self.0).db = db.into();
        self
    }

    /// The directory the database lies in.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.0.db.parent().unwrap_or(Path::new("."))
    }

    /// The database file.
    #[must_use]
    pub fn db(&self) -> &Path {
        &self.0.db
    }

    /// `board.json`, which may be absent.
    #[must_use]
    pub fn metadata(&self) -> PathBuf {
        if self.0.slug.is_default() {
            self.0
                .home
                .join("boards")
                .join(Slug::DEFAULT)
                .join("board.json")
        } else {
            self.0.home.join("board.json")
        }
    }

    /// Worker logs of this board.
    #[must_use]
    pub fn logs_dir(&self) -> PathBuf {
        self.0.home.join("logs")
    }

    /// Scratch workspaces of this board.
    #[must_use]
    pub fn workspaces_dir(&self) -> PathBuf {
        let beside = || self.0.home.join("workspaces");
        self.0.workspaces.clone().unwrap_or_else(beside)
    }

    /// Files that belong to this board's tasks, a directory for each.
    #[must_use]
    pub fn attachments_dir(&self) -> PathBuf {
        let beside = || self.0.home.join("attachments");
        self.0.attachments.clone().unwrap_or_else(beside)
    }

    /// Whether the scratch directories are somewhere else than beside the board.
    pub(crate) fn has_workspaces_elsewhere(&self) -> bool {
        self.0.workspaces.is_some()
    }

    /// Taken for a moment while a schema is made or repaired.
    #[must_use]
    pub fn init_lock(&self) -> PathBuf {
        self.beside_db(".init.lock")
    }

    /// Taken for the whole of one tick.
    #[must_use]
    pub fn tick_lock(&self) -> PathBuf {
        self.beside_db(".dispatch.lock")
    }

    /// The path as given, never resolved: the peer puts its locks next to a symlink, not next to its target.
    fn beside_db(&self, suffix: &str) -> PathBuf {
        let mut path = self.0.db.clone().into_os_string();
        path.push(suffix);
        path.into()
    }
}
