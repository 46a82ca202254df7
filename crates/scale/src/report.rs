//! The results as markdown: ours, the limit and the peer side by side, with the ratios.

use std::fmt::Write as _;

/// One number, or why there is none.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// Nanoseconds.
    Time(f64),
    /// KiB of memory.
    Memory(f64),
    Bytes(f64),
    Count(f64),
    /// What stands there instead of a number.
    Word(&'static str),
}

/// One row.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) work: String,
    pub(crate) ours: Value,
    pub(crate) limit: Value,
    pub(crate) peer: Value,
}

/// One table, and what one has to know about it.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) title: &'static str,
    pub(crate) about: String,
    pub(crate) lines: Vec<Line>,
}

/// There is nothing to compare with.
pub(crate) const NONE: Value = Value::Word("");

/// The setting for it does not exist yet.
pub(crate) const NOT_YET: Value = Value::Word("not there yet");

// ===== impl Line =====

impl Line {
    pub(crate) fn new(work: impl Into<String>, ours: Value) -> Self {
        Self {
            work: work.into(),
            ours,
            limit: NONE,
            peer: NONE,
        }
    }

    pub(crate) fn limit(self, limit: Value) -> Self {
        Self { limit, ..self }
    }

    pub(crate) fn peer(self, peer: Value) -> Self {
        Self { peer, ..self }
    }
}

// ===== impl Section =====

impl Section {
    pub(crate) fn render(&self) -> String {
        let mut text = format!("### {}\n\n", self.title);
        if !self.about.is_empty() {
            let _ = writeln!(text, "{}\n", self.about);
        }
        text.push_str("| work | ours | limit | ours ÷ limit | peer | peer ÷ ours |\n");
        text.push_str("|---|--:|--:|--:|--:|--:|\n");
        for line in &self.lines {
            let Line {
                work,
                ours,
                limit,
                peer,
            } = line;
            let _ = writeln!(
                text,
                "| {work} | {} | {} | {} | {} | {} |",
                ours.shown(),
                limit.shown(),
                ratio(ours, limit),
                peer.shown(),
                ratio(peer, ours)
            );
        }
        text
    }
}

/// How many times the second the first is; nothing where one is missing or none.
fn ratio(one: &Value, other: &Value) -> String {
    match (one.number(), other.number()) {
        (Some(one), Some(other)) if other > 0.0 => digits(one / other),
        _ => String::new(),
    }
}

// ===== impl Value =====

impl Value {
    fn number(&self) -> Option<f64> {
        match self {
            Self::Time(n) | Self::Memory(n) | Self::Bytes(n) | Self::Count(n) => Some(*n),
            Self::Word(_) => None,
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Time(ns) => match *ns {
                ns if ns < 1e3 => format!("{} ns", digits(ns)),
                ns if ns < 1e6 => format!("{} µs", digits(ns / 1e3)),
                ns if ns < 1e9 => format!("{} ms", digits(ns / 1e6)),
                ns => format!("{} s", digits(ns / 1e9)),
            },
            Self::Memory(kib) => format!("{} MiB", digits(kib / 1024.0)),
            Self::Bytes(bytes) => format!("{bytes:.0} B"),
            Self::Count(count) if count.fract() == 0.0 => thousands(*count),
            Self::Count(count) => digits(*count),
            Self::Word(word) => (*word).to_owned(),
        }
    }
}

/// `10,000`.
pub(crate) fn thousands(value: f64) -> String {
    let plain = format!("{value:.0}");
    let mut text = String::new();
    for (n, digit) in plain.chars().enumerate() {
        if n > 0 && (plain.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three digits.
fn digits(value: f64) -> String {
    let decimals = match value {
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stands_between_its_limit_and_its_peer() {
        let section = Section {
            title: "idle",
            about: String::new(),
            lines: vec![
                Line::new("a", Value::Time(4_500.0))
                    .limit(Value::Time(3_000.0))
                    .peer(Value::Time(1.8e6)),
                Line::new("b", NOT_YET).limit(Value::Bytes(0.0)),
            ],
        };
        let text = section.render();
        let rows: Vec<&str> = text.lines().skip(4).collect();
        assert_eq!(
            rows,
            [
                "| a | 4.50 µs | 3.00 µs | 1.50 | 1.80 ms | 400 |",
                "| b | not there yet | 0 B |  |  |  |"
            ]
        );
    }

    #[test]
    fn nothing_is_divided_by_nothing() {
        assert_eq!(ratio(&Value::Bytes(5.0), &Value::Bytes(0.0)), "");
        assert_eq!(ratio(&Value::Count(6.0), &Value::Count(4.0)), "1.50");
    }
}
