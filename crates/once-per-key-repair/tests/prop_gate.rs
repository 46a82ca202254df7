//! Any sequence of calls over a few keys, against a model of four states that anyone can check by reading it.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use once_per_key_repair::{Handle, Outcome, Permit, Rearmed, RepairGate, Turn, Waited, Waiter};
use proptest::prelude::*;

const KEYS: usize = 3;

#[derive(Clone, Copy, Debug)]
enum Step {
    Enter,
    EnterByHandle,
    RunOk,
    RunErr,
    RunPanic,
    Drop,
    Forfeit,
    Rearm,
    RearmByHandle,
    /// Forgets the step's key only.
    Retain,
    /// Lets go of the key's handle.
    LoseHandle,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Model {
    Untried,
    InFlight { rearmed: bool },
    Spent(Outcome),
}

/// One key: the model's view, and what the caller of the gate holds.
struct Key<'g> {
    name: String,
    model: Model,
    permit: Option<Permit<'g, String>>,
    /// Of the turn that is out now.
    waiters: Vec<Waiter<'g, String>>,
    handle: Option<Handle<String>>,
}

impl<'g> Key<'g> {
    /// What a turn is must be what the model says; a permit or waiter is kept.
    fn enter(&mut self, turn: Turn<'g, String>) {
        match (turn, self.model) {
            (Turn::Yours(permit), Model::Untried) => {
                assert_eq!(permit.key(), &self.name);
                assert!(self.permit.replace(permit).is_none());
                self.model = Model::InFlight { rearmed: false };
            }
            (Turn::InFlight(waiter), Model::InFlight { .. }) => self.waiters.push(waiter),
            (Turn::Spent(outcome), Model::Spent(expected)) => assert_eq!(outcome, expected),
            (turn, model) => panic!("{turn:?} where the model is {model:?}"),
        }
    }

    /// Ends the turn that is out, if one is; `None` stands for a forfeit.
    fn end(&mut self, outcome: Option<Outcome>, how: impl FnOnce(Permit<'g, String>)) {
        let (Some(permit), Model::InFlight { rearmed }) = (self.permit.take(), self.model) else {
            return;
        };
        how(permit);
        self.model = match outcome {
            Some(outcome) if !rearmed => Model::Spent(outcome),
            _ => Model::Untried,
        };
        let expected = outcome.map_or(Waited::Forfeited, Waited::Settled);
        for waiter in self.waiters.drain(..) {
            assert_eq!(waiter.wait_timeout(Duration::ZERO).unwrap(), expected);
        }
    }

    fn rearm(&mut self, answer: Rearmed) {
        let (expected, next) = match self.model {
            Model::Untried => (Rearmed::Unspent, Model::Untried),
            Model::InFlight { .. } => (Rearmed::AfterFlight, Model::InFlight { rearmed: true }),
            Model::Spent(outcome) => (Rearmed::Ready(outcome), Model::Untried),
        };
        assert_eq!(answer, expected);
        self.model = next;
    }
}

fn step<'g>(gate: &'g RepairGate<String>, key: &mut Key<'g>, step: Step) {
    match step {
        Step::Enter => key.enter(gate.enter(key.name.as_str())),
        Step::EnterByHandle => {
            // Its turn borrows the handle, so look only at what cannot be kept.
            let handle = key
                .handle
                .get_or_insert_with(|| gate.handle(key.name.as_str()));
            match key.model {
                Model::Untried => {
                    let Turn::Yours(permit) = handle.enter() else {
                        panic!("untried")
                    };
                    permit.forfeit();
                }
                Model::InFlight { .. } => assert!(matches!(handle.enter(), Turn::InFlight(_))),
                Model::Spent(outcome) => {
                    assert!(matches!(handle.enter(), Turn::Spent(got) if got == outcome));
                }
            }
        }
        Step::RunOk => key.end(Some(Outcome::Repaired), |permit| {
            permit.run(|_| Ok::<(), ()>(())).unwrap();
        }),
        Step::RunErr => key.end(Some(Outcome::Failed), |permit| {
            permit.run(|_| Err::<(), ()>(())).unwrap_err();
        }),
        Step::RunPanic => key.end(Some(Outcome::Panicked), |permit| {
            // `resume_unwind` does not print a message.
            let run = AssertUnwindSafe(|| permit.run::<(), ()>(|_| resume_unwind(Box::new(()))));
            assert!(catch_unwind(run).is_err());
        }),
        Step::Drop => key.end(Some(Outcome::Abandoned), drop),
        Step::Forfeit => key.end(None, Permit::forfeit),
        Step::Rearm => {
            let answer = gate.rearm(key.name.as_str());
            key.rearm(answer);
        }
        Step::RearmByHandle => {
            let answer = gate.handle(key.name.as_str()).rearm();
            key.rearm(answer);
        }
        Step::Retain => {
            gate.retain(|name| *name != key.name);
            if let Model::Spent(_) = key.model {
                key.model = Model::Untried;
            }
        }
        Step::LoseHandle => key.handle = None,
    }
    let expected = match key.model {
        Model::Spent(outcome) => Some(outcome),
        _ => None,
    };
    assert_eq!(gate.outcome(key.name.as_str()), expected);
    if let Some(handle) = &key.handle {
        assert_eq!(handle.outcome(), expected);
    }
    for waiter in key.waiters.drain(..).collect::<Vec<_>>() {
        // Still out, so nothing to hear yet.
        key.waiters
            .push(waiter.wait_timeout(Duration::ZERO).unwrap_err());
    }
}

fn steps() -> impl Strategy<Value = Vec<(usize, Step)>> {
    let step = prop_oneof![
        4 => Just(Step::Enter),
        1 => Just(Step::EnterByHandle),
        1 => Just(Step::RunOk),
        1 => Just(Step::RunErr),
        1 => Just(Step::RunPanic),
        1 => Just(Step::Drop),
        1 => Just(Step::Forfeit),
        1 => Just(Step::Rearm),
        1 => Just(Step::RearmByHandle),
        1 => Just(Step::Retain),
        1 => Just(Step::LoseHandle),
    ];
    prop::collection::vec((0..KEYS, step), 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_order_of_calls_does_what_the_model_says_and_forgets_all_in_the_end(steps in steps()) {
        let gate = RepairGate::<String>::new();
        let mut keys: Vec<Key<'_>> = (0..KEYS)
            .map(|n| Key {
                name: format!("key-{n}"),
                model: Model::Untried,
                permit: None,
                waiters: Vec::new(),
                handle: None,
            })
            .collect();
        for (n, what) in steps {
            step(&gate, &mut keys[n], what);
        }
        let in_flight = keys.iter().filter(|key| key.permit.is_some()).count();
        for key in &mut keys {
            key.handle = None;
            key.waiters.clear();
        }
        gate.retain(|_| false);
        prop_assert_eq!(gate.len(), in_flight);
        drop(keys);
        gate.retain(|_| false);
        prop_assert!(gate.is_empty());
    }
}
