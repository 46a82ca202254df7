//! Every verb leaves on a board what the peer's verb leaves: the same rows, events and attempts. One board, two copies; each
//! program works on its own, word for word the same, and after each word both are compared.
//!
//! Where we differ on purpose, the step says so, and why.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use super::asked::Asked;
use super::board::{Board, rows};
use super::house::{House, Result, Said};

const ANN: [(&str, &str); 1] = [("HERMES_PROFILE", "ann")];

/// What the two programs are compared by.
const TABLES: [(&str, &str); 6] = [
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
    ("attachments", "SELECT * FROM task_attachments ORDER BY id"),
];

/// Two copies of one board, and a program on each.
struct Pair {
    peers: House,
    ours: House,
    peer: Asked,
    /// The tasks that both boards began with, by title.
    ids: BTreeMap<String, String>,
}

impl Pair {
    /// Fills a board with the peer's own words (`{title}` is that task's id), then copies it.
    fn made_by(lines: &[&str], sql: &str) -> Result<Self> {
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
    fn say(&mut self, vars: &[(&str, &str)], line: &str) -> Result<(bool, bool, Said)> {
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

    /// Says the same to both, which do it or refuse it alike and leave the same on their boards.
    fn alike(&mut self, does: bool, line: &str) -> Result {
        let (theirs, ours, said) = self.say(&[], line)?;
        assert_eq!((theirs, ours), (does, does), "{line}: {said:?}");
        self.same(line, &[])
    }

    /// Whether both boards hold the same, but for tasks with these titles.
    fn same(&self, after: &str, but: &[&str]) -> Result {
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

#[test]
fn tasks_are_made_alike() -> Result {
    let mut pair = Pair::made_by(
        &[
            "create open",
            "create gone",
            "archive {gone}",
            "create over",
            "complete {over}",
        ],
        "",
    )?;
    for line in [
        "create plain",
        "create assigned --assignee Coder --priority -3 --body 'all of it'",
        "create 'in triage' --triage",
        "create waits --parent {open} --parent {over}",
        "create 'waits for an archived one' --parent {gone}",
        "create goes --parent {over}",
        "create 'triage wins' --triage --parent {open}",
        "create here --workspace dir:/srv/here",
        "create tree --workspace worktree",
        "create grown --workspace worktree:/srv/repo --branch fix/it",
        "create aims --goal --goal-max-turns 7",
        "create skilled --skill b --skill a --skill b --skill é",
        "create limited --tenant acme --max-runtime 90s --max-retries 3",
        "create once --idempotency-key k",
        "create again --idempotency-key k",
        "create theirs --created-by bob",
    ] {
        pair.alike(true, line)?;
    }
    for line in [
        "create ' '",
        "create orphan --parent t_00000000",
        "create branched --branch fix/it",
        "create tree2 --workspace worktree:",
        "create two --skill a,b",
        "create never --max-retries 0",
    ] {
        pair.alike(false, line)?;
    }
    Ok(())
}

#[test]
fn words_and_links_are_written_alike() -> Result {
    let mut pair = Pair::made_by(
        &[
            "create a",
            "create b",
            "create c",
            "create d",
            "create over",
            "complete {over}",
            "create gone",
            "archive {gone}",
            "create busy",
            "claim {busy}",
        ],
        "",
    )?;
    for (does, line) in [
        (true, "comment {a} 'hello wörld'"),
        (true, "comment {over} two words --author bob"),
        (false, "comment {a} ' '"),
        (false, "comment t_00000000 hello"),
        (true, "link {a} {b}"),
        (true, "link {b} {c}"),
        (true, "link {a} {b}"),
        (true, "link {over} {d}"),
        (true, "link {gone} {d}"),
        (true, "link {a} {busy}"),
        (false, "link {a} {a}"),
        (false, "link {c} {a}"),
        (false, "link {a} t_00000000"),
        (true, "unlink {b} {c}"),
        (false, "unlink {b} {c}"),
        (true, "unlink {gone} {d}"),
        (true, "complete {a} --summary done"),
    ] {
        pair.alike(does, line)?;
    }
    Ok(())
}

#[test]
fn tasks_are_put_off_archived_promoted_and_edited_alike() -> Result {
    let mut pair = Pair::made_by(
        &[
            "create a",
            "create b",
            "create c",
            "create run1",
            "create run2",
            "create run3",
            "claim {run1}",
            "claim {run2}",
            "claim {run3}",
            "create waits --parent {a} --parent {run2}",
            "create alone --parent {run2}",
            "create stuck",
            "block {stuck} 'no iron' --kind needs_input",
            "create said",
            "complete {said} --summary short --result 12345",
            "create bare",
            "complete {bare}",
        ],
        "UPDATE tasks SET consecutive_failures = 1, last_failure_error = 'x' WHERE title IN ('stuck', 'c')",
    )?;
    for (does, line) in [
        (true, "schedule {a} 'after the holidays'"),
        (true, "schedule {b}"),
        (true, "schedule {run1} later"),
        (true, "schedule {stuck} 'next week'"),
        (true, "schedule {waits}"),
        (true, "unblock {waits}"),
        (true, "unblock {stuck}"),
        (true, "unblock {b}"),
        (false, "promote {b}"),
        (false, "promote {waits}"),
        (true, "promote {waits} now please --force"),
        (true, "block {b} 'no steam'"),
        (true, "promote {b}"),
        (true, "block {b} again --kind capability"),
        (true, "archive {c}"),
        (true, "edit {said} --result 678 --summary 'counted again'"),
        (true, "edit {said} --result 9 --metadata '{\"pages\": 3}'"),
        (true, "edit {bare} --result done"),
        (false, "edit {run3} --result x"),
        (false, "edit t_00000000 --result x"),
    ] {
        pair.alike(does, line)?;
    }
    // Its worker is told in other words why its attempt ended; what waited for it goes on.
    let (theirs, ours, _) = pair.say(&[], "archive {run2}")?;
    assert!(theirs && ours);
    let summary = "UPDATE task_runs SET summary = NULL WHERE status = 'reclaimed'";
    pair.peers.board("default").open()?.execute(summary, [])?;
    pair.ours.board("default").open()?.execute(summary, [])?;
    pair.same("archive {run2}", &[])?;
    assert_eq!(
        pair.ours.board("default").task(&pair.ids["alone"])?["status"],
        "ready"
    );
    pair.alike(true, "complete {waits}")
}

#[test]
fn tasks_change_hands_alike() -> Result {
    let mut pair = Pair::made_by(
        &[
            "create free --assignee coder",
            "create run1",
            "create run2",
            "create run3",
            "create run4",
            "claim {run1}",
            "claim {run2}",
            "claim {run3}",
            "claim {run4}",
            "create stuck",
            "block {stuck}",
        ],
        // Of another host's worker both programs know no more than the row.
        "UPDATE tasks SET claim_lock = 'elsewhere:1', worker_pid = 4242 WHERE title = 'run3'; \
         UPDATE tasks SET claim_lock = NULL WHERE title = 'run4'; \
         UPDATE tasks SET consecutive_failures = 1, last_failure_error = 'x'",
    )?;
    for (does, line) in [
        (true, "assign {free} Coder"),
        (true, "assign {free} reviewer"),
        (true, "assign {free} none"),
        (true, "assign {stuck} coder"),
        (false, "assign {run1} coder"),
        (false, "assign t_00000000 coder"),
        (false, "reassign {run1} coder"),
        (false, "reclaim {free}"),
        (false, "reclaim {stuck}"),
        (false, "reclaim t_00000000"),
        (true, "reclaim {run1} --reason 'it hangs'"),
        (true, "reclaim {run3}"),
        (true, "reclaim {run4}"),
        (
            true,
            "reassign {run2} Coder --reclaim --reason 'wrong hands'",
        ),
        (true, "reassign {free} coder --reclaim"),
        (true, "reassign {stuck} none"),
    ] {
        pair.alike(does, line)?;
    }
    Ok(())
}

#[test]
fn files_that_a_finished_task_names_are_kept_alike() -> Result {
    let mut pair = Pair::made_by(&["create work", "claim {work}", "create bare"], "")?;
    let id = pair.ids["work"].clone();
    let dir = |house: &House| house.root().join("kanban/workspaces").join(&id);
    for house in [&pair.peers, &pair.ours] {
        let (dir, path) = (dir(house), dir(house).to_string_lossy().into_owned());
        fs::create_dir_all(dir.join("out"))?;
        fs::write(dir.join("out/report.txt"), "report")?;
        fs::write(dir.join("report.txt"), "another")?;
        fs::write(dir.join("said.md"), "said")?;
        let sql = "UPDATE tasks SET workspace_path = ?1 WHERE id = ?2";
        house.board("default").open()?.execute(sql, [&path, &id])?;
    }
    pair.same("before", &[])?;
    let words = |house: &House| {
        let at = |name: &str| dir(house).join(name).to_string_lossy().into_owned();
        let named = [
            at("out/report.txt"),
            at("report.txt"),
            "/elsewhere/x".to_owned(),
        ];
        let summary = format!("see `{}`, and t_00000000 with {id}.", at("said.md"));
        [
            summary,
            json!({ "artifacts": named, "pages": 3 }).to_string(),
        ]
    };
    let [summary, metadata] = words(&pair.peers);
    let args = [
        "complete",
        &id,
        "--summary",
        &summary,
        "--metadata",
        &metadata,
    ];
    pair.peer.done(&args)?;
    let [summary, metadata] = words(&pair.ours);
    let args = [
        "complete",
        &id,
        "--summary",
        &summary,
        "--metadata",
        &metadata,
    ];
    pair.ours.kanban_ok(&args)?;
    pair.same("the completion", &[])?;
    for house in [&pair.peers, &pair.ours] {
        let kept = house.root().join("kanban/attachments").join(&id);
        let text = |name: &str| fs::read_to_string(kept.join(name));
        assert_eq!(
            (text("report.txt")?.as_str(), text("report_1.txt")?.as_str()),
            ("report", "another")
        );
        assert_eq!(text("said.md")?, "said");
        assert!(!dir(house).exists());
    }
    Ok(())
}

#[test]
fn a_stale_attempt_is_refused_and_leaves_nothing_behind() -> Result {
    let mut pair = Pair::made_by(
        &[
            "create run1",
            "claim {run1}",
            "reclaim {run1}",
            "claim {run1}",
        ],
        "",
    )?;
    let id = pair.ids["run1"].clone();
    let stale = [
        ("HERMES_KANBAN_TASK", id.as_str()),
        ("HERMES_KANBAN_RUN_ID", "1"),
    ];
    for line in [
        "complete {run1} --summary s",
        "schedule {run1}",
        "block {run1}",
        "heartbeat {run1}",
    ] {
        let (_, ours, said) = pair.say(&stale, line)?;
        assert!(!ours && said.err.contains("attempt 1"), "{line}: {said:?}");
        pair.same(line, &[])?;
    }
    // The peer writes what it was about to do before it is refused; we do not.
    let before = pair
        .ours
        .board("default")
        .rows("SELECT * FROM task_comments", [])?;
    pair.say(&stale, "block {run1} 'which quarter?'")?;
    let comments = |house: &House| {
        house
            .board("default")
            .rows("SELECT * FROM task_comments", [])
    };
    assert_eq!(comments(&pair.ours)?, before);
    assert_ne!(
        comments(&pair.peers)?,
        before,
        "the peer's defect is gone: compare this too"
    );
    // Its own attempt may.
    let current = [
        ("HERMES_KANBAN_TASK", id.as_str()),
        ("HERMES_KANBAN_RUN_ID", "2"),
    ];
    let (theirs, ours, _) = pair.say(&current, "complete {run1} --summary s")?;
    assert!(theirs && ours);
    Ok(())
}

#[test]
fn what_the_peer_gets_wrong_is_not_wrong_here() -> Result {
    let mut pair = Pair::made_by(&["create blank", "create held"], "")?;
    // A summary of blanks ends the peer's completion with an exception.
    let (theirs, ours, said) = pair.say(&[], "complete {blank} --summary ' '")?;
    assert!(!theirs && ours, "{said:?}");
    let board = pair.ours.board("default");
    let done = &board.events(&pair.ids["blank"])?[1];
    assert_eq!(done["payload"], json!({ "result_len": 0, "summary": null }));
    // What is blocked from the start stays so, also when the peer's `list` promotes what it may.
    let (theirs, ours, _) = pair.say(&[], "create kept --initial-status blocked")?;
    assert!(theirs && ours);
    let status = |board: &Board| -> Result<Value> {
        let rows = board.rows("SELECT status FROM tasks WHERE title = 'kept'", [])?;
        Ok(rows[0]["status"].clone())
    };
    pair.peers.peer(&["list"])?;
    pair.ours.peer(&["list"])?;
    assert_eq!(status(&board)?, "blocked");
    assert_eq!(
        status(&pair.peers.board("default"))?,
        "ready",
        "the peer's defect is gone: compare this too"
    );
    pair.same("what differs on purpose", &["blank", "kept"])
}

#[test]
fn show_says_all_that_the_peers_says_and_the_same() -> Result {
    let mut pair = Pair::made_by(
        &[
            "create first --body all --assignee coder --tenant acme --skill a --max-retries 3 --created-by ann",
            "comment {first} hello",
            "claim {first}",
            "complete {first} --summary short --metadata '{\"pages\": 3}'",
            "create next --parent {first} --workspace worktree:/srv/repo --branch fix/it",
        ],
        "",
    )?;
    for title in ["first", "next"] {
        let id = pair.ids[title].clone();
        let dir = |house: &House| house.root().to_string_lossy().into_owned();
        let said = pair.peer.done(&["show", &id, "--json"])?;
        let theirs: Value =
            serde_json::from_str(&said.replace(&dir(&pair.peers), &dir(&pair.ours)))?;
        let ours = pair.ours.kanban_ok(&["show", &id, "--json"])?.json()?;
        holds(&ours, &theirs, title);
    }
    Ok(())
}

/// Whether everything that `less` says is said by `more` too.
fn holds(more: &Value, less: &Value, at: &str) {
    match (more, less) {
        (Value::Object(more), Value::Object(less)) => {
            for (key, less) in less {
                let at = format!("{at}.{key}");
                holds(
                    more.get(key).unwrap_or_else(|| panic!("{at} is missing")),
                    less,
                    &at,
                );
            }
        }
        (Value::Array(more), Value::Array(less)) => {
            assert_eq!(more.len(), less.len(), "{at}");
            for (n, (more, less)) in more.iter().zip(less).enumerate() {
                holds(more, less, &format!("{at}[{n}]"));
            }
        }
        _ => assert_eq!(more, less, "{at}"),
    }
}
