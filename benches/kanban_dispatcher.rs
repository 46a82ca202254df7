//! What one tick over many idle boards costs, beside the least that looking at them can cost.
//!
//! Each iteration is one whole tick: the root's lock is checked, the boards are discovered, what has changed is found out, and
//! the ledger is written. A board has ten tasks that wait for an assignee, so nothing is started. In "one in ten broken" every tenth
//! board is damaged and held, as it is from the second tick on. In "each opened" no board is passed over as quiet: each is stamped,
//! locked, read and decided about. Up to 256 boards keep their connection (the default), the others are opened and closed each time;
//! that is why 1,000 boards cost more each then.
//!
//! Beside it, in one thread and without a decision: "two stats" is the least that can tell whether a board changed, and "open,
//! query, close" is what a loop without kept connections does.

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use kanban_dispatcher::{Clock, Config, Dispatcher, NewTask, Outcome, Root, Slug, Store};
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

const COUNTS: [usize; 3] = [1, 100, 1_000];
const TASKS: usize = 10;

/// The settings that the format asks of every connection.
const PRAGMAS: &str = "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=100; PRAGMA foreign_keys=ON; \
                       PRAGMA secure_delete=ON; PRAGMA cell_size_check=ON;";

/// Boards in a directory that goes with them.
struct Fleet {
    root: Root,
    boards: Vec<PathBuf>,
    _dir: TempDir,
}

impl Fleet {
    /// The default board, and copies of one other: making each anew would take longer than measuring them.
    fn new(count: usize) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let root = Root::at(dir.path());
        let mut boards = vec![make(&root, &Slug::default())];
        for n in 1..count {
            let slug = format!("board-{n:04}").parse().expect("a board name");
            let board = root.board(&slug);
            if n == 1 {
                boards.push(make(&root, &slug));
                continue;
            }
            fs::create_dir_all(board.dir()).expect("the board's directory");
            fs::copy(&boards[1], board.db()).expect("copy a board");
            boards.push(board.db().to_owned());
        }
        Self {
            root,
            boards,
            _dir: dir,
        }
    }

    /// Damages every tenth board.
    fn break_some(&self) {
        for db in self.boards.iter().step_by(10) {
            fs::write(db, "this was a board").expect("overwrite a board");
        }
    }

    /// A dispatcher in its steady state: connections are open, the damaged boards are held, and the others are quiet unless each is
    /// opened in every tick.
    fn dispatcher(&self, held: usize, is_each_opened: bool) -> Dispatcher {
        let settings = format!(
            "worker.require_profile = false\nskip_quiet_boards = {}",
            !is_each_opened
        );
        let config = Config::from_toml(&settings).expect("a configuration");
        let mut dispatcher = Dispatcher::new(self.root.clone(), config);
        let healthy = self.boards.len() - held;
        let expected = match is_each_opened {
            true => (healthy, 0, held),
            false => (0, healthy, held),
        };
        // Files must have an age before they count as unchanged.
        for _ in 0..500 {
            let report = dispatcher.tick();
            let count = |outcome| {
                let boards = report.boards.iter();
                boards.filter(|board| board.outcome == outcome).count()
            };
            let found = (count(Outcome::Ticked), report.quiet, count(Outcome::Held));
            if found == expected {
                return dispatcher;
            }
            thread::park_timeout(Duration::from_millis(5));
        }
        panic!("no steady state of {expected:?}: (ticked, quiet, held)")
    }
}

fn make(root: &Root, slug: &Slug) -> PathBuf {
    let board = root.board(slug);
    let mut store = Store::init(&board, &Clock::system()).expect("a new board");
    for n in 0..TASKS {
        let title = format!("task {n}");
        store
            .create(&NewTask {
                title,
                ..NewTask::default()
            })
            .expect("a new task");
    }
    drop(store);
    // Our own connections leave the WAL as it is when they close; this one moves it into the file.
    open_query_close(board.db()).expect("a sound board");
    board.db().to_owned()
}

fn beside(db: &Path, suffix: &str) -> PathBuf {
    let mut path = db.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

fn two_stats(db: &Path, wal: &Path) -> u64 {
    let len = |path| fs::metadata(path).map_or(0, |metadata| metadata.len());
    len(db) + len(wal)
}

fn open_query_close(db: &Path) -> rusqlite::Result<i64> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(db, flags)?;
    db.execute_batch(PRAGMAS)?;
    db.query_row(
        "SELECT count(*) FROM tasks WHERE status = 'ready'",
        [],
        |row| row.get(0),
    )
}

fn boards(c: &mut Criterion) {
    for count in COUNTS {
        let mut group = c.benchmark_group(format!("kanban_dispatcher/{count} idle boards"));
        // A tick over a thousand boards is long: every sample gets the same few iterations.
        group.sampling_mode(SamplingMode::Flat);
        group.throughput(Throughput::Elements(count as u64));
        let fleet = Fleet::new(count);
        look(&mut group, &fleet);
        tick(&mut group, "tick, all healthy", fleet.dispatcher(0, false));
        let opened = fleet.dispatcher(0, true);
        tick(&mut group, "tick, all healthy, each opened", opened);
        if count >= 10 {
            fleet.break_some();
            let broken = fleet.dispatcher(count / 10, false);
            tick(&mut group, "tick, one in ten broken", broken);
        }
        group.finish();
    }
}

fn tick(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, mut dispatcher: Dispatcher) {
    group.bench_function(name, |b| b.iter(|| dispatcher.tick()));
}

/// What looking costs without deciding.
fn look(group: &mut BenchmarkGroup<'_, WallTime>, fleet: &Fleet) {
    let pairs: Vec<_> = fleet
        .boards
        .iter()
        .map(|db| (db, beside(db, "-wal")))
        .collect();
    group.bench_function("limit: two stats", |b| {
        b.iter(|| {
            for (db, wal) in &pairs {
                black_box(two_stats(db, wal));
            }
        });
    });
    group.bench_function("peer: open, query, close", |b| {
        b.iter(|| {
            for db in &fleet.boards {
                black_box(open_query_close(db).expect("a healthy board"));
            }
        });
    });
}

criterion_group!(benches, boards);
criterion_main!(benches);
