//! Threads that ask by key: what is found, made, shared and evicted loses nothing, in every interleaving of three threads where
//! nothing else is said. There is one shard.

use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire};

use governor::clock::FakeRelativeClock;

use super::W;
use super::three::beside;
use crate::copies::TURN;
use crate::entry::{Entry, Mark, Slot};
use crate::shards::{Asked, Shards};
use crate::{ClassId, LogThrottle, Totals};

type Throttle = LogThrottle<u8, FakeRelativeClock, BuildHasherDefault<DefaultHasher>>;

/// The one key.
const KEY: &u8 = &7;

fn throttle() -> Arc<Throttle> {
    let builder = LogThrottle::builder()
        .clock(FakeRelativeClock::default())
        .hasher(BuildHasherDefault::default())
        .window(W)
        .capacity(2); // One, and a place for what has no room.
    Arc::new(builder.build())
}

fn check(throttle: &Throttle) -> bool {
    throttle.check(KEY, 0).is_some()
}

fn at<T>(shards: &Shards<u8>, key: &u8, f: impl FnOnce(&Slot<u8>) -> T) -> T {
    let asked = Asked {
        key,
        mark: Mark::of(0),
        class: ClassId::new(0),
        gate: 0,
    };
    let follow =
        |made: &Entry<u8>, shared: &Slot<u8>| made.follow(shared, shared.tat.load(Acquire));
    shards.at(&asked, |key| *key, follow, f)
}

/// `act` reads the other copy of the table.
fn by_the_other_copy<R>(act: impl FnOnce() -> R) -> R {
    TURN.with(|turn| turn.set(1));
    act()
}

/// What a sweep does that read the clock when the window was over and the incident forgotten. The others read it before.
fn evict(throttle: &Throttle) {
    let window = throttle.window(0).as_nanos() as u64;
    throttle.evict_idle(100 * window);
}

fn drain(throttle: &Throttle) -> u64 {
    let mut told = 0;
    throttle.drain(|_, _, pending| told += pending.suppressed);
    told
}

fn assert_all_counted(throttle: &Throttle, observed: u64) -> Totals {
    let totals = throttle.totals();
    assert_eq!(totals.observed, observed, "{totals:?}");
    assert!(totals.is_conserved(), "{totals:?}");
    totals
}

/// 1 300 interleavings.
#[test]
fn loom_a_check_a_drain_and_an_eviction_lose_nothing() {
    loom::model(|| {
        let throttle = throttle();
        assert!(check(&throttle) && !check(&throttle));
        let sweep = beside(&throttle, evict);
        let drainer = beside(&throttle, |throttle| by_the_other_copy(|| drain(throttle)));
        let again = check(&throttle);
        sweep.join().unwrap();
        let told = drainer.join().unwrap();
        let totals = assert_all_counted(&throttle, 3);
        assert_eq!(totals.reported, told);
        // A second line in one window: only by an entry that is new.
        assert!(!again || totals.evicted == 1);
    });
}

/// 1 200 interleavings.
#[test]
fn loom_a_count_that_is_given_back_is_not_evicted_meanwhile() {
    loom::model(|| {
        let throttle = throttle();
        assert!(check(&throttle) && !check(&throttle));
        let sweep = beside(&throttle, evict);
        // A drain whose callback panics.
        let failing = beside(&throttle, |throttle| {
            for slot in throttle.inner.shards.collect(|slot| slot.pending() > 0) {
                let taken = throttle.inner.core.report(&slot);
                throttle.inner.core.give_back(&slot, taken);
            }
        });
        by_the_other_copy(|| check(&throttle));
        sweep.join().unwrap();
        failing.join().unwrap();
        let totals = assert_all_counted(&throttle, 3);
        assert_eq!((totals.permitted, totals.pending), (1, 2), "{totals:?}");
    });
}

/// 72 000 interleavings.
#[test]
fn loom_a_handle_a_check_by_key_and_an_eviction_lose_nothing() {
    loom::model(|| {
        let throttle = throttle();
        let handle = throttle.handle(KEY, 0);
        let sweep = beside(&throttle, evict);
        let by_key = beside(&throttle, |throttle| by_the_other_copy(|| check(throttle)));
        let mine = handle.check().is_some();
        drop(handle);
        sweep.join().unwrap();
        let other = by_key.join().unwrap();
        let totals = assert_all_counted(&throttle, 2);
        assert!(mine || other);
        // Both: only if the entry went between them, which no handle held then.
        assert!(!(mine && other) || totals.evicted == 1);
    });
}

/// 79 000 interleavings.
#[test]
fn loom_three_that_bring_a_new_key_find_one_entry() {
    loom::model(|| {
        let shards = Arc::new(Shards::<u8>::new(2, 0));
        let bring = |shards: &Shards<u8>| at(shards, KEY, Slot::clone);
        let others = [
            beside(&shards, bring),
            beside(&shards, move |shards| by_the_other_copy(|| bring(shards))),
        ];
        let mine = bring(&shards);
        let others = others.map(|other| other.join().unwrap());
        assert!(others.iter().all(|other| *other == mine));
        assert_eq!(shards.len(), 1);
    });
}

/// A key without room, while room comes: whoever asks, and whether it shares or has an entry of its own by then, it has one line.
/// 4 000 interleavings.
#[test]
fn loom_a_key_that_gets_room_meanwhile_has_one_line() {
    loom::model(|| {
        let shards = without_room();
        let other = beside(&shards, |shards| by_the_other_copy(|| has_line(shards)));
        assert_eq!(shards.remove_key(Mark::of(0), &1).gone.len(), 1);
        assert!(has_line(&shards) != other.join().unwrap());
    });
}

/// The same where others share an entry already, whose window is over. 830 interleavings.
#[test]
fn loom_a_key_that_leaves_a_shared_entry_has_one_line() {
    loom::model(|| {
        let shards = without_room();
        at(&shards, &2, |_| ());
        let other = beside(&shards, |shards| by_the_other_copy(|| has_line(shards)));
        assert_eq!(shards.remove_key(Mark::of(0), &1).gone.len(), 1);
        assert!(has_line(&shards) != other.join().unwrap());
    });
}

/// But for one other key, which has the place.
fn without_room() -> Arc<Shards<u8>> {
    let shards = Arc::new(Shards::new(2, 0));
    at(&shards, &1, |_| ());
    shards
}

/// A check, less all that is tried elsewhere.
fn has_line(shards: &Shards<u8>) -> bool {
    let permit = |slot: &Slot<u8>| slot.tat.compare_exchange(0, 1, AcqRel, Acquire).is_ok();
    at(shards, KEY, permit)
}

/// All the way, by key. 62 000 interleavings; of three threads they are too many: of the first checks of one entry alone, fifteen
/// minutes of a busy processor did not see all. But the way has parts that share nothing, and of three threads at each of them all
/// are tried: finding the entry (above), opening its incident, and asking for its permit and counting, which are the checks at a
/// window's end.
#[test]
fn loom_two_that_bring_a_new_key_get_one_line() {
    loom::model(|| {
        let throttle = throttle();
        let other = beside(&throttle, |throttle| by_the_other_copy(|| check(throttle)));
        let mine = check(&throttle);
        assert!(mine != other.join().unwrap());
        let totals = assert_all_counted(&throttle, 2);
        assert_eq!((throttle.len(), totals.folded), (1, 0), "{totals:?}");
    });
}

/// The same of three threads, and with no more than three preemptions: 155 000 interleavings.
#[test]
fn loom_three_that_bring_a_new_key_get_one_line() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let throttle = throttle();
        let others = [
            beside(&throttle, check),
            beside(&throttle, |throttle| by_the_other_copy(|| check(throttle))),
        ];
        let mine = check(&throttle);
        let others = others.map(|other| other.join().unwrap());
        let lines = others.into_iter().chain([mine]).filter(|line| *line);
        assert_eq!(lines.count(), 1);
        let totals = assert_all_counted(&throttle, 3);
        assert_eq!((throttle.len(), totals.folded), (1, 0), "{totals:?}");
    });
}
