//! Tasks in triage: the peer's commands ask a language model for the words, so its own functions below them are asked.

use serde_json::{Value, json};

use super::super::house::Result;
use super::pair::Pair;

impl Pair {
    /// Calls the peer's function about this task and says `line` to ours: both do it or refuse it.
    fn alike_to_call(
        &mut self,
        does: bool,
        name: &str,
        title: &str,
        with: &Value,
        line: &str,
    ) -> Result {
        let id = self.ids[title].clone();
        let theirs = self.peer.call(name, &id, with)?;
        let ours = self.say_ours(line)?;
        assert_eq!(
            (theirs, ours.code == Some(0)),
            (does, does),
            "{line}: {ours:?}"
        );
        // Each tells of it in words of its own.
        self.sql("UPDATE task_comments SET body = length(body) > 0")?;
        self.same(line, &[])
    }
}

#[test]
fn tasks_are_specified_alike() -> Result {
    let mut pair = Pair::made_by(
        &[
            "create vague --triage",
            "create enough --triage --body all --assignee coder",
            "create open",
            "create waits --triage --parent {open}",
            "create looped",
            "block {looped} why",
            "unblock {looped}",
            "block {looped} why",
        ],
        "",
    )?;
    let name = "specify_triage_task";
    for (does, title, with, line) in [
        (
            false,
            "vague",
            json!({ "title": " " }),
            "specify {vague} --title ' '",
        ),
        (false, "open", json!({}), "specify {open}"),
        (
            true,
            "vague",
            json!({ "title": " clear ", "body": "do it", "assignee": "Coder" }),
            "specify {vague} --title ' clear ' --body 'do it' --assignee Coder",
        ),
        (
            false,
            "vague",
            json!({ "title": "again" }),
            "specify {vague} --title again",
        ),
        (
            true,
            "enough",
            json!({ "title": "enough", "body": "all", "assignee": "coder" }),
            "specify {enough} --title enough --body all --assignee coder",
        ),
        (
            true,
            "waits",
            json!({ "body": "" }),
            "specify {waits} --body ''",
        ),
        (
            true,
            "looped",
            json!({ "assignee": "reviewer" }),
            "specify {looped} --assignee reviewer",
        ),
    ] {
        pair.alike_to_call(does, name, title, &with, line)?;
    }
    // What became ready starts, and ends, alike.
    pair.alike(true, "complete {vague} {looped}")
}

#[test]
fn tasks_are_decomposed_alike() -> Result {
    let mut pair = Pair::made_by(
        &[
            "create coat --triage --tenant acme --workspace dir:/srv/coat",
            "create hat --triage --assignee tailor",
            "create done",
            "create sock --triage --workspace worktree:/srv/sock --branch knit",
        ],
        "",
    )?;
    let name = "decompose_triage_task";
    let graph = json!([
        { "title": "buttons" },
        { "title": " cut ", "body": "size 48", "assignee": "Cutter" },
        { "title": "sew", "parents": [0, 1] },
    ]);
    let file = pair.ours.root().join("parts.json");
    let line = |title: &str| format!("decompose {{{title}}} --file {}", file.display());
    for (does, title, parts) in [
        (false, "coat", json!([])),
        (false, "coat", json!([{ "title": " " }])),
        (
            false,
            "coat",
            json!([{ "title": "a" }, { "title": "b", "parents": [2] }]),
        ),
        (false, "coat", json!([{ "title": "a", "parents": [0] }])),
        (
            false,
            "coat",
            json!([{ "title": "a", "parents": [1] }, { "title": "b", "parents": [0] }, { "title": "c" }]),
        ),
        (false, "done", graph.clone()),
        (true, "coat", graph.clone()),
        (false, "coat", graph),
    ] {
        std::fs::write(&file, parts.to_string())?;
        let with = json!({ "children": parts, "root_assignee": null });
        pair.alike_to_call(does, name, title, &with, &line(title))?;
    }
    let with = json!({ "children": [{ "title": "felt" }, { "title": "band" }], "root_assignee": "Hatter" });
    let line = "decompose {hat} --child felt --child band --assignee Hatter";
    pair.alike_to_call(true, name, "hat", &with, line)?;
    let theirs = json!([
        { "title": "spin", "workspace_kind": "dir", "workspace_path": "/srv/wool" },
        { "title": "dye", "workspace_kind": "scratch" },
        { "title": "knit", "workspace_kind": "worktree" },
    ]);
    let ours = json!([
        { "title": "spin", "workspace": "dir:/srv/wool" },
        { "title": "dye", "workspace": "scratch" },
        { "title": "knit", "workspace": "worktree" },
    ]);
    std::fs::write(&file, ours.to_string())?;
    let line = format!("decompose {{sock}} --file {}", file.display());
    let with = json!({ "children": theirs, "root_assignee": null });
    pair.alike_to_call(true, name, "sock", &with, &line)
}
