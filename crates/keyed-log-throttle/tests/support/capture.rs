//! A layer that keeps what it was given.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// One event as it was written.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) level: Level,
    pub(crate) target: &'static str,
    pub(crate) name: &'static str,
    pub(crate) module: Option<&'static str>,
    pub(crate) file: Option<&'static str>,
    pub(crate) line: Option<u32>,
    pub(crate) is_root: bool,
    pub(crate) fields: BTreeMap<&'static str, String>,
}

impl Seen {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }
}

/// Where the events are kept.
#[derive(Clone, Default)]
pub(crate) struct Capture(Arc<Mutex<Vec<Seen>>>);

impl Capture {
    pub(crate) fn layer(&self) -> Self {
        self.clone()
    }

    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.0.lock().expect("no test panics in it"))
    }
}

struct Fields<'a>(&'a mut BTreeMap<&'static str, String>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

impl<S: Subscriber> Layer<S> for Capture {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let (meta, mut fields) = (event.metadata(), BTreeMap::new());
        event.record(&mut Fields(&mut fields));
        self.0.lock().expect("no test panics in it").push(Seen {
            level: *meta.level(),
            target: meta.target(),
            name: meta.name(),
            module: meta.module_path(),
            file: meta.file(),
            line: meta.line(),
            is_root: event.is_root(),
            fields,
        });
    }
}
