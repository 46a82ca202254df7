//! `pause`, `resume`, `release`, `repair`: the operator's levers on one board.

use kanban_dispatcher::{Levers, Slug};

use crate::cli::{Lever, Pause};
use crate::exit::{Code, Failure};
use crate::output::say;
use crate::place::Place;

pub(crate) fn pause(args: &Pause, place: &Place) -> Result<Code, Failure> {
    let board = &args.slug;
    let pause = open(place)?.pause(board, args.reason.as_deref())?;
    match &pause.reason {
        Some(reason) => say(&format!("board {board} is paused: {reason}")),
        None => say(&format!("board {board} is paused")),
    }
    Ok(Code::Done)
}

pub(crate) fn resume(args: &Lever, place: &Place) -> Result<Code, Failure> {
    let board = &args.slug;
    match open(place)?.resume(board)? {
        Some(_) => say(&format!("board {board} goes on")),
        None => say(&format!("board {board} was not paused")),
    }
    Ok(Code::Done)
}

pub(crate) fn release(args: &Lever, place: &Place) -> Result<Code, Failure> {
    open(place)?.release(&args.slug)?;
    say_next("is looked at again", &args.slug);
    Ok(Code::Done)
}

pub(crate) fn repair(args: &Lever, place: &Place) -> Result<Code, Failure> {
    open(place)?.repair(&args.slug)?;
    say_next("may be repaired once more", &args.slug);
    Ok(Code::Done)
}

fn open(place: &Place) -> Result<Levers, Failure> {
    place.must_exist()?;
    Ok(Levers::open(&place.root, &place.clock)?)
}

fn say_next(what: &str, board: &Slug) {
    say(&format!("board {board} {what}"));
}
