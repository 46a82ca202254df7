//! The dispatcher's own log as part of the story: what an operator would read, and how often.

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use super::Mishap;
use super::screen::{Kind, Screen};

/// Fields that are shown after the message; the others repeat it, or are for machines.
const SHOWN: &[&str] = &["class", "repaired", "task", "reason", "error", "workers"];

/// Not shown: the reports tell the same, all boards of one tick in one line.
const TICKED: &str = "board ticked";

/// Lines at WARN and above, by board and class of failure.
pub(super) type Lines = HashMap<(String, String), u64>;

/// A log that is shown on the screen and counted.
#[derive(Debug, Clone)]
pub(super) struct Log {
    screen: Arc<Screen>,
    lines: Arc<Mutex<Lines>>,
    /// Left out of the messages: every path starts with it.
    prefix: String,
}

// ===== impl Log =====

impl Log {
    /// Listens to everything this process logs from now on.
    pub(super) fn listen(screen: Arc<Screen>, boards: &Path) -> Result<Self, Mishap> {
        let log = Self {
            screen,
            lines: Arc::default(),
            prefix: format!("{}/", boards.display()),
        };
        let layer = log.clone().with_filter(LevelFilter::INFO);
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer))?;
        Ok(log)
    }

    /// The lines counted so far.
    pub(super) fn lines(&self) -> Lines {
        self.counted().clone()
    }

    fn counted(&self) -> std::sync::MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut parts = Parts::default();
        event.record(&mut parts);
        if parts.message == TICKED {
            return;
        }
        let kind = match *event.metadata().level() {
            Level::ERROR => Kind::Error,
            Level::WARN => Kind::Warn,
            _ => Kind::Info,
        };
        if kind != Kind::Info {
            let key = (parts.board.clone(), parts.class.clone());
            *self.counted().entry(key).or_default() += 1;
        }
        let named = format!(" (board \"{}\")", parts.board);
        let message = parts.message.replace(&self.prefix, "").replace(&named, "");
        let text = format!("{}{}", message.trim_end(), parts.fields);
        self.screen.event(kind, &parts.board, &text);
    }
}

/// One event, taken apart.
#[derive(Debug, Default)]
struct Parts {
    board: String,
    class: String,
    message: String,
    fields: String,
}

impl Visit for Parts {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        let text = text.trim_matches('"');
        match field.name() {
            "message" => text.clone_into(&mut self.message),
            "board" => text.clone_into(&mut self.board),
            name if SHOWN.contains(&name) => {
                if name == "class" {
                    text.clone_into(&mut self.class);
                }
                let _ = write!(self.fields, "  {name}={text}");
            }
            _ => {}
        }
    }
}
