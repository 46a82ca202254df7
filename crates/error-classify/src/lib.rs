// The page is the same with any features; only its examples need two of them.
#![cfg_attr(
    any(not(doctest), all(feature = "rusqlite", feature = "path-facts")),
    doc = include_str!("../README.md")
)]
//!
//! # Where to look
//!
//! - [`classify`] is the verb; [`Verdict`] is its answer: a [`Class`], a [`Remedy`], and who said so.
//! - [`Missing`] names what is not there.
//! - [`Classify`], [`Rule`] and [`Classifier`] are for your own error types.

mod cast;
mod class;
mod classifier;
mod io;
mod missing;
mod names;
mod object_kind;
#[cfg(all(unix, feature = "path-facts"))]
mod path;
mod remedy;
mod row;
mod rule;
#[cfg(feature = "rusqlite")]
mod sqlite;
#[cfg(feature = "sqlstate")]
mod sqlstate;
#[cfg(feature = "serde")]
mod stored;
mod verdict;

pub use crate::class::Class;
pub use crate::classifier::{Classifier, DEPTH_MAX, classify};
pub use crate::missing::Missing;
pub use crate::object_kind::ObjectKind;
#[cfg(all(unix, feature = "path-facts"))]
pub use crate::path::{Obstacle, PathFacts};
pub use crate::remedy::Remedy;
pub use crate::rule::{Classify, Rule};
#[cfg(feature = "rusqlite")]
pub use crate::sqlite::{confirm_missing, quick_check};
#[cfg(feature = "sqlstate")]
pub use crate::sqlstate::classify_sqlstate;
pub use crate::verdict::Verdict;
