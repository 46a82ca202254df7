//! What the peer gets wrong, and what `show` tells.

use serde_json::{Value, json};

use super::super::board::Board;
use super::super::house::{House, Result};
use super::pair::Pair;

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
