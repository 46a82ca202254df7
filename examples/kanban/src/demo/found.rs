//! What is in the boards when all is over.

use std::path::Path;

use kanban_dispatcher::Detail;
use rusqlite::{Connection, OpenFlags};

use super::Mishap;
use super::fleet::{Fleet, REMOVED};

/// The tasks of the boards that are still there, and the state of every file.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) tasks: usize,
    pub(super) done: usize,
    pub(super) runs: usize,
    pub(super) failed_runs: usize,
    /// Tasks that do not have exactly one successful attempt.
    pub(super) not_once: Vec<String>,
    /// Tasks that started before their parents were done.
    pub(super) too_early: Vec<String>,
    /// How the attempts ended of tasks that have more than one.
    pub(super) retried: Vec<String>,
    /// Boards that are not intact, wherever they are now.
    pub(super) damaged: Vec<String>,
}

// ===== impl Found =====

impl Found {
    /// Reads what can be read; a board that cannot counts as damaged.
    pub(super) fn read(fleet: &Fleet) -> Self {
        let mut found = Self::default();
        for name in Fleet::lasting() {
            let done = found.tasks(fleet, name);
            found.note(name, done);
            let done = Self::check(fleet.board(name).db());
            found.note(name, done);
        }
        let done = Self::check(&fleet.moved_away().join("kanban.db"));
        found.note(REMOVED, done);
        found
    }

    fn tasks(&mut self, fleet: &Fleet, name: &str) -> Result<(), Mishap> {
        let store = fleet.store(name)?;
        for task in store.list(None)? {
            let detail = store.show(&task.id)?;
            let parents = detail.parents.iter().map(|id| store.show(id));
            self.add(&detail, &parents.collect::<Result<Vec<_>, _>>()?);
        }
        Ok(())
    }

    fn add(&mut self, task: &Detail, parents: &[Detail]) {
        let name = || format!("{} \"{}\"", task.task.id, task.task.title);
        let outcomes: Vec<&str> = task
            .runs
            .iter()
            .map(|run| run.outcome.as_deref().unwrap_or("open"))
            .collect();
        let count = |end| outcomes.iter().filter(|outcome| **outcome == end).count();
        let (completed, open) = (count("completed"), count("open"));
        self.tasks += 1;
        self.done += usize::from(task.task.status == "done");
        self.runs += outcomes.len();
        self.failed_runs += outcomes.len() - completed - open;
        if completed != 1 {
            self.not_once.push(name());
        }
        if outcomes.len() > 1 {
            self.retried.push(outcomes.join(", "));
        }
        let started = task.runs.iter().map(|run| run.started_at).min();
        let is_early = |parent: &Detail| {
            let done = parent.task.completed_at.unwrap_or(i64::MAX);
            started.is_some_and(|started| started < done)
        };
        if parents.iter().any(is_early) {
            self.too_early.push(name());
        }
    }

    fn check(db: &Path) -> Result<(), Mishap> {
        let db = Connection::open_with_flags(db, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let verdict: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
        if verdict == "ok" {
            Ok(())
        } else {
            Err(verdict.into())
        }
    }

    fn note(&mut self, name: &str, done: Result<(), Mishap>) {
        if let Err(error) = done {
            self.damaged.push(format!("{name}: {error}"));
        }
    }
}
