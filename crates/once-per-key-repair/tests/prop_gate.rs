//! Any sequence of calls over a few keys, against a model of three states that anyone can check by reading it.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};
use std::num::NonZeroU8;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use once_per_key_repair::{
    Handle, Ledger, Outcome, Permit, Rearmed, RepairGate, Turn, Waited, Waiter,
};
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
    /// Asks a ledger that counts within the bound, beyond it, or not at all.
    Record(Result<bool, ()>),
    Rearm,
    RearmByHandle,
    /// Forgets the step's key only.
    Retain,
    /// Lets go of the key's handle.
    LoseHandle,
}

/// The attempts since the key was armed are listed by how they ended.
#[derive(Clone, Debug, PartialEq)]
enum Model {
    Untried(Vec<Outcome>),
    InFlight { before: Vec<Outcome>, rearmed: bool },
    Spent(Outcome),
}

/// Keys that hash alike lie in one table, and are told apart by comparison alone; of those that do not, most have one each.
struct Hashes {
    alike: bool,
}

impl BuildHasher for Hashes {
    type Hasher = DefaultHasher;
    fn build_hasher(&self) -> DefaultHasher {
        DefaultHasher::new()
    }
    fn hash_one<T: Hash>(&self, key: T) -> u64 {
        if self.alike {
            return 0;
        }
        BuildHasherDefault::<DefaultHasher>::default().hash_one(key)
    }
}

type Gate = RepairGate<String, Hashes>;

struct Told(Result<bool, ()>);

impl Ledger<String> for Told {
    type Error = ();
    fn record(&self, _key: &String) -> Result<u32, ()> {
        self.0.map(|within| if within { 5 } else { 6 })
    }
}

/// One key: the model's view, and what the caller of the gate holds.
struct Key<'g> {
    name: String,
    budget: usize,
    model: Model,
    permit: Option<Permit<'g, String>>,
    /// Of the turn that is out now.
    waiters: Vec<Waiter<'g, String>>,
    handle: Option<Handle<String>>,
}

impl<'g> Key<'g> {
    /// What a turn is must be what the model says; a permit or waiter is kept.
    fn enter(&mut self, turn: Turn<'g, String>) {
        match (turn, &self.model) {
            (Turn::Yours(permit), Model::Untried(before)) => {
                assert_eq!(permit.key(), &self.name);
                assert_eq!(permit.attempt() as usize, before.len() + 1);
                assert!(self.permit.replace(permit).is_none());
                self.model = Model::InFlight {
                    before: before.clone(),
                    rearmed: false,
                };
            }
            (Turn::InFlight(waiter), Model::InFlight { .. }) => self.waiters.push(waiter),
            (Turn::Spent(outcome), Model::Spent(expected)) => assert_eq!(outcome, *expected),
            (turn, model) => panic!("{turn:?} where the model is {model:?}"),
        }
    }

    /// Ends the turn that is out, if one is; `None` stands for a forfeit.
    fn end(&mut self, outcome: Option<Outcome>, how: impl FnOnce(Permit<'g, String>)) {
        let (Some(permit), Model::InFlight { before, rearmed }) =
            (self.permit.take(), self.model.clone())
        else {
            return;
        };
        how(permit);
        self.model = match outcome {
            _ if rearmed => Model::Untried(Vec::new()),
            None => Model::Untried(before),
            Some(outcome) if outcome == Outcome::Exhausted || before.len() + 1 == self.budget => {
                Model::Spent(outcome)
            }
            Some(outcome) => Model::Untried([before, vec![outcome]].concat()),
        };
        let expected = outcome.map_or(Waited::Forfeited, Waited::Settled);
        for waiter in self.waiters.drain(..) {
            assert_eq!(waiter.wait_timeout(Duration::ZERO).unwrap(), expected);
        }
    }

    fn record(&mut self, told: Result<bool, ()>) {
        let record = |permit: Permit<'g, String>| permit.record(&Told(told), 5);
        match told {
            // The permit stays; put back as it was, so that the model need not know of the other count.
            Ok(true) => {
                if let Some(permit) = self.permit.take() {
                    let permit = record(permit).unwrap().unwrap();
                    assert_eq!(permit.attempt(), 5);
                    self.permit = Some(permit);
                }
            }
            Ok(false) => self.end(Some(Outcome::Exhausted), |permit| {
                assert!(record(permit).unwrap().is_none());
            }),
            Err(()) => self.end(None, |permit| record(permit).map(drop).unwrap_err()),
        }
    }

    fn rearm(&mut self, answer: Rearmed) {
        let (expected, next) = match &self.model {
            Model::Untried(before) => (
                before
                    .last()
                    .map_or(Rearmed::Unspent, |last| Rearmed::Ready(*last)),
                Model::Untried(Vec::new()),
            ),
            Model::InFlight { before, .. } => (
                Rearmed::AfterFlight,
                Model::InFlight {
                    before: before.clone(),
                    rearmed: true,
                },
            ),
            Model::Spent(outcome) => (Rearmed::Ready(*outcome), Model::Untried(Vec::new())),
        };
        assert_eq!(answer, expected);
        self.model = next;
    }
}

fn step<'g>(gate: &'g Gate, key: &mut Key<'g>, step: Step) {
    match step {
        Step::Enter => key.enter(gate.enter(key.name.as_str())),
        Step::EnterByHandle => {
            // Its turn borrows the handle, so look only at what cannot be kept.
            let handle = key
                .handle
                .get_or_insert_with(|| gate.handle(key.name.as_str()));
            match key.model {
                Model::Untried(_) => {
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
        Step::Record(told) => key.record(told),
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
            if key.permit.is_none() {
                key.model = Model::Untried(Vec::new());
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
        1 => prop_oneof![Just(Ok(true)), Just(Ok(false)), Just(Err(()))].prop_map(Step::Record),
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
    fn any_order_of_calls_does_what_the_model_says_and_forgets_all_in_the_end(
        budget in 1..=3_u8,
        alike in any::<bool>(),
        steps in steps(),
    ) {
        let gate = Gate::with_hasher(Hashes { alike })
            .with_budget(NonZeroU8::new(budget).unwrap());
        let mut keys: Vec<Key<'_>> = (0..KEYS)
            .map(|n| Key {
                name: format!("key-{n}"),
                budget: usize::from(budget),
                model: Model::Untried(Vec::new()),
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
