//! Verbs on several tasks at once, reasons, dry runs and deletion.

use super::super::house::Result;
use super::pair::Pair;

#[test]
fn several_tasks_are_changed_alike_and_one_that_fails_keeps_no_other_from_it() -> Result {
    let mut pair = Pair::made_by(
        &[
            "create a",
            "create b",
            "create c",
            "create d",
            "create e",
            "create f",
            "create open",
            "create waits --parent {open}",
            "create over",
            "complete {over}",
        ],
        "",
    )?;
    pair.all_alike(&[
        (true, "block {a} 'no network' --ids {b} {c}"),
        (true, "unblock {a} {b} --reason ' it is back '"),
        (true, "unblock {c} --reason ' '"),
        (true, "schedule {a} later --ids {b}"),
        (true, "unblock {a} {b}"),
        (false, "complete {a} {over} {b} --result checked"),
        (false, "complete {c} {d} --summary s"),
        (false, "complete {c} {d} --metadata '{\"pages\": 3}'"),
        (true, "schedule {c} --ids {d}"),
        (false, "promote {c} --ids {d} --dry-run"),
        (true, "unblock {c} {d}"),
        (true, "block {c} --ids {d} --kind capability"),
        (true, "promote {c} looked at it --ids {d} {c} --dry-run"),
        (false, "promote {waits} --dry-run"),
        (true, "promote {waits} --dry-run --force"),
        (true, "promote {c} looked at it --ids {d} {c}"),
        (false, "promote {c} --ids {waits} t_00000000"),
        (false, "archive {e} t_00000000 {f}"),
        (false, "archive {c} --rm {e}"),
        (true, "complete {c} {d}"),
    ])
}

#[test]
fn archived_tasks_are_deleted_alike() -> Result {
    let mut pair = Pair::made_by(
        &[
            "create gone --assignee coder",
            "comment {gone} hello",
            "claim {gone}",
            "complete {gone} --summary short",
            "create child --parent {gone}",
            "create kept",
            "comment {kept} stays",
            "link {kept} {gone}",
            "archive {gone}",
        ],
        "INSERT INTO kanban_notify_subs (task_id, platform, chat_id, created_at) \
         SELECT id, 'irc', title, 0 FROM tasks WHERE title IN ('gone', 'kept'); \
         INSERT INTO task_attachments (task_id, filename, stored_path, created_at) \
         SELECT id, 'a.txt', '/srv/a.txt', 0 FROM tasks WHERE title = 'gone'",
    )?;
    pair.all_alike(&[
        (false, "archive --rm {kept}"),
        (false, "archive --rm {kept} {gone} t_00000000"),
        (false, "archive --rm {gone}"),
        (true, "complete {child}"),
    ])?;
    let rows = pair
        .ours
        .board("default")
        .rows("SELECT task_id FROM kanban_notify_subs", [])?;
    assert_eq!(rows.len(), 1, "{rows:?}");
    Ok(())
}
