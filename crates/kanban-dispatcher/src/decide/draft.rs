//! A task while it is decided about: the view's own, and a copy only once something about it changes.

use std::ops::{Deref, DerefMut};

use crate::view::Task;

/// A task as the decision has it so far. Most tasks of most ticks are left as they are, and are never copied.
#[derive(Debug)]
pub(super) enum Draft<'a> {
    /// As the view has it.
    Seen(&'a Task),
    /// As an earlier step of the decision leaves it.
    Changed(Box<Task>),
}

impl Deref for Draft<'_> {
    type Target = Task;

    fn deref(&self) -> &Task {
        match self {
            Self::Seen(task) => task,
            Self::Changed(task) => task,
        }
    }
}

impl DerefMut for Draft<'_> {
    fn deref_mut(&mut self) -> &mut Task {
        if let Self::Seen(task) = self {
            *self = Self::Changed(Box::new(task.clone()));
        }
        match self {
            Self::Seen(_) => unreachable!("changed above"),
            Self::Changed(task) => task,
        }
    }
}
