//! Worktrees by the program: made for whoever asks, whatever repository the dispatcher itself was started in.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::house::{House, Result};

fn git(dir: &Path, args: &[&str]) -> Result {
    let me = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
    let output = Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(me)
        .args(args)
        .output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("git {args:?}: {output:?}").into()),
    }
}

#[test]
fn another_repository_in_the_environment_leads_nobody_astray() -> Result {
    let house = House::with_board()?;
    house.settings()?;
    for name in ["repo", "other"] {
        fs::create_dir(house.beside(name))?;
        git(&house.beside(name), &["init", "-q", "-b", "main"])?;
        git(
            &house.beside(name),
            &["commit", "-q", "--allow-empty", "-m", name],
        )?;
    }
    let id = house.add(&[
        "work",
        "--assignee",
        "anyone",
        "--workspace",
        "worktree:repo",
        "--branch",
        "fix/it",
    ])?;
    // As in a hook of git's, from which somebody starts a dispatcher.
    let other = house.beside("other/.git");
    let vars = [
        ("GIT_DIR", other.to_str().ok_or("not UTF-8")?),
        ("GIT_INDEX_FILE", "/nowhere"),
    ];
    assert_eq!(house.say_with(&vars, &["tick"])?.code, Some(0));
    house.worker(&id)?;
    let tree = house.beside("repo/.worktrees").join(&id);
    let of = fs::read_to_string(tree.join(".git"))?;
    assert!(of.contains("/repo/.git/worktrees/"), "{of}");
    let show = house.show(&id)?;
    assert_eq!(show["task"]["branch_name"], "fix/it");
    // What was worked on there outlives the task.
    house.ok(&["complete", &id])?;
    assert!(tree.exists());
    Ok(())
}

#[test]
fn a_directory_that_is_in_no_repository_fails_the_start_with_gits_own_words() -> Result {
    let house = House::with_board()?;
    house.settings()?;
    let id = house.add(&[
        "work",
        "--assignee",
        "anyone",
        "--workspace",
        "worktree:plain/tree",
    ])?;
    house.ok(&["tick"])?;
    let task = &house.show(&id)?["task"];
    let error = task["last_failure_error"].as_str().ok_or("no error")?;
    assert!(
        error.starts_with("workspace: ") && error.contains("not a git repository"),
        "{error}"
    );
    assert!(!house.beside("plain").exists());
    Ok(())
}
