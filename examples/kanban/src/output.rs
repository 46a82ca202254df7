//! The one place that writes: answers and documents to standard output, talk to standard error.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::exit::Failure;

/// A JSON document: its name, its version, then its content.
#[derive(Serialize)]
struct Document<T> {
    schema: &'static str,
    version: u32,
    #[serde(flatten)]
    content: T,
}

/// How a document is laid out.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Layout {
    /// Indented.
    Pretty,
    /// On one line.
    Line,
}

/// Writes `text` and a line end to standard output.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(|error| Failure::output(&error))
}

/// Writes a document named `schema` to standard output.
pub(crate) fn document(schema: &'static str, content: impl Serialize) -> Result<(), Failure> {
    json(
        &Document {
            schema,
            version: 1,
            content,
        },
        Layout::Pretty,
    )
}

/// Writes a value that names itself.
pub(crate) fn json(value: &impl Serialize, layout: Layout) -> Result<(), Failure> {
    let text = match layout {
        Layout::Pretty => serde_json::to_string_pretty(value),
        Layout::Line => serde_json::to_string(value),
    };
    print(&text.map_err(|error| Failure::output(&error.into()))?)
}

/// Tells a person something. There is nobody to tell that this failed.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Whether colours are welcome there: a terminal, and `NO_COLOR` unset or empty.
pub(crate) fn is_colourful(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// What a terminal may be sent: a title or an error may hold anything, escape sequences included.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// As [`plain`], with the line ends kept.
pub(crate) fn plain_lines(text: &str) -> String {
    text.lines().map(plain).collect::<Vec<_>>().join("\n")
}
