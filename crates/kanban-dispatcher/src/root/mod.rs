//! Where things are: the kanban root, the profiles beside it, and each board's files.

mod board;
mod slug;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, ErrorKind};

pub use self::board::Board;
use self::board::Places;
pub use self::slug::Slug;
pub(crate) use self::slug::is_name;

/// The two roots of an installation: where the boards are, and where the profiles are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    kanban: PathBuf,
    hermes: PathBuf,
    /// Where every board's scratch directories are, instead of beside the board.
    workspaces: Option<PathBuf>,
    /// The same of attachments.
    attachments: Option<PathBuf>,
    /// The one board that is served.
    only: Option<Slug>,
}

// ===== impl Root =====

impl Root {
    /// Boards and profiles below one directory.
    #[must_use]
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        let dir: PathBuf = dir.into();
        // Workers run elsewhere: what they are told must not depend on where we run.
        let kanban = std::path::absolute(&dir).unwrap_or(dir);
        Self {
            hermes: kanban.clone(),
            kanban,
            workspaces: None,
            attachments: None,
            only: None,
        }
    }

    /// The same boards with the profiles of another Hermes root.
    #[must_use]
    pub fn with_hermes(mut self, hermes: impl Into<PathBuf>) -> Self {
        self.hermes = hermes.into();
        self
    }

    /// The same boards with all their scratch directories in `dir`, as `HERMES_KANBAN_WORKSPACES_ROOT` asks for.
    #[must_use]
    pub fn with_workspaces(mut self, dir: impl Into<PathBuf>) -> Self {
        self.workspaces = Some(dir.into());
        self
    }

    /// The same boards with all their attachments in `dir`, as `HERMES_KANBAN_ATTACHMENTS_ROOT` asks for.
    #[must_use]
    pub fn with_attachments(mut self, dir: impl Into<PathBuf>) -> Self {
        self.attachments = Some(dir.into());
        self
    }

    /// The same boards, of which a dispatcher serves this one alone. The others are still known: nobody touches them or their
    /// workers.
    #[must_use]
    pub fn serving_only(mut self, slug: Slug) -> Self {
        self.only = Some(slug);
        self
    }

    /// The one board that is served; `None` is all.
    pub(crate) fn only(&self) -> Option<&Slug> {
        self.only.as_ref()
    }

    /// Whether a dispatcher serves the board of this name.
    pub(crate) fn serves(&self, slug: &Slug) -> bool {
        self.only.as_ref().is_none_or(|only| only == slug)
    }

    /// The roots as the peer finds them: `HERMES_KANBAN_HOME`, else the Hermes root made of `HERMES_HOME` and `HOME`.
    ///
    /// `var` looks an environment variable up; pass `|name| std::env::var_os(name)`.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] when neither variable nor `HOME` says where to look.
    ///
    /// # Examples
    /// ```
    /// use kanban_dispatcher::Root;
    /// use std::path::{Path, absolute};
    ///
    /// let root = Root::from_env(|name| (name == "HOME").then(|| "/home/me".into()))?;
    /// assert_eq!(root.dir(), Path::new("/home/me/.hermes"));
    ///
    /// // Wherever this process runs: workers run elsewhere.
    /// let root = Root::from_env(|name| (name == "HERMES_HOME").then(|| "here".into()))?;
    /// assert_eq!(root.dir(), absolute("here").unwrap());
    /// # Ok::<(), kanban_dispatcher::Error>(())
    /// ```
    pub fn from_env(var: impl Fn(&str) -> Option<OsString>) -> Result<Self, Error> {
        let non_empty = |name: &str| var(name).filter(|value| !value.is_empty());
        let home = non_empty("HOME").map(PathBuf::from);
        let native = home.as_ref().map(|home| home.join(".hermes"));
        let hermes = match (non_empty("HERMES_HOME").map(PathBuf::from), native) {
            (Some(set), Some(native)) if resolved(&set).starts_with(resolved(&native)) => native,
            (Some(set), _) => profile_grandparent(&set).unwrap_or(set),
            (None, Some(native)) => native,
            (None, None) => {
                return Err(Error::new(
                    ErrorKind::Input,
                    "find the boards' root: give --root DIR, or set HERMES_KANBAN_HOME or HOME",
                ));
            }
        };
        let kanban = var("HERMES_KANBAN_HOME")
            .and_then(|value| value.into_string().ok())
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
            .map(|value| expand_home(&value, home.as_deref()));
        // As in `at`.
        let absolute = |dir: PathBuf| std::path::absolute(&dir).unwrap_or(dir);
        let hermes = absolute(hermes);
        Ok(Self {
            kanban: kanban.map_or_else(|| hermes.clone(), absolute),
            hermes,
            workspaces: None,
            attachments: None,
            only: None,
        })
    }

    /// The directory that holds `kanban.db` and `kanban/`.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.kanban
    }

    /// The Hermes root: profiles live below it.
    #[must_use]
    pub fn hermes(&self) -> &Path {
        &self.hermes
    }

    /// What is beside the boards: their other ones' directory, the dispatcher's lock and its state.
    pub(crate) fn kanban_dir(&self) -> PathBuf {
        self.kanban.join("kanban")
    }

    /// Where boards other than the default one live.
    #[must_use]
    pub fn boards_dir(&self) -> PathBuf {
        self.kanban_dir().join("boards")
    }

    /// The files of board `slug`, whether it exists or not.
    #[must_use]
    pub fn board(&self, slug: &Slug) -> Board {
        let (dir, home) = if slug.is_default() {
            (self.kanban.clone(), self.kanban_dir())
        } else {
            let dir = self.boards_dir().join(slug.as_str());
            (dir.clone(), dir)
        };
        Board(Arc::new(Places {
            slug: slug.clone(),
            db: dir.join("kanban.db"),
            home,
            workspaces: self.workspaces.clone(),
            attachments: self.attachments.clone(),
        }))
    }

    /// The machine-wide lock that one dispatcher per root holds.
    #[must_use]
    pub fn dispatcher_lock(&self) -> PathBuf {
        self.kanban_dir().join(".dispatcher.lock")
    }

    /// The dispatcher's own state, never a board.
    #[must_use]
    pub fn ledger(&self) -> PathBuf {
        self.kanban_dir().join(".dispatcher").join("state.db")
    }

    /// The dispatcher's last sign of life, beside its state.
    pub(crate) fn beat(&self) -> PathBuf {
        self.kanban_dir().join(".dispatcher").join("beat")
    }

    /// The home of profile `name`: the Hermes root itself for `default`.
    #[must_use]
    pub fn profile_dir(&self, name: &str) -> PathBuf {
        if name == Slug::DEFAULT {
            self.hermes.clone()
        } else {
            self.profiles_dir().join(name)
        }
    }

    /// Where all profiles but the default one have their homes.
    pub(crate) fn profiles_dir(&self) -> PathBuf {
        self.hermes.join("profiles")
    }
}

fn resolved(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn profile_grandparent(dir: &Path) -> Option<PathBuf> {
    let parent = dir.parent()?;
    (parent.file_name()? == "profiles").then(|| parent.parent().map(Path::to_owned))?
}

pub(crate) fn expand_home(text: &str, home: Option<&Path>) -> PathBuf {
    match (text.strip_prefix('~'), home) {
        (Some(""), Some(home)) => home.to_owned(),
        (Some(rest), Some(home)) if rest.starts_with('/') => home.join(&rest[1..]),
        _ => PathBuf::from(text),
    }
}
