//! How many failures the log tells of, by its own lines.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::Result;

/// Each line for a failure is one, and every line may tell of others that had none.
pub(super) fn failures(path: &Path) -> Result<u64> {
    let text = fs::read_to_string(path)?;
    text.lines().try_fold(0, |sum, line| {
        let record: Value =
            serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))?;
        let message = record["message"].as_str().unwrap_or_default();
        let is_failure = message.starts_with("board failed") || message.starts_with("board held");
        let is_summary = ["more of the same", "board works again", "board was removed"]
            .iter()
            .any(|words| message.starts_with(words))
            // Those of starts are another count.
            && record.get("error").is_none();
        let held_back = record["suppressed"].as_u64().unwrap_or_default();
        Ok(match (is_failure, is_summary) {
            (true, _) => sum + 1 + held_back,
            (_, true) => sum + held_back,
            _ => sum,
        })
    })
}
