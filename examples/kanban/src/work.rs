//! `complete`, `block`, `schedule`, `unblock`, `heartbeat`: what is reported about a task, by a person or its worker.

use kanban_dispatcher as library;
use kanban_dispatcher::Store;

use crate::cli::{Attempt, Block, Complete, Heartbeat, Schedule, TaskRef, Unblock};
use crate::exit::{Code, Failure};
use crate::fence::Fence;
use crate::place::{Place, author};
use crate::told::Told;

pub(crate) fn complete(args: Complete, place: &Place) -> Result<Code, Failure> {
    let (mut store, fence) = open(&args.task, &args.attempt, place)?;
    let done = library::Complete {
        run: fence.run,
        summary: args.summary,
        result: args.result,
        metadata: args.metadata.unwrap_or_default(),
    };
    store.complete(&args.task.id, &done)?;
    let told = Told {
        schema: "kanban.complete",
        id: &args.task.id,
        words: format!("task {} is done", args.task.id),
        json: args.said.json,
    };
    Ok(told.end(&store))
}

pub(crate) fn block(args: Block, place: &Place) -> Result<Code, Failure> {
    let (mut store, fence) = open(&args.task, &args.attempt, place)?;
    let block = library::Block {
        run: fence.run,
        reason: reason(&args.reason),
        kind: args.kind,
        author: Some(author()),
    };
    let status = store.block(&args.task.id, &block)?;
    let told = Told {
        schema: "kanban.block",
        id: &args.task.id,
        words: format!("task {} is {status}", args.task.id),
        json: args.said.json,
    };
    Ok(told.end(&store))
}

pub(crate) fn schedule(args: &Schedule, place: &Place) -> Result<Code, Failure> {
    let (mut store, fence) = open(&args.task, &args.attempt, place)?;
    let why = library::Block {
        run: fence.run,
        reason: reason(&args.reason),
        kind: None,
        author: Some(author()),
    };
    store.schedule(&args.task.id, &why)?;
    let told = Told {
        schema: "kanban.schedule",
        id: &args.task.id,
        words: format!("task {} is scheduled", args.task.id),
        json: args.said.json,
    };
    Ok(told.end(&store))
}

pub(crate) fn unblock(args: &Unblock, place: &Place) -> Result<Code, Failure> {
    let board = place.board_of(&args.task)?;
    // A worker frees its own task only, as with every other write.
    Fence::of(&args.task, &board, None)?;
    let mut store = place.open(&board)?;
    let status = store.unblock(&args.task.id)?;
    let told = Told {
        schema: "kanban.unblock",
        id: &args.task.id,
        words: format!("task {} is {status}", args.task.id),
        json: args.said.json,
    };
    Ok(told.end(&store))
}

pub(crate) fn heartbeat(args: &Heartbeat, place: &Place) -> Result<Code, Failure> {
    let (mut store, fence) = open(&args.task, &args.attempt, place)?;
    let claim = fence
        .claim
        .as_ref()
        .map(|(lock, ttl)| (lock.as_str(), *ttl));
    store.heartbeat(&args.task.id, fence.run, args.note.as_deref(), claim)?;
    let told = Told {
        schema: "kanban.heartbeat",
        id: &args.task.id,
        words: format!("task {} is alive", args.task.id),
        json: args.said.json,
    };
    Ok(told.end(&store))
}

fn reason(words: &[String]) -> Option<String> {
    let reason = words.join(" ").trim().to_owned();
    Some(reason).filter(|reason| !reason.is_empty())
}

/// The task's board, and what may be written to it. The fence is asked first: a refused worker opens nothing.
fn open(task: &TaskRef, attempt: &Attempt, place: &Place) -> Result<(Store, Fence), Failure> {
    let board = place.board_of(task)?;
    let fence = Fence::of(task, &board, attempt.run)?;
    Ok((place.open(&board)?, fence))
}
