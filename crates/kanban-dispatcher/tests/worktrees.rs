//! A worktree task works in a checkout of its own: real git, real repositories, and workers that write down where they are.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use kanban_dispatcher::{Detail, NewTask, Outcome, Workspace};
use support::{Fleet, Result, outcomes, script, task, until};

/// Says where it is, then stays for a while.
const TELLS: &str = "printf '%s|%s|%s\\n' \"$PWD\" \"$(git branch --show-current)\" \"$HERMES_KANBAN_BRANCH\"; \
                     exec sleep 120";

fn git(dir: &Path, args: &[&str]) -> Result<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
        .args(args)
        .output()?;
    if !output.status.success() {
        return Err(format!("git {args:?}: {output:?}").into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// A repository with one commit on `main`.
fn repository(fleet: &Fleet, name: &str) -> Result<PathBuf> {
    let dir = fleet.path().canonicalize()?.join(name);
    fs::create_dir_all(&dir)?;
    git(&dir, &["init", "-q", "-b", "main"])?;
    fs::write(dir.join("file"), "one\n")?;
    git(&dir, &["add", "."])?;
    git(&dir, &["commit", "-q", "-m", "one"])?;
    Ok(dir)
}

fn worktree(path: Option<&Path>, branch: Option<&str>) -> NewTask {
    NewTask {
        workspace: Workspace::Worktree(path.map(|path| path.to_string_lossy().into_owned())),
        branch: branch.map(str::to_owned),
        ..task(0)
    }
}

/// Lets the task run and returns where its worker found itself: directory, branch there, branch it was told.
fn told(fleet: &Fleet, id: &str) -> Result<[String; 3]> {
    let log = fleet.board("alpha")?.logs_dir().join(format!("{id}.log"));
    let read = || fs::read_to_string(&log).unwrap_or_default();
    let before = read().lines().count();
    let mut dispatcher = fleet
        .builder(|config| config.worker.command = Some(script(TELLS)))
        .build();
    let report = dispatcher.tick();
    let part = fleet.part(&report, "alpha")?;
    if part.started != [id] {
        return Err(format!("{part:?} {:?}", fleet.show("alpha", id)?).into());
    }
    until("its worker has told", || {
        Ok(read().ends_with('\n') && read().lines().count() > before)
    })?;
    let text = read();
    let line = text.lines().last().unwrap_or_default();
    let words: Vec<String> = line.split('|').map(str::to_owned).collect();
    words
        .try_into()
        .map_err(|words| format!("{words:?}").into())
}

/// Where it must be: on the row, for the worker, and for git.
fn is_at(fleet: &Fleet, id: &str, path: &Path, branch: &str) -> Result {
    let path = path.to_str().ok_or("not UTF-8")?;
    assert_eq!(told(fleet, id)?, [path, branch, branch]);
    let task = fleet.show("alpha", id)?.task;
    assert_eq!(task.workspace_path.as_deref(), Some(path), "written back");
    assert_eq!(task.branch_name.as_deref(), Some(branch), "written back");
    Ok(())
}

/// The task's worker cannot be started; why not, as the task has it.
fn fails(fleet: &Fleet, id: &str) -> Result<String> {
    let report = fleet.dispatcher().tick();
    let part = fleet.part(&report, "alpha")?;
    assert!(part.started.is_empty() && part.failed == 1, "{part:?}");
    let Detail { task, runs, .. } = fleet.show("alpha", id)?;
    assert_eq!(runs[0].outcome.as_deref(), Some("spawn_failed"));
    Ok(task.last_failure_error.unwrap_or_default())
}

#[test]
fn a_repository_gives_each_task_a_checkout_of_its_own() -> Result {
    let fleet = Fleet::new()?;
    let repo = repository(&fleet, "repo")?;
    let mut store = fleet.store("alpha")?;
    let id = store.create(&worktree(Some(&repo), None))?;
    let at = repo.join(".worktrees").join(&id);
    is_at(&fleet, &id, &at, &format!("wt/{id}"))?;
    let list = git(&repo, &["worktree", "list", "--porcelain"])?;
    assert!(
        list.contains(&format!("worktree {}", at.display())),
        "{list}"
    );
    assert_eq!(git(&repo, &["branch", "--show-current"])?, "main");

    // Its next attempt finds what the first one left, and a completion takes nothing away.
    fs::write(at.join("mine"), "half done\n")?;
    git(&at, &["checkout", "-q", "-b", "renamed"])?;
    fleet.take_back("alpha", &id)?;
    for pid in fleet.processes() {
        support::kill(pid.into())?;
    }
    fleet.has_processes(0)?;
    is_at(&fleet, &id, &at, "renamed")?;
    fleet.store("alpha")?.complete(&id, &Default::default())?;
    assert!(at.join("mine").exists());
    Ok(())
}

#[test]
fn a_board_may_name_the_repository() -> Result {
    let fleet = Fleet::new()?;
    let repo = repository(&fleet, "repo")?;
    fs::create_dir(repo.join("sub"))?;
    let mut store = fleet.store("alpha")?;
    let bare = store.create(&worktree(None, Some("its/own")))?;
    let said = format!(
        "{{\"default_workdir\": {:?}, \"archived\": false}}",
        repo.join("sub")
    );
    fs::write(fleet.board("alpha")?.metadata(), said)?;
    is_at(
        &fleet,
        &bare,
        &repo.join(".worktrees").join(&bare),
        "its/own",
    )?;
    // Made now, it has the board's directory from the start: a directory within is the place itself, not its repository.
    fs::write(
        fleet.board("alpha")?.metadata(),
        format!("{{\"default_workdir\": {repo:?}}}"),
    )?;
    let id = fleet.store("alpha")?.create(&worktree(None, None))?;
    let made = fleet.show("alpha", &id)?.task.workspace_path;
    assert_eq!(made.as_deref(), repo.to_str());
    is_at(
        &fleet,
        &id,
        &repo.join(".worktrees").join(&id),
        &format!("wt/{id}"),
    )
}

#[test]
fn a_place_of_its_own_is_made_in_the_repository_around_it() -> Result {
    let fleet = Fleet::new()?;
    let repo = repository(&fleet, "repo")?;
    git(&repo, &["branch", "old"])?;
    git(&repo, &["tag", "here"])?;
    let at = repo.join("deep/er/place");
    let id = fleet
        .store("alpha")?
        .create(&worktree(Some(&at), Some("old")))?;
    is_at(&fleet, &id, &at, "old")?;
    assert_eq!(
        git(&at, &["rev-parse", "HEAD"])?,
        git(&repo, &["rev-parse", "here"])?
    );
    Ok(())
}

#[test]
fn a_checkout_that_is_there_is_used_with_its_branch() -> Result {
    let fleet = Fleet::new()?;
    let repo = repository(&fleet, "repo")?;
    let at = fleet.path().canonicalize()?.join("elsewhere");
    let path = at.to_str().ok_or("not UTF-8")?;
    git(&repo, &["worktree", "add", "-q", "-b", "theirs", path])?;
    let id = fleet
        .store("alpha")?
        .create(&worktree(Some(&at), Some("other")))?;
    is_at(&fleet, &id, &at, "theirs")
}

#[test]
fn what_is_no_checkout_is_not_taken_for_one() -> Result {
    let fleet = Fleet::new()?;
    let repo = repository(&fleet, "repo")?;
    let mut store = fleet.store("alpha")?;
    let id = store.create(&worktree(Some(&repo), None))?;
    let at = repo.join(".worktrees").join(&id);
    // A directory of the main checkout: a worker there would work on everybody's files.
    fs::create_dir_all(&at)?;
    is_at(&fleet, &id, &at, &format!("wt/{id}"))?;

    let full = store.create(&worktree(Some(&repo.join("full")), None))?;
    fs::create_dir(repo.join("full"))?;
    fs::write(repo.join("full/file"), "in the way")?;
    let why = fails(&fleet, &full)?;
    assert!(
        why.starts_with("workspace: git worktree add failed for "),
        "{why}"
    );
    assert!(why.contains("already exists"), "{why}");
    Ok(())
}

#[test]
fn without_a_repository_the_start_fails_and_says_why() -> Result {
    for (n, (path, branch, why)) in [
        (Some("/proc/1/x"), None, "is in no git repository: "),
        (Some("plain"), None, "plain is not an absolute path"),
        (None, None, "the board has no default_workdir"),
        (Some("REPO"), Some("-f"), "\"-f\" is no branch name"),
        (Some("REPO"), Some("a..b"), "git worktree add failed for "),
    ]
    .into_iter()
    .enumerate()
    {
        let fleet = Fleet::new()?;
        let repo = repository(&fleet, "repo")?;
        let path = path.map(|path| {
            if path == "REPO" {
                repo.as_path()
            } else {
                Path::new(path)
            }
        });
        let id = fleet.store("alpha")?.create(&worktree(path, branch))?;
        let said = fails(&fleet, &id)?;
        assert!(
            said.starts_with("workspace: ") && said.contains(why),
            "{n}: {said}"
        );
        assert!(!repo.join(".worktrees").join(&id).exists());
    }
    Ok(())
}

#[test]
fn a_checkout_that_was_half_made_is_not_worked_in() -> Result {
    let fleet = Fleet::new()?;
    let repo = repository(&fleet, "repo")?;
    let mut store = fleet.store("alpha")?;
    let id = store.create(&worktree(Some(&repo), None))?;
    let at = repo.join(".worktrees").join(&id);
    // As git leaves it that is killed at the work.
    git(
        &repo,
        &[
            "worktree",
            "add",
            "-q",
            "--no-checkout",
            "--lock",
            "--reason",
            "initializing",
            at.to_str().ok_or("")?,
        ],
    )?;
    let why = fails(&fleet, &id)?;
    assert!(
        why.contains("was interrupted") && why.contains("git worktree remove -f -f"),
        "{why}"
    );
    Ok(())
}

/// Checkouts of this repository wait until the file is there that is returned, or for a minute.
fn hang_checkouts(repo: &Path) -> Result<PathBuf> {
    let hook = repo.join(".git/hooks/post-checkout");
    fs::create_dir_all(repo.join(".git/hooks"))?;
    let go = repo.join("go");
    fs::write(
        &hook,
        format!(
            "#!/bin/sh\nn=0; while [ ! -e '{}' ] && [ $n -lt 3000 ]; do sleep 0.02; n=$((n+1)); done\n",
            go.display()
        ),
    )?;
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755))?;
    Ok(go)
}

#[test]
fn git_that_a_dead_dispatcher_left_at_work_is_let_finish_and_its_checkout_is_used() -> Result {
    let fleet = Fleet::new()?;
    let repo = repository(&fleet, "repo")?;
    let go = hang_checkouts(&repo)?;
    let id = fleet.store("alpha")?.create(&worktree(Some(&repo), None))?;
    let at = repo.join(".worktrees").join(&id);
    let mut left = Command::new("git")
        .arg("-C")
        .arg(&repo)
        .args(["worktree", "add", "-q", "-b", &format!("wt/{id}")])
        .arg(&at)
        .arg("HEAD")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    until("it is at work", || Ok(at.join("file").exists()))?;
    let mut dispatcher = fleet
        .builder(|config| config.board_deadline_seconds = Duration::from_millis(300))
        .build();
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.outcome, Outcome::Busy);
    fs::write(go, "")?;
    until("its worker has started", || {
        dispatcher.tick();
        let detail = fleet.show("alpha", &id)?;
        Ok(detail.runs.len() == 1 && detail.runs[0].worker_pid.is_some())
    })?;
    assert!(left.wait()?.success());
    let kinds = fleet.show("alpha", &id)?.events;
    assert!(
        kinds.iter().all(|event| event.kind != "spawn_failed"),
        "{kinds:?}"
    );
    Ok(())
}

#[test]
fn git_that_hangs_costs_the_other_boards_nothing() -> Result {
    let fleet = Fleet::new()?;
    let repo = repository(&fleet, "repo")?;
    let go = hang_checkouts(&repo)?;
    let id = fleet.store("alpha")?.create(&worktree(Some(&repo), None))?;
    let other = fleet.ready("beta", 1)?.remove(0);
    let mut dispatcher = fleet
        .builder(|config| config.board_deadline_seconds = Duration::from_millis(300))
        .build();
    let report = dispatcher.tick();
    assert_eq!(fleet.part(&report, "alpha")?.outcome, Outcome::Busy);
    assert_eq!(fleet.part(&report, "beta")?.started, [other]);
    // No transaction waits with it: people go on using the board.
    let more = fleet.store("alpha")?.create(&task(0))?;
    assert_eq!(fleet.show("alpha", &id)?.task.status, "running");
    fs::write(go, "")?;
    until("its worker has started", || {
        dispatcher.tick();
        Ok(fleet.show("alpha", &id)?.runs[0].worker_pid.is_some())
    })?;
    until("and the other one", || {
        dispatcher.tick();
        Ok(outcomes(&fleet.show("alpha", &more)?) == ["open"])
    })
}
