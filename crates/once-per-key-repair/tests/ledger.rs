//! Attempts that are counted in a real SQLite file: over restarts, over a SIGKILL in the midst of a repair, and without losing
//! a turn when the file cannot be used.

mod support;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use once_per_key_repair::{Ledger, Outcome, Permit, Rearmed, RepairGate, Turn, Waited};
use rusqlite::Connection;
use support::{Peer, dir, listen, say};

type Gate = RepairGate<String>;
type Result<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

struct Attempts(Connection);

impl Attempts {
    fn open(dir: &Path) -> rusqlite::Result<Self> {
        #[expect(
            clippy::disallowed_methods,
            reason = "a ledger that is missing is made"
        )]
        let db = Connection::open(dir.join("attempts.db"))?;
        db.execute_batch(
            "CREATE TABLE IF NOT EXISTS attempts (key TEXT PRIMARY KEY, made INTEGER NOT NULL)",
        )?;
        Ok(Self(db))
    }

    fn forget(&self, key: &str) -> rusqlite::Result<usize> {
        self.0.execute("DELETE FROM attempts WHERE key = ?1", [key])
    }
}

impl Ledger<String> for Attempts {
    type Error = rusqlite::Error;

    fn record(&self, key: &String) -> rusqlite::Result<u32> {
        self.0.query_row(
            "INSERT INTO attempts VALUES (?1, 1) \
             ON CONFLICT (key) DO UPDATE SET made = made + 1 RETURNING made",
            [key],
            |row| row.get(0),
        )
    }
}

fn permit(gate: &Gate) -> Permit<'_, String> {
    match gate.enter("a") {
        Turn::Yours(permit) => permit,
        other => panic!("no permit: {other:?}"),
    }
}

/// One life of a program that dies whenever it repairs.
#[test]
fn a_process_that_repairs() {
    let Some(dir) = dir() else { return };
    let attempts = Attempts::open(&dir).unwrap();
    let gate = Gate::new();
    match permit(&gate).record(&attempts, 3).unwrap() {
        Some(permit) => {
            say(&format!("attempt {}", permit.attempt()));
            let _: Result<(), ()> = permit.run(|_| {
                say("repairing");
                listen();
                Ok(())
            });
        }
        None => say(&format!("{:?}", gate.outcome("a"))),
    }
}

#[test]
fn a_process_that_is_killed_in_its_repair_has_counted_it_and_the_fourth_life_repairs_no_more()
-> Result {
    let dir = tempfile::tempdir()?;
    for life in 1..=3 {
        let mut peer = Peer::start("a_process_that_repairs", dir.path());
        assert_eq!(peer.hears(), format!("attempt {life}"));
        assert_eq!(peer.hears(), "repairing");
        peer.kill();
    }
    for _ in 0..2 {
        let mut peer = Peer::start("a_process_that_repairs", dir.path());
        assert_eq!(peer.hears(), "Some(Exhausted)");
        assert_eq!(peer.hears(), "");
    }
    // The operator's way to begin anew.
    Attempts::open(dir.path())?.forget("a")?;
    let mut peer = Peer::start("a_process_that_repairs", dir.path());
    assert_eq!(peer.hears(), "attempt 1");
    assert_eq!(peer.hears(), "repairing");
    peer.go();
    assert_eq!(peer.hears(), "");
    Ok(())
}

#[test]
fn an_exhausted_key_is_spent_whatever_the_gate_had_left_and_the_ledger_is_asked_no_more() -> Result
{
    let dir = tempfile::tempdir()?;
    let attempts = Attempts::open(dir.path())?;
    let gate = Gate::new().with_budget(std::num::NonZeroU8::MAX);
    for _ in 0..2 {
        permit(&gate).record(&attempts, 2)?.map(drop).unwrap();
    }
    let last = permit(&gate);
    let Turn::InFlight(waiter) = gate.enter("a") else {
        panic!("in flight")
    };
    assert!(last.record(&attempts, 2)?.is_none());
    assert_eq!(waiter.wait(), Waited::Settled(Outcome::Exhausted));
    for _ in 0..5 {
        assert!(matches!(gate.enter("a"), Turn::Spent(Outcome::Exhausted)));
    }
    assert_eq!(attempts.record(&"a".to_owned())?, 4);

    // Both must be told; the gate alone meets the same count again.
    assert_eq!(gate.rearm("a"), Rearmed::Ready(Outcome::Exhausted));
    assert!(permit(&gate).record(&attempts, 2)?.is_none());
    attempts.forget("a")?;
    assert_eq!(gate.rearm("a"), Rearmed::Ready(Outcome::Exhausted));
    assert!(permit(&gate).record(&attempts, 2)?.is_some());
    Ok(())
}

#[test]
fn a_ledger_that_cannot_be_written_gives_the_turn_back_and_says_why() -> Result {
    let dir = tempfile::tempdir()?;
    let attempts = Attempts::open(dir.path())?;
    attempts.0.pragma_update(None, "query_only", true)?;
    let gate = Gate::new();
    for _ in 0..3 {
        let out = permit(&gate);
        let Turn::InFlight(waiter) = gate.enter("a") else {
            panic!("in flight")
        };
        let error = out.record(&attempts, 3).unwrap_err();
        assert!(error.to_string().contains("readonly"), "{error}");
        assert_eq!(waiter.wait(), Waited::Forfeited);
        assert_eq!(gate.outcome("a"), None);
    }
    attempts.0.pragma_update(None, "query_only", false)?;
    let permit = permit(&gate).record(&attempts, 3)?.unwrap();
    assert_eq!(permit.attempt(), 1, "what was not counted does not count");
    Ok(())
}

/// Fail open, for a caller to whom the ledger is a help and not a condition.
struct OrUncounted(Attempts);

impl Ledger<String> for OrUncounted {
    type Error = std::convert::Infallible;
    fn record(&self, key: &String) -> Result<u32, Self::Error> {
        Ok(self.0.record(key).unwrap_or(0))
    }
}

#[test]
fn a_ledger_may_let_the_repair_run_uncounted_and_the_gate_counts_on() -> Result {
    let dir = tempfile::tempdir()?;
    let attempts = Attempts::open(dir.path())?;
    attempts.0.pragma_update(None, "query_only", true)?;
    let open = OrUncounted(attempts);
    let gate = Gate::new().with_budget(std::num::NonZeroU8::new(2).unwrap());
    for attempt in 1..=2 {
        let permit = permit(&gate).record(&open, 1)?.unwrap();
        assert_eq!(permit.attempt(), attempt);
    }
    assert!(matches!(gate.enter("a"), Turn::Spent(_)));
    Ok(())
}

/// Counts, and does what it is told before that.
struct Watched<F>(Cell<u32>, F);

impl<F: Fn()> Ledger<String> for Watched<F> {
    type Error = ();
    fn record(&self, _key: &String) -> Result<u32, ()> {
        self.0.set(self.0.get() + 1);
        self.1();
        Ok(self.0.get())
    }
}

#[test]
fn the_ledger_is_asked_before_the_repair_once_by_the_holder_and_under_no_lock() {
    let gate = Gate::new();
    let ledger = Watched(Cell::new(0), || {
        assert!(matches!(gate.enter("a"), Turn::InFlight(_)));
        drop(gate.enter("b"));
        gate.retain(|_| true);
    });
    let permit = permit(&gate).record(&ledger, 1).unwrap().unwrap();
    permit
        .run(|token| {
            assert_eq!((ledger.0.get(), token.attempt()), (1, 1));
            Ok::<(), ()>(())
        })
        .unwrap();
    assert_eq!(ledger.0.get(), 1);
}

#[test]
fn a_ledger_that_panics_abandons_the_turn() {
    let gate = Gate::new();
    let ledger = Watched(Cell::new(0), || panic!("on purpose"));
    let asked = catch_unwind(AssertUnwindSafe(|| drop(permit(&gate).record(&ledger, 1))));
    assert!(asked.is_err());
    assert_eq!(gate.outcome("a"), Some(Outcome::Abandoned));
}

#[test]
fn none_are_allowed_when_the_bound_is_none() {
    let gate = Gate::new();
    let ledger = Watched(Cell::new(0), || {});
    assert!(permit(&gate).record(&ledger, 0).unwrap().is_none());
    assert_eq!(gate.outcome("a"), Some(Outcome::Exhausted));
}
