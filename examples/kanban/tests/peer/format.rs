//! A board that we made is the peer's own: the same file, and every verb works on it.

use serde_json::{Value, json};

use super::board::{keys, rows};
use super::house::{House, Result};

#[test]
fn a_board_of_ours_has_the_same_schema_as_one_of_the_peers() -> Result {
    let (ours, theirs) = (House::new()?, House::new()?);
    ours.kanban_ok(&["init"])?;
    theirs.peer(&["init"])?;
    let (ours, theirs) = (ours.board("default"), theirs.board("default"));
    let (ours, theirs) = (ours.open()?, theirs.open()?);

    for sql in [
        // Tables and indexes, and which of the tables number their rows without ever using a number twice.
        "SELECT type, name, tbl_name, upper(sql) LIKE '%AUTOINCREMENT%' AS counts FROM sqlite_schema ORDER BY type, name",
        // Columns in their order: name, type, not null, default, place in the key.
        "SELECT m.name AS tbl, c.* FROM sqlite_schema m JOIN pragma_table_xinfo(m.name) c WHERE m.type = 'table' \
         ORDER BY m.name, c.cid",
        "SELECT m.name AS tbl, i.name, i.\"unique\", i.origin, i.partial, c.seqno, c.name AS col, c.\"desc\", c.coll, c.key \
         FROM sqlite_schema m JOIN pragma_index_list(m.name) i JOIN pragma_index_xinfo(i.name) c \
         WHERE m.type = 'table' ORDER BY m.name, i.name, c.seqno",
        "SELECT * FROM pragma_foreign_key_list('tasks')",
    ] {
        let (ours, theirs) = (rows(&ours, sql, [])?, rows(&theirs, sql, [])?);
        assert_eq!(ours, theirs, "{sql}");
    }
    for pragma in [
        "user_version",
        "application_id",
        "journal_mode",
        "page_size",
        "encoding",
        "auto_vacuum",
    ] {
        let sql = format!("PRAGMA {pragma}");
        assert_eq!(rows(&ours, &sql, [])?, rows(&theirs, &sql, [])?, "{pragma}");
    }
    Ok(())
}

#[test]
fn tasks_of_ours_are_listed_completed_blocked_and_unblocked_by_the_peer() -> Result {
    let house = House::new()?;
    house.kanban_ok(&["init"])?;
    house.kanban_ok(&["init", "shop-front"])?;
    let parent = house.adds(
        "shop-front",
        &["cut", "--assignee", "Coder", "--priority", "4"],
    )?;
    let child = house.adds(
        "shop-front",
        &["sew", "--assignee", "coder", "--parent", &parent],
    )?;
    let stuck = house.adds("shop-front", &["press", "--assignee", "coder"])?;
    let peer = |args: &[&str]| house.peer(&[&["--board", "shop-front"], args].concat());
    let board = house.board("shop-front");

    // The board is found, with its metadata.
    let boards = house.peer_json(&["boards", "list", "--json"])?;
    let found = boards
        .as_array()
        .and_then(|all| all.iter().find(|board| board["slug"] == "shop-front"))
        .ok_or("our board is not listed")?;
    assert_eq!(found["name"], "Shop Front");

    let list = peer(&["list", "--json"])?.json()?;
    let states: Vec<(&Value, &Value, &Value)> = list
        .as_array()
        .ok_or("no list")?
        .iter()
        .map(|task| (&task["title"], &task["status"], &task["assignee"]))
        .collect();
    let coder = json!("coder");
    for (title, status) in [("cut", "ready"), ("sew", "todo"), ("press", "ready")] {
        assert!(
            states.contains(&(&json!(title), &json!(status), &coder)),
            "{title}: {states:?}"
        );
    }
    let shown = peer(&["show", &child, "--json"])?.json()?;
    assert_eq!(shown["parents"], json!([parent]));
    // What `created` says of a task is the same whoever made it.
    let theirs = house.peer_creates("shop-front", "peer's", &["--parent", &parent])?;
    let (made, made_theirs) = (board.events(&child)?, board.events(&theirs)?);
    assert_eq!(made[0]["payload"], made_theirs[0]["payload"]);
    assert_eq!(keys(&made[0]["payload"]), keys(&made_theirs[0]["payload"]));
    columns_are_filled_alike(&board.task(&child)?, &board.task(&theirs)?)?;

    peer(&["complete", &parent, "--summary", "done by hand"])?;
    assert_eq!(board.task(&parent)?["status"], "done");
    assert_eq!(board.task(&child)?["status"], "ready");
    assert_eq!(board.kinds(&parent)?, ["created", "completed"]);

    peer(&["block", &stuck, "no iron", "--kind", "needs_input"])?;
    assert_eq!(board.task(&stuck)?["status"], "blocked");
    // Ours frees what the peer blocked, and the peer frees what we blocked.
    house.kanban_ok(&["--board", "shop-front", "unblock", &stuck])?;
    assert_eq!(board.task(&stuck)?["status"], "ready");
    house.kanban_ok(&[
        "--board",
        "shop-front",
        "block",
        &stuck,
        "no steam",
        "--kind",
        "capability",
    ])?;
    peer(&["list"])?;
    assert_eq!(
        board.task(&stuck)?["status"],
        "blocked",
        "a person's block holds"
    );
    peer(&["unblock", &stuck])?;
    assert_eq!(board.task(&stuck)?["status"], "ready");

    // Both events of either kind are alike; the peer's command adds a comment of its own.
    let events = board.events(&stuck)?;
    let of_kind = |kind: &str| -> Vec<&Value> {
        let found = events.iter().filter(|event| event["kind"] == kind);
        found.map(|event| &event["payload"]).collect()
    };
    let (blocked, unblocked) = (of_kind("blocked"), of_kind("unblocked"));
    assert_eq!(
        blocked,
        [
            &json!({ "reason": "no iron", "kind": "needs_input", "recurrences": 1 }),
            &json!({ "reason": "no steam", "kind": "capability", "recurrences": 1 }),
        ]
    );
    assert_eq!(keys(blocked[0]), keys(blocked[1]));
    assert_eq!(unblocked, [&Value::Null, &Value::Null]);
    let runs = board.runs(&stuck)?;
    assert_eq!(
        runs.len(),
        2,
        "each reason is kept as an attempt that ended at once"
    );
    columns_are_filled_alike(&runs[0], &runs[1])?;

    // Ours completes like theirs.
    house.kanban_ok(&[
        "--board",
        "shop-front",
        "complete",
        &child,
        "--summary",
        "done by hand",
    ])?;
    let (theirs, ours) = (&board.events(&parent)?[1], &board.events(&child)?[2]);
    assert_eq!(
        (&ours["kind"], &ours["payload"]),
        (&theirs["kind"], &theirs["payload"])
    );
    columns_are_filled_alike(&board.runs(&parent)?[0], &board.runs(&child)?[0])?;
    assert_eq!(peer(&["diagnostics", "--json"])?.json()?, json!([]));
    Ok(())
}

/// NULL in the one is NULL in the other: readers tell "never" from "no" by it.
fn columns_are_filled_alike(a: &Value, b: &Value) -> Result {
    let (a, b) = (
        a.as_object().ok_or("no row")?,
        b.as_object().ok_or("no row")?,
    );
    for (column, value) in a {
        assert_eq!(
            value.is_null(),
            b[column].is_null(),
            "{column}: {value} and {}",
            b[column]
        );
    }
    Ok(())
}
