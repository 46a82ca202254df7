//! What must hold at the end of every case.

use std::collections::BTreeSet;
use std::fs;

use super::{Case, Result};

/// How far descriptors and memory may be above where they were at the start.
const DESCRIPTORS: usize = 5;
const RESIDENT_KIB: u64 = 20 * 1024;

impl Case {
    /// Checks all of them; the daemon may have been stopped by then.
    pub(super) fn holds(&self) -> Result {
        if self.daemon.is_some() {
            self.others_go_on()?;
            self.has_no_zombies()?;
            self.is_flat()?;
        }
        self.ran_no_task_twice_at_once()?;
        self.boards_are_sound()?;
        self.made_no_board()
    }

    /// Never two live workers for one task.
    fn ran_no_task_twice_at_once(&self) -> Result {
        match fs::read_to_string(self.house.beside("doubles")) {
            Ok(doubles) => Err(format!("two live workers of one task: {doubles}").into()),
            Err(_) => Ok(()),
        }
    }

    /// Every board that was not damaged on purpose passes the integrity check.
    fn boards_are_sound(&self) -> Result {
        for slug in self.boards.difference(&self.damaged) {
            let says: String = self
                .db(slug)?
                .query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
            if says != "ok" {
                return Err(format!("{slug}: {says}").into());
            }
        }
        Ok(())
    }

    /// No child stays a zombie: a tick later each is waited for.
    fn has_no_zombies(&self) -> Result {
        let daemon = self.daemon()?;
        let before = daemon.zombies()?;
        self.let_ticks_pass(1)?;
        let after = daemon.zombies()?;
        let both: Vec<_> = before.intersection(&after).collect();
        match both.is_empty() {
            true => Ok(()),
            false => Err(format!("zombies: {both:?}").into()),
        }
    }

    /// Descriptors and memory are where they were. A worker's start under way has some for a moment.
    fn is_flat(&self) -> Result {
        let base = self.base.ok_or("no base")?;
        self.until("descriptors and memory as at the start", |case| {
            let now = case.usage()?;
            let is_flat = now.descriptors <= base.descriptors + DESCRIPTORS
                && now.resident_kib <= base.resident_kib + RESIDENT_KIB;
            match is_flat {
                true => Ok(()),
                false => Err(format!("{base:?}, now {now:?}").into()),
            }
        })
    }

    /// No board's directory exists that nobody made.
    fn made_no_board(&self) -> Result {
        let mut there = BTreeSet::new();
        for entry in fs::read_dir(self.house.root().join("kanban/boards"))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !name.starts_with('_') {
                there.insert(name);
            }
        }
        match there.difference(&self.boards).next() {
            Some(made) => Err(format!("nobody made the board {made}").into()),
            None => Ok(()),
        }
    }
}
