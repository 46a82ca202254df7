//! The line that tells what was held back: an event that looks like one of the throttled callsite.

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing::callsite::{Callsite, Identifier};
use tracing::field::{FieldSet, Value, debug, display};
use tracing::metadata::Kind;
use tracing::subscriber::Interest;
use tracing::{Event, Metadata};

use crate::Pending;

/// The name of all of them; events of a program are named after their file.
const NAME: &str = "keyed_log_throttle::held_back";
const FIELDS: &[&str] = &["message", "suppressed", "since", "key"];

/// The callsite of a companion; made once per throttled callsite that had something to tell, and kept for ever.
#[derive(Debug, Default)]
struct Companion(OnceLock<Metadata<'static>>);

impl Callsite for Companion {
    // tracing keeps no interest for it: whoever writes one asks.
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        self.0.get().expect("set before anybody has a reference")
    }
}

/// Whether this is one of ours, which no layer of ours throttles.
pub(super) fn is_one(metadata: &Metadata<'_>) -> bool {
    metadata.name() == NAME
}

/// Runs `f` with the event that says `pending` about lines of `callsite`: in the span of `like`, or else in none, since the
/// span that happens to be entered is about something else.
pub(super) fn with_event(
    callsite: &'static Metadata<'static>,
    key: Option<&dyn Display>,
    like: Option<&Event<'_>>,
    pending: &Pending,
    f: impl FnOnce(&Event<'_>),
) {
    let metadata = of(callsite);
    let names = metadata.fields();
    let mut each = names.iter();
    let message = display(More(pending));
    // A field without a value is not recorded.
    let (since, key) = (debug(pending.since), key.map(display));
    let value: [&dyn Value; 4] = [&message, &pending.suppressed, &since, &key];
    let [Some(a), Some(b), Some(c), Some(d)] = [each.next(), each.next(), each.next(), each.next()]
    else {
        return;
    };
    let values = [
        (&a, Some(value[0])),
        (&b, Some(value[1])),
        (&c, Some(value[2])),
        (&d, Some(value[3])),
    ];
    let set = names.value_set(&values);
    match like {
        Some(like) if like.is_contextual() => f(&Event::new(metadata, &set)),
        like => {
            let parent = like.and_then(Event::parent).cloned();
            f(&Event::new_child_of(parent, metadata, &set));
        }
    }
}

/// The message.
struct More<'a>(&'a Pending);

impl Display for More<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "more like this: {}", self.0)
    }
}

fn of(callsite: &'static Metadata<'static>) -> &'static Metadata<'static> {
    static MADE: OnceLock<Mutex<HashMap<Identifier, &'static Metadata<'static>>>> = OnceLock::new();
    let made = MADE.get_or_init(Mutex::default);
    let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
    made.entry(callsite.callsite())
        .or_insert_with(|| make(callsite))
}

fn make(like: &'static Metadata<'static>) -> &'static Metadata<'static> {
    let companion: &'static Companion = Box::leak(Box::default());
    companion.0.get_or_init(|| {
        Metadata::new(
            NAME,
            like.target(),
            *like.level(),
            like.file(),
            like.line(),
            like.module_path(),
            FieldSet::new(FIELDS, Identifier(companion)),
            Kind::EVENT,
        )
    })
}
