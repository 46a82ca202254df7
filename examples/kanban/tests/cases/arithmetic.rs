//! What is logged adds up, whatever happens: failures = lines + those told of as held back.
//!
//! The failures are counted by the kernel. Each turn of a board opens its tick lock once, and these boards fail in every turn, from
//! before the daemon's first tick to after its end; so there are as many failures as opens.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::time::{Duration, SystemTime};

use rustix::process::Signal;
use torture::wall::WallClock;

use super::case::{Case, DONE, Daemon, FAULTY, Line, Opens, Result};

const STEPS: u32 = 40;

/// The variable that gives the seed of an earlier run, which a failure names; when what happens meets the daemon differs all the same.
const SEED: &str = "KANBAN_CASES_SEED";

/// Told apart by what fails on them. `faulty` is damaged in another way each time, so all of its classes are counted together.
const BUSY: &str = "busy";
const SPOILT: &str = "spoilt";
const MOVED: &str = "moved";

/// The opens of each board's tick lock.
struct Turns(BTreeMap<&'static str, (Opens, u64)>);

impl Turns {
    fn of(case: &Case) -> Result<Self> {
        let boards = [FAULTY, BUSY, SPOILT, MOVED];
        let watched = boards.map(|slug| Ok((slug, (Opens::of(case, slug)?, 0))));
        Ok(Self(watched.into_iter().collect::<Result<_>>()?))
    }

    /// The kernel keeps a limited number of them.
    fn count(&mut self) -> Result {
        for (opens, count) in self.0.values_mut() {
            let seen = opens.seen()?;
            let turns = seen.iter().filter(|name| name.ends_with(".dispatch.lock"));
            *count += turns.count() as u64;
        }
        Ok(())
    }
}

/// Ways to damage `faulty`.
fn damages(case: &Case) -> Result<Vec<Vec<u8>>> {
    let page = case.tasks_page(FAULTY)?;
    let sound = case.content(FAULTY)?;
    let (mut spoilt, mut no_database) = (sound.clone(), sound);
    spoilt[page..page + 4096].fill(0xa5);
    no_database[..16].copy_from_slice(b"no database here");
    let db = case.db(FAULTY)?;
    db.execute_batch("ALTER TABLE tasks DROP COLUMN body")?;
    drop(db);
    let drifted = case.content(FAULTY)?;
    Ok(vec![spoilt, no_database, drifted, Vec::new()])
}

/// Starts the daemon under a wall clock that can be set.
fn start(case: &mut Case) -> Result<WallClock> {
    let clock = WallClock::new(&case.house.beside(""))?;
    let mut command = case.house.command(&["run", "--log-format", "json"]);
    clock.rule(&mut command);
    let daemon = Daemon::spawn(&case.house, &mut command)?;
    case.begin(daemon)?;
    Ok(clock)
}

/// One thing that happens.
fn step(case: &Case, clock: &WallClock, damages: &[Vec<u8>], draw: impl Fn(u64) -> u64) -> Result {
    match draw(6) {
        0 | 1 => {
            let at = usize::try_from(draw(damages.len() as u64))?;
            case.put(FAULTY, &damages[at])?;
        }
        2 => {
            let modified = SystemTime::UNIX_EPOCH + Duration::from_millis(draw(1 << 40));
            let file = File::options().append(true).open(case.file(SPOILT))?;
            file.set_modified(modified)?;
            // Until it is no write of this very moment.
            case.let_ticks_pass(1)?;
        }
        3 => {
            // A release is heard in an early turn, and that leaves a file which was written this very moment to the next. To a clock
            // before the file's own times each moment is that one.
            clock.set(i64::try_from(draw(100_000))?)?;
            case.house.ok(&["release", SPOILT])?;
        }
        4 => clock.set(i64::try_from(draw(200_000))? - 100_000)?,
        _ => {
            // In between two looks, so that no turn of it is under way.
            let away = case.house.beside("away");
            let removed = |case: &Case| -> Result<usize> {
                let lines = case.lines_about(MOVED)?;
                let is_it = |line: &&Line| line.message() == "board was removed";
                Ok(lines.iter().filter(is_it).count())
            };
            let before = removed(case)?;
            case.daemon()?.signal(Signal::STOP)?;
            fs::rename(case.dir(MOVED), &away)?;
            case.daemon()?.signal(Signal::CONT)?;
            case.until("its removal", |case| match removed(case)? {
                n if n > before => Ok(()),
                _ => Err("not yet".into()),
            })?;
            fs::rename(away, case.dir(MOVED))?;
            // Seen again before it may go again.
            case.let_ticks_pass(1)?;
        }
    }
    case.let_ticks_pass(draw(5))
}

/// What the log says of a board: lines of failures, and failures that a line tells of as held back.
fn told(lines: &[Line], slug: &str) -> (u64, u64) {
    let about = || lines.iter().filter(|line| line.board() == Some(slug));
    let is_one = |line: &&Line| {
        let message = line.message();
        let is_failure =
            message.starts_with("board held: ") || message.starts_with("board failed: ");
        // Taken away between the listing and its turn: that is told, once, and no turn.
        is_failure && line.text("class") != Some("missing")
    };
    (
        about().filter(is_one).count() as u64,
        about().map(Line::suppressed).sum(),
    )
}

case! {
    the_log_adds_up,
    injects: "forty random steps: damage of five kinds, touches, releases, removals, a wall clock that jumps by up to a day; then SIGTERM",
    holds: "of each board: the failures that the kernel counted = lines + those told of as held back",
    |case| {
        let given = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
        let seed: u64 = given.unwrap_or_else(|| RandomState::new().hash_one(()));
        case.settings(DONE, "busy_timeout_ms = 1", "")?;
        for slug in [BUSY, SPOILT, MOVED] {
            case.make_board(slug)?;
        }
        case.damage(SPOILT)?;
        case.damage(MOVED)?;
        let damages = damages(case)?;
        case.expect_damage(FAULTY);
        let lock = case.db(BUSY)?;
        // Not even to be read.
        lock.execute_batch(
            "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE;
             CREATE TABLE other (id); COMMIT",
        )?;
        let mut turns = Turns::of(case)?;
        let clock = start(case)?;
        for n in 0..STEPS {
            let drawn = Cell::new(0_u32);
            let draw = |below: u64| {
                drawn.set(drawn.get() + 1);
                let mut hasher = DefaultHasher::new();
                (seed, n, drawn.get()).hash(&mut hasher);
                hasher.finish() % below
            };
            step(case, &clock, &damages, draw)?;
            turns.count()?;
        }
        let lines = case.stop()?;
        turns.count()?;
        for (slug, (_, failures)) in turns.0 {
            let (logged, held_back) = told(&lines, slug);
            assert_eq!(failures, logged + held_back, "{slug}: {logged} lines, {held_back} held back, seed {seed}");
            // Who is never left alone has most of them held back.
            let least = if slug == BUSY { u64::from(STEPS) } else { 2 };
            assert!(failures >= least, "{slug}: {failures} failures, seed {seed}");
        }
        for (slug, class) in [(BUSY, "busy"), (SPOILT, "corrupt")] {
            let mut about = lines.iter().filter(|line| line.board() == Some(slug));
            assert!(about.all(|line| line.text("class").is_none_or(|it| it == class)), "{slug}");
        }
        drop(lock);
        Ok(())
    }
}
