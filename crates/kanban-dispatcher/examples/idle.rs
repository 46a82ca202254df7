//! Ticks in which nothing is to be done, with a marker before and after them, for `strace` to see what lies between: `cargo xtask
//! syscalls` does that.
//!
//! A marker is a `stat` of a path below `/idle-marker`, which is nowhere. Run with `strace -f cargo run -p kanban-dispatcher --example idle
//! DIR`, where DIR is an empty directory to work in.
#![expect(clippy::print_stdout, reason = "an example prints what it does")]

use std::error::Error;
use std::time::Duration;
use std::{env, fs, thread};

use kanban_dispatcher::{Clock, Config, Dispatcher, Root, Store};

const BOARDS: usize = 3;
const TICKS: usize = 3;

/// Longer than the times of files stay in doubt.
const DOUBT: Duration = Duration::from_millis(20);

fn main() -> Result<(), Box<dyn Error>> {
    let dir = env::args_os().nth(1).unwrap_or_else(|| ".".into());
    let root = Root::at(&dir);
    fs::create_dir_all(root.profile_dir("coder"))?;
    // It stands still, so that neither a minute nor a sign of life is due.
    let clock = Clock::manual(1_800_000_000);
    Store::init(&root.board(&"default".parse()?), &clock)?;
    for n in 1..BOARDS {
        let board = root.board(&format!("board-{n}").parse()?);
        Store::init(&board, &clock)?;
    }
    for (name, watch) in [("watch", true), ("sweep", false)] {
        let mut config = Config::from_toml("worker.command = [\"true\"]")?;
        config.watch = watch;
        let builder = Dispatcher::builder(root.clone(), config);
        let mut dispatcher = builder.clock(clock.clone()).build();
        // Till every board has had its turn, and all around them has been asked after that.
        for _ in 0..10 {
            dispatcher.tick();
            thread::park_timeout(DOUBT);
        }
        let mark = |which: &str| fs::metadata(format!("/idle-marker/{name}/{which}"));
        let _ = mark("begin");
        for _ in 0..TICKS {
            assert_eq!(dispatcher.tick().quiet, BOARDS);
        }
        let _ = mark("end");
        println!("{name}: {TICKS} ticks over {BOARDS} boards");
    }
    Ok(())
}
