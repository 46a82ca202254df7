//! Every kind of question, with a marker before and after each, for `strace` to see what lies between: `cargo xtask ci` does that.
//!
//! A marker is a `stat` of a path below `/quarantine-marker`, which is nowhere. Run with
//! `strace -f cargo run -p fingerprint-quarantine --example observe DIR`, where DIR is an empty directory to work in.
#![expect(clippy::print_stdout, reason = "an example prints what it does")]

use std::path::Path;
use std::time::{Duration, SystemTime};
use std::{env, fs, io};

use fingerprint_quarantine::{
    Admission, Backoff, FileState, Handle, Hold, Monotonic, Quarantine, SqliteFiles, SqliteStamp,
};

const LONG: Duration = Duration::from_secs(1_000_000);
const HOLD: Hold = Hold::until_changed().or_retry(Backoff::every(LONG));
const TIMES: usize = 3;

/// Does it a few times between two markers.
fn marked(name: &str, mut work: impl FnMut()) {
    let mark = |which: &str| fs::metadata(format!("/quarantine-marker/{name}/{which}"));
    // The first time may still allocate or bind something lazily.
    work();
    let _ = mark("begin");
    for _ in 0..TIMES {
        work();
    }
    let _ = mark("end");
    println!("{name}");
}

fn is_held<T, Q: ?Sized>(admission: &Admission<'_, String, T, Monotonic, Q>) -> bool {
    matches!(admission, Admission::Held(_))
}

fn by_both_doors<T: Eq + Copy>(kind: &str, stamp: T, look: impl Fn() -> T) {
    let things = Quarantine::<String, T>::new();
    let handle: Handle<String, T> = things.handle("thing");
    let healthy = |admission: Option<()>| assert!(admission.is_some());
    let settle = || {
        healthy(things.admit("thing", &look).go().map(|go| _ = go.ok()));
        healthy(handle.admit(&look).go().map(|go| _ = go.ok()));
    };
    marked(&format!("{kind}-healthy"), settle);
    let other = things.admit_stamped("other", stamp).go();
    other.map(|attempt| attempt.failed(&HOLD, |_| look()));
    marked(&format!("{kind}-healthy-beside-a-held-one"), settle);

    let hold = |hold: &Hold| {
        things.forget("thing");
        let attempt = things.admit_stamped("thing", stamp).go();
        attempt.map(|attempt| attempt.failed(hold, |_| look()));
    };
    hold(&HOLD.at_least(LONG));
    marked(&format!("{kind}-held-in-min-hold"), || {
        assert!(is_held(&things.admit("thing", &look)) && is_held(&handle.admit(&look)));
    });
    hold(&HOLD);
    marked(&format!("{kind}-held-by-key"), || {
        assert!(is_held(&things.admit("thing", &look)));
    });
    marked(&format!("{kind}-held-by-handle"), || {
        assert!(is_held(&handle.admit(&look)));
    });
}

fn main() -> io::Result<()> {
    let dir = env::args_os().nth(1).unwrap_or_else(|| ".".into());
    let file = Path::new(&dir).join("watched.db");
    let files = SqliteFiles::new(&file);
    fs::write(&file, "content")?;
    fs::write(files.wal(), "frame")?;
    // Watched from here on. So late that no stamp is young, and the files look the same each time.
    let _ = fs::metadata("/quarantine-marker/watching");
    let later = SystemTime::UNIX_EPOCH + LONG * 10_000;
    by_both_doors("file", FileState::of_at(&file, later), || {
        FileState::of_at(&file, later)
    });
    let stamp: SqliteStamp = files.observe_at(later);
    by_both_doors("sqlite", stamp, || files.observe_at(later));
    let _ = (FileState::of(&file), files.observe());
    Ok(())
}
