#![doc = include_str!("../README.md")]
//!
//! # Where to look
//!
//! - [`LogThrottle`] has the verbs; [`LogThrottle::check`] is the one you call for each line.
//! - [`Builder`] sets windows, capacity, clock and hasher.
//! - [`Line`], [`Pending`], [`Recovery`] and [`Totals`] are the answers.
//! - [`Handle`] is the second door: no map look-up.
//! - [`ClassId`] says what kind of line it is.

#[cfg(feature = "tracing")]
#[doc(hidden)]
#[path = "macro_support.rs"]
pub mod __macro_support;
mod answer;
mod builder;
mod class;
mod copies;
mod core;
mod count;
mod entry;
mod gate;
mod handle;
mod host;
mod incident;
#[cfg(feature = "layer")]
mod layer;
#[cfg(all(test, throttle_loom))]
mod loom_tests;
#[cfg(feature = "tracing")]
mod macros;
mod overflow;
mod shards;
mod sketch;
mod sweep;
mod sync;
mod thread;
mod throttle;
mod tick;

pub use crate::answer::{Line, Pending, Recovery, Totals};
pub use crate::builder::Builder;
pub use crate::class::ClassId;
pub use crate::handle::Handle;
pub use crate::host::HostClock;
#[cfg(feature = "layer")]
pub use crate::layer::{LineKey, LineThrottle, ThrottleLayer};
pub use crate::sweep::DrainOnDrop;
pub use crate::throttle::LogThrottle;
pub use crate::tick::TickClock;

/// A fast, seeded hasher for [`Builder::hasher`], and the trait that lets a borrowed key find an owned one.
#[doc(no_inline)]
pub use hashbrown::{DefaultHashBuilder, Equivalent};

/// The rate limiter this crate builds on, for its clocks.
pub use governor;
