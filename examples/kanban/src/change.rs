//! The verbs by which people change what a board says: its tasks, who does them, and what waits for what.

use kanban_dispatcher as library;
use kanban_dispatcher::Store;

use crate::cli::{Archive, Assign, Comment, Edit, Ends, Promote, Reassign, Reclaim, TaskRef};
use crate::exit::{Code, Failure};
use crate::fence::Fence;
use crate::place::{Place, author};
use crate::told::Told;

pub(crate) fn comment(args: Comment, place: &Place) -> Result<Code, Failure> {
    // Not fenced: words harm no attempt.
    let board = place.board_of(&args.task)?;
    let mut store = place.open(&board)?;
    let author = args.author.unwrap_or_else(author);
    store.comment(&args.task.id, &author, &args.text.join(" "))?;
    let told = Told {
        schema: "kanban.comment",
        id: &args.task.id,
        words: format!("task {} has a new comment", args.task.id),
        json: args.said.json,
    };
    Ok(told.end(&store))
}

pub(crate) fn link(args: &Ends, place: &Place) -> Result<Code, Failure> {
    let mut store = open_both(args, place)?;
    let (parent, child) = (&args.parent.id, &args.child.id);
    let status = store.link(parent, child)?;
    let told = Told {
        schema: "kanban.link",
        id: child,
        words: format!("task {child} waits for {parent}, and is {status}"),
        json: args.said.json,
    };
    Ok(told.end(&store))
}

pub(crate) fn unlink(args: &Ends, place: &Place) -> Result<Code, Failure> {
    let mut store = open_both(args, place)?;
    let (parent, child) = (&args.parent.id, &args.child.id);
    let status = store.unlink(parent, child)?;
    let told = Told {
        schema: "kanban.unlink",
        id: child,
        words: format!("task {child} no longer waits for {parent}, and is {status}"),
        json: args.said.json,
    };
    Ok(told.end(&store))
}

pub(crate) fn promote(args: &Promote, place: &Place) -> Result<Code, Failure> {
    let (mut store, run) = open(&args.task, place)?;
    let reason = args.reason.join(" ");
    let reason = Some(reason.trim()).filter(|reason| !reason.is_empty());
    store.promote(&args.task.id, run, &author(), reason, args.force)?;
    let told = Told {
        schema: "kanban.promote",
        id: &args.task.id,
        words: format!("task {} is ready", args.task.id),
        json: args.said.json,
    };
    Ok(told.end(&store))
}

pub(crate) fn assign(args: &Assign, place: &Place) -> Result<Code, Failure> {
    let (mut store, run) = open(&args.task, place)?;
    let assignee = args.assignee.0.as_deref();
    store.assign(&args.task.id, run, assignee)?;
    let told = Told {
        schema: "kanban.assign",
        id: &args.task.id,
        words: given_to(&args.task.id, assignee),
        json: args.said.json,
    };
    Ok(told.end(&store))
}

pub(crate) fn reassign(args: &Reassign, place: &Place) -> Result<Code, Failure> {
    let (mut store, run) = open(&args.task, place)?;
    let (id, assignee) = (&args.task.id, args.assignee.0.as_deref());
    let released = if args.reclaim {
        store.reassign(id, run, assignee, args.reason.as_deref())?
    } else {
        store.assign(id, run, assignee)?;
        None
    };
    let told = Told {
        schema: "kanban.reassign",
        id,
        words: given_to(id, assignee),
        json: args.said.json,
    };
    Ok(told.end_with(&store, released, place))
}

pub(crate) fn reclaim(args: &Reclaim, place: &Place) -> Result<Code, Failure> {
    let (mut store, run) = open(&args.task, place)?;
    let released = store.reclaim(&args.task.id, run, args.reason.as_deref())?;
    let told = Told {
        schema: "kanban.reclaim",
        id: &args.task.id,
        words: format!("task {} is ready again", args.task.id),
        json: args.said.json,
    };
    Ok(told.end_with(&store, Some(released), place))
}

pub(crate) fn archive(args: &Archive, place: &Place) -> Result<Code, Failure> {
    let (mut store, run) = open(&args.task, place)?;
    let released = store.archive(&args.task.id, run)?;
    let told = Told {
        schema: "kanban.archive",
        id: &args.task.id,
        words: format!("task {} is archived", args.task.id),
        json: args.said.json,
    };
    Ok(told.end_with(&store, released, place))
}

pub(crate) fn edit(args: Edit, place: &Place) -> Result<Code, Failure> {
    let (mut store, run) = open(&args.task, place)?;
    let edit = library::Edit {
        run,
        title: args.title,
        body: args.body,
        priority: args.priority,
        result: args.result,
        summary: args.summary,
        metadata: args.metadata,
    };
    store.edit(&args.task.id, &edit)?;
    let told = Told {
        schema: "kanban.edit",
        id: &args.task.id,
        words: format!("task {} is changed", args.task.id),
        json: args.said.json,
    };
    Ok(told.end(&store))
}

fn given_to(id: &str, assignee: Option<&str>) -> String {
    match assignee {
        Some(name) => format!("task {id} is for {}", name.to_lowercase()),
        None => format!("task {id} is for nobody"),
    }
}

/// The task's board, and the attempt that a worker speaks for: it changes its own task only.
fn open(task: &TaskRef, place: &Place) -> Result<(Store, Option<i64>), Failure> {
    let board = place.board_of(task)?;
    let run = Fence::of(task, &board, None)?.run;
    Ok((place.open(&board)?, run))
}

/// The board that both tasks are on. Not fenced: a worker may order the tasks that it makes.
fn open_both(ends: &Ends, place: &Place) -> Result<Store, Failure> {
    let (parent, child) = (place.board_of(&ends.parent)?, place.board_of(&ends.child)?);
    // A board that is named once counts for both.
    let board = match (&ends.parent.board, &ends.child.board) {
        (Some(_), None) => parent,
        (None, _) => child,
        (Some(_), Some(_)) if parent.slug() == child.slug() => child,
        (Some(one), Some(other)) => {
            let what = format!("link a task of board {one} with one of board {other}");
            return Err(Failure::new(
                Code::Usage,
                what,
                "a task waits for tasks of its own board",
            ));
        }
    };
    place.open(&board)
}
