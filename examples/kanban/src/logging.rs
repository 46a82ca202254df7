//! Log lines: to standard error, as text or JSON, filtered by `KANBAN_LOG`.

use std::io;

use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;
use crate::output;

/// Starts logging. A filter that cannot be read is told, and `info` applies.
pub(crate) fn start(format: LogFormat) {
    let text = std::env::var("KANBAN_LOG")
        .ok()
        .filter(|text| !text.trim().is_empty());
    let filter = match EnvFilter::try_new(text.as_deref().unwrap_or("info")) {
        Ok(filter) => filter,
        Err(error) => {
            output::say(&format!(
                "kanban: KANBAN_LOG is not a filter, \"info\" applies: {error}"
            ));
            EnvFilter::new("info")
        }
    };
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    match format {
        LogFormat::Text => lines.with_ansi(output::is_colourful(&io::stderr())).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
}
