//! What a caller sees of one key's incident, from the first failure to the recovery, by both doors.

use std::cell::Cell;
use std::time::Duration;

use fingerprint_quarantine::{
    Admission, Attempt, Backoff, FakeClock, Hold, Quarantine, Reason, Standing,
};

type Boards = Quarantine<String, u32, FakeClock>;

const SECOND: Duration = Duration::from_secs(1);
const CHANGED: Hold = Hold::until_changed();

fn boards() -> (Boards, FakeClock) {
    let clock = FakeClock::at(SECOND * 1_000);
    (Quarantine::with_clock(clock.clone()), clock)
}

fn go<'q>(
    boards: &'q Boards,
    key: &'q str,
    stamp: u32,
) -> Attempt<'q, String, u32, FakeClock, str> {
    match boards.admit_stamped(key, stamp) {
        Admission::Go(attempt) => attempt,
        other => panic!("{other:?}"),
    }
}

fn is_held(boards: &Boards, key: &str, stamp: u32) -> bool {
    matches!(boards.admit_stamped(key, stamp), Admission::Held(_))
}

#[test]
fn a_healthy_key_is_never_looked_at_and_takes_no_place() {
    let (boards, _clock) = boards();
    go(&boards, "other", 1).failed(&CHANGED, |same| *same);
    for _ in 0..3 {
        let attempt = boards.admit("a", || unreachable!("a look at a healthy key"));
        assert!(attempt.go().unwrap().ok().is_none());
    }
    assert_eq!(boards.len(), 1);
    assert!(format!("{boards:?}").contains("slots: 1"), "{boards:?}");
}

#[test]
fn without_a_stamp_the_first_failure_leads_to_one_more_attempt_that_has_one() {
    let (boards, _clock) = boards();
    let held = boards
        .admit("a", || 1)
        .go()
        .unwrap()
        .failed(&CHANGED, |same| *same);
    assert_eq!(held.standing, Standing::Probation);
    assert_eq!((held.attempts, held.retry_in), (1, Some(Duration::ZERO)));
    let second = boards.admit("a", || 1).go().unwrap();
    assert_eq!(
        (second.why(), second.stamp()),
        (Reason::Probation, Some(&1))
    );
    assert_eq!(
        second.failed(&CHANGED, |same| *same).standing,
        Standing::Held
    );
    for _ in 0..5 {
        assert!(matches!(boards.admit("a", || 1), Admission::Held(_)));
    }
}

#[test]
fn one_failure_followed_by_a_success_is_no_quarantine() {
    let (boards, clock) = boards();
    boards
        .admit("a", || 1)
        .go()
        .unwrap()
        .failed(&CHANGED, |same| *same);
    clock.advance(SECOND * 3);
    let recovery = boards.admit("a", || 1).go().unwrap().ok().unwrap();
    assert_eq!((recovery.attempts, recovery.lasted), (1, SECOND * 3));
    assert_eq!(recovery.why, Reason::Probation);
    assert!(boards.is_empty());
}

#[test]
fn a_change_made_while_the_attempt_runs_is_not_missed() {
    let (boards, _clock) = boards();
    let attempt = go(&boards, "a", 1);
    // Mended now, after it was read and before the failure is reported.
    let mended = 2;
    attempt.failed(&CHANGED, |same| *same);
    assert_eq!(go(&boards, "a", mended).why(), Reason::Changed);
}

#[test]
fn an_older_version_put_back_is_a_change_as_well() {
    let (boards, _clock) = boards();
    go(&boards, "a", 7).failed(&CHANGED, |same| *same);
    assert_eq!(go(&boards, "a", 3).why(), Reason::Changed);
}

#[test]
fn a_restamped_attempt_is_held_with_what_it_left_behind() {
    let (boards, _clock) = boards();
    let mut attempt = boards.admit("a", || 1).go().unwrap();
    attempt.restamp(2);
    assert_eq!(
        attempt.failed(&CHANGED, |same| *same).standing,
        Standing::Held
    );
    assert!(is_held(&boards, "a", 2));
    assert_eq!(go(&boards, "a", 1).why(), Reason::Changed);
}

#[test]
fn a_dropped_attempt_changes_nothing_and_the_next_has_the_same_reason() {
    let (boards, _clock) = boards();
    drop(boards.admit("a", || 1));
    assert!(boards.is_empty());
    boards
        .admit("a", || 1)
        .go()
        .unwrap()
        .failed(&CHANGED, |same| *same);
    drop(boards.admit("a", || 1));
    let attempt = boards.admit("a", || 1).go().unwrap();
    assert_eq!(attempt.why(), Reason::Probation);
    attempt.failed(&CHANGED, |same| *same);
    for _ in 0..2 {
        assert_eq!(go(&boards, "a", 2).why(), Reason::Changed);
    }
    boards.release("a");
    for _ in 0..2 {
        assert_eq!(go(&boards, "a", 1).why(), Reason::Manual);
    }
    assert_eq!(boards.status("a").unwrap().attempts, 2);
}

#[test]
fn a_key_on_record_has_one_attempt_out_at_a_time_by_either_door() {
    let (boards, _clock) = boards();
    let handle = boards.handle("a");
    go(&boards, "a", 1).failed(&CHANGED, |same| *same);
    let attempt = go(&boards, "a", 2);
    assert!(matches!(boards.admit_stamped("a", 3), Admission::Probing));
    assert!(matches!(handle.admit_stamped(3), Admission::Probing));
    assert!(boards.status("a").unwrap().probing);
    drop(attempt);
    let _attempt = handle.admit_stamped(2).go().unwrap();
    assert!(matches!(boards.admit_stamped("a", 2), Admission::Probing));
}

#[test]
fn a_failure_that_others_were_faster_to_report_changes_nothing() {
    let (boards, _clock) = boards();
    let (first, late) = (go(&boards, "a", 1), go(&boards, "a", 2));
    let lucky = go(&boards, "a", 1);
    first.failed(&CHANGED, |same| *same);
    assert_eq!(
        late.failed(&Hold::until_released(), |same| *same).attempts,
        1
    );
    assert!(lucky.ok().is_none());
    assert!(is_held(&boards, "a", 1));
    assert!(!is_held(&boards, "a", 2));
}

#[test]
fn a_release_lasts_until_an_attempt_is_settled_and_no_longer() {
    let (boards, _clock) = boards();
    go(&boards, "a", 1).failed(&Hold::until_released(), |same| *same);
    assert!(is_held(&boards, "a", 2), "a change does not help here");
    assert!(boards.release("a"));
    assert_eq!(boards.status("a").unwrap().standing, Standing::Released);
    go(&boards, "a", 1).failed(&Hold::until_released(), |same| *same);
    assert!(is_held(&boards, "a", 1));
    assert!(!boards.release("b"));
}

#[test]
fn a_release_wins_over_an_attempt_that_was_out_when_it_came() {
    let (boards, _clock) = boards();
    go(&boards, "a", 1).failed(&CHANGED, |same| *same);
    let attempt = go(&boards, "a", 2);
    boards.release("a");
    assert_eq!(
        attempt.failed(&CHANGED, |same| *same).standing,
        Standing::Released
    );
    let next = go(&boards, "a", 2);
    assert_eq!(next.why(), Reason::Manual);
    next.failed(&CHANGED, |same| *same);
    assert!(is_held(&boards, "a", 2));
}

#[test]
fn a_release_wins_over_a_first_failure_as_well() {
    let (boards, _clock) = boards();
    let handle = boards.handle("b");
    let attempts = [boards.admit_stamped("a", 1), boards.admit("a", || 1)];
    let by_handle = handle.admit_stamped(1).go().unwrap();
    assert!(!boards.release("a") && !handle.release());
    for attempt in attempts {
        let held = attempt.go().unwrap().failed(&CHANGED, |same| *same);
        assert_eq!(held.standing, Standing::Released);
    }
    assert_eq!(
        by_handle.failed(&CHANGED, |same| *same).standing,
        Standing::Released
    );
    assert!(boards.is_empty());
    drop(handle);
    assert!(format!("{boards:?}").contains("slots: 0"), "{boards:?}");
    assert_eq!(
        go(&boards, "a", 1).failed(&CHANGED, |same| *same).standing,
        Standing::Held
    );
}

#[test]
fn a_thing_that_is_gone_leaves_nothing_to_what_gets_its_name() {
    let (boards, _clock) = boards();
    go(&boards, "a", 1).failed(&CHANGED, |same| *same);
    let attempt = go(&boards, "a", 2);
    assert!(boards.forget("a"));
    assert!(!boards.forget("a"));
    // A new one under the old name fails, and then the old attempt comes back.
    go(&boards, "a", 3).failed(&CHANGED, |same| *same);
    assert_eq!(
        attempt
            .failed(&Hold::until_released(), |same| *same)
            .standing,
        Standing::Released
    );
    assert_eq!(boards.status("a").unwrap().attempts, 1);
    assert!(is_held(&boards, "a", 3));
    boards.retain(|_| false);
    assert!(boards.is_empty());
    assert!(format!("{boards:?}").contains("slots: 0"), "{boards:?}");
}

#[test]
fn an_old_attempt_cannot_end_the_incident_that_came_after_it() {
    let (boards, _clock) = boards();
    let handle = boards.handle("a");
    handle
        .admit_stamped(1)
        .go()
        .unwrap()
        .failed(&CHANGED, |same| *same);
    let old = handle.admit_stamped(2).go().unwrap();
    handle.forget();
    handle
        .admit_stamped(3)
        .go()
        .unwrap()
        .failed(&CHANGED, |same| *same);
    let current = handle.admit_stamped(4).go().unwrap();
    assert!(old.ok().is_none());
    assert!(handle.status().unwrap().probing);
    assert_eq!(current.failed(&CHANGED, |same| *same).attempts, 2);
}

#[test]
fn a_key_is_looked_at_only_when_a_look_could_change_the_answer() {
    let (boards, clock) = boards();
    let looks = Cell::new(0);
    let ask = || {
        let look = || {
            looks.set(looks.get() + 1);
            1
        };
        boards.admit("a", look).go().map(|attempt| attempt.why())
    };
    let every = Backoff::every(SECOND * 60);
    go(&boards, "a", 1).failed(&CHANGED.or_retry(every).at_least(SECOND * 10), |same| *same);
    assert_eq!((ask(), looks.get()), (None, 0));
    clock.advance(SECOND * 10);
    assert_eq!((ask(), looks.get()), (None, 1));
    clock.advance(SECOND * 50);
    assert_eq!((ask(), looks.get()), (Some(Reason::Timer), 2));
    boards.release("a");
    go(&boards, "a", 1).failed(&Hold::for_time(every), |same| *same);
    assert_eq!((ask(), looks.get()), (None, 2));
}

#[test]
fn what_is_on_record_can_be_shown_and_released_in_groups() {
    let (boards, clock) = boards();
    for (key, hold) in [("a", CHANGED), ("b", Hold::until_released())] {
        go(&boards, key, 1).failed(&hold, |same| *same);
    }
    clock.advance(SECOND * 5);
    let mut held = boards.held();
    held.sort_by(|a, b| a.0.cmp(&b.0));
    let shown: Vec<String> = held
        .iter()
        .map(|(key, held)| format!("{key}: {held}"))
        .collect();
    assert_eq!(
        shown,
        [
            "a: held after 1 attempt in 5s, next on change",
            "b: held after 1 attempt in 5s, next when released",
        ]
    );
    // The predicate may use the quarantine.
    let released =
        boards.release_all(|key, held| !held.on_change && boards.status(key.as_str()).is_some());
    assert_eq!(released, 1);
    assert!(is_held(&boards, "a", 1));
    assert_eq!(go(&boards, "b", 1).why(), Reason::Manual);
}

#[test]
fn a_handle_shares_its_key_s_record_and_survives_its_quarantine() {
    let (boards, _clock) = boards();
    let handle = boards.handle("a");
    let clone = handle.clone();
    drop(handle);
    clone
        .admit_stamped(1)
        .go()
        .unwrap()
        .failed(&CHANGED, |same| *same);
    assert!(is_held(&boards, "a", 1));
    assert!(go(&boards, "a", 2).ok().is_some());
    drop(boards);
    assert_eq!(clone.admit_stamped(1).go().unwrap().why(), Reason::New);
}

#[test]
fn a_release_also_wins_over_a_first_attempt_that_outlives_the_incident() {
    let (boards, _) = boards();
    let slow = go(&boards, "a", 1);
    go(&boards, "a", 1).failed(&CHANGED, |same| *same);
    assert!(boards.release("a"));
    go(&boards, "a", 1).ok();
    assert_eq!(
        slow.failed(&CHANGED, |same| *same).standing,
        Standing::Released
    );
    go(&boards, "a", 1).ok();
    assert!(boards.is_empty());
}

#[test]
fn what_is_forgotten_is_not_held_again_by_an_attempt_that_began_before() {
    let (boards, _) = boards();
    let healthy = go(&boards, "a", 1);
    assert!(!boards.forget("a"));
    healthy.failed(&CHANGED, |same| *same);
    assert!(boards.is_empty(), "nothing was on record");

    let slow = go(&boards, "a", 1);
    go(&boards, "a", 1).failed(&CHANGED, |same| *same);
    assert!(boards.forget("a"));
    slow.failed(&Hold::until_released(), |same| *same);
    assert!(boards.is_empty(), "something was on record");
}
