//! Every line that this process logs, kept.
//!
//! Lanes are threads of their own, so a subscriber for one test's thread would see nothing of them: there is one for the whole
//! process, and a test finds its lines by the names of its boards, which no other test uses.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;
use std::sync::{Mutex, Once, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// For a board whose name ends with this, telling its repair panics: so a turn can be broken in the middle, from outside.
pub const PANICS: &str = "log-panics";

static LINES: Mutex<Vec<Line>> = Mutex::new(Vec::new());

/// One line.
#[derive(Debug, Clone)]
pub struct Line {
    pub level: Level,
    pub message: String,
    fields: BTreeMap<&'static str, String>,
}

// ===== impl Line =====

impl Line {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    pub fn board(&self) -> Option<&str> {
        self.field("board")
    }

    pub fn is_above_info(&self) -> bool {
        self.level < Level::INFO
    }

    pub fn mentions(&self, prefix: &str, dir: &Path) -> bool {
        let dir = dir.to_string_lossy();
        self.board().is_some_and(|board| board.starts_with(prefix))
            || self.message.contains(&*dir)
            || self.fields.values().any(|value| value.contains(&*dir))
    }
}

/// Begins to keep lines; only the first call in a process does anything.
pub fn capture() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing_subscriber::registry().with(Capture).init());
}

pub fn lines(is_wanted: impl Fn(&Line) -> bool) -> Vec<Line> {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    lines
        .iter()
        .filter(|line| is_wanted(line))
        .cloned()
        .collect()
}

struct Capture;

impl<S: Subscriber> Layer<S> for Capture {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line {
            level: *event.metadata().level(),
            message: String::new(),
            fields: BTreeMap::new(),
        };
        event.record(&mut line);
        let is_broken = line.board().is_some_and(|board| board.ends_with(PANICS));
        assert!(
            !(is_broken && line.message == "board repaired"),
            "on purpose"
        );
        LINES
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line);
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            name => {
                self.fields.insert(name, format!("{value:?}"));
            }
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}
