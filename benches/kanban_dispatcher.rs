//! What one tick over many idle boards costs, beside the least that looking at them can cost.
//!
//! Each iteration is one whole tick: the root's lock is checked, the boards are discovered, each is stamped, locked, read and
//! decided about, and the ledger is written. A board has ten tasks that wait for an assignee, so nothing is started. In "one in
//! ten broken" every tenth board is damaged and held, as it is from the second tick on. Up to 256 boards keep their connection
//! (the default), the others are opened and closed each time; that is why 1,000 boards cost more each.
//!
//! Beside it, in one thread and without a decision: "two stats" is the least that can tell whether a board changed, and "open,
//! query, close" is what a loop without kept connections does.

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};

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

    /// A dispatcher in its steady state: connections are open, the damaged boards are held.
    fn dispatcher(&self, held: usize) -> Dispatcher {
        let config = Config::from_toml("worker.require_profile = false").expect("a configuration");
        let mut dispatcher = Dispatcher::new(self.root.clone(), config);
        for _ in 0..2 {
            let report = dispatcher.tick();
            let count = |outcome| {
                report
                    .boards
                    .iter()
                    .filter(|board| board.outcome == outcome)
                    .count()
            };
            assert_eq!(
                (count(Outcome::Ticked), count(Outcome::Held)),
                (self.boards.len() - held, held)
            );
        }
        dispatcher
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
        tick(&mut group, "tick, all healthy", &fleet, 0);
        if count >= 10 {
            fleet.break_some();
            tick(&mut group, "tick, one in ten broken", &fleet, count / 10);
        }
        group.finish();
    }
}

fn tick(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, fleet: &Fleet, held: usize) {
    let mut dispatcher = fleet.dispatcher(held);
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
