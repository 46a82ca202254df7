//! Tables with ids of another type.

use super::*;

#[test]
fn tables_with_ids_of_another_type_are_rebuilt_and_keep_their_rows_in_order() -> Result {
    let fleet = Fleet::new()?;
    let ready = fleet.ready("typed", 1)?;
    fleet.sql(
        "typed",
        "DROP TABLE task_events;
         CREATE TABLE task_events (id TEXT PRIMARY KEY, task_id TEXT NOT NULL, run_id INTEGER, kind TEXT NOT NULL,
             payload TEXT, created_at INTEGER NOT NULL);
         INSERT INTO task_events VALUES ('ev-b', 't', 1, 'blocked', '{\"reason\": \"x\"}', 1), ('ev-a', 't', NULL, 'unblocked', NULL, 2);
         DROP TABLE task_comments;
         CREATE TABLE task_comments (id TEXT PRIMARY KEY, task_id TEXT NOT NULL, author TEXT NOT NULL, body TEXT NOT NULL,
             created_at INTEGER NOT NULL);
         INSERT INTO task_comments VALUES ('c-2', 't', 'me', 'first', 1), ('c-1', 't', 'me', 'second', 2);
         DROP TABLE kanban_notify_subs;
         CREATE TABLE kanban_notify_subs (task_id TEXT NOT NULL, platform TEXT NOT NULL, chat_id TEXT NOT NULL,
             thread_id TEXT NOT NULL DEFAULT '', user_id TEXT, notifier_profile TEXT, created_at INTEGER NOT NULL,
             last_event_id TEXT, PRIMARY KEY (task_id, platform, chat_id, thread_id));
         INSERT INTO kanban_notify_subs (task_id, platform, chat_id, created_at, last_event_id) VALUES
             ('t', 'a', '1', 1, '7'), ('t', 'b', '1', 1, NULL), ('t', 'c', '1', 1, 'ev-b');",
    )?;
    let report = fleet.dispatcher().tick();
    let part = fleet.part(&report, "typed")?;
    assert_eq!(part.started, ready, "{part:?}");
    assert_eq!(
        part.repaired,
        [
            "integer column task_comments.id",
            "integer column task_events.id",
            "integer column kanban_notify_subs.last_event_id"
        ]
    );
    only_the_repair_is_told(&fleet, "typed");
    let db = fleet.connect("typed")?;
    let text = |sql: &str| value::<String>(&db, sql);
    assert_eq!(
        text(
            "SELECT group_concat(id || kind || COALESCE(run_id, '') || COALESCE(payload, ''), ' ') FROM task_events WHERE task_id = 't'"
        )?,
        "1blocked1{\"reason\": \"x\"} 2unblocked"
    );
    assert_eq!(
        text("SELECT group_concat(id || body, ' ') FROM task_comments")?,
        "1first 2second"
    );
    assert_eq!(
        text("SELECT group_concat(platform || last_event_id, ' ') FROM kanban_notify_subs")?,
        "a7 b0 c0"
    );
    let model = Fleet::new()?;
    model.store("model")?;
    assert_eq!(
        schema_objects(&db)?,
        schema_objects(&model.connect("model")?)?
    );
    Ok(())
}
