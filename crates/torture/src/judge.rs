//! The judge: reads boards and witnesses when the storm is over, and says what went wrong.

use std::collections::{BTreeMap, HashMap, HashSet};

use rusqlite::Connection;

use crate::Result;
use crate::site::{Site, connect, value};
use crate::witness::Witness;

/// What a storm did and what went wrong in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Findings {
    /// How often the dispatcher was killed.
    pub kills: u32,
    /// Attempts that the boards know of.
    pub attempts: usize,
    /// Of these, claimed by a dispatcher that died before the worker's process was on the board.
    pub died_before_record: usize,
    /// Of these, recorded by a dispatcher that died before the worker took its first step.
    pub died_before_release: usize,
    /// Workers that ran.
    pub workers: usize,
    /// Workers that ran and that no row knows.
    pub ghosts: usize,
    /// Workers that began while another one of the same task was at work.
    pub doubles: usize,
    /// Workers that began and did not come to their end.
    pub cut_off: usize,
    /// Tasks that were still with an attempt without a worker three ticks after a restart.
    pub stuck: usize,
    /// Tasks that are not done in the end, or were done more than once.
    pub lost: usize,
    /// Attempts that were counted against their task.
    pub charged: usize,
    /// Boards that are damaged.
    pub damaged: usize,
    /// How long after a restart each attempt without a worker was settled, milliseconds, in ascending order.
    pub recovery_ms: Vec<u64>,
    /// What was found, line by line, for whoever looks for the cause.
    pub notes: Vec<String>,
}

// ===== impl Findings =====

impl Findings {
    /// Whether nothing went wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let wrong = [
            self.ghosts,
            self.doubles,
            self.cut_off,
            self.stuck,
            self.lost,
            self.charged,
            self.damaged,
        ];
        wrong.iter().all(|count| *count == 0)
    }

    /// The value below which so many percent of the recoveries lie.
    #[must_use]
    pub fn recovery(&self, percent: usize) -> u64 {
        let last = self.recovery_ms.len().saturating_sub(1);
        let at = last * percent / 100;
        self.recovery_ms.get(at).copied().unwrap_or(0)
    }

    /// Reads what the boards and the witnesses say.
    pub(crate) fn read(&mut self, site: &Site) -> Result {
        let witnesses = Witness::all(&site.witnesses())?;
        let mut known = HashSet::new();
        for board in &site.boards {
            let slug = board.slug().as_str();
            let db = connect(board)?;
            self.integrity(slug, &db)?;
            let began: HashSet<i64> = witnesses
                .iter()
                .filter(|witness| witness.board == slug)
                .map(|witness| witness.run)
                .collect();
            self.attempts(slug, &db, &began, &mut known)?;
            self.tasks(slug, &db)?;
        }
        self.workers(&witnesses, &known);
        self.recovery_ms.sort_unstable();
        Ok(())
    }

    fn integrity(&mut self, slug: &str, db: &Connection) -> Result {
        let verdict: String = value(db, "PRAGMA integrity_check")?;
        if verdict != "ok" {
            self.damaged += 1;
            self.notes.push(format!("{slug}: {verdict}"));
        }
        Ok(())
    }

    /// Every attempt, and the pid under which the board knows its worker; the column is cleared when the attempt ends.
    fn attempts(
        &mut self,
        slug: &str,
        db: &Connection,
        began: &HashSet<i64>,
        known: &mut HashSet<(String, i64, i64)>,
    ) -> Result {
        let mut statement = db.prepare(
            "SELECT r.id, r.task_id, r.outcome, (SELECT payload ->> '$.pid' FROM task_events e \
             WHERE e.run_id = r.id AND e.kind = 'spawned') FROM task_runs r",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (run, task): (i64, String) = (row.get(0)?, row.get(1)?);
            let (outcome, pid): (Option<String>, Option<i64>) = (row.get(2)?, row.get(3)?);
            self.attempts += 1;
            match pid {
                Some(pid) => {
                    known.insert((slug.to_owned(), run, pid));
                    self.died_before_release += usize::from(!began.contains(&run));
                }
                None => self.died_before_record += 1,
            }
            if !matches!(outcome.as_deref(), Some("completed" | "reclaimed")) {
                self.charged += 1;
                let ran = if began.contains(&run) {
                    "ran"
                } else {
                    "never ran"
                };
                self.notes.push(format!(
                    "{slug}/{task}: attempt {run} ended as {outcome:?}; its worker {ran}"
                ));
            }
        }
        Ok(())
    }

    fn tasks(&mut self, slug: &str, db: &Connection) -> Result {
        let mut statement = db.prepare(
            "SELECT id, status, consecutive_failures, \
             (SELECT count(*) FROM task_runs WHERE task_id = t.id AND outcome = 'completed') FROM tasks t",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (task, status): (String, String) = (row.get(0)?, row.get(1)?);
            let (failures, completed): (i64, i64) = (row.get(2)?, row.get(3)?);
            if status != "done" || completed != 1 || failures != 0 {
                self.lost += 1;
                self.notes.push(format!(
                    "{slug}/{task}: {status}, completed {completed} times, {failures} failures"
                ));
            }
        }
        Ok(())
    }

    fn workers(&mut self, witnesses: &[Witness], known: &HashSet<(String, i64, i64)>) {
        let mut by_task: BTreeMap<(&str, &str), Vec<&Witness>> = BTreeMap::new();
        let mut runs: HashMap<(&str, i64), usize> = HashMap::new();
        for witness in witnesses {
            self.workers += 1;
            let name = format!(
                "{}/{}: worker {} of attempt {}",
                witness.board, witness.task, witness.pid, witness.run
            );
            if !known.contains(&(witness.board.clone(), witness.run, witness.pid)) {
                self.ghosts += 1;
                self.notes.push(format!("{name} is on no row"));
            }
            if witness.ended.is_none() {
                self.cut_off += 1;
                self.notes.push(format!("{name} did not come to its end"));
            }
            *runs.entry((&witness.board, witness.run)).or_default() += 1;
            let key = (&*witness.board, &*witness.task);
            by_task.entry(key).or_default().push(witness);
        }
        for ((board, task), mut workers) in by_task {
            workers.sort_by_key(|worker| worker.began);
            let mut busy_until = 0;
            for worker in workers {
                if worker.began < busy_until {
                    self.doubles += 1;
                    self.notes.push(format!(
                        "{board}/{task}: worker {} began beside another",
                        worker.pid
                    ));
                }
                busy_until = busy_until.max(worker.ended.unwrap_or(worker.began));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn witness(task: &str, run: i64, pid: i64, began: u64, ended: Option<u64>) -> Witness {
        Witness {
            board: "b".to_owned(),
            task: task.to_owned(),
            run,
            pid,
            began,
            ended,
        }
    }

    #[test]
    fn ghosts_and_workers_that_overlap_are_found() {
        let known = HashSet::from([("b".to_owned(), 1, 10), ("b".to_owned(), 2, 20)]);
        let one_after_another = [
            witness("t", 1, 10, 0, Some(5)),
            witness("t", 2, 20, 5, Some(9)),
        ];
        let mut findings = Findings::default();
        findings.workers(&one_after_another, &known);
        assert!(findings.is_clean() && findings.workers == 2, "{findings:?}");

        let mut findings = Findings::default();
        findings.workers(
            &[
                witness("t", 1, 11, 0, Some(7)),
                witness("t", 2, 20, 6, Some(9)),
                witness("u", 3, 30, 6, None),
            ],
            &known,
        );
        let found = (findings.ghosts, findings.doubles, findings.cut_off);
        assert_eq!(found, (2, 1, 1), "{findings:?}");
    }
}
