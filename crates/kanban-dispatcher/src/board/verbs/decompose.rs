//! Dividing a task in triage into tasks that it then waits for.

use rusqlite::Transaction;

use super::super::event::{self, Payload};
use super::super::store::Store;
use super::super::value;
use super::comment::note;
use super::create::{Workspace, drawn, normalised};
use super::links::ends;
use super::{Asked, Result, promote};
use crate::error::{Error, ErrorKind};

/// Into what a task is divided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decompose {
    /// The attempt that speaks; `None` is a person, who is not fenced.
    pub run: Option<i64>,
    /// Who is to do the task itself, once its parts are done; `None` leaves it as it is.
    pub assignee: Option<String>,
    /// Who divides it: makes the parts, and tells of it in a comment.
    pub author: Option<String>,
    /// The parts; at least one.
    pub parts: Vec<Part>,
}

/// One of the tasks that a task is divided into.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// What it is called; not empty.
    pub title: String,
    /// What is to be done.
    pub body: Option<String>,
    /// Who is to do it: a profile's name, stored in lower case.
    pub assignee: Option<String>,
    /// Which of the other parts must be done before it, counted from 0.
    pub parents: Vec<usize>,
    /// Where its worker works; `None` is where the whole task's works.
    pub workspace: Option<Workspace>,
}

impl Store {
    /// triage -> todo, waiting for new tasks: those that wait for nothing are ready. Their ids, in the order of the parts.
    ///
    /// # Errors
    /// As [`complete`](Self::complete), and [`ErrorKind::Input`] for no part at all, for an empty title, and for parts that
    /// wait for one that is not there or, around a ring, for themselves.
    ///
    /// # Examples
    /// ```
    /// use kanban_dispatcher::{Clock, Decompose, NewTask, Part, Root, Slug, Store};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let board = Root::at(dir.path()).board(&Slug::default());
    /// let mut store = Store::init(&board, &Clock::system())?;
    /// let coat = store.create(&NewTask { title: "coat".into(), triage: true, ..NewTask::default() })?;
    /// let cut = Part { title: "cut".into(), ..Part::default() };
    /// let sew = Part { title: "sew".into(), parents: vec![0], ..Part::default() };
    /// let ids = store.decompose(&coat, &Decompose { parts: vec![cut, sew], ..Decompose::default() })?;
    /// assert_eq!(store.show(&ids[0])?.task.status, "ready");
    /// assert_eq!(store.show(&ids[1])?.parents, [ids[0].clone()]);
    /// assert_eq!(store.show(&coat)?.task.status, "todo");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn decompose(&mut self, id: &str, into: &Decompose) -> Result<Vec<String>> {
        into.check().map_err(|why| {
            Error::new(ErrorKind::Input, format!("decompose task {id}: {why}")).on(self.slug())
        })?;
        let default_workdir = self.board().default_workdir();
        self.write(|tx, now| {
            let asked = Asked {
                verb: "decompose",
                allowed: &["triage"],
                run: into.run,
            };
            asked.of(tx, id)?;
            let ids = into.insert(tx, id, default_workdir.as_deref(), now)?;
            into.link(tx, id, &ids, now)?;
            let assignee = normalised(into.assignee.as_deref());
            tx.execute(
                "UPDATE tasks SET status = 'todo', assignee = COALESCE(?2, assignee) WHERE id = ?1",
                (id, &assignee),
            )?;
            if let Some(author) = into.author() {
                let text = format!("Decomposed: it waits for {}.", ids.join(", "));
                note(tx, id, author, &text, now)?;
            }
            let payload = Payload::new()
                .with("child_ids", ids.clone())
                .with("root_assignee", assignee);
            event::append(tx, id, "decomposed", &payload, None, now)?;
            promote(tx, now)?;
            Ok(ids)
        })
    }
}

// ===== impl Decompose =====

impl Decompose {
    fn author(&self) -> Option<&str> {
        let author = self.author.as_deref().map(str::trim);
        author.filter(|author| !author.is_empty())
    }

    /// Whether these parts can all be done one day; else why not.
    fn check(&self) -> Result<(), String> {
        if self.parts.is_empty() {
            return Err("there is no part to divide it into".to_owned());
        }
        for (n, part) in self.parts.iter().enumerate() {
            if part.title.trim().is_empty() {
                return Err(format!("the title of part {n} is empty"));
            }
            if let Some(other) = part.parents.iter().find(|p| **p >= self.parts.len()) {
                let last = self.parts.len() - 1;
                return Err(format!(
                    "part {n} waits for part {other}, and the last one is part {last}; the first is part 0"
                ));
            }
        }
        match self.stuck().first() {
            Some(n) => Err(format!(
                "part {n} waits for itself, directly or through others"
            )),
            None => Ok(()),
        }
    }

    /// The parts that can never start: take away what can, until nothing can.
    fn stuck(&self) -> Vec<usize> {
        let mut stuck: Vec<usize> = (0..self.parts.len()).collect();
        loop {
            let before = stuck.clone();
            stuck.retain(|n| self.parts[*n].parents.iter().any(|p| before.contains(p)));
            if stuck.len() == before.len() {
                return stuck;
            }
        }
    }

    fn insert(
        &self,
        tx: &Transaction<'_>,
        root: &str,
        default_workdir: Option<&str>,
        now: i64,
    ) -> Result<Vec<String>> {
        let author = self.author().unwrap_or("decomposer");
        let payload = Payload::new()
            .with("by", author)
            .with("from_decompose_of", root);
        let mut ids = Vec::new();
        for part in &self.parts {
            let assignee = normalised(part.assignee.as_deref());
            let (kind, path) = part.place(tx, root, default_workdir)?;
            let id = drawn(|| {
                tx.query_row(
                    "INSERT INTO tasks (id, title, body, assignee, status, workspace_kind, workspace_path, tenant, \
                     created_at, created_by) SELECT 't_' || lower(hex(randomblob(4))), ?2, ?3, ?4, 'todo', ?5, ?6, \
                     tenant, ?7, ?8 FROM tasks WHERE id = ?1 RETURNING id",
                    (root, part.title.trim(), &part.body, &assignee, &kind, &path, now, author),
                    |row| row.get(0),
                )
            })?;
            event::append(tx, &id, "created", &payload, None, now)?;
            ids.push(id);
        }
        Ok(ids)
    }

    /// The parts wait for each other as they say, and the whole waits for all of them.
    fn link(&self, tx: &Transaction<'_>, root: &str, ids: &[String], now: i64) -> Result {
        let link = |parent: &str, child: &str| {
            tx.prepare_cached(
                "INSERT OR IGNORE INTO task_links (parent_id, child_id) VALUES (?1, ?2)",
            )?
            .execute((parent, child))
        };
        for (part, id) in self.parts.iter().zip(ids) {
            for parent in &part.parents {
                let parent = &ids[*parent];
                link(parent, id)?;
                event::append(tx, id, "linked", &ends(parent, id), None, now)?;
            }
        }
        for id in ids {
            link(id, root)?;
        }
        Ok(())
    }
}

// ===== impl Part =====

impl Part {
    /// The kind and the path of its workspace: the whole task's, unless it says another. A place of the same kind without a
    /// path is the whole task's too.
    fn place(
        &self,
        tx: &Transaction<'_>,
        root: &str,
        default_workdir: Option<&str>,
    ) -> Result<(String, Option<String>)> {
        let (kind, path) = tx.query_row(
            "SELECT workspace_kind, workspace_path FROM tasks WHERE id = ?1",
            [root],
            |row| Ok((value::exact(row, 0)?, value::exact(row, 1)?)),
        )?;
        let kind = kind.unwrap_or_else(|| "scratch".to_owned());
        Ok(match &self.workspace {
            None => (kind, path),
            Some(own) => {
                let inherited = path.filter(|_| own.kind() == kind);
                let path = own.path().map(str::to_owned).or(inherited);
                let path = path.or_else(|| match own {
                    Workspace::Scratch => None,
                    _ => default_workdir.map(str::to_owned),
                });
                (own.kind().to_owned(), path)
            }
        })
    }
}
