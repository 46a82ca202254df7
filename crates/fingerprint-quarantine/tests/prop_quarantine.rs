//! Any sequence of calls, changes and clock movements over two keys, against a model that anyone can check by reading it.

use std::time::Duration;

use fingerprint_quarantine::{
    Admission, Attempt, Backoff, FakeClock, Handle, Held, Hold, Quarantine, Reason, Standing,
};
use proptest::prelude::*;

type Boards = Quarantine<String, u8, FakeClock>;
type Try<'q> = Attempt<'q, String, u8, FakeClock>;

const KEYS: usize = 2;
const SECOND: Duration = Duration::from_secs(1);
const DECAY: u64 = 5;

#[derive(Clone, Copy, Debug)]
enum Step {
    Admit {
        stamped: bool,
        by_handle: bool,
    },
    /// Settles the oldest attempt that is out.
    Ok,
    Fail(usize),
    Drop,
    Release {
        by_handle: bool,
    },
    Forget,
    /// Somebody writes.
    Write(u8),
    Advance(u64),
    TurnBack(u64),
}

fn holds() -> [Hold; 5] {
    let retry = Backoff::new(SECOND * 4, SECOND * 16).with_decay(SECOND * DECAY as u32);
    [
        Hold::until_changed(),
        Hold::until_changed().or_retry(retry),
        Hold::until_changed().or_retry(retry).at_least(SECOND * 6),
        Hold::for_time(retry),
        Hold::until_released(),
    ]
}

/// What the model knows of a key on record.
#[derive(Clone, Debug)]
struct Record {
    stamp: Option<u8>,
    hold: Hold,
    started: Duration,
    at: Duration,
    timed: u32,
    attempts: u32,
    released: bool,
}

impl Record {
    fn wait(&self) -> Option<Duration> {
        let backoff = self.hold.retry?;
        Some((backoff.first * 2_u32.pow(self.timed.min(10))).min(backoff.max))
    }

    /// Why it may be tried, if it may.
    fn admit(&mut self, file: u8, now: Duration) -> Option<Reason> {
        if self.released {
            return Some(Reason::Manual);
        }
        let Some(stamp) = self.stamp else {
            return Some(Reason::Probation);
        };
        self.at = self.at.min(now);
        let elapsed = now - self.at;
        if elapsed < self.hold.min_hold {
            None
        } else if self.wait().is_some_and(|wait| elapsed >= wait) {
            Some(Reason::Timer)
        } else if self.hold.on_change && stamp != file {
            Some(Reason::Changed)
        } else {
            None
        }
    }
}

/// An attempt that is out.
struct Out<'q> {
    attempt: Try<'q>,
    stamp: Option<u8>,
    /// Whether it is the probe of what is on record now.
    probe: bool,
    /// Whether the key was released while it was out.
    overtaken: bool,
}

struct Key<'q> {
    name: &'q String,
    handle: Option<&'q Handle<String, u8, FakeClock>>,
    file: u8,
    record: Option<Record>,
    /// How far the waits had grown when the timer's attempt worked, and when that was. Only a handle keeps it.
    past: Option<(u32, Duration)>,
    out: Vec<Out<'q>>,
}

impl<'q> Key<'q> {
    fn admit(&mut self, boards: &'q Boards, now: Duration, stamped: bool, by_handle: bool) {
        let file = self.file;
        let mut looks = 0;
        let look = || {
            looks += 1;
            file
        };
        let admission = match (self.handle.filter(|_| by_handle), stamped) {
            (Some(handle), true) => handle.admit_stamped(file),
            (Some(handle), false) => handle.admit(look),
            (None, true) => boards.admit_stamped(self.name, file),
            (None, false) => boards.admit(self.name, look),
        };
        let probing = self.out.iter().any(|out| out.probe);
        let expected = match &mut self.record {
            None => Some(Reason::New),
            Some(_) if probing => {
                assert!(matches!(admission, Admission::Probing), "{admission:?}");
                return;
            }
            Some(record) => record.admit(file, now),
        };
        match (admission, expected) {
            (Admission::Go(attempt), Some(why)) => {
                assert_eq!(attempt.why(), why);
                let probe = self.record.is_some();
                let stamp = (probe || stamped).then_some(file);
                assert_eq!(attempt.stamp(), stamp.as_ref());
                assert_eq!(looks, u32::from(probe && !stamped));
                self.out.push(Out {
                    attempt,
                    stamp,
                    probe,
                    overtaken: false,
                });
            }
            (Admission::Held(held), None) => self.check(held, now),
            (admission, expected) => panic!("{admission:?} where the model says {expected:?}"),
        }
    }

    fn check(&self, held: Held, now: Duration) {
        let record = self.record.as_ref().unwrap();
        assert_eq!(held.attempts, record.attempts);
        assert_eq!(held.since, now.saturating_sub(record.started));
        assert!(!held.self_disturbing);
        let standing = match record.stamp {
            _ if record.released => Standing::Released,
            None => Standing::Probation,
            Some(_) => Standing::Held,
        };
        assert_eq!(held.standing, standing);
        let on_change = standing == Standing::Held && record.hold.on_change;
        assert_eq!(held.on_change, on_change);
        assert_eq!(held.probing, self.out.iter().any(|out| out.probe));
        let elapsed = now.saturating_sub(record.at);
        let retry_in = match standing {
            Standing::Held => record
                .wait()
                .map(|wait| wait.max(record.hold.min_hold).saturating_sub(elapsed)),
            _ => Some(Duration::ZERO),
        };
        assert_eq!(held.retry_in, retry_in);
    }

    fn fail(&mut self, hold: Hold, now: Duration) {
        let Some(out) = self.take() else { return };
        let why = out.attempt.why();
        // Nobody writes during an attempt in this model.
        let held = out.attempt.failed(&hold, |same| *same);
        let fresh = Record {
            stamp: out.stamp,
            hold,
            started: now,
            at: now,
            timed: 0,
            attempts: 1,
            released: false,
        };
        match &mut self.record {
            Some(record) if out.probe => {
                let timed = match why {
                    Reason::Timer => record.timed + 1,
                    Reason::Manual => 0,
                    _ => record.timed,
                };
                *record = Record {
                    timed,
                    started: record.started,
                    attempts: record.attempts + 1,
                    released: record.released && out.overtaken,
                    ..fresh
                };
            }
            // The record it was a probe of is gone; or a release came first.
            record if why != Reason::New || (record.is_none() && out.overtaken) => {
                assert_eq!(held.standing, Standing::Released);
                return;
            }
            // Others were faster.
            Some(_) => {}
            record => {
                let timed = self.past.take().map_or(0, |(rounds, ended)| {
                    let faded = now.saturating_sub(ended).as_secs() / DECAY;
                    rounds.saturating_sub(faded as u32)
                });
                *record = Some(Record { timed, ..fresh });
            }
        }
        self.check(held, now);
    }

    fn take(&mut self) -> Option<Out<'q>> {
        (!self.out.is_empty()).then(|| self.out.remove(0))
    }

    fn step(&mut self, boards: &'q Boards, clock: &FakeClock, now: Duration, step: Step) {
        match step {
            Step::Admit { stamped, by_handle } => self.admit(boards, now, stamped, by_handle),
            Step::Ok => {
                if let Some(out) = self.take() {
                    let (probe, why) = (out.probe, out.attempt.why());
                    let attempts = out.attempt.ok().map(|recovery| recovery.attempts);
                    let ended = self.record.take_if(|_| probe);
                    if let (Some(ended), Some(_)) = (&ended, self.handle) {
                        let decays = why == Reason::Timer && ended.hold.retry.is_some();
                        self.past = decays.then_some((ended.timed + 1, now));
                    }
                    assert_eq!(attempts, ended.map(|record| record.attempts));
                }
            }
            Step::Fail(hold) => self.fail(holds()[hold], now),
            Step::Drop => drop(self.take()),
            Step::Release { by_handle } => {
                let released = match self.handle.filter(|_| by_handle) {
                    Some(handle) => handle.release(),
                    None => boards.release(self.name),
                };
                assert_eq!(released, self.record.is_some());
                for out in &mut self.out {
                    out.overtaken = true;
                }
                match &mut self.record {
                    Some(record) => record.released = true,
                    None => self.past = None,
                }
            }
            Step::Forget => {
                assert_eq!(boards.forget(self.name), self.record.take().is_some());
                self.past = None;
                for out in &mut self.out {
                    (out.probe, out.overtaken) = (false, true);
                }
            }
            Step::Write(file) => self.file = file,
            Step::Advance(seconds) => clock.advance(SECOND * seconds as u32),
            Step::TurnBack(seconds) => clock.set(now.saturating_sub(SECOND * seconds as u32)),
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<(usize, Step)>> {
    let step = prop_oneof![
        8 => any::<(bool, bool)>().prop_map(|(stamped, by_handle)| Step::Admit { stamped, by_handle }),
        1 => Just(Step::Ok),
        6 => (0..holds().len()).prop_map(Step::Fail),
        1 => Just(Step::Drop),
        1 => any::<bool>().prop_map(|by_handle| Step::Release { by_handle }),
        1 => Just(Step::Forget),
        2 => (0..3_u8).prop_map(Step::Write),
        3 => (0..20_u64).prop_map(Step::Advance),
        1 => (0..20_u64).prop_map(Step::TurnBack),
    ];
    prop::collection::vec((0..KEYS, step), 1..100)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_order_of_calls_does_what_the_model_says_and_leaves_nothing_in_the_end(steps in steps()) {
        let clock = FakeClock::at(SECOND * 100);
        let boards = Boards::with_clock(clock.clone());
        let names: Vec<String> = (0..KEYS).map(|n| format!("key-{n}")).collect();
        // The other key has no handle, so its place comes and goes.
        let handle = boards.handle(&names[0]);
        let mut keys: Vec<Key<'_>> = names
            .iter()
            .map(|name| Key {
                name,
                handle: (*name == names[0]).then_some(&handle),
                file: 0,
                record: None,
                past: None,
                out: Vec::new(),
            })
            .collect();
        for (n, what) in steps {
            let now = fingerprint_quarantine::Clock::now(&clock);
            keys[n].step(&boards, &clock, now, what);
            let on_record = keys.iter().filter(|key| key.record.is_some()).count();
            prop_assert_eq!(boards.len(), on_record);
        }
        let places = 1 + usize::from(keys[1].record.is_some());
        let shown = format!("{boards:?}");
        let expected = format!("slots: {places},");
        prop_assert!(shown.contains(&expected), "{shown}");
        boards.retain(|_| false);
        drop(keys);
        drop(handle);
        prop_assert!(format!("{boards:?}").contains("len: 0, slots: 0"), "{boards:?}");
    }
}
