//! The verbs by which people change what a board says: its tasks, who does them, and what waits for what.

use kanban_dispatcher as library;
use kanban_dispatcher::Store;

use crate::cli::{Archive, Assign, Comment, Edit, Ends, Promote, Reassign, Reclaim, Said};
use crate::exit::{Code, Failure};
use crate::place::{Place, author};
use crate::told::{Did, Told};
use crate::work::reason;

pub(crate) fn comment(args: Comment, place: &Place) -> Result<Code, Failure> {
    // Not fenced: words harm no attempt.
    let id = &args.on.task.id;
    let mut store = place.open(&place.board_of(&args.on.task)?)?;
    let author = args.author.unwrap_or_else(author);
    store.comment(id, &author, &args.text.join(" "))?;
    let did = format!("task {id} has a new comment");
    Ok(told("kanban.comment", &args.on.said, place).end(&store, id, did.into()))
}

pub(crate) fn link(args: &Ends, place: &Place) -> Result<Code, Failure> {
    let mut store = open_both(args, place)?;
    let (parent, child) = (&args.parent.id, &args.child.id);
    let status = store.link(parent, child)?;
    let did = format!("task {child} waits for {parent}, and is {status}");
    Ok(told("kanban.link", &args.said, place).end(&store, child, did.into()))
}

pub(crate) fn unlink(args: &Ends, place: &Place) -> Result<Code, Failure> {
    let mut store = open_both(args, place)?;
    let (parent, child) = (&args.parent.id, &args.child.id);
    let status = store.unlink(parent, child)?;
    let did = format!("task {child} no longer waits for {parent}, and is {status}");
    Ok(told("kanban.unlink", &args.said, place).end(&store, child, did.into()))
}

pub(crate) fn promote(args: &Promote, place: &Place) -> Result<Code, Failure> {
    let (actor, reason) = (author(), reason(&args.reason));
    let told = told("kanban.promote", &args.on.said, place);
    told.each(&args.on.tasks(), None, |store, id, fence| {
        if args.dry_run {
            store.can_promote(id, fence.run, args.force)?;
            return Ok(Did::from(format!("task {id} would be ready")).with("dry_run", true));
        }
        store.promote(id, fence.run, &actor, reason.as_deref(), args.force)?;
        Ok(format!("task {id} is ready").into())
    })
}

pub(crate) fn assign(args: &Assign, place: &Place) -> Result<Code, Failure> {
    let assignee = args.assignee.0.as_deref();
    let told = told("kanban.assign", &args.on.said, place);
    told.one(&args.on.task, None, |store, id, fence| {
        store.assign(id, fence.run, assignee)?;
        Ok(given_to(id, assignee))
    })
}

pub(crate) fn reassign(args: &Reassign, place: &Place) -> Result<Code, Failure> {
    let assignee = args.assignee.0.as_deref();
    let told = told("kanban.reassign", &args.on.said, place);
    told.one(&args.on.task, None, |store, id, fence| {
        if args.reclaim {
            let reason = args.reason.as_deref();
            let released = store.reassign(id, fence.run, assignee, reason)?;
            return Ok(given_to(id, assignee).released(released));
        }
        store.assign(id, fence.run, assignee)?;
        Ok(given_to(id, assignee))
    })
}

pub(crate) fn reclaim(args: &Reclaim, place: &Place) -> Result<Code, Failure> {
    let told = told("kanban.reclaim", &args.on.said, place);
    told.one(&args.on.task, None, |store, id, fence| {
        let released = store.reclaim(id, fence.run, args.reason.as_deref())?;
        Ok(Did::from(format!("task {id} is ready again")).released(Some(released)))
    })
}

pub(crate) fn archive(args: &Archive, place: &Place) -> Result<Code, Failure> {
    let told = told("kanban.archive", &args.said, place);
    if !args.rm.is_empty() {
        return told.each(&args.rm, None, |store, id, fence| {
            let task = store.show(id)?.task;
            store.purge(id, fence.run)?;
            let did = Did::from(format!("task {id} is deleted"));
            Ok(did.gone(task).with("deleted", true))
        });
    }
    told.each(&args.tasks, None, |store, id, fence| {
        let released = store.archive(id, fence.run)?;
        Ok(Did::from(format!("task {id} is archived")).released(released))
    })
}

pub(crate) fn edit(args: Edit, place: &Place) -> Result<Code, Failure> {
    let told = told("kanban.edit", &args.on.said, place);
    told.one(&args.on.task, None, |store, id, fence| {
        let edit = library::Edit {
            run: fence.run,
            title: args.title,
            body: args.body,
            priority: args.priority,
            result: args.result,
            summary: args.summary,
            metadata: args.metadata,
        };
        store.edit(id, &edit)?;
        Ok(format!("task {id} is changed").into())
    })
}

/// How a verb answers, as it was asked to.
pub(crate) fn told<'a>(schema: &'static str, said: &Said, place: &'a Place) -> Told<'a> {
    Told {
        schema,
        json: said.json,
        place,
    }
}

fn given_to(id: &str, assignee: Option<&str>) -> Did {
    match assignee {
        Some(name) => format!("task {id} is for {}", name.to_lowercase()),
        None => format!("task {id} is for nobody"),
    }
    .into()
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
