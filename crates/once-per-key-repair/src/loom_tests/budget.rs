//! Several attempts: how many runs there are, in every order.

use loom::sync::Arc;
use loom::thread;

use super::{World, in_threads};
use crate::Outcome;

#[test]
fn loom_a_budget_of_two_is_two_runs_one_after_the_other_and_never_three() {
    loom::model(|| {
        let world = World::with_budget(2);
        let _handle = world.gate.handle(&0);
        in_threads(
            &world,
            [
                |world| {
                    world.visit(0);
                },
                |world| {
                    world.visit(0);
                    world.visit(0);
                },
            ],
        );
        // Who came while the other was inside has gone on without a run.
        let runs = world.grants(0);
        assert!((1..=2).contains(&runs), "{runs}");
        world.visit(0);
        world.visit(0);
        assert_eq!(world.grants(0), 2);
    });
}

#[test]
fn loom_a_budget_re_armed_or_forgotten_at_any_moment_is_refilled_whole_and_at_most_once() {
    for refill in [
        (|world| {
            let _ = world.gate.rearm(&0);
        }) as fn(&World),
        |world| world.gate.retain(|_| false),
    ] {
        loom::model(move || {
            let world = World::with_budget(2);
            let _handle = world.gate.handle(&0);
            let other = thread::spawn({
                let world = Arc::clone(&world);
                move || refill(&world)
            });
            world.visit(0);
            world.visit(0);
            other.join().unwrap();
            for _ in 0..3 {
                world.visit(0);
            }
            assert!((2..=4).contains(&world.grants(0)), "{}", world.grants(0));
            assert_eq!(world.gate.outcome(&0), Some(Outcome::Repaired));
        });
    }
}
