//! Putting tasks off, letting them go on, and giving them to somebody else.

use super::super::house::Result;
use super::pair::Pair;

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
    pair.all_alike(&[
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
    ])?;
    // Its worker is told in other words why its attempt ended; what waited for it goes on.
    let (theirs, ours, _) = pair.say(&[], "archive {run2}")?;
    assert!(theirs && ours);
    pair.sql("UPDATE task_runs SET summary = NULL WHERE status = 'reclaimed'")?;
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
    pair.all_alike(&[
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
    ])
}
