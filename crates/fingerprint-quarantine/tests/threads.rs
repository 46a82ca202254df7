//! What holds between threads, and while the caller's own code runs: no lock, no stuck key, one attempt at a time.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use fingerprint_quarantine::{
    Admission, Attempt, Handle, Hold, Quarantine, Reason, SqliteStamp, Standing,
};

type Boards = Quarantine<String, u32>;

const HOLD: Hold = Hold::until_changed();

fn hold(boards: &Boards, key: &str, stamp: u32) {
    let attempt = boards.admit_stamped(key, stamp).go().unwrap();
    attempt.failed(&HOLD, |same| *same);
}

#[test]
fn a_look_may_use_the_quarantine_also_for_its_own_key() {
    let boards = Boards::new();
    hold(&boards, "a", 1);
    let admission = boards.admit("a", || {
        assert!(matches!(
            boards.admit("a", || unreachable!()),
            Admission::Probing
        ));
        assert!(boards.status("a").unwrap().probing);
        hold(&boards, "b", 1);
        boards.retain(|key| key != "b");
        assert_eq!(boards.held().len(), 1);
        2
    });
    assert_eq!(admission.go().unwrap().why(), Reason::Changed);
}

#[test]
fn a_release_during_a_look_is_not_lost_to_it() {
    let boards = Boards::new();
    hold(&boards, "a", 1);
    let admission = boards.admit("a", || {
        assert!(boards.release("a"));
        1
    });
    assert_eq!(admission.go().unwrap().why(), Reason::Manual);
}

#[test]
fn a_key_forgotten_during_a_look_is_healthy_and_has_its_stamp() {
    let boards = Boards::new();
    hold(&boards, "a", 1);
    let admission = boards.admit("a", || {
        assert!(boards.forget("a"));
        1
    });
    let attempt = admission.go().unwrap();
    assert_eq!((attempt.why(), attempt.stamp()), (Reason::New, Some(&1)));
    assert_eq!(attempt.failed(&HOLD, |same| *same).standing, Standing::Held);
}

#[test]
fn a_look_that_panics_leaves_the_key_as_it_was() {
    let boards = Boards::new();
    let handle = boards.handle("a");
    hold(&boards, "a", 1);
    for released in [false, true] {
        if released {
            boards.release("a");
        }
        // `resume_unwind` does not print a message.
        let by_key = || drop(boards.admit("a", || resume_unwind(Box::new(()))));
        let by_handle = || drop(handle.admit(|| resume_unwind(Box::new(()))));
        assert!(catch_unwind(AssertUnwindSafe(by_key)).is_err());
        assert!(catch_unwind(AssertUnwindSafe(by_handle)).is_err());
        let status = boards.status("a").unwrap();
        assert!(!status.probing);
        assert_eq!(status.standing == Standing::Released, released);
    }
    assert_eq!(boards.admit("a", || 1).go().unwrap().why(), Reason::Manual);
}

#[test]
fn an_attempt_whose_thread_panics_is_as_if_it_had_not_been() {
    let boards = Boards::new();
    hold(&boards, "a", 1);
    let work = || {
        let _attempt = boards.admit("a", || 2).go();
        resume_unwind(Box::new(()))
    };
    assert!(catch_unwind(AssertUnwindSafe(work)).is_err());
    assert_eq!(boards.admit("a", || 2).go().unwrap().why(), Reason::Changed);
    assert!(matches!(boards.admit("a", || 1), Admission::Held(_)));
}

#[test]
fn a_stamp_whose_comparison_panics_leaves_no_stuck_key_and_no_poison() {
    #[derive(Clone, Copy)]
    enum Stamp {
        Sweet,
        Sour,
    }
    impl PartialEq for Stamp {
        fn eq(&self, _: &Self) -> bool {
            matches!(self, Self::Sweet) || resume_unwind(Box::new(()))
        }
    }
    impl Eq for Stamp {}

    let boards = Quarantine::<u32, Stamp>::new();
    boards
        .admit_stamped(&1, Stamp::Sweet)
        .go()
        .unwrap()
        .failed(&HOLD, |same| *same);
    for _ in 0..2 {
        let ask = || drop(boards.admit_stamped(&1, Stamp::Sour));
        assert!(catch_unwind(AssertUnwindSafe(ask)).is_err());
        assert!(!boards.status(&1).unwrap().probing);
    }
}

#[test]
fn a_look_that_hangs_holds_up_nobody_else() {
    let boards = Boards::new();
    hold(&boards, "hung", 1);
    hold(&boards, "a", 1);
    let (looking, go_on) = (Barrier::new(2), Barrier::new(2));
    thread::scope(|scope| {
        let hung = scope.spawn(|| {
            let look = || {
                looking.wait();
                go_on.wait();
                2
            };
            boards.admit("hung", look).go().map(|attempt| attempt.why())
        });
        looking.wait();
        // Nothing may panic before the other thread can go on: a scope waits for it.
        let own = matches!(boards.admit("hung", || 3), Admission::Probing);
        let unchanged = matches!(boards.admit("a", || 1), Admission::Held(_));
        let new = boards.admit("new", || 1).go().is_some();
        let changed = boards.admit("a", || 2).go().and_then(Attempt::ok).is_some();
        go_on.wait();
        assert_eq!([own, unchanged, new, changed], [true; 4]);
        assert_eq!(hung.join().unwrap(), Some(Reason::Changed));
    });
}

#[test]
fn eight_threads_at_one_held_key_have_one_attempt_out_at_a_time() {
    const ROUNDS: u32 = 200;
    let boards = Boards::new();
    hold(&boards, "a", 0);
    let [out, most, tries] = [const { AtomicUsize::new(0) }; 3];
    let start = Barrier::new(8);
    let work = || {
        for round in 1..=ROUNDS {
            start.wait();
            if let Admission::Go(attempt) = boards.admit("a", || round) {
                most.fetch_max(out.fetch_add(1, SeqCst) + 1, SeqCst);
                tries.fetch_add(1, SeqCst);
                thread::yield_now();
                out.fetch_sub(1, SeqCst);
                attempt.failed(&HOLD, |same| *same);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(work);
        }
    });
    assert_eq!(most.into_inner(), 1);
    // Once per version; those who ask after that has failed are held.
    assert_eq!(tries.into_inner(), ROUNDS as usize);
}

#[test]
fn everything_can_cross_threads() {
    fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Quarantine<String, SqliteStamp>>();
    is_send_and_sync::<Handle<String, SqliteStamp>>();
    is_send_and_sync::<Attempt<'_, String, SqliteStamp>>();
}
