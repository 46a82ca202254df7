//! Log lines: to standard error, as text or JSON, filtered by `KANBAN_LOG`.

use std::io;

use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;
use crate::output;

/// Standard error on a full disk, or a pipe that nobody reads: the line is lost, and the dispatcher goes on.
struct Unfailing(io::Stderr);

impl io::Write for Unfailing {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let _ = self.0.write_all(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
}

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
        // It would report a failed write to standard error itself, and panic when that fails too.
        .log_internal_errors(false)
        .with_writer(|| Unfailing(io::stderr()));
    match format {
        LogFormat::Text => lines.with_ansi(output::is_colourful(&io::stderr())).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
}
