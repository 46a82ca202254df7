//! Old schemas and a peer that closes last: boards are healed by us, and stay whole while we have them open.

use std::process::{Child, Stdio};

use super::board::{Board, identity};
use super::house::{House, Result};

/// Works until the test lets it go.
const WORKER: &str = r#"
while [ -d "$3" ] && [ ! -e "$3/go" ]; do sleep 0.05; done
exec "$2" --root "$HERMES_KANBAN_HOME" complete "$HERMES_KANBAN_TASK" --summary "done"
"#;

#[test]
fn a_board_that_lacks_a_column_is_healed_by_our_first_tick_and_the_peer_goes_on() -> Result {
    let house = House::new()?;
    house.settings("", WORKER)?;
    std::fs::write(house.path("go"), "")?;
    house.peer(&["init"])?;
    let board = house.board("default");
    for (table, column, indexes) in [
        ("tasks", "block_kind", &[][..]),
        ("tasks", "tenant", &["idx_tasks_tenant"]),
        ("task_events", "run_id", &["idx_events_run"]),
    ] {
        let id = house.peer_creates("default", column, &[])?;
        drop_column(&board, table, column, indexes)?;
        assert!(!has_column(&board, table, column)?);

        let tick = house.kanban_ok(&["tick", "--json"])?;
        let report = tick.json()?;
        let entry = &report["boards"][0];
        assert_eq!(entry["outcome"], "ticked", "{report}");
        assert_eq!(entry["repaired"][0], format!("column {table}.{column}"));
        assert_eq!(entry["started"][0], id.as_str());
        assert_eq!(
            tick.err.matches("board repaired").count(),
            1,
            "{}",
            tick.err
        );
        for level in ["WARN", "ERROR"] {
            assert!(!tick.err.contains(level), "{}", tick.err);
        }
        assert!(has_column(&board, table, column)?);
        for index in indexes {
            let found = board.rows("SELECT 1 FROM sqlite_schema WHERE name = ?1", [index])?;
            assert_eq!(found.len(), 1, "{index}");
        }

        house.until_task("default", &id, "done")?;
        let shown = house.peer_json(&["show", &id, "--json"])?;
        assert_eq!(shown["task"]["status"], "done");
        assert_eq!(shown["runs"][0]["outcome"], "completed");
        house.peer(&["list"])?;
    }
    assert_eq!(board.integrity()?, "ok");
    Ok(())
}

#[test]
fn a_column_that_goes_while_we_run_comes_back_and_the_worker_never_knows() -> Result {
    let house = House::new()?;
    house.settings("", WORKER)?;
    house.peer(&["init"])?;
    let id = house.peer_creates("default", "long", &[])?;
    let daemon = house.daemon()?;
    house.until_task("default", &id, "running")?;

    let board = house.board("default");
    drop_column(&board, "tasks", "skills", &[])?;
    house.until("the column is back", || {
        Ok(has_column(&board, "tasks", "skills")?.then_some(()))
    })?;
    std::fs::write(house.path("go"), "")?;
    house.until_task("default", &id, "done")?;
    assert_eq!(
        board.kinds(&id)?,
        ["created", "claimed", "spawned", "completed"]
    );
    house.peer(&["show", &id])?;
    assert_eq!(
        house.log().matches("board repaired").count(),
        1,
        "{}",
        house.log()
    );
    assert_eq!(daemon.stop()?.code(), Some(0), "{}", house.log());
    Ok(())
}

/// Makes and completes tasks through the peer's module as its tools do: a connection each, closed at once. Tells what was
/// acknowledged; an error is no loss (the peer may raise after its commit).
const BUSY_PEER: &str = "
from hermes_cli import kanban_db as kb
for n in range(40):
    try:
        board = kb.connect()
        task = kb.create_task(board, title='busy')
        kb.add_comment(board, task, 'peer', 'x' * 2000)
        if kb.complete_task(board, task, summary='done'):
            print(task, flush=True)
        board.close()
    except Exception:
        pass
";

#[test]
fn no_peer_unlinks_the_wal_while_our_daemon_has_the_board_open() -> Result {
    let house = House::new()?;
    house.settings("", WORKER)?;
    house.peer(&["init"])?;
    let board = house.board("default");
    let wal = board.beside("-wal");
    assert_eq!(
        identity(&wal),
        None,
        "without us the peer's last one takes it along"
    );

    let daemon = house.daemon()?;
    let kept = house.until("the daemon has the board open", || Ok(identity(&wal)))?;
    let id = house.peer_json(&["create", "by hand", "--json"])?;
    let id = id["id"].as_str().ok_or("a task without an id")?;
    for args in [
        &["comment", id, "still here"][..],
        &["list"],
        &["complete", id, "--summary", "done"],
        &["show", id],
    ] {
        house.peer(args)?;
        assert_eq!(identity(&wal), Some(kept), "after {args:?}");
    }

    let peers: Vec<Child> = (0..3)
        .map(|_| Ok(house.python(BUSY_PEER)?.stdout(Stdio::piped()).spawn()?))
        .collect::<Result<_>>()?;
    let mut acknowledged = Vec::new();
    for peer in peers {
        let output = peer.wait_with_output()?;
        let ids = String::from_utf8(output.stdout)?;
        acknowledged.extend(ids.lines().map(str::to_owned));
    }
    assert!(
        acknowledged.len() > 60,
        "only {} went through",
        acknowledged.len()
    );
    assert_eq!(identity(&wal), Some(kept));
    for id in &acknowledged {
        assert_eq!(board.task(id)?["status"], "done", "{id} was acknowledged");
    }

    assert_eq!(daemon.stop()?.code(), Some(0), "{}", house.log());
    assert_eq!(identity(&wal), Some(kept), "nor do we take it along");
    house.peer(&["list"])?;
    assert_eq!(identity(&wal), None, "it was our connection that kept it");
    assert_eq!(board.integrity()?, "ok");
    Ok(())
}

fn drop_column(board: &Board, table: &str, column: &str, indexes: &[&str]) -> Result {
    let mut sql = String::from("BEGIN IMMEDIATE;");
    for index in indexes {
        sql += &format!("DROP INDEX {index};");
    }
    sql += &format!("ALTER TABLE {table} DROP COLUMN {column}; COMMIT");
    let db = board.open()?;
    db.busy_timeout(std::time::Duration::from_secs(10))?;
    Ok(db.execute_batch(&sql)?)
}

fn has_column(board: &Board, table: &str, column: &str) -> Result<bool> {
    let sql = "SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2";
    Ok(!board.rows(sql, [table, column])?.is_empty())
}
