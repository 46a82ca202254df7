use super::*;
use crate::config::Config;
use crate::transition::Failure;

fn settings() -> Breaker {
    let mut breaker = Config::default().breaker;
    (breaker.deaths, breaker.max_retry_seconds) = (3, Duration::from_secs(200));
    breaker
}

fn at(seconds: u64) -> Now {
    let monotonic = Duration::from_secs(seconds);
    Now {
        monotonic,
        unix: seconds.cast_signed(),
    }
}

fn death(task: &str, cause: Cause) -> Transition {
    Transition::Fail(Failure {
        task: task.to_owned(),
        lock: String::new(),
        pid: None,
        cause,
        error: "no place for a workspace".to_owned(),
        verdict: Verdict::Counted { failures: 1 },
    })
}

fn crash(task: &str, code: i32) -> Transition {
    death(task, Cause::Crashed(End::Exited(code)))
}

fn is_charged(transition: &Transition) -> bool {
    !matches!(transition, Transition::Fail(failure) if failure.verdict == Verdict::Uncounted)
}

/// Starts a task, which dies at once.
fn die(caution: &mut Caution, task: &str, code: i32, now: u64) -> (Shown, bool) {
    caution.started([(task.to_owned(), 1)], at(now).monotonic);
    let mut failures = [crash(task, code)];
    let shown = caution.judge(&mut failures, |_| Fate::Young, &settings(), at(now));
    (shown, is_charged(&failures[0]))
}

fn refunds(caution: &mut Caution) -> Vec<(String, u32)> {
    let refunds = caution.take_refunds().into_iter();
    refunds.map(|death| (death.task, death.charged)).collect()
}

fn limit(caution: &Caution, now: u64) -> usize {
    caution.limit(at(now).monotonic).0
}

#[test]
fn different_tasks_in_a_row_that_die_the_same_way_make_the_board_rest_and_a_probe_that_lives_ends_it()
 {
    let mut caution = Caution::default();
    assert_eq!(die(&mut caution, "a", 1, 0), (Shown::Nothing, true));
    assert_eq!(die(&mut caution, "a", 1, 1), (Shown::Nothing, true));
    assert_eq!(
        die(&mut caution, "b", 2, 2),
        (Shown::Nothing, true),
        "in another way"
    );
    assert_eq!(die(&mut caution, "a", 1, 3), (Shown::Nothing, true));
    assert_eq!(die(&mut caution, "b", 1, 4), (Shown::Nothing, true));
    assert_eq!(limit(&caution, 4), usize::MAX);
    assert_eq!(
        die(&mut caution, "c", 1, 5),
        (Shown::Rests, false),
        "three tasks"
    );
    assert_eq!(
        refunds(&mut caution),
        [
            ("a".to_owned(), 1),
            ("b".to_owned(), 1),
            ("c".to_owned(), 0)
        ]
    );
    assert!(
        caution
            .rest()
            .is_some_and(|rest| rest.reason.contains("exit code 1"))
    );

    // 60, 120, 200, 200: each ends with one start.
    let mut now = 5;
    for wait in [60, 120, 200, 200] {
        assert_eq!(limit(&caution, now + wait - 1), 0);
        now += wait;
        assert_eq!(limit(&caution, now), 1);
        caution.started([("d".to_owned(), 1)], at(now).monotonic);
        assert_eq!(limit(&caution, now), 0, "one at a time");
        let mut failures = [crash("d", 7)];
        let shown = caution.judge(&mut failures, |_| Fate::Young, &settings(), at(now));
        assert_eq!((shown, is_charged(&failures[0])), (Shown::Rests, false));
    }
    now += 200;
    caution.started([("d".to_owned(), 2)], at(now).monotonic);
    assert_eq!(
        caution.judge(&mut [], |_| Fate::Lives, &settings(), at(now)),
        Shown::Works
    );
    assert_eq!(limit(&caution, now), usize::MAX);
    assert_eq!(
        die(&mut caution, "a", 1, now),
        (Shown::Nothing, true),
        "from the start"
    );
}

#[test]
fn a_task_that_dies_twice_before_the_board_rests_is_refunded_for_what_it_was_charged() {
    let mut caution = Caution::default();
    die(&mut caution, "a", 1, 0);
    caution.started([("c".to_owned(), 1)], at(0).monotonic);
    assert!(!caution.waits("a", true), "one death is chance");
    die(&mut caution, "b", 1, 0);
    assert!(caution.has_died("a") && caution.waits("a", false) && caution.waits("b", false));
    assert!(!caution.has_died("c") && !caution.waits("c", true));
    die(&mut caution, "a", 1, 1);
    // The turn that ends with a rest charges nobody, also those that were charged before.
    caution.started([("b".to_owned(), 2)], at(2).monotonic);
    let mut failures = [crash("b", 1), crash("c", 1)];
    let shown = caution.judge(&mut failures, |_| Fate::Young, &settings(), at(2));
    assert_eq!(shown, Shown::Rests);
    assert!(!failures.iter().any(is_charged));
    let charged = [("a", 2), ("b", 1), ("c", 0)];
    assert_eq!(
        refunds(&mut caution),
        charged.map(|(task, n)| (task.to_owned(), n))
    );
}

#[test]
fn a_death_that_is_late_a_rest_or_somebody_that_lives_is_no_sign() {
    let mut caution = Caution::default();
    for task in ["a", "b", "c", "d"] {
        caution.started([(task.to_owned(), 1)], at(0).monotonic);
    }
    let mut failures = ["a", "b", "c"].map(|task| crash(task, 1));
    let late = caution.judge(&mut failures, |_| Fate::Young, &settings(), at(11));
    assert_eq!(
        (late, failures.iter().all(is_charged)),
        (Shown::Nothing, true)
    );

    for task in ["a", "b", "c"] {
        caution.started([(task.to_owned(), 2)], at(20).monotonic);
    }
    let mut failures = ["a", "b", "c"].map(|task| death(task, Cause::RateLimited));
    assert_eq!(
        caution.judge(&mut failures, |_| Fate::Young, &settings(), at(20)),
        Shown::Nothing
    );

    // The fourth one works on.
    for task in ["a", "b", "c"] {
        caution.started([(task.to_owned(), 3)], at(30).monotonic);
    }
    let mut failures = ["a", "b", "c"].map(|task| crash(task, 1));
    assert_eq!(
        caution.judge(&mut failures, |_| Fate::Lives, &settings(), at(30)),
        Shown::Nothing
    );
    assert_eq!(limit(&caution, 30), usize::MAX);
}

#[test]
fn a_start_that_fails_is_a_death_unless_it_is_about_the_task_itself() {
    let mut caution = Caution::default();
    let mut failures = ["t_a1", "t_b22", "t_c"].map(|task| death(task, Cause::SpawnFailed));
    assert_eq!(
        caution.judge(&mut failures, |_| Fate::Young, &settings(), at(0)),
        Shown::Rests
    );
    assert_eq!(
        failures
            .iter()
            .filter(|failure| is_charged(failure))
            .count(),
        0
    );
    assert!(
        caution
            .rest()
            .is_some_and(|rest| rest.reason.ends_with("no place for a workspace"))
    );
    assert!(caution.clear());
    // Each of them names its own task: that is no fault of the board.
    let mut failures = ["t_a1", "t_b22", "t_c"].map(|task| death(task, Cause::SpawnFailed));
    for failure in &mut failures {
        if let Transition::Fail(failure) = failure {
            failure.error = format!("the id {:?} is no file name", failure.task);
        }
    }
    assert_eq!(
        caution.judge(&mut failures, |_| Fate::Young, &settings(), at(0)),
        Shown::Nothing
    );
    assert!(failures.iter().all(is_charged));
    assert_eq!(limit(&caution, 0), usize::MAX);
}

#[test]
fn a_board_that_comes_back_starts_one_two_four_until_one_lives() {
    let mut caution = Caution::default();
    caution.returns();
    for most in [1, 2, 4, 8] {
        caution.begin_tick();
        assert_eq!(caution.limit(Duration::ZERO), (most, HeldReason::RampUp));
        // A tick without a start shows nothing.
        caution.begin_tick();
        caution.started([(format!("t{most}"), 1)], Duration::ZERO);
        // A second turn in the same tick has the rest.
        let rest = (most - 1, HeldReason::RampUp);
        assert_eq!(caution.limit(Duration::ZERO), rest);
    }
    assert_eq!(
        caution.judge(&mut [], |_| Fate::Gone, &settings(), at(0)),
        Shown::Nothing
    );
    caution.begin_tick();
    assert_eq!(limit(&caution, 0), 16);
    caution.started([("t".to_owned(), 1)], Duration::ZERO);
    caution.judge(&mut [], |_| Fate::Lives, &settings(), at(11));
    assert_eq!(limit(&caution, 0), usize::MAX);
}
