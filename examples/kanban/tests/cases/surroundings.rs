//! What other programs do around the boards: lock holders stand still, directories come and go, files are replaced.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::case::{Case, FAULTY, Result, needs};

case! {
    faults_lock_holders_are_stopped,
    injects: "programs that hold a board's write lock, tick lock and init lock (of a board that lacks a column), each stopped by SIGSTOP",
    holds: "these boards are busy and no other one notices; each starts within 2 ticks of its holder's end, and the drift is repaired then",
    |case| {
        const LOCKED: [&str; 3] = [FAULTY, "ticked", "drifted"];
        for slug in &LOCKED[1..] {
            case.make_board(slug)?;
        }
        for slug in LOCKED {
            case.house.ok(&["pause", slug])?;
            case.add(slug, "waits")?;
        }
        case.start()?;
        let mut holders = vec![
            Holder::new(&["python3", "-u", "-c", WRITES], &case.file(FAULTY))?,
            Holder::new(&FLOCKS, &case.dir("ticked").join("kanban.db.dispatch.lock"))?,
            Holder::new(&FLOCKS, &case.dir("drifted").join("kanban.db.init.lock"))?,
        ];
        case.db("drifted")?
            .execute_batch("ALTER TABLE tasks DROP COLUMN skills")?;
        for holder in &holders {
            holder.signal(Signal::STOP)?;
        }
        for slug in LOCKED {
            case.house.ok(&["resume", slug])?;
        }
        for slug in LOCKED {
            case.until(&format!("{slug} busy"), |case| {
                let board = case.board_status(slug)?;
                match board["state"] == "busy" && board["class"] == "busy" {
                    true => Ok(()),
                    false => Err(board.to_string().into()),
                }
            })?;
        }
        case.others_go_on()?;
        for slug in LOCKED {
            let holder = holders.remove(0);
            case.start_soon_after(&[slug], |_| {
                drop(holder);
                Ok(())
            })?;
            case.state(slug, "ok")?;
        }
        Ok(())
    }
}

case! {
    faults_boards_are_removed_and_made_again_under_load,
    injects: "three boards with endless work, moved away and made anew under the same names, ten times",
    holds: "each new board starts within 2 ticks, nothing of the old one is known, no directory is made by the daemon, the others go on",
    |case| {
        const COMES: [&str; 3] = [FAULTY, "comes", "goes"];
        for slug in &COMES[1..] {
            case.make_board(slug)?;
        }
        case.start()?;
        for round in 0..10 {
            for slug in COMES {
                for n in 0..3 {
                    case.add(slug, &format!("load {n}"))?;
                }
                fs::rename(case.dir(slug), case.house.beside(&format!("{slug}.{round}")))?;
            }
            if round % 3 == 0 {
                case.let_ticks_pass(1)?;
                for slug in COMES {
                    assert!(!case.dir(slug).exists(), "{slug} was made by nobody");
                }
            }
            for slug in COMES {
                case.make_board(slug)?;
            }
            case.start_within_two_ticks(&COMES)?;
        }
        for slug in COMES {
            let board = case.state(slug, "ok")?;
            assert_eq!(board["repair_attempts"], 0, "{board}");
        }
        case.others_go_on()
    }
}

case! {
    faults_files_are_replaced_emptied_moved_and_restored_with_their_old_times,
    injects: "a board's file is replaced by a copy, emptied and restored by `cp -p`, moved away and back; its times are the old ones each time",
    holds: "served, held as emptied, served, missing, served: each change within 2 ticks, no restart, acknowledged rows there",
    |case| {
        case.start()?;
        let kept = case.add(FAULTY, "acknowledged")?;
        case.task(FAULTY, &kept, "done")?;
        case.content(FAULTY)?;
        let (file, copy) = (case.file(FAULTY), case.house.beside("copy.db"));
        let cp = |from: &Path, to: &Path| needs(Command::new("cp").arg("-p").arg(from).arg(to), "cp (coreutils)");
        cp(&file, &copy)?;

        let replaced = case.house.beside("replaced.db");
        cp(&copy, &replaced)?;
        fs::rename(&replaced, &file)?;
        case.start_within_two_ticks(&[FAULTY])?;

        case.content(FAULTY)?;
        fs::File::options().write(true).open(&file)?.set_len(0)?;
        let board = case.state(FAULTY, "held")?;
        assert_eq!(board["class"], "emptied", "{board}");
        let restore = |case: &Case| -> Result {
            cp(&copy, &file)?;
            case.add(FAULTY, "after it").map(drop)
        };
        case.start_soon_after(&[FAULTY], restore)?;

        case.content(FAULTY)?;
        fs::rename(&file, &replaced)?;
        let board = case.state(FAULTY, "absent")?;
        assert_eq!(board["class"], "missing", "{board}");
        assert!(!file.exists());
        case.start_soon_after(&[FAULTY], |case| {
            fs::rename(&replaced, &file)?;
            case.add(FAULTY, "after that").map(drop)
        })?;
        let there = "SELECT count(*) FROM tasks WHERE id = ?1 AND status = 'done'";
        assert_eq!(case.query::<i64>(FAULTY, there, &kept)?, 1);
        Ok(())
    }
}

/// Takes a board's write lock, and says so.
const WRITES: &str = "\
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
db.execute('BEGIN IMMEDIATE')
print('held')
time.sleep(600)
";

/// Takes a lock file's lock, and says so.
const FLOCKS: [&str; 4] = [
    "python3",
    "-u",
    "-c",
    "\
import fcntl, sys, time
file = open(sys.argv[1], 'a+b')
fcntl.flock(file, fcntl.LOCK_EX)
print('held')
time.sleep(600)
",
];

/// A program that holds a lock until it is dropped.
struct Holder(Child);

impl Holder {
    /// Waits until it has the lock.
    fn new(words: &[&str], path: &Path) -> Result<Self> {
        let child = Command::new(words[0])
            .args(&words[1..])
            .arg(path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| {
                format!(
                    "this case needs {} (apt-get install python3): {error}",
                    words[0]
                )
            })?;
        let mut holder = Self(child);
        let mut said = String::new();
        let out = holder.0.stdout.take().ok_or("no output")?;
        BufReader::new(out).read_line(&mut said)?;
        match said.trim() {
            "held" => Ok(holder),
            _ => Err(format!("{} was not locked: {said}", path.display()).into()),
        }
    }

    fn signal(&self, signal: Signal) -> Result {
        Ok(kill_process(Pid::from_child(&self.0), signal)?)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
