//! The daemon's log, as the records that it writes with `--log-format json`.

use jiff::Timestamp;
use serde_json::Value;

use super::{Result, W};

/// One record.
#[derive(Debug, Clone)]
pub(crate) struct Line(Value);

/// Whatever else is written there, by SQLite or a panic, is no record, and an error.
pub(super) fn parse(log: &str) -> Result<Vec<Line>> {
    // The last one may be half written.
    let whole = log.rfind('\n').map_or("", |end| &log[..end]);
    whole
        .lines()
        .map(|line| match serde_json::from_str(line) {
            Ok(record) => Ok(Line(record)),
            Err(error) => Err(format!("{error}: {line}").into()),
        })
        .collect()
}

/// The failures among these lines of one board and class come at most once a window, and each later one has a count.
#[track_caller]
pub(crate) fn at_most_one_a_window(lines: &[Line]) -> Result {
    let told: Vec<&Line> = lines.iter().filter(|line| line.is_above_info()).collect();
    for pair in told.windows(2) {
        assert!(pair[1].suppressed() > 0, "{pair:?}");
        let apart = pair[0].at()?.duration_until(pair[1].at()?);
        assert!(apart.unsigned_abs() >= W, "{pair:?}");
    }
    Ok(())
}

// ===== impl Line =====

impl Line {
    pub(crate) fn message(&self) -> &str {
        self.text("message").unwrap_or_default()
    }

    pub(crate) fn level(&self) -> &str {
        self.0["level"].as_str().unwrap_or_default()
    }

    pub(crate) fn board(&self) -> Option<&str> {
        self.text("board")
    }

    /// A field that is a text.
    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        self.field(field)?.as_str()
    }

    /// A field that is a number; 0 where there is none.
    pub(crate) fn number(&self, field: &str) -> u64 {
        self.field(field)
            .and_then(Value::as_u64)
            .unwrap_or_default()
    }

    /// When it was written.
    pub(crate) fn at(&self) -> Result<Timestamp> {
        let text = self.0["timestamp"].as_str().ok_or("no timestamp")?;
        Ok(text.parse()?)
    }

    /// The number of the pass over all boards whose end this line tells.
    pub(crate) fn pass(&self) -> Option<u64> {
        let is_end = self.message() == "pass over all boards ended";
        is_end.then(|| self.number("tick"))
    }

    /// How many workers this turn started.
    pub(crate) fn started(&self) -> u64 {
        self.number("started")
    }

    /// How many of the same were not logged since the last one.
    pub(crate) fn suppressed(&self) -> u64 {
        self.number("suppressed")
    }

    pub(crate) fn is_above_info(&self) -> bool {
        matches!(self.level(), "WARN" | "ERROR")
    }

    fn field(&self, name: &str) -> Option<&Value> {
        self.0.get(name).or_else(|| self.0["fields"].get(name))
    }
}
