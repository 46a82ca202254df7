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

#[test]
fn without_git_a_worktree_waits_and_is_not_charged_and_everything_else_starts() -> Result {
    let house = House::with_board()?;
    house.settings()?;
    fs::create_dir(house.beside("repo"))?;
    git(&house.beside("repo"), &["init", "-q", "-b", "main"])?;
    let one = ["-q", "--allow-empty", "-m", "one"];
    git(&house.beside("repo"), &[&["commit"], &one[..]].concat())?;
    let anyone = ["work", "--assignee", "anyone"];
    let tree = house.add(&[&anyone[..], &["--workspace", "worktree:repo"]].concat())?;
    let plain = house.add(&anyone)?;
    // A machine with everything that the gate and the workers need, but git.
    let bin = house.beside("bin");
    fs::create_dir(&bin)?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    for dir in std::env::split_paths(&path).filter(|dir| dir.is_absolute()) {
        for entry in fs::read_dir(dir).into_iter().flatten() {
            let entry = entry?;
            if entry.file_name() != "git" {
                // Of two of a name the first counts.
                let _ = std::os::unix::fs::symlink(entry.path(), bin.join(entry.file_name()));
            }
        }
    }
    let vars = [("PATH", bin.to_str().ok_or("not UTF-8")?)];
    let plan = house
        .say_with(&vars, &["tick", "--dry-run", "--json"])?
        .json()?;
    assert!(plan.to_string().contains("no_worker"), "{plan}");
    let said = house.say_with(&vars, &["tick"])?;
    assert_eq!(
        said.err.matches("program \"git\" not found").count(),
        1,
        "{said:?}"
    );
    let show = house.show(&tree)?;
    assert_eq!(show["task"]["status"], "ready");
    assert_eq!(show["task"]["consecutive_failures"], 0);
    assert_eq!(show["runs"].as_array().map(Vec::len), Some(0), "{show}");
    assert_eq!(house.show(&plain)?["task"]["status"], "running");
    let slug = format!("default/{tree}");
    let why = house.say_with(&vars, &["why", &slug])?;
    assert!(why.out.contains("no_worker"), "{why:?}");

    house.ok(&["tick"])?;
    assert_eq!(house.show(&tree)?["task"]["status"], "running");
    Ok(())
}
