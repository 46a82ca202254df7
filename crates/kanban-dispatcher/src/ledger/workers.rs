//! Who the worker processes are, committed before any of them runs.

use rusqlite::{Connection, Result};

use super::{Ledger, levers};
use crate::board::Txn;
use crate::root::Slug;
use crate::worker::identity::{self, Identity, Place, place};
use crate::worker::{Adopted, Sight};

/// What became of identities that were to be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recorded {
    /// They are known now, or there is no ledger to tell.
    Done,
    /// The board is paused: nobody starts.
    Paused,
    /// The ledger takes no write.
    Refused,
}

impl Ledger {
    /// Commits who these processes are. Whether it is done; without a ledger there is nothing to do.
    pub(crate) fn record_workers(&self, workers: &[Adopted]) -> bool {
        self.record(workers, None, false) == Recorded::Done
    }

    /// The same for workers that are about to start on this board, unless it is paused: one transaction, so a start and a pause are
    /// committed one after the other, and none after the pause. A ledger that `is_needed`, because it was there when the tick began, and
    /// is not there now has refused.
    pub(crate) fn record_starts(
        &self,
        slug: &Slug,
        workers: &[Adopted],
        is_needed: bool,
    ) -> Recorded {
        self.record(workers, Some(slug), is_needed)
    }

    fn record(
        &self,
        workers: &[Adopted],
        unless_paused: Option<&Slug>,
        is_needed: bool,
    ) -> Recorded {
        let is_needed = is_needed || self.lock().is_some();
        let written = self.with(|db| {
            let tx = Txn::write(db)?;
            if let Some(slug) = unless_paused
                && levers::is_paused(&tx, slug)?
            {
                return Ok(Recorded::Paused);
            }
            let place = place();
            for Adopted {
                slug,
                task,
                run,
                identity,
                sight,
            } in workers
            {
                if matches!(sight, Sight::Elsewhere | Sight::OtherBoot) {
                    // What is known of it was written where it could be seen.
                    continue;
                }
                let at_gate = match sight {
                    Sight::AtGate => "INSERT OR REPLACE INTO at_gate VALUES (?1, ?2, ?3)",
                    _ => "DELETE FROM at_gate WHERE slug = ?1 AND task = ?2 AND run = ?3",
                };
                tx.prepare_cached(at_gate)?
                    .execute((slug.as_str(), task, run))?;
                let start = identity.start.cast_signed();
                tx.prepare_cached(
                    "INSERT OR REPLACE INTO workers VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute((
                    slug.as_str(),
                    task,
                    run,
                    identity.pid,
                    start,
                    &place,
                ))?;
            }
            tx.commit()?;
            Ok(Recorded::Done)
        });
        match written {
            None if is_needed => Recorded::Refused,
            written => written.unwrap_or(Recorded::Done),
        }
    }

    /// Their gates were opened: from here on an end is theirs.
    pub(crate) fn passed_gate(&self, workers: &[(Slug, String, i64)]) {
        self.delete_from(&["at_gate"], workers);
    }

    pub(crate) fn forget_workers(&self, ended: &[(Slug, String, i64)]) {
        self.delete_from(&["workers", "at_gate"], ended);
    }

    fn delete_from(&self, tables: &[&str], workers: &[(Slug, String, i64)]) {
        if workers.is_empty() {
            return;
        }
        self.with(|db| {
            let tx = Txn::write(db)?;
            for table in tables {
                let sql = format!("DELETE FROM {table} WHERE slug = ?1 AND task = ?2 AND run = ?3");
                for (slug, task, run) in workers {
                    tx.prepare_cached(&sql)?
                        .execute((slug.as_str(), task, run))?;
                }
            }
            tx.commit()
        });
    }
}

/// The workers of an earlier dispatcher. Those of an earlier boot are certainly gone: their pids mean nothing now.
pub(crate) fn read_workers(db: &Connection) -> Result<Vec<Adopted>> {
    let here = place();
    db.prepare(
        "SELECT slug, task, run, pid, start, boot_id, (slug, task, run) IN (SELECT slug, task, run FROM at_gate) \
         FROM workers",
    )?
    .query_map([], |row| {
        let slug: String = row.get(0)?;
        let mut identity = Identity {
            pid: row.get(3)?,
            start: row.get::<_, i64>(4)?.cast_unsigned(),
        };
        let (place, at_gate): (String, bool) = (row.get(5)?, row.get(6)?);
        let mut sight = if at_gate { Sight::AtGate } else { Sight::Passed };
        match identity::compare(&place, &here) {
            Place::Same => {}
            Place::OtherNamespace => sight = Sight::Elsewhere,
            Place::OtherBoot => {
                sight = Sight::OtherBoot;
                // No process of this boot has started then.
                identity.start = u64::MAX;
            }
        }
        let (task, run) = (row.get(1)?, row.get(2)?);
        Ok(slug.parse().ok().map(|slug| Adopted {
            slug,
            task,
            run,
            identity,
            sight,
        }))
    })?
    .filter_map(Result::transpose)
    .collect()
}
