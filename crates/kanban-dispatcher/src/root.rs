//! Where things are: the kanban root, the profiles beside it, and each board's files.

use std::borrow::Borrow;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, ErrorKind};

/// A board's name: `[a-z0-9][a-z0-9_-]{0,63}`; cheap to clone.
///
/// # Examples
/// ```
/// use kanban_dispatcher::Slug;
///
/// let slug: Slug = " Web-Shop ".parse()?;
/// assert_eq!(slug.as_str(), "web-shop");
/// assert!("../etc".parse::<Slug>().is_err());
/// # Ok::<(), kanban_dispatcher::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slug(Arc<str>);

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

/// One board's files; cheap to clone. Holding this opens and creates nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Board(Arc<Places>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Places {
    slug: Slug,
    db: PathBuf,
    home: PathBuf,
    workspaces: Option<PathBuf>,
    attachments: Option<PathBuf>,
}

// ===== impl Slug =====

impl Slug {
    /// The name of the board that always exists.
    pub const DEFAULT: &'static str = "default";

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the board at the root itself.
    #[must_use]
    pub fn is_default(&self) -> bool {
        &*self.0 == Self::DEFAULT
    }
}

impl serde::Serialize for Slug {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

impl Default for Slug {
    fn default() -> Self {
        Self(Self::DEFAULT.into())
    }
}

impl std::str::FromStr for Slug {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let name = text.trim().to_lowercase();
        if is_name(&name) {
            return Ok(Self(name.into()));
        }
        Err(Error::new(
            ErrorKind::Input,
            format!(
                "read board name \"{text}\": allowed are 1 to 64 of a-z 0-9 _ -, starting with a letter or digit"
            ),
        ))
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for Slug {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The rule that slugs and profile names share.
pub(crate) fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    let head = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    text.len() <= 64
        && bytes.next().is_some_and(head)
        && bytes.all(|b| head(b) || b == b'_' || b == b'-')
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
