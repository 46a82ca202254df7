// The page is the same with any features; only its examples need one of them.
#![cfg_attr(
    any(not(doctest), feature = "interprocess"),
    doc = include_str!("../README.md")
)]
//!
//! # Where to look
//!
//! - [`RepairGate`] has the verbs; [`RepairGate::enter`] is the one you call when something is broken.
//! - [`Turn`] is its answer; a [`Permit`] comes out of it once, and [`Permit::run`] makes the [`Token`] a repair takes.
//! - [`Ledger`] is what you give to [`Permit::record`], so that attempts count over restarts.
//! - [`Outcome`] is what is remembered; [`Waiter`] and [`Waited`] are for those who came second.
//! - [`Handle`] is the second door: no map look-up.

mod flight;
mod gate;
mod handle;
mod ledger;
#[cfg(feature = "interprocess")]
mod lock;
#[cfg(all(test, once_per_key_loom))]
mod loom_tests;
mod outcome;
mod permit;
mod slot;
mod sync;
mod table;
mod token;
mod turn;
mod waiter;
#[cfg(feature = "async")]
mod wakers;

pub use crate::gate::RepairGate;
pub use crate::handle::Handle;
pub use crate::ledger::Ledger;
#[cfg(feature = "interprocess")]
pub use crate::lock::{LockError, LockErrorKind};
pub use crate::outcome::{Outcome, Rearmed};
pub use crate::permit::Permit;
pub use crate::token::Token;
pub use crate::turn::Turn;
pub use crate::waiter::{Waited, Waiter};

/// How a borrowed key is compared with an owned one; every `Borrow` pair has it for free.
#[doc(no_inline)]
pub use hashbrown::Equivalent;
