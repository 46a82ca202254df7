//! What holds between threads: one grant, one outcome for all, and no lock while a repair runs.

use std::marker::PhantomPinned;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use once_per_key_repair::{Handle, Outcome, Permit, RepairGate, Token, Turn, Waited, Waiter};

/// Longer than any of these tests takes; only a broken gate waits for it.
const LONG: Duration = Duration::from_secs(20);

type Gate = RepairGate<String>;

fn permit<'g>(gate: &'g Gate, key: &str) -> Permit<'g, String> {
    match gate.enter(key) {
        Turn::Yours(permit) => permit,
        other => panic!("no permit: {other:?}"),
    }
}

fn waiter<'g>(gate: &'g Gate, key: &str) -> Waiter<'g, String> {
    match gate.enter(key) {
        Turn::InFlight(waiter) => waiter,
        other => panic!("not in flight: {other:?}"),
    }
}

#[test]
fn eight_threads_get_one_grant_per_key_and_all_hear_its_outcome() {
    const THREADS: usize = 8;
    let gate = RepairGate::<usize>::new();
    let grants = AtomicUsize::new(0);
    let start = Barrier::new(THREADS);
    let work = || {
        for key in 0..50 {
            start.wait();
            let outcome = match gate.enter(&key) {
                Turn::Yours(permit) => {
                    grants.fetch_add(1, Relaxed);
                    permit.run(|_| Err::<(), ()>(())).unwrap_err();
                    Outcome::Failed
                }
                Turn::InFlight(waiter) => match waiter.wait_timeout(LONG) {
                    Ok(Waited::Settled(outcome)) => outcome,
                    other => panic!("{other:?}"),
                },
                Turn::Spent(outcome) => outcome,
            };
            assert_eq!(outcome, Outcome::Failed);
        }
    };
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(work);
        }
    });
    assert_eq!(grants.load(Relaxed), 50);
}

#[test]
fn repairs_of_two_keys_meet_inside_their_runs_because_no_lock_is_held() {
    let gate = Gate::new();
    let (meet, met) = std::sync::mpsc::sync_channel::<()>(0);
    thread::scope(|scope| {
        let gate = &gate;
        scope.spawn(move || {
            permit(gate, "a")
                .run(|_| meet.send(()).map_err(drop))
                .unwrap();
        });
        // A rendezvous: it succeeds only while both are inside, and the gate answers both meanwhile.
        permit(gate, "b")
            .run(|_| {
                assert!(matches!(gate.enter("b"), Turn::InFlight(_)));
                drop(gate.enter("c"));
                gate.retain(|_| true);
                met.recv_timeout(LONG).map_err(drop)
            })
            .unwrap();
    });
    assert_eq!(gate.outcome("a"), Some(Outcome::Repaired));
    assert_eq!(gate.outcome("c"), Some(Outcome::Abandoned));
}

#[test]
fn a_repair_that_enters_or_waits_for_its_own_key_is_told_and_never_blocks() {
    let gate = Gate::new();
    permit(&gate, "a")
        .run(|_| {
            assert_eq!(waiter(&gate, "a").wait(), Waited::Own);
            assert_eq!(waiter(&gate, "a").wait_timeout(LONG).unwrap(), Waited::Own);
            // Also from a repair within the repair.
            permit(&gate, "b").run(|_| {
                assert_eq!(waiter(&gate, "a").wait(), Waited::Own);
                Ok::<(), ()>(())
            })
        })
        .unwrap();
}

#[test]
fn a_permit_that_moved_to_another_thread_is_waited_for_and_not_taken_for_ones_own() {
    let gate = Gate::new();
    let permit = permit(&gate, "a");
    let waiter = waiter(&gate, "a");
    thread::scope(|scope| {
        scope.spawn(|| permit.run(|_| Ok::<(), ()>(())));
        assert_eq!(
            waiter.wait_timeout(LONG).unwrap(),
            Waited::Settled(Outcome::Repaired)
        );
    });
}

#[test]
fn a_wait_on_ones_own_unused_permit_ends_with_the_timeout_and_the_waiter_comes_back() {
    let gate = Gate::new();
    let permit = permit(&gate, "a");
    let waiter = waiter(&gate, "a")
        .wait_timeout(Duration::from_millis(1))
        .unwrap_err();
    assert_eq!(waiter.key(), "a");
    drop(permit);
    assert_eq!(waiter.wait(), Waited::Settled(Outcome::Abandoned));
}

#[test]
fn every_waiter_of_a_turn_hears_how_that_turn_ended_even_after_two_later_ones() {
    let gate = Gate::new();
    let first = permit(&gate, "a");
    let of_first = [waiter(&gate, "a"), waiter(&gate, "a")];
    let _ = gate.rearm("a");
    first.run(|_| Err::<(), ()>(())).unwrap_err();

    let second = permit(&gate, "a");
    let of_second = waiter(&gate, "a");
    second.forfeit();
    permit(&gate, "a").run(|_| Ok::<(), ()>(())).unwrap();

    for waiter in of_first {
        assert_eq!(waiter.wait(), Waited::Settled(Outcome::Failed));
    }
    assert_eq!(of_second.wait(), Waited::Forfeited);
    assert_eq!(gate.outcome("a"), Some(Outcome::Repaired));
}

#[test]
fn a_panic_wakes_those_who_wait() {
    let gate = Gate::new();
    let permit = permit(&gate, "a");
    let waiter = waiter(&gate, "a");
    thread::scope(|scope| {
        let runner = scope.spawn(|| permit.run::<(), ()>(|_| panic!("on purpose")));
        assert_eq!(
            waiter.wait_timeout(LONG).unwrap(),
            Waited::Settled(Outcome::Panicked)
        );
        assert!(runner.join().is_err());
    });
}

#[test]
fn the_longest_timeout_there_is_does_not_overflow() {
    let gate = Gate::new();
    let permit = permit(&gate, "a");
    let waiter = waiter(&gate, "a");
    thread::scope(|scope| {
        scope.spawn(|| permit.forfeit());
        assert_eq!(
            waiter.wait_timeout(Duration::MAX).unwrap(),
            Waited::Forfeited
        );
    });
}

#[test]
fn turns_that_are_re_armed_and_forgotten_all_the_time_never_run_two_at_once() {
    let gate = RepairGate::<u8>::new();
    let running = [const { AtomicUsize::new(0) }; 2];
    let ran = AtomicUsize::new(0);
    let work = |round: usize| {
        let handles = [gate.handle(&0), gate.handle(&1)];
        for step in 0..2_000 {
            let key = (step + round) % 2;
            let turn = if step % 3 == 0 {
                handles[key].enter()
            } else {
                gate.enter(&(key as u8))
            };
            if let Turn::Yours(permit) = turn {
                if step % 5 == 0 {
                    permit.forfeit();
                    continue;
                }
                let alone = permit.run(|token| {
                    let running = &running[usize::from(*token.key())];
                    let before = running.fetch_add(1, Relaxed);
                    thread::yield_now();
                    running.fetch_sub(1, Relaxed);
                    ran.fetch_add(1, Relaxed);
                    if before == 0 { Ok(()) } else { Err(()) }
                });
                assert_eq!(alone, Ok(()));
            }
            match step % 7 {
                0 => gate.retain(|_| false),
                1 => drop(gate.rearm(&(key as u8))),
                _ => {}
            }
        }
    };
    thread::scope(|scope| {
        for round in 0..4 {
            scope.spawn(move || work(round));
        }
    });
    assert!(ran.load(Relaxed) > 2);
}

#[test]
fn the_types_cross_threads() {
    fn shared<T: Send + Sync>() {}
    fn sent<T: Send>() {}
    shared::<Gate>();
    shared::<Handle<String>>();
    sent::<Permit<'static, String>>();
    sent::<Waiter<'static, String>>();
    sent::<Token<'static, String>>();
    sent::<Turn<'static, String>>();
}

#[test]
fn the_types_are_unpin_and_unwind_safe_whatever_the_key_is() {
    fn unpin<T: Unpin>() {}
    fn unwind_safe<T: UnwindSafe + RefUnwindSafe>() {}
    unpin::<Handle<PhantomPinned>>();
    unpin::<Turn<'static, PhantomPinned>>();
    unwind_safe::<RepairGate<Box<dyn Fn() + Send + Sync>>>();
}
