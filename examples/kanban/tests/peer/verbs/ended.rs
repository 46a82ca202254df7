//! Reporting on a task: what is kept of its files, and who may report.

use std::fs;

use serde_json::json;

use super::super::house::{House, Result};
use super::pair::Pair;

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
    let (theirs, ours) = (words(&pair.peers), words(&pair.ours));
    let args = |[summary, metadata]: &[String; 2]| {
        [
            "complete",
            &id,
            "--summary",
            summary,
            "--metadata",
            metadata,
        ]
        .map(str::to_owned)
    };
    pair.peer
        .done(&args(&theirs).each_ref().map(String::as_str))?;
    pair.ours
        .kanban_ok(&args(&ours).each_ref().map(String::as_str))?;
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
