//! What two events have in common when they share a line: the callsite and the values of the chosen fields.

use std::cell::Cell;
use std::fmt::{self, Debug, Write};
use std::hash::{Hash, Hasher};

use hashbrown::Equivalent;
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, dispatcher};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::{companion, spans};
use crate::{ClassId, Pending};

/// Between two values; a value that has one loses it.
const SEPARATOR: char = '\u{1f}';
/// A buffer beyond that is not kept for the next event.
const KEPT: usize = 4096;

/// The key of a [`ThrottleLayer`](super::ThrottleLayer)'s throttle: one callsite, and the values of the fields it is keyed by.
///
/// Its text is the values, as `device=7, tenant=acme`, in the order of their names.
#[derive(Clone)]
pub struct LineKey {
    metadata: &'static Metadata<'static>,
    text: Box<str>,
}

/// The same, borrowed.
pub(super) struct LineRef<'a> {
    metadata: &'static Metadata<'static>,
    pub(super) text: &'a str,
}

// ===== impl LineKey =====

impl LineKey {
    /// Target, level, file and line of the callsite.
    ///
    /// ```
    /// # use keyed_log_throttle::{LineThrottle, ThrottleLayer};
    /// # use tracing_subscriber::{layer::Identity, prelude::*};
    /// # let throttle = std::sync::Arc::new(LineThrottle::builder().build());
    /// # let layer = ThrottleLayer::new(Identity::new(), throttle.clone());
    /// # tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
    /// #     (0..2).for_each(|_| tracing::error!(target: "driver", "no answer"));
    /// # });
    /// let mut targets = Vec::new();
    /// throttle.drain(|key, _class, _pending| targets.push(key.metadata().target()));
    /// assert_eq!(targets, ["driver"]);
    /// ```
    pub fn metadata(&self) -> &'static Metadata<'static> {
        self.metadata
    }

    /// Writes a line about `pending`, as the layer would: with the callsite's target and level, through the current
    /// dispatcher, if it is enabled there. The layer passes it on as it is.
    ///
    /// It fits [`sweep`](crate::LogThrottle::sweep) and [`drain`](crate::LogThrottle::drain): `throttle.drain(LineKey::tell)`.
    ///
    /// ```
    /// # use keyed_log_throttle::{LineKey, LineThrottle, ThrottleLayer};
    /// # use std::sync::{Arc, atomic::{AtomicU32, Ordering::Relaxed}};
    /// # use tracing_subscriber::{layer::{Context, Layer}, prelude::*};
    /// # static WRITTEN: AtomicU32 = AtomicU32::new(0);
    /// # struct Count;
    /// # impl<S: tracing::Subscriber> Layer<S> for Count {
    /// #     fn on_event(&self, _: &tracing::Event<'_>, _: Context<'_, S>) { WRITTEN.fetch_add(1, Relaxed); }
    /// # }
    /// let throttle = Arc::new(LineThrottle::builder().build());
    /// let layer = ThrottleLayer::new(Count, throttle.clone());
    /// tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
    ///     (0..10).for_each(|_| tracing::error!("no answer"));
    ///     throttle.drain(LineKey::tell);
    /// });
    /// assert_eq!(WRITTEN.load(Relaxed), 2, "the first of them, and a line about the other nine");
    /// ```
    pub fn tell(&self, _class: ClassId, pending: Pending) {
        companion::with_event(self.metadata, self.shown(), None, &pending, |event| {
            dispatcher::get_default(|dispatch| {
                if dispatch.enabled(event.metadata()) {
                    dispatch.event(event);
                }
            });
        });
    }
}

impl LineKey {
    fn borrowed(&self) -> LineRef<'_> {
        LineRef {
            metadata: self.metadata,
            text: &self.text,
        }
    }

    /// What there is to show of it: nothing, if its events have none of the fields.
    pub(super) fn shown(&self) -> Option<&dyn fmt::Display> {
        (!self.text.is_empty()).then_some(self as &dyn fmt::Display)
    }
}

impl LineRef<'_> {
    pub(super) fn to_owned(&self) -> LineKey {
        LineKey {
            metadata: self.metadata,
            text: self.text.into(),
        }
    }
}

// A callsite has one `Metadata` for the life of the program: its address is cheaper to hash than its identifier.

impl PartialEq for LineKey {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.metadata, other.metadata) && self.text == other.text
    }
}

impl Eq for LineKey {}

impl Hash for LineKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.borrowed().hash(state);
    }
}

impl Hash for LineRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::ptr::from_ref(self.metadata).hash(state);
        self.text.hash(state);
    }
}

impl Equivalent<LineKey> for LineRef<'_> {
    fn equivalent(&self, key: &LineKey) -> bool {
        std::ptr::eq(self.metadata, key.metadata) && *self.text == *key.text
    }
}

impl fmt::Display for LineKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Shown(&self.text), f)
    }
}

impl Debug for LineKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineKey")
            .field("callsite", &self.metadata.name())
            .field("values", &format_args!("{self}"))
            .finish()
    }
}

/// A key's text for a reader.
pub(super) struct Shown<'a>(pub(super) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, value) in self.0.split(SEPARATOR).enumerate() {
            f.write_str(if at == 0 { "" } else { ", " })?;
            f.write_str(value)?;
        }
        Ok(())
    }
}

// ===== gathering =====

/// Runs `f` with the key of `event`, which lives in a buffer of this thread: nothing is allocated once it is large enough.
pub(super) fn gather<S, T>(
    wanted: &[Box<str>],
    event: &Event<'_>,
    ctx: &Context<'_, S>,
    f: impl FnOnce(LineRef<'_>) -> T,
) -> T
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    thread_local!(static BUFFER: Cell<String> = const { Cell::new(String::new()) });
    let metadata = event.metadata();
    if wanted.is_empty() {
        return f(LineRef { metadata, text: "" });
    }
    // Taken, not borrowed: a field's `Debug` may write an event of its own.
    let mut text = Text {
        wanted,
        found: 0,
        text: BUFFER.take(),
    };
    event.record(&mut text);
    if !text.is_complete() {
        spans::add_to(&mut text, event, ctx);
    }
    text.put_in_order();
    let answer = f(LineRef {
        metadata,
        text: &text.text,
    });
    text.text.clear();
    if text.text.capacity() <= KEPT {
        BUFFER.set(text.text);
    }
    answer
}

/// The text of a key while it is gathered.
pub(super) struct Text<'a> {
    wanted: &'a [Box<str>],
    /// One bit for each of the wanted.
    found: u64,
    text: String,
}

impl Text<'_> {
    fn is_complete(&self) -> bool {
        self.found.count_ones() as usize == self.wanted.len()
    }

    /// Values come in the order of fields and spans; the key has one order, whatever theirs was.
    fn put_in_order(&mut self) {
        if self.found.count_ones() < 2 || self.text.split(SEPARATOR).is_sorted() {
            return;
        }
        let mut values: Vec<&str> = self.text.split(SEPARATOR).collect();
        values.sort_unstable();
        let mut text = String::with_capacity(self.text.capacity());
        for (at, value) in values.into_iter().enumerate() {
            if at > 0 {
                text.push(SEPARATOR);
            }
            text.push_str(value);
        }
        self.text = text;
    }

    /// Begins a value unless it is not wanted, or one was found further in.
    fn begin(&mut self, name: &str) -> Option<Values<'_>> {
        let at = self.wanted.iter().position(|wanted| **wanted == *name)?;
        if self.found & 1 << at != 0 {
            return None;
        }
        self.found |= 1 << at;
        if !self.text.is_empty() {
            self.text.push(SEPARATOR);
        }
        self.text.push_str(name);
        self.text.push('=');
        Some(Values(&mut self.text))
    }

    /// Adds a value that is text already: most are, and formatting would cost more than all the rest.
    pub(super) fn add(&mut self, name: &str, value: &str) {
        if let Some(mut values) = self.begin(name) {
            let _ = values.write_str(value);
        }
    }
}

impl Visit for Text<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if let Some(mut values) = self.begin(field.name()) {
            let _ = write!(values, "{value:?}");
        }
    }
}

/// Keeps separators out of values, so that two keys never have one text.
struct Values<'a>(&'a mut String);

impl Write for Values<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        // It is ASCII: a byte of it is the whole, and short values need no search machinery.
        if part.bytes().any(|byte| byte == SEPARATOR as u8) {
            self.0.extend(part.split(SEPARATOR));
        } else {
            self.0.push_str(part);
        }
        Ok(())
    }
}
