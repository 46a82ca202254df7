//! The demo's town: a dozen boards in a temporary directory, their tasks, and how the workers are started.

use std::path::PathBuf;
use std::time::Duration;

use kanban_dispatcher::{Board, Clock, Config, NewTask, Root, Slug, Status, Store};
use tempfile::TempDir;

use super::Mishap;

/// Boards that nothing is done to: they have to go on, whatever happens to the others.
pub(super) const SOUND: [&str; 7] = [
    "default", "atelier", "cinema", "docks", "garden", "kiosk", "workshop",
];
/// Loses a column that a repair can add again.
pub(super) const DRIFTED: &str = "bakery";
/// Loses a column that no repair can bring back.
pub(super) const LOST: &str = "foundry";
/// Is locked by another process.
pub(super) const LOCKED: &str = "harbor";
/// Gets garbage written over its pages.
pub(super) const DAMAGED: &str = "library";
/// Is taken away.
pub(super) const REMOVED: &str = "museum";

/// Time, scaled down: what takes a minute on a real machine takes a second here.
pub(super) const INTERVAL: Duration = Duration::from_millis(200);
pub(super) const WINDOW: Duration = Duration::from_secs(1);
/// A held board is watched for more ticks than this: the first holds it, and the others may not touch it.
pub(super) const HELD_TICKS: u32 = 5;
const CONFIG: &str = include_str!("dispatcher.toml");

/// The boards, and the directory they live in.
#[derive(Debug)]
pub(super) struct Fleet {
    dir: TempDir,
    root: Root,
    clock: Clock,
}

// ===== impl Fleet =====

impl Fleet {
    /// Makes the boards and their tasks.
    pub(super) fn build(clock: &Clock) -> Result<Self, Mishap> {
        let dir = tempfile::Builder::new().prefix("kanban-demo-").tempdir()?;
        let root = Root::at(dir.path().join("town"));
        std::fs::create_dir(root.dir())?;
        std::fs::write(dir.path().join("worker.sh"), include_str!("worker.sh"))?;
        let fleet = Self {
            dir,
            root,
            clock: clock.clone(),
        };
        for (n, name) in SOUND.iter().enumerate() {
            fleet.seed_sound(name, n % 2 == 0)?;
        }
        for name in [DRIFTED, LOST, LOCKED, DAMAGED, REMOVED] {
            fleet.seed_troubled(name)?;
        }
        Ok(fleet)
    }

    /// A chain of four, or one task with three children and a last one that needs them all; the workshop's first attempt fails.
    fn seed_sound(&self, name: &str, is_chain: bool) -> Result<(), Mishap> {
        let mut store = Store::init(&self.board(name), &self.clock)?;
        let worker = if name == "workshop" { "flaky" } else { "crew" };
        let first = create(&mut store, "order", worker, 0, &[])?;
        if is_chain {
            let mut last = first;
            for title in ["cut", "join", "finish"] {
                last = create(&mut store, title, "crew", 0, &[&last])?;
            }
        } else {
            let mut parts = Vec::new();
            for priority in 1..=3 {
                let title = format!("part {priority}");
                parts.push(create(&mut store, &title, "crew", priority, &[&first])?);
            }
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            create(&mut store, "assemble", "crew", 9, &parts)?;
        }
        Ok(())
    }

    /// Two short tasks, one whose worker is still at it when the fault comes, and one that waits for that.
    fn seed_troubled(&self, name: &str) -> Result<(), Mishap> {
        let mut store = Store::init(&self.board(name), &self.clock)?;
        for title in ["open up", "sweep"] {
            create(&mut store, title, "crew", 5, &[])?;
        }
        let worker = if name == LOCKED { "unlucky" } else { "patient" };
        let long = create(&mut store, "the long job", worker, 0, &[])?;
        create(&mut store, "tidy up", "crew", 0, &[&long])?;
        Ok(())
    }

    /// One more task on each sound board; where, and which.
    pub(super) fn add_errands(&self) -> Result<Vec<(&'static str, String)>, Mishap> {
        let errand = |name| {
            let id = create(&mut self.store(name)?, "errand", "crew", 3, &[])?;
            Ok((name, id))
        };
        SOUND.into_iter().map(errand).collect()
    }

    /// Lets the long job of a board go on.
    pub(super) fn let_go(&self, name: &str) -> Result<(), Mishap> {
        Ok(std::fs::write(self.path(&format!("go-{name}")), "")?)
    }

    /// How the demo's dispatcher is set up: shell workers that report through this very program.
    pub(super) fn config(&self) -> Result<Config, Mishap> {
        let mut config = Config::from_toml(CONFIG)?;
        let program = std::env::current_exe()?.to_string_lossy().into_owned();
        let script = self.path("worker.sh").to_string_lossy().into_owned();
        let filled = ["{root}", "{board}", "{task}", "{profile}"].map(str::to_owned);
        let mut command = vec!["sh".to_owned(), script, program];
        command.extend(filled);
        config.worker.command = Some(command);
        Ok(config)
    }

    /// How many tasks of the boards that are there are not done yet.
    pub(super) fn unfinished(&self) -> Result<i64, Mishap> {
        let mut unfinished = 0;
        for name in Self::lasting() {
            let counts = self.store(name)?.counts()?;
            unfinished += counts
                .iter()
                .filter(|(status, _)| status != "done")
                .map(|(_, count)| count)
                .sum::<i64>();
        }
        Ok(unfinished)
    }

    /// Whether a task of a sound board is done.
    pub(super) fn is_done(&self, name: &str, id: &str) -> bool {
        self.store(name)
            .and_then(|store| Ok(store.show(id)?))
            .is_ok_and(|detail| detail.task.status == "done")
    }

    /// The boards that are still there at the end.
    pub(super) fn lasting() -> impl Iterator<Item = &'static str> {
        SOUND.into_iter().chain([DRIFTED, LOST, LOCKED, DAMAGED])
    }

    /// What `kanban status` says.
    pub(super) fn status(&self) -> Result<Status, Mishap> {
        Ok(Status::read(&self.root, &self.clock)?)
    }

    pub(super) fn store(&self, name: &str) -> Result<Store, Mishap> {
        Ok(Store::open(&self.board(name), &self.clock)?)
    }

    pub(super) fn board(&self, name: &str) -> Board {
        let slug: Slug = name.parse().expect("the demo's names are slugs");
        self.root.board(&slug)
    }

    pub(super) fn root(&self) -> &Root {
        &self.root
    }

    /// Where the removed board is taken.
    pub(super) fn moved_away(&self) -> PathBuf {
        self.path("elsewhere")
    }

    /// Something in the demo's directory that is no board.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Keeps the directory, and says where it is.
    pub(super) fn keep(self) -> PathBuf {
        self.dir.keep()
    }
}

fn create(
    store: &mut Store,
    title: &str,
    worker: &str,
    priority: i64,
    parents: &[&str],
) -> Result<String, Mishap> {
    let task = NewTask {
        title: title.to_owned(),
        assignee: Some(worker.to_owned()),
        priority,
        parents: parents.iter().map(ToString::to_string).collect(),
        ..NewTask::default()
    };
    Ok(store.create(&task)?)
}
