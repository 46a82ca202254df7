//! Values of the key that a span carries, for the events inside of it.

use std::fmt::Debug;

use tracing::field::{Field, Visit};
use tracing::span::Id;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::key::Text;

/// Kept in a span's extensions; shared by all throttling layers of a subscriber.
#[derive(Default)]
struct SpanValues(Vec<(&'static str, String)>);

/// Whether a span of this kind can have a wanted field.
pub(super) fn has_any(metadata: &Metadata<'_>, wanted: &[Box<str>]) -> bool {
    wanted
        .iter()
        .any(|name| metadata.fields().field(&**name).is_some())
}

/// Keeps what `record` shows of the wanted fields.
pub(super) fn keep<S>(
    wanted: &[Box<str>],
    record: impl FnOnce(&mut dyn Visit),
    id: &Id,
    ctx: &Context<'_, S>,
) where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    // The values' own `Debug` runs before the lock of the extensions is taken.
    let mut found = Found {
        wanted,
        values: Vec::new(),
    };
    record(&mut found);
    let Some(span) = ctx.span(id) else {
        return;
    };
    let mut extensions = span.extensions_mut();
    if extensions.get_mut::<SpanValues>().is_none() {
        extensions.insert(SpanValues::default());
    }
    if let Some(SpanValues(values)) = extensions.get_mut() {
        for (name, value) in found.values {
            values.retain(|(other, _)| *other != name);
            values.push((name, value));
        }
    }
}

/// Adds what the spans around `event` have and `text` lacks, the innermost first.
pub(super) fn add_to<S>(text: &mut Text<'_>, event: &Event<'_>, ctx: &Context<'_, S>)
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    for span in ctx.event_scope(event).into_iter().flatten() {
        if let Some(SpanValues(values)) = span.extensions().get() {
            for (name, value) in values {
                text.add(name, value);
            }
        }
    }
}

struct Found<'a> {
    wanted: &'a [Box<str>],
    values: Vec<(&'static str, String)>,
}

impl Found<'_> {
    fn add(&mut self, field: &Field, value: impl FnOnce() -> String) {
        if self.wanted.iter().any(|wanted| **wanted == *field.name()) {
            self.values.push((field.name(), value()));
        }
    }
}

impl Visit for Found<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, || value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, || format!("{value:?}"));
    }
}
