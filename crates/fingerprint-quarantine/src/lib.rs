#![doc = include_str!("../README.md")]
//!
//! # Where to look
//!
//! - [`Quarantine`] has the verbs; [`Quarantine::admit`] is the one to call before each attempt.
//! - [`Admission`] is its answer. Out of it comes an [`Attempt`], which ends with [`Attempt::ok`] or [`Attempt::failed`].
//! - [`Hold`] and [`Backoff`] say what ends a hold; [`Held`] is what there is to show of one, and [`Recovery`] of one that is over.
//! - [`FileState`], [`SqliteStamp`] and [`SqliteFiles`] are stamps of files; [`SqliteStates`] is both files of a database as they are.
//! - [`Handle`] is the second door: no look-up. [`TickClock`] is the clock for loops. [`FleetGuard`] tells a machine-wide cause.

mod admission;
mod answer;
mod attempt;
mod clock;
mod core;
mod disturbance;
mod file;
mod fleet;
mod handle;
mod held;
mod hold;
#[cfg(feature = "serde")]
mod kind;
mod levers;
mod look;
#[cfg(all(test, fingerprint_loom))]
mod loom_lock;
#[cfg(all(test, fingerprint_loom))]
mod loom_tests;
#[cfg(all(test, fingerprint_loom))]
mod loom_three;
mod marks;
mod past;
mod probe;
mod quarantine;
mod quiet;
mod record;
mod releases;
mod slot;
mod sqlite;
mod sync;
mod tick_clock;

pub use crate::admission::{Admission, Reason};
pub use crate::attempt::Attempt;
pub use crate::clock::{Clock, FakeClock, Monotonic};
pub use crate::file::{FileStamp, FileState};
pub use crate::fleet::FleetGuard;
pub use crate::handle::Handle;
pub use crate::held::{Held, Recovery, Standing};
pub use crate::hold::{Backoff, Hold};
pub use crate::quarantine::Quarantine;
pub use crate::sqlite::{SqliteFiles, SqliteStamp, SqliteStates, WalStamp};
pub use crate::tick_clock::TickClock;

/// How a borrowed key is compared with an owned one; every `Borrow` pair has it for free.
#[doc(no_inline)]
pub use hashbrown::Equivalent;
