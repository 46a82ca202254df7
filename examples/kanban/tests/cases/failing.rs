//! Repairs that hang or panic, and a ledger that cannot tell of earlier ones.

use std::fmt;
use std::fs;
use std::sync::Once;

use kanban_dispatcher::{Config, Dispatcher, Outcome, Root, TickReport};
use rustix::process::Signal;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use super::case::{DONE, FAULTY};

case! {
    c26_a_repair_that_hangs_is_cut_and_has_failed,
    injects: "a trigger that never ends, which the repair of a dropped column sets off; a deadline of 1 s",
    holds: "others start meanwhile; held with what is missing and why; one attempt; database file and log as before",
    |case| {
        case.settings(DONE, "", "[repair]\ndeadline_seconds = 1")?;
        case.start()?;
        let before = case.change_under_daemon(
            "INSERT INTO tasks(id, title, status, created_at) VALUES ('t_00000001', 'runs', 'running', 1); \
             CREATE TRIGGER never AFTER UPDATE ON tasks BEGIN \
             SELECT count(*) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n); END; \
             ALTER TABLE tasks DROP COLUMN skills",
        )?;
        case.daemon()?.signal(Signal::CONT)?;
        case.others_go_on()?;
        let line = case.line(FAULTY, "board held")?;
        for words in ["column tasks.skills", "its repair was cut after 1s"] {
            assert!(line.message().contains(words), "{line:?}");
        }
        case.let_ticks_pass(5)?;
        assert_eq!(case.state(FAULTY, "held")?["repair_attempts"], 1);
        assert!(case.bytes(FAULTY)? == before);
        Ok(())
    }
}

case! {
    c27_a_repair_that_panics_has_failed_and_nothing_else_ends,
    injects: "a program with the dispatcher in it, whose log panics when the repair of a dropped column has just begun",
    holds: "the board fails, others start; the next tick finds the one attempt over and holds it; a new daemon repairs it",
    |case| {
        static PANICS: Once = Once::new();
        PANICS.call_once(|| tracing_subscriber::registry().with(PanicsAtARepair).init());
        case.db(FAULTY)?.execute_batch("ALTER TABLE tasks DROP COLUMN skills")?;
        case.add("other-1", "starts")?;
        let root = Root::at(case.house.root());
        let config = Config::load(&case.house.root().join("kanban/dispatcher.toml"))?;
        let mut dispatcher = Dispatcher::new(root, config);
        let faulty = |report: &TickReport| {
            let found = report.boards.iter().find(|board| board.slug.as_str() == FAULTY);
            found.cloned().ok_or("no such board")
        };
        let report = dispatcher.tick();
        let board = faulty(&report)?;
        assert_eq!(board.outcome, Outcome::Failed, "{board:?}");
        let reason = board.failure.map(|failure| failure.reason).unwrap_or_default();
        assert!(reason.contains("it panicked: on purpose"), "{reason}");
        assert_eq!(report.started(), 1, "{report:?}");
        let board = faulty(&dispatcher.tick())?;
        assert_eq!(board.outcome, Outcome::Held, "{board:?}");
        assert_eq!(case.board_status(FAULTY)?["repair_attempts"], 1);
        case.house.until("the end of its worker", || {
            dispatcher.tick();
            (dispatcher.workers_alive() == 0).then_some(()).ok_or_else(|| "it lives".into())
        })?;
        drop(dispatcher);
        case.start()?;
        case.start_within_two_ticks(&[FAULTY])
    }
}

/// Every line is dropped; the first one of a repair panics.
struct PanicsAtARepair;

impl<S: Subscriber> Layer<S> for PanicsAtARepair {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut begins = Begins(false);
        event.record(&mut begins);
        assert!(!begins.0, "on purpose");
    }
}

struct Begins(bool);

impl Visit for Begins {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0 |= field.name() == "message" && format!("{value:?}") == "repair begins";
    }
}

case! {
    c28_without_a_ledger_a_first_repair_is_made_and_it_is_said_once,
    injects: "bytes that are no database in the ledger's place, and then a dropped column",
    holds: "the repair is made and the board dispatches; one line about the ledger; `status` works again when it is gone",
    |case| {
        case.start_telling_passes()?;
        let ledger = case.house.root().join("kanban/.dispatcher/state.db");
        case.daemon()?.signal(Signal::STOP)?;
        for sidecar in ["state.db-wal", "state.db-shm"] {
            let _ = fs::remove_file(ledger.with_file_name(sidecar));
        }
        fs::write(ledger.with_extension("new"), "no ledger at all\n".repeat(512))?;
        fs::rename(ledger.with_extension("new"), &ledger)?;
        case.daemon()?.signal(Signal::CONT)?;
        case.until("the ledger's loss", |case| {
            let log = case.daemon()?.log();
            log.contains("dispatching goes on without it").then_some(()).ok_or_else(|| log.into())
        })?;
        case.db(FAULTY)?.execute_batch("ALTER TABLE tasks DROP COLUMN skills")?;
        case.line(FAULTY, "board repaired")?;
        let task = case.add(FAULTY, "waits")?;
        case.task(FAULTY, &task, "done")?;
        let then = case.passes()? + 10;
        case.until("ten more passes", |case| match case.passes()? {
            now if now >= then => Ok(()),
            now => Err(format!("{now} of {then}").into()),
        })?;
        let mut lines = case.lines()?;
        lines.retain(|line| line.is_above_info());
        assert_eq!(lines.len(), 1, "{lines:#?}");
        assert!(lines[0].message().contains("the ledger cannot be used"), "{lines:#?}");
        fs::remove_file(&ledger)?;
        case.until("a ledger again", |case| case.ticks())?;
        Ok(())
    }
}
