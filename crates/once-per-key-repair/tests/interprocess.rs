//! One repair between processes: real ones, that start at once, and one that is killed while it holds the lock.
#![cfg(feature = "interprocess")]

mod support;

use std::cell::Cell;
use std::error::Error;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use once_per_key_repair::{Ledger, LockErrorKind, Outcome, Permit, RepairGate, Turn, Waited};
use support::{Peer, dir, listen, say};

type Gate = RepairGate<String>;
type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

fn permit(gate: &Gate) -> Permit<'_, String> {
    match gate.enter("a") {
        Turn::Yours(permit) => permit,
        other => panic!("no permit: {other:?}"),
    }
}

/// The thing is broken as long as this file is there.
fn is_broken(dir: &Path) -> bool {
    dir.join("broken").exists()
}

#[test]
fn a_process_that_repairs() {
    let Some(dir) = dir() else { return };
    let gate = Gate::new();
    say("ready");
    listen();
    loop {
        match permit(&gate).lock(dir.join("lock"), |_| is_broken(&dir)) {
            Ok(Some(permit)) => {
                let repaired = permit.run(|_| {
                    say("repairing");
                    listen();
                    fs::remove_file(dir.join("broken"))
                });
                return say(&format!("done, {}", repaired.is_ok()));
            }
            Ok(None) => return say(&format!("mended, {:?}", gate.outcome("a"))),
            Err(error) => {
                say(&format!("{:?}", error.kind()));
                listen();
            }
        }
    }
}

fn start(dir: &Path) -> Peer {
    let mut peer = Peer::start("a_process_that_repairs", dir);
    assert_eq!(peer.hears(), "ready");
    peer
}

#[test]
fn of_two_processes_that_start_at_once_exactly_one_repairs() -> Result {
    let dir = tempfile::tempdir()?;
    let dir = dir.path();
    for _ in 0..5 {
        fs::write(dir.join("broken"), "")?;
        let mut peers = [start(dir), start(dir)];
        for peer in &mut peers {
            peer.go();
        }
        // Who is first is chance; the other finds the lock busy for as long as the first is in its repair.
        let words = peers.each_mut().map(Peer::hears);
        let [mut first, mut second] = peers;
        if words[0] != "repairing" {
            std::mem::swap(&mut first, &mut second);
        }
        let mut sorted = words;
        sorted.sort_unstable();
        assert_eq!(sorted, ["Busy", "repairing"]);
        second.go();
        assert_eq!(second.hears(), "Busy");

        first.go();
        assert_eq!(first.hears(), "done, true");
        second.go();
        assert_eq!(second.hears(), "mended, Some(Repaired)");
        assert!(dir.join("lock").exists(), "it is never deleted");
    }
    Ok(())
}

#[test]
fn the_lock_of_a_process_that_is_killed_goes_to_the_next() -> Result {
    let dir = tempfile::tempdir()?;
    let dir = dir.path();
    fs::write(dir.join("broken"), "")?;
    let mut first = start(dir);
    first.go();
    assert_eq!(first.hears(), "repairing");
    let mut second = start(dir);
    second.go();
    assert_eq!(second.hears(), "Busy");
    first.kill();
    second.go();
    assert_eq!(second.hears(), "repairing");
    second.go();
    assert_eq!(second.hears(), "done, true");
    Ok(())
}

#[test]
fn a_lock_is_held_until_its_turn_ends_and_however_it_ends() -> Result {
    let ends: [fn(Permit<'_, String>); 5] = [
        |permit| permit.run(|_| Ok::<(), ()>(())).unwrap_or_default(),
        |permit| permit.run(|_| Err::<(), ()>(())).unwrap_or_default(),
        |permit| {
            let run = AssertUnwindSafe(|| permit.run::<(), ()>(|_| panic!("on purpose")));
            assert!(catch_unwind(run).is_err());
        },
        |permit| permit.forfeit(),
        |permit| drop(permit),
    ];
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("lock");
    for end in ends {
        let [here, there] = [Gate::new(), Gate::new()];
        let held = permit(&here).lock(&path, |_| true)?.ok_or("broken")?;
        let busy = permit(&there).lock(&path, |_| true).unwrap_err();
        assert_eq!(busy.kind(), LockErrorKind::Busy);
        end(held);
        assert!(permit(&there).lock(&path, |_| true)?.is_some());
    }
    Ok(())
}

/// With several attempts the next one in this process must not meet the lock of the last.
#[test]
fn the_lock_is_free_before_those_who_wait_are_told() -> Result {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("lock");
    let gate = Gate::new();
    for _ in 0..100 {
        std::thread::scope(|scope| {
            let held = permit(&gate).lock(&path, |_| true).unwrap().unwrap();
            let Turn::InFlight(waiter) = gate.enter("a") else {
                panic!("in flight")
            };
            scope.spawn(|| {
                assert_eq!(waiter.wait(), Waited::Forfeited);
                permit(&gate)
                    .lock(&path, |_| true)
                    .unwrap()
                    .unwrap()
                    .forfeit();
            });
            held.forfeit();
        });
    }
    Ok(())
}

#[test]
fn what_another_process_mended_is_repaired_for_all_who_wait() -> Result {
    let dir = tempfile::tempdir()?;
    let gate = Gate::new();
    let first = permit(&gate);
    let Turn::InFlight(waiter) = gate.enter("a") else {
        panic!("in flight")
    };
    let looked = Cell::new(0);
    let mended = first.lock(dir.path().join("lock"), |key| {
        looked.set(looked.get() + 1);
        assert_eq!(key, "a");
        // Under no lock of the gate.
        assert!(matches!(gate.enter("a"), Turn::InFlight(_)));
        false
    })?;
    assert!(mended.is_none() && looked.get() == 1);
    assert_eq!(waiter.wait(), Waited::Settled(Outcome::Repaired));
    assert!(matches!(gate.enter("a"), Turn::Spent(Outcome::Repaired)));
    Ok(())
}

#[test]
fn without_the_lock_nothing_is_looked_at_or_spent_and_the_error_says_why() -> Result {
    let dir = tempfile::tempdir()?;
    let dir = dir.path();
    fs::write(dir.join("orders.db"), "content")?;
    let gate = Gate::new();
    let cases = [
        (
            dir.join("orders.db"),
            LockErrorKind::NotALock,
            "orders.db: not an empty file",
        ),
        (
            dir.to_owned(),
            LockErrorKind::NotALock,
            ": not an empty file",
        ),
        (dir.join("none/lock"), LockErrorKind::Io, "none/lock"),
    ];
    for (path, kind, says) in cases {
        let first = permit(&gate);
        let Turn::InFlight(waiter) = gate.enter("a") else {
            panic!("in flight")
        };
        let error = first
            .lock(&path, |_| panic!("there is no lock"))
            .unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().ends_with(says), "{error}");
        assert_eq!(error.source().is_some(), kind == LockErrorKind::Io);
        assert_eq!(waiter.wait(), Waited::Forfeited);
        assert_eq!(gate.outcome("a"), None);
    }
    assert_eq!(fs::read(dir.join("orders.db"))?, b"content");
    Ok(())
}

#[test]
fn a_panic_in_the_second_look_abandons_the_turn_and_frees_the_lock() -> Result {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("lock");
    let gate = Gate::new();
    let look = || drop(permit(&gate).lock(&path, |_| panic!("on purpose")));
    assert!(catch_unwind(AssertUnwindSafe(look)).is_err());
    assert_eq!(gate.outcome("a"), Some(Outcome::Abandoned));
    assert!(permit(&Gate::new()).lock(&path, |_| true)?.is_some());
    Ok(())
}

/// Only whoever has the lock and finds the thing still broken is counted.
#[test]
fn lock_look_count_run_is_one_line_each() -> Result {
    struct Count(Cell<u32>);
    impl Ledger<String> for Count {
        type Error = std::convert::Infallible;
        fn record(&self, _key: &String) -> Result<u32, Self::Error> {
            self.0.set(self.0.get() + 1);
            Ok(self.0.get())
        }
    }
    fn heal(gate: &Gate, path: &Path, count: &Count, broken: bool) -> Result<&'static str> {
        let Turn::Yours(permit) = gate.enter("a") else {
            return Ok("not now");
        };
        let Some(permit) = permit.lock(path, |_| broken)? else {
            return Ok("mended");
        };
        let Some(permit) = permit.record(count, 1)? else {
            return Ok("exhausted");
        };
        permit.run(|_| Ok::<_, Box<dyn Error>>("repaired"))
    }
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("lock");
    let count = Count(Cell::new(0));
    let lives = [false, true, true].map(|broken| heal(&Gate::new(), &path, &count, broken));
    let told: Vec<_> = lives.into_iter().collect::<Result<_>>()?;
    assert_eq!(told, ["mended", "repaired", "exhausted"]);

    // An exhausted turn holds no lock either.
    assert!(permit(&Gate::new()).lock(&path, |_| true)?.is_some());
    Ok(())
}

#[test]
fn a_permit_may_hold_more_than_one_lock() -> Result {
    let dir = tempfile::tempdir()?;
    let [one, other] = ["one", "other"].map(|name| dir.path().join(name));
    let [here, there] = [Gate::new(), Gate::new()];
    let both = permit(&here).lock(&one, |_| true)?.ok_or("broken")?;
    let both = both.lock(&other, |_| true)?.ok_or("broken")?;
    for path in [&one, &other] {
        let error = permit(&there).lock(path, |_| true).unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::Busy);
    }
    both.forfeit();
    let free = permit(&there).lock(&one, |_| true)?.ok_or("broken")?;
    assert!(free.lock(&other, |_| true)?.is_some());
    Ok(())
}
