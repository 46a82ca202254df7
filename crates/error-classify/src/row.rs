//! A line of a table: what a code, a kind or a phrase means.

use crate::{Class, Remedy};

/// What something means, and under which name. Tables are `static`, so that an opinion is one pointer until it is given.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) class: Class,
    pub(crate) remedy: Remedy,
    pub(crate) rule: &'static str,
}

impl Row {
    pub(crate) const fn new(class: Class, remedy: Remedy, rule: &'static str) -> Self {
        Self {
            class,
            remedy,
            rule,
        }
    }
}
