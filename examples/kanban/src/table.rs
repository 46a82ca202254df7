//! Aligned columns for a terminal or a pipe.

use crate::output::plain;

/// Rows below a head.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<Cell>>,
    is_colourful: bool,
}

/// One entry.
#[derive(Debug)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
    is_right: bool,
}

/// What an entry means, which becomes its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Nothing special.
    Plain,
    /// A heading.
    Strong,
    /// All is well.
    Good,
    /// Worth a look.
    Odd,
    /// Broken.
    Bad,
}

// ===== impl Table =====

impl Table {
    pub(crate) fn new(head: &[&str], is_colourful: bool) -> Self {
        let head = head
            .iter()
            .map(|name| Cell::text(name).tone(Tone::Strong))
            .collect();
        Self {
            rows: vec![head],
            is_colourful,
        }
    }

    pub(crate) fn push(&mut self, row: Vec<Cell>) {
        self.rows.push(row);
    }

    /// The whole table, without a line end after the last row.
    pub(crate) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|n| {
                self.rows
                    .iter()
                    .filter_map(|row| row.get(n))
                    .map(Cell::width)
                    .max()
            })
            .map(Option::unwrap_or_default)
            .collect();
        // A column with a number in it is a column of numbers, its head included.
        let is_right = |n: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(n))
                .any(|c| c.is_right)
        };
        let rights: Vec<bool> = (0..columns).map(is_right).collect();
        let lines = self.rows.iter().map(|row| {
            let cells = row
                .iter()
                .zip(widths.iter().zip(&rights))
                .map(|(cell, (width, right))| {
                    let pad = " ".repeat(width - cell.width());
                    let text = paint(&cell.text, cell.tone, self.is_colourful);
                    if *right { pad + &text } else { text + &pad }
                });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

// ===== impl Cell =====

impl Cell {
    pub(crate) fn text(text: &str) -> Self {
        Self {
            text: plain(text),
            tone: Tone::Plain,
            is_right: false,
        }
    }

    /// At most `max` characters of it.
    pub(crate) fn short(text: &str, max: usize) -> Self {
        let mut cell = Self::text(text);
        if cell.width() > max {
            cell.text = cell
                .text
                .chars()
                .take(max.saturating_sub(1))
                .chain(['…'])
                .collect();
        }
        cell
    }

    pub(crate) fn number(number: i64) -> Self {
        Self {
            text: number.to_string(),
            tone: Tone::Plain,
            is_right: true,
        }
    }

    pub(crate) fn tone(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

/// `text` in the colour of `tone`, if colours are welcome.
pub(crate) fn paint(text: &str, tone: Tone, is_colourful: bool) -> String {
    let code = match tone {
        _ if !is_colourful => return text.to_owned(),
        Tone::Plain => return text.to_owned(),
        Tone::Strong => 1,
        Tone::Good => 32,
        Tone::Odd => 33,
        Tone::Bad => 31,
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_colours_do_not_count() {
        for (is_colourful, ok) in [(false, "ok"), (true, "\x1b[32mok\x1b[0m")] {
            let mut table = Table::new(&["state", "n"], is_colourful);
            table.push(vec![Cell::text("ok").tone(Tone::Good), Cell::number(7)]);
            table.push(vec![Cell::text("broken"), Cell::number(10)]);
            let text = table.render();
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(lines[1], format!("{ok}       7"), "{text}");
            assert_eq!(lines[2], "broken  10");
        }
    }

    #[test]
    fn a_cell_cannot_steer_the_terminal() {
        assert_eq!(Cell::text("a\x1b[2Jb\nc").text, "a [2Jb c");
        assert_eq!(Cell::short("abcdef", 4).text, "abc…");
    }
}
