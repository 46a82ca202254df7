//! Two copies of one board, one for each program.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::asked::Asked;
use super::super::board::{Board, rows};
use super::super::house::{House, Result, Said};

const ANN: [(&str, &str); 1] = [("HERMES_PROFILE", "ann")];

/// What the two programs are compared by.
const TABLES: [(&str, &str); 7] = [
    ("tasks", "SELECT * FROM tasks ORDER BY title, id"),
    ("links", "SELECT * FROM task_links"),
    (
        "comments",
        "SELECT task_id, author, body, created_at FROM task_comments ORDER BY id",
    ),
    (
        "events",
        "SELECT task_id, run_id, kind, payload, created_at FROM task_events ORDER BY id",
    ),
    ("runs", "SELECT * FROM task_runs ORDER BY id"),
    (
        "subs",
        "SELECT task_id, platform, chat_id FROM kanban_notify_subs ORDER BY chat_id",
    ),
    ("attachments", "SELECT * FROM task_attachments ORDER BY id"),
];

/// Two copies of one board, and a program on each.
pub(super) struct Pair {
    pub(super) peers: House,
    pub(super) ours: House,
    pub(super) peer: Asked,
    /// The tasks that both boards began with, by title.
    pub(super) ids: BTreeMap<String, String>,
}

impl Pair {
    /// Fills a board with the peer's own words (`{title}` is that task's id), then copies it.
    pub(super) fn made_by(lines: &[&str], sql: &str) -> Result<Self> {
        let (peers, ours) = (House::new()?, House::new()?);
        let mut peer = Asked::start(&peers, "ann")?;
        let mut pair_ids = BTreeMap::new();
        peer.done(&["init"])?;
        for line in lines {
            let words = words(line, &pair_ids);
            peer.done(&words.iter().map(String::as_str).collect::<Vec<_>>())?;
            for row in peers
                .board("default")
                .rows("SELECT id, title FROM tasks", [])?
            {
                let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
                pair_ids.insert(text("title"), text("id"));
            }
        }
        let db = peers.board("default").open()?;
        db.execute_batch(sql)?;
        db.execute("VACUUM INTO ?1", [ours.board("default").db.to_str()])?;
        drop(db);
        let copy = ours.board("default").open()?;
        copy.pragma_update(None, "journal_mode", "wal")?;
        // Each has its directories in its own installation.
        let dirs = [&peers, &ours].map(|house| house.root().to_string_lossy().into_owned());
        let moved = "UPDATE tasks SET workspace_path = replace(workspace_path, ?1, ?2)";
        copy.execute(moved, dirs)?;
        drop(copy);
        let pair = Self {
            peers,
            ours,
            peer,
            ids: pair_ids,
        };
        pair.same("the copy", &[])?;
        Ok(pair)
    }

    /// Says the same to both. Whether each did it: (the peer, we).
    pub(super) fn say(&mut self, vars: &[(&str, &str)], line: &str) -> Result<(bool, bool, Said)> {
        let mut line_of = words(line, &self.ids);
        if line_of[0] == "create" && !line.contains("--created-by") {
            // Unless it is said, the peer's command says "user" where ours says whose profile it is, as the peer's workers do.
            line_of.extend(["--created-by", "ann"].map(str::to_owned));
        }
        let theirs: Vec<&str> = line_of.iter().map(String::as_str).collect();
        let (code, _) = self.peer.ask(vars, &theirs)?;
        let mut ours = theirs.clone();
        if ours[0] == "create" {
            ours[0] = "add";
        }
        let said = self.ours.kanban_with(&[&ANN, vars].concat(), &ours)?;
        Ok((code == 0, said.code == Some(0), said))
    }

    /// Says it to ours only.
    pub(super) fn say_ours(&self, line: &str) -> Result<Said> {
        let words = words(line, &self.ids);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.ours.kanban_with(&ANN, &words)
    }

    /// Says the same to both, which do it or refuse it alike and leave the same on their boards.
    pub(super) fn alike(&mut self, does: bool, line: &str) -> Result {
        let (theirs, ours, said) = self.say(&[], line)?;
        assert_eq!((theirs, ours), (does, does), "{line}: {said:?}");
        self.same(line, &[])
    }

    /// The same word after word.
    pub(super) fn all_alike(&mut self, lines: &[(bool, &str)]) -> Result {
        lines
            .iter()
            .try_for_each(|(does, line)| self.alike(*does, line))
    }

    /// Runs the same SQL on both boards.
    pub(super) fn sql(&self, sql: &str) -> Result {
        for house in [&self.peers, &self.ours] {
            house.board("default").open()?.execute_batch(sql)?;
        }
        Ok(())
    }

    /// Whether both boards hold the same, but for tasks with these titles.
    pub(super) fn same(&self, after: &str, but: &[&str]) -> Result {
        let theirs = normal(&self.peers.board("default"), &self.ids, but)?;
        let ours = normal(&self.ours.board("default"), &self.ids, but)?;
        for (name, _) in TABLES {
            let lines = |found: &Value| -> Vec<String> {
                found[name]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(Value::to_string)
                    .collect()
            };
            let (theirs, ours) = (lines(&theirs), lines(&ours));
            let differs = |n: &usize| theirs.get(*n) != ours.get(*n);
            if let Some(n) = (0..theirs.len().max(ours.len())).find(differs) {
                let (theirs, ours) = (theirs.get(n), ours.get(n));
                panic!("{name} after {after:?}:\n  peer {theirs:?}\n  ours {ours:?}");
            }
        }
        Ok(())
    }
}

/// The words of a line; `'...'` is one word, `{title}` the id of that task.
fn words(line: &str, ids: &BTreeMap<String, String>) -> Vec<String> {
    let id = |word: &str| {
        let title = word.strip_prefix('{')?.strip_suffix('}')?;
        Some(ids.get(title).unwrap_or_else(|| panic!("no task {title}")))
    };
    let mut found = Vec::new();
    for (n, part) in line.split('\'').enumerate() {
        if n % 2 == 1 {
            found.push(part.to_owned());
        } else {
            let words = part.split_whitespace();
            found.extend(words.map(|word| id(word).map_or(word, String::as_str).to_owned()));
        }
    }
    found
}

/// A board without its times, and with titles for the ids of tasks.
fn normal(board: &Board, ids: &BTreeMap<String, String>, but: &[&str]) -> Result<Value> {
    let db = board.open()?;
    let mut names: BTreeMap<String, String> =
        ids.iter().map(|(t, id)| (id.clone(), t.clone())).collect();
    for row in rows(&db, "SELECT id, title FROM tasks", [])? {
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        names.insert(text("id"), text("title"));
    }
    // Below the root of its installation lies the board.
    let house = board.db.ancestors().nth(2).ok_or("no directory")?;
    names.insert(house.to_string_lossy().into_owned(), "HOUSE".to_owned());
    let mut found = json!({});
    for (table, sql) in TABLES {
        let mut kept = Vec::new();
        for mut row in rows(&db, sql, [])? {
            let task = ["task_id", "child_id", "id"]
                .iter()
                .find_map(|key| row[*key].as_str());
            let title = task
                .and_then(|id| names.get(id))
                .cloned()
                .unwrap_or_default();
            if but.contains(&title.as_str()) {
                continue;
            }
            for (_, value) in row.as_object_mut().into_iter().flatten() {
                *value = without_times(value, &names);
            }
            kept.push(row);
        }
        if table == "links" {
            // They have no order of their own, and the ids they are stored by are drawn.
            kept.sort_by_key(Value::to_string);
        }
        found[table] = Value::Array(kept);
    }
    Ok(found)
}

fn without_times(value: &Value, names: &BTreeMap<String, String>) -> Value {
    match value {
        // A time, of this century at least.
        Value::Number(number) if number.as_i64().is_some_and(|n| n > 946_684_800) => json!("TIME"),
        Value::String(text) => {
            let mut text = text.clone();
            for (id, title) in names {
                text = text.replace(id, &format!("<{title}>"));
            }
            Value::String(text)
        }
        other => other.clone(),
    }
}
