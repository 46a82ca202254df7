//! What an expansion of `throttled!` names. Public for the macro only; no part of the API.

use std::sync::OnceLock;
use std::time::Duration;

use tracing::callsite::{Callsite, Identifier};
use tracing::field::{DebugValue, FieldSet, debug};
use tracing::metadata::Kind;
use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Layered, SubscriberExt};

use crate::Line;

pub use std::format_args;
pub use std::option::Option::{None, Some};
pub use tracing;

// A field that is `None` is not recorded.

pub fn suppressed(line: &Line) -> Option<u64> {
    (line.suppressed > 0).then_some(line.suppressed)
}

pub fn since(line: &Line) -> Option<DebugValue<Duration>> {
    line.since.map(debug)
}

pub fn folded_keys(line: &Line) -> Option<u32> {
    (line.folded_keys > 0).then_some(line.folded_keys)
}

/// An event that was enabled and is not written. Its end wipes what the filters of layers noted about it.
///
/// Asked whether an event is enabled, such a filter leaves its answer on the thread, and the event that follows takes it
/// away. If none follows, the answer would be that to the next event whose callsite need not ask, and a layer would miss a
/// line. tracing-subscriber has no door for wiping; it does so when a filter of a whole subscriber says no. This one always
/// says no. It is asked directly and registered nowhere, so it has no part in what is enabled.
#[derive(Debug)]
pub struct NotWritten;

impl NotWritten {
    /// It is written after all.
    pub fn after_all(self) {
        std::mem::forget(self);
    }
}

impl Drop for NotWritten {
    fn drop(&mut self) {
        static NO: OnceLock<Layered<LevelFilter, Registry>> = OnceLock::new();
        let no = NO.get_or_init(|| tracing_subscriber::registry().with(LevelFilter::OFF));
        let _ = no.enabled(&ASKED);
    }
}

struct Nowhere;

static ASKED: Metadata<'static> = Metadata::new(
    "held back",
    module_path!(),
    Level::ERROR,
    None,
    None,
    None,
    FieldSet::new(&[], Identifier(&Nowhere)),
    Kind::HINT,
);

impl Callsite for Nowhere {
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        &ASKED
    }
}
