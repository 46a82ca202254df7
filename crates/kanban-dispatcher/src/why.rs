//! Why one task is where it is, asked from outside: the dispatcher's own decision on the board as it is now.

use rusqlite::OptionalExtension;

use crate::board::{observe, open_read_only};
use crate::clock::Clock;
use crate::config::Config;
use crate::decide::{Reason, Why, explain};
use crate::error::{Error, ErrorKind};
use crate::onlooker::Onlooker;
use crate::root::{Board, Root};
use crate::status::{BoardState, DispatcherState, Status};
use crate::view::{HeldReason, View};

/// Why a task is where it is, and when that can change: asked of the function that every tick asks.
///
/// The board is opened read-only, and nothing is written or signalled.
///
/// # Errors
/// [`ErrorKind::NotFound`] when there is no such board or task; otherwise what the database reports.
///
/// # Examples
/// ```
/// use kanban_dispatcher::{Clock, Config, NewTask, Root, Slug, Store, why};
///
/// let dir = tempfile::tempdir()?;
/// let root = Root::at(dir.path());
/// let (board, clock) = (root.board(&Slug::default()), Clock::system());
/// let id = Store::init(&board, &clock)?.create(&NewTask { title: "x".into(), ..NewTask::default() })?;
/// let answer = why(&root, &Config::default(), &clock, &board, &id)?;
/// assert_eq!(answer.reason.as_str(), "unassigned");
/// assert!(why(&root, &Config::default(), &clock, &board, "t_none").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn why(
    root: &Root,
    config: &Config,
    clock: &Clock,
    board: &Board,
    task: &str,
) -> Result<Why, Error> {
    let slug = board.slug();
    let missing = |what: String| Error::new(ErrorKind::NotFound, what).on(slug);
    if !board.db().exists() {
        return Err(missing(format!(
            "find board \"{slug}\": {} does not exist",
            board.db().display()
        )));
    }
    let failed = |error: rusqlite::Error| {
        Error::new(ErrorKind::Sqlite, format!("read board \"{slug}\""))
            .because(error)
            .on(slug)
    };
    let db = open_read_only(board.db()).map_err(failed)?;
    db.busy_timeout(config.busy_timeout_ms).map_err(failed)?;
    let status: Option<Option<String>> = db
        .query_row(
            "SELECT CAST(status AS TEXT) FROM tasks WHERE id = ?1",
            [task],
            |row| row.get(0),
        )
        .optional()
        .map_err(failed)?;
    let Some(status) = status else {
        return Err(missing(format!("find task {task} on board \"{slug}\"")));
    };
    let view = observe(&db).map_err(failed)?;
    let onlooker = Onlooker::new(root, config, clock);
    let known = explained(&onlooker, board, &view, task);
    let why = known.unwrap_or_else(|| {
        Why::new(
            Reason::of_status(status.as_deref().unwrap_or_default()),
            None,
        )
    });
    match why.reason {
        Reason::Starts => Ok(starts(root, clock, board, why)),
        _ => Ok(why),
    }
}

/// The decision's answer, with what it does not know: whether there is a worker program, a place, an earlier worker.
fn explained(onlooker: &Onlooker, board: &Board, view: &View, task: &str) -> Option<Why> {
    let (processes, policy) = onlooker.facts(board.slug(), view);
    let why = explain(view, &processes, &policy, onlooker.now(), task)?;
    let held = |reason| Why::new(Reason::Held(reason), None);
    let (most, more_at) = onlooker.starts_max(board.slug());
    Some(match why.reason {
        // In the order in which a tick asks.
        Reason::Starts if onlooker.is_paused(board.slug()) => held(HeldReason::Paused),
        Reason::Starts if onlooker.has_no_worker() => held(HeldReason::NoWorker),
        Reason::Starts if view.worktrees().contains(task) && onlooker.lacks_git() => {
            held(HeldReason::NoWorker)
        }
        Reason::Starts if onlooker.live_on(board.slug(), view).contains(task) => {
            held(HeldReason::WorkerEnding)
        }
        Reason::Starts if most == 0 => Why::new(Reason::Held(HeldReason::Breaker), more_at),
        Reason::Starts if onlooker.is_full() => held(HeldReason::HostCap),
        _ => why,
    })
}

/// It would start: unless nobody is there to do so, or its board is left alone.
fn starts(root: &Root, clock: &Clock, board: &Board, why: Why) -> Why {
    let Ok(status) = Status::read(root, clock) else {
        return why;
    };
    if status.dispatcher.state != DispatcherState::Serving {
        return Why::new(Reason::NoDispatcher, None);
    }
    let mut boards = status.boards.iter();
    match boards.find(|known| known.slug == board.slug().as_str()) {
        Some(known) if known.state == BoardState::Held => {
            Why::new(Reason::BoardHeld, known.next_retry)
        }
        _ => why,
    }
}
