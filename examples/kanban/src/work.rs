//! `complete`, `block`, `schedule`, `unblock`, `heartbeat`: what is reported about a task, by a person or its worker.

use kanban_dispatcher as library;

use crate::change::told;
use crate::cli::{Block, Complete, Heartbeat, Schedule, Unblock};
use crate::exit::{Code, Failure};
use crate::place::{Place, author};

pub(crate) fn complete(args: &Complete, place: &Place) -> Result<Code, Failure> {
    if args.on.tasks.len() > 1 && (args.summary.is_some() || args.metadata.is_some()) {
        let what =
            "complete several tasks with one summary or metadata: they tell how one task was done";
        let hint = "complete them one by one, or without --summary and --metadata";
        return Err(Failure::new(Code::Usage, what, hint));
    }
    let told = told("kanban.complete", &args.on.said, place);
    told.each(&args.on.tasks, args.attempt.run, |store, id, fence| {
        let done = library::Complete {
            run: fence.run,
            summary: args.summary.clone(),
            result: args.result.clone(),
            metadata: args.metadata.clone().unwrap_or_default(),
        };
        store.complete(id, &done)?;
        Ok(format!("task {id} is done").into())
    })
}

pub(crate) fn block(args: &Block, place: &Place) -> Result<Code, Failure> {
    let mut why = library::Block {
        kind: args.kind.clone(),
        ..because(reason(&args.reason))
    };
    let told = told("kanban.block", &args.on.said, place);
    told.each(&args.on.tasks(), args.attempt.run, |store, id, fence| {
        why.run = fence.run;
        let status = store.block(id, &why)?;
        Ok(format!("task {id} is {status}").into())
    })
}

pub(crate) fn schedule(args: &Schedule, place: &Place) -> Result<Code, Failure> {
    let mut why = because(reason(&args.reason));
    let told = told("kanban.schedule", &args.on.said, place);
    told.each(&args.on.tasks(), args.attempt.run, |store, id, fence| {
        why.run = fence.run;
        store.schedule(id, &why)?;
        Ok(format!("task {id} is scheduled").into())
    })
}

pub(crate) fn unblock(args: &Unblock, place: &Place) -> Result<Code, Failure> {
    let why = because(reason(args.reason.as_slice()));
    let told = told("kanban.unblock", &args.on.said, place);
    told.each(&args.on.tasks, None, |store, id, _fence| {
        // A worker frees its own task only, as with every other write; a blocked task has no attempt to compare.
        let status = store.unblock_because(id, &why)?;
        Ok(format!("task {id} is {status}").into())
    })
}

pub(crate) fn heartbeat(args: &Heartbeat, place: &Place) -> Result<Code, Failure> {
    let told = told("kanban.heartbeat", &args.on.said, place);
    told.one(&args.on.task, args.attempt.run, |store, id, fence| {
        let claim = fence.claim.as_ref();
        let claim = claim.map(|(lock, ttl)| (lock.as_str(), *ttl));
        store.heartbeat(id, fence.run, args.note.as_deref(), claim)?;
        Ok(format!("task {id} is alive").into())
    })
}

fn because(reason: Option<String>) -> library::Block {
    library::Block {
        reason,
        author: Some(author()),
        ..library::Block::default()
    }
}

/// Words of the command line, if they say anything.
pub(crate) fn reason(words: &[String]) -> Option<String> {
    let reason = words.join(" ").trim().to_owned();
    Some(reason).filter(|reason| !reason.is_empty())
}
