//! A worker of ours is given what the peer's dispatcher gives it: words, environment, place, and a checkout made by real git.
//! One board, two copies, each dispatched once with the same stub in the place of the peer's program.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::asked::Asked;
use super::house::{House, Result};

/// Writes down what it was given, its words first.
const STUB: &str = r#"#!/bin/sh
to="$HERMES_STUB/$HERMES_KANBAN_TASK"
{ for word in "$@"; do echo "arg $word"; done; echo "cwd $(pwd -P)"; env | grep -E '^(HERMES|TERMINAL)_' | sort; } > "$to.new"
mv "$to.new" "$to"
"#;

fn git(dir: &Path, args: &[&str]) -> Result<String> {
    let mut command = Command::new("git");
    command
        .arg("-C")
        .arg(dir)
        .args(["-c", "user.name=t", "-c", "user.email=t@example.org"]);
    let output = command.args(args).output()?;
    if !output.status.success() {
        return Err(format!("git {args:?}: {output:?}").into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// A repository on `main` with a branch `old`, and a checkout of it elsewhere, on `theirs`.
fn with_repository(house: &House) -> Result {
    let repo = house.path("repo");
    fs::create_dir_all(repo.join("sub"))?;
    fs::write(repo.join("sub/file"), "one\n")?;
    git(&repo, &["init", "-q", "-b", "main"])?;
    git(&repo, &["add", "."])?;
    git(&repo, &["commit", "-q", "-m", "one"])?;
    git(&repo, &["branch", "old"])?;
    git(
        &repo,
        &["worktree", "add", "-q", "-b", "theirs", "../linked"],
    )?;
    fs::create_dir_all(house.path("told"))?;
    fs::write(house.path("stub"), STUB)?;
    fs::set_permissions(house.path("stub"), fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// A house's own paths and claims, which differ, under common names.
fn common(house: &House, text: &str) -> Result<String> {
    let dir = house.path("").canonicalize()?;
    let text = text.replace(
        dir.to_str().ok_or("not UTF-8")?.trim_end_matches('/'),
        "HOUSE",
    );
    let lines = text.lines().map(|line| match line.split_once('=') {
        Some((name @ "HERMES_KANBAN_CLAIM_LOCK", _)) => format!("{name}=LOCK"),
        _ => line.to_owned(),
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

/// What the worker of each task was given, by the task's title, and what is on its row now.
fn given(house: &House) -> Result<BTreeMap<String, (Vec<String>, String)>> {
    let board = house.board("default");
    let mut found = BTreeMap::new();
    for row in board.rows(
        "SELECT id, title, workspace_path, branch_name, worker_pid FROM tasks ORDER BY id",
        [],
    )? {
        let text = |key: &str| row[key].as_str().unwrap_or("-").to_owned();
        let path = house.path("told").join(text("id"));
        let told = house.until(&format!("the worker of {}", text("title")), || {
            Ok(fs::read_to_string(&path).ok())
        })?;
        let lines = common(house, &told)?.lines().map(str::to_owned).collect();
        let place = common(
            house,
            &format!("{} {}", text("workspace_path"), text("branch_name")),
        )?;
        found.insert(text("title"), (lines, place));
    }
    Ok(found)
}

#[test]
fn a_worker_is_given_what_the_peer_gives_it() -> Result {
    let (peers, ours) = (House::new()?, House::new()?);
    with_repository(&peers)?;
    with_repository(&ours)?;
    let dir = |house: &House| {
        house
            .path("")
            .to_string_lossy()
            .trim_end_matches('/')
            .to_owned()
    };
    let mut peer = Asked::start(&peers, "ann")?;
    peer.done(&["init"])?;
    let at = |kind: &str, path: &str| format!("{kind}:{}/{path}", dir(&peers));
    for (title, words) in [
        (
            "scratch",
            vec![
                "--tenant",
                "acme",
                "--max-runtime",
                "90s",
                "--skill",
                "a",
                "--skill",
                "b",
            ],
        ),
        ("goal", vec!["--goal", "--goal-max-turns", "7"]),
        ("dir", vec!["--workspace", &at("dir", "some/dir")]),
        ("repo", vec!["--workspace", &at("worktree", "repo")]),
        (
            "old",
            vec!["--workspace", &at("worktree", "repo"), "--branch", "old"],
        ),
        (
            "new",
            vec!["--workspace", &at("worktree", "repo"), "--branch", "fix/it"],
        ),
        (
            "within",
            vec!["--workspace", &at("worktree", "repo/deep/er")],
        ),
        (
            "linked",
            vec![
                "--workspace",
                &at("worktree", "linked"),
                "--branch",
                "other",
            ],
        ),
    ] {
        peer.done(&[&["create", title, "--assignee", "Coder"], &words[..]].concat())?;
    }
    drop(peer);
    let db = peers.board("default").open()?;
    // Made in different seconds, they are started in the same order.
    db.execute("UPDATE tasks SET created_at = created_at - 100 + rowid", [])?;
    db.execute("VACUUM INTO ?1", [ours.board("default").db.to_str()])?;
    drop(db);
    let copy = ours.board("default").open()?;
    copy.pragma_update(None, "journal_mode", "wal")?;
    copy.execute(
        "UPDATE tasks SET workspace_path = replace(workspace_path, ?1, ?2)",
        [dir(&peers), dir(&ours)],
    )?;
    drop(copy);

    let path = |house: &House, name: &str| house.path(name).to_string_lossy().into_owned();
    let (stub, told) = (path(&peers, "stub"), path(&peers, "told"));
    let vars = [
        ("HERMES_BIN", stub.as_str()),
        ("HERMES_STUB", told.as_str()),
    ];
    let said = peers.peer_with(&vars, &["dispatch", "--json"])?;
    assert_eq!(
        said.json()?["spawned"].as_array().map(Vec::len),
        Some(8),
        "{said:?}"
    );
    let (stub, told) = (path(&ours, "stub"), path(&ours, "told"));
    let vars = [
        ("HERMES_BIN", stub.as_str()),
        ("HERMES_STUB", told.as_str()),
    ];
    let said = ours.kanban_with(&vars, &["tick"])?;
    assert_eq!(said.code, Some(0), "{said:?}");

    let (theirs, mine) = (given(&peers)?, given(&ours)?);
    for (title, (told, place)) in &theirs {
        let (ours_told, ours_place) = &mine[title];
        assert_eq!(ours_place, place, "{title}");
        let is_worktree = !matches!(title.as_str(), "scratch" | "goal" | "dir");
        let ours_told: Vec<&String> = ours_told
            .iter()
            // The root is told too; and the branch, which the peer tells only if it was named before.
            .filter(|line| !line.starts_with("HERMES_KANBAN_HOME="))
            .filter(|line| {
                let is_new = line.starts_with("HERMES_KANBAN_BRANCH=") && !told.contains(line);
                assert!(!is_new || is_worktree, "{title}: {line}");
                !is_new
            })
            .collect();
        // Which tools there are says the profile's own settings; without the word the worker reads them itself. And a
        // checkout that was there has its own branch, whatever the task said.
        let mut told: Vec<&String> = told.iter().collect();
        if let Some(at) = told.iter().position(|line| *line == "arg --toolsets") {
            told.drain(at..at + 2);
        }
        told.retain(|line| !(title == "linked" && line.starts_with("HERMES_KANBAN_BRANCH=")));
        assert_eq!(ours_told, told, "{title}");
    }
    let trees = |house: &House| -> Result<Vec<String>> {
        let list = common(
            house,
            &git(&house.path("repo"), &["worktree", "list", "--porcelain"])?,
        )?;
        let mut lines: Vec<String> = list
            .lines()
            .filter(|line| line.starts_with("worktree ") || line.starts_with("branch "))
            .map(str::to_owned)
            .collect();
        lines.sort();
        Ok(lines)
    };
    assert_eq!(trees(&ours)?, trees(&peers)?);
    Ok(())
}
