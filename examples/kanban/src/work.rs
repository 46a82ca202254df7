//! `complete`, `block`, `unblock`, `heartbeat`: what is reported about a task, by a person or its worker.

use kanban_dispatcher as library;
use kanban_dispatcher::Store;

use crate::cli::{Attempt, Block, Complete, Heartbeat, TaskRef, Unblock};
use crate::exit::{Code, Failure};
use crate::fence::Fence;
use crate::output::say;
use crate::place::Place;

pub(crate) fn complete(args: Complete, place: &Place) -> Result<Code, Failure> {
    let (mut store, fence) = open(&args.task, &args.attempt, place)?;
    let done = library::Complete {
        run: fence.run,
        summary: args.summary,
        result: args.result,
        metadata: args.metadata.unwrap_or_default(),
    };
    store.complete(&args.task.id, &done)?;
    say(&format!("task {} is done", args.task.id));
    Ok(Code::Done)
}

pub(crate) fn block(args: Block, place: &Place) -> Result<Code, Failure> {
    let (mut store, fence) = open(&args.task, &args.attempt, place)?;
    let reason = args.reason.join(" ");
    let reason = Some(reason.trim().to_owned()).filter(|reason| !reason.is_empty());
    let block = library::Block {
        run: fence.run,
        reason,
        kind: args.kind,
    };
    let status = store.block(&args.task.id, &block)?;
    say(&format!("task {} is {status}", args.task.id));
    Ok(Code::Done)
}

pub(crate) fn unblock(args: &Unblock, place: &Place) -> Result<Code, Failure> {
    let board = place.board_of(&args.task)?;
    // A worker frees its own task only, as with every other write.
    Fence::of(&args.task, &board, None)?;
    let status = place.open(&board)?.unblock(&args.task.id)?;
    say(&format!("task {} is {status}", args.task.id));
    Ok(Code::Done)
}

pub(crate) fn heartbeat(args: &Heartbeat, place: &Place) -> Result<Code, Failure> {
    let (mut store, fence) = open(&args.task, &args.attempt, place)?;
    let claim = fence
        .claim
        .as_ref()
        .map(|(lock, ttl)| (lock.as_str(), *ttl));
    store.heartbeat(&args.task.id, fence.run, args.note.as_deref(), claim)?;
    say(&format!("task {} is alive", args.task.id));
    Ok(Code::Done)
}

/// The task's board, and what may be written to it. The fence is asked first: a refused worker opens nothing.
fn open(task: &TaskRef, attempt: &Attempt, place: &Place) -> Result<(Store, Fence), Failure> {
    let board = place.board_of(task)?;
    let fence = Fence::of(task, &board, attempt.run)?;
    Ok((place.open(&board)?, fence))
}
