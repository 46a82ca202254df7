//! The worker: writes down that it has begun, works for a moment, reports, writes down that it has ended.

use std::env;
use std::path::PathBuf;

use kanban_dispatcher::{Clock, Complete, ErrorKind, Root, Slug, Store};

use crate::Result;
use crate::seed::Seed;
use crate::witness::Record;

/// Where workers write; set for the dispatcher, and inherited.
pub(crate) const WITNESSES: &str = "TORTURE_WITNESSES";

pub(crate) struct Worker {
    witnesses: PathBuf,
    root: Root,
    board: Slug,
    task: String,
    run: i64,
}

impl Worker {
    /// The worker that this process is, if it was started for a task.
    pub(crate) fn of_this_process() -> Result<Option<Self>> {
        let (Some(witnesses), Ok(task)) = (env::var_os(WITNESSES), env::var("HERMES_KANBAN_TASK"))
        else {
            return Ok(None);
        };
        Ok(Some(Self {
            witnesses: witnesses.into(),
            root: Root::at(env::var("HERMES_KANBAN_HOME")?),
            board: env::var("HERMES_KANBAN_BOARD")?.parse()?,
            task,
            run: env::var("HERMES_KANBAN_RUN_ID")?.parse()?,
        }))
    }

    pub(crate) fn work(&self) -> Result {
        let board = self.board.as_str();
        let mut record = Record::begin(&self.witnesses, board, &self.task, self.run)?;
        let seed = u64::from(std::process::id()) << 32 | self.run.unsigned_abs();
        std::thread::park_timeout(Seed::new(seed).between_ms(200, 1500));
        let done = Complete {
            run: Some(self.run),
            summary: Some("worked".to_owned()),
            ..Complete::default()
        };
        loop {
            let board = self.root.board(&self.board);
            let reported = Store::open(&board, &Clock::system())
                .and_then(|mut store| store.complete(&self.task, &done));
            match reported {
                // Refused: another attempt is the current one by now. That is for the judge to find.
                Ok(()) => break,
                Err(error) if error.kind() == ErrorKind::Refused => break,
                // Somebody else writes: a report is not given up.
                Err(_) => std::thread::park_timeout(std::time::Duration::from_millis(20)),
            }
        }
        record.end()
    }
}
