//! Asking allocates nothing: not for a healthy key, not for a held one, and not for a look at its files. And what it costs to be on record.

use std::hint::black_box;
use std::time::{Duration, SystemTime};

use allocation_counter::measure;
use fingerprint_quarantine::{
    Admission, FileState, Hold, Quarantine, SqliteFiles, SqliteStamp, TickClock,
};

type Boards = Quarantine<String, SqliteStamp, TickClock>;

const HOLD: Hold = Hold::until_changed();

fn allocated(work: impl Fn()) -> u64 {
    // Once before, for what a thread or a lock sets up at its first use.
    work();
    measure(work).count_total
}

fn held_at(boards: &Boards, stamp: SqliteStamp, hold: &Hold) {
    boards.forget("a");
    boards
        .admit_stamped("a", stamp)
        .go()
        .unwrap()
        .failed(hold, |same| *same);
}

#[test]
fn no_question_allocates_whatever_its_answer() -> std::io::Result<()> {
    let works = allocated(|| drop(black_box(Box::new(1))));
    assert_eq!(works, 1, "the instrument works");

    let dir = tempfile::tempdir()?;
    let files = SqliteFiles::new(&dir.path().join("a.db"));
    std::fs::write(files.main(), "content")?;
    std::fs::write(files.wal(), "frame")?;
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(10_000_000_000);
    let look = || files.observe_at(now);

    let boards = Boards::with_clock(TickClock::new());
    let handle = boards.handle("a");
    let by_both_doors = |answer: fn(Admission<'_, String, SqliteStamp, TickClock>)| {
        let key = "a".to_owned();
        allocated(|| {
            answer(boards.admit(&key, look));
            answer(handle.admit(look));
        })
    };
    let healthy = || by_both_doors(|admission| assert!(admission.go().unwrap().ok().is_none()));
    let held = || by_both_doors(|admission| assert!(matches!(admission, Admission::Held(_))));

    assert_eq!(healthy(), 0, "healthy, nothing on record");
    boards
        .admit_stamped("b", look())
        .go()
        .unwrap()
        .failed(&HOLD, |same| *same);
    assert_eq!(healthy(), 0, "healthy, another on record");
    held_at(&boards, look(), &HOLD.at_least(Duration::from_secs(60)));
    assert_eq!(held(), 0, "held within its shortest time");
    held_at(&boards, look(), &HOLD);
    assert_eq!(held(), 0, "held, with a look");
    let changed = || {
        let look = || {
            let mut stamp = look();
            stamp.main = FileState::Absent;
            stamp
        };
        drop(boards.admit("a", look).go().unwrap());
        drop(handle.admit(look).go().unwrap());
    };
    assert_eq!(allocated(changed), 0, "changed, and dropped");
    let probe = handle.admit_stamped(SqliteStamp::of(dir.path())).go();
    assert!(probe.is_some());
    let probing = by_both_doors(|admission| assert!(matches!(admission, Admission::Probing)));
    assert_eq!(probing, 0, "probing");
    Ok(())
}

#[test]
fn a_key_on_record_costs_its_name_its_place_and_its_stamp_and_gives_them_back() {
    let counted = measure(|| {
        let boards = Quarantine::<String, FileState>::new();
        for round in 0..3 {
            let attempt = boards.admit_stamped("board", FileState::Absent).go();
            attempt.unwrap().failed(&HOLD, |same| *same);
            assert_eq!(boards.len(), 1, "round {round}");
            boards.forget("board");
            assert!(format!("{boards:?}").contains("slots: 0"));
        }
    });
    assert_eq!(counted.count_current, 0);
    assert!(counted.bytes_max < 8 * 1024, "{counted:?}");
}

#[test]
fn a_key_on_record_takes_at_most_448_bytes_with_a_word_for_key_and_a_file_s_state() {
    let boards = Quarantine::<u64, FileState>::new();
    let counted = measure(|| {
        for key in 0..10_000 {
            let attempt = boards.admit_stamped(&key, FileState::Absent).go();
            attempt.unwrap().failed(&HOLD, |same| *same);
        }
    });
    assert!(counted.bytes_current <= 448 * 10_000, "{counted:?}");
}

#[test]
fn a_crowd_that_has_recovered_takes_no_more_memory_than_a_few() {
    let boards = Quarantine::<u32, u32>::new();
    let counted = measure(|| {
        for key in 0..10_000 {
            let attempt = boards.admit_stamped(&key, 1).go();
            attempt.unwrap().failed(&HOLD, |same| *same);
        }
        for key in 0..10_000 {
            let attempt = boards.admit_stamped(&key, 2).go();
            assert!(attempt.unwrap().ok().is_some());
        }
    });
    assert!(counted.bytes_current < 1024, "{counted:?}");
}
