//! What a worker is given: its words, its environment, its place, its log and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;

use super::house::{House, Result, is_alive, under};

/// Writes everything down that it was given.
const TELLS: &str = r#"
to="$1/told.$HERMES_KANBAN_TASK"
env -0 > "$to.env"
printf '%s\0' "$@" > "$to.args"
pwd > "$to.dir"
for fd in /proc/$$/fd/*; do echo "$(basename "$fd") $(readlink "$fd")"; done | grep -v '^[0-9]* $' > "$to.fds"
echo out; echo err >&2
exit 75
"#;

/// The variables that a task's worker found, of those that the contract is about.
fn environment(house: &House, id: &str) -> Result<BTreeMap<String, String>> {
    let path = house.root().join(format!("told.{id}.env"));
    let text = house.until("what the worker was given", || {
        let done = fs::read_to_string(house.root().join(format!("told.{id}.fds")))?;
        if done.is_empty() {
            return Err("not all of it".into());
        }
        Ok(fs::read_to_string(&path)?)
    })?;
    let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
    Ok(pairs
        .filter(|(name, _)| name.starts_with("HERMES_") || name.starts_with("TERMINAL_"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}

/// What a dispatcher that was itself started by a worker would hand on.
const INHERITED: [(&str, &str); 8] = [
    ("HERMES_TENANT", "another"),
    ("HERMES_KANBAN_BRANCH", "another"),
    ("HERMES_KANBAN_GOAL_MODE", "1"),
    ("HERMES_KANBAN_GOAL_MAX_TURNS", "9"),
    ("HERMES_KANBAN_RUN_ID", "99"),
    ("HERMES_TUI", "1"),
    ("TERMINAL_TIMEOUT", " 1000 "),
    ("TERMINAL_MAX_FOREGROUND_TIMEOUT", "10"),
];

#[test]
fn a_worker_finds_the_peers_contract_in_its_environment() -> Result {
    let house = House::with_board()?;
    house.settings_with(TELLS, "")?;
    fs::create_dir_all(house.root().join("profiles/coder"))?;
    let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
    let plain = house.add(&["plain", "--assignee", "Coder"])?;
    let full = house.add(&[
        "full",
        "--assignee",
        "lane",
        "--tenant",
        "acme",
        "--goal",
        "--goal-max-turns",
        "7",
        "--max-runtime",
        "90s",
    ])?;
    assert_eq!(house.say_with(&INHERITED, &["tick"])?.code, Some(0));

    for (id, profile, more) in [
        (
            &plain,
            "coder",
            &[
                ("TERMINAL_TIMEOUT", " 1000 "),
                ("TERMINAL_MAX_FOREGROUND_TIMEOUT", "10"),
            ][..],
        ),
        (
            &full,
            "lane",
            &[
                ("HERMES_TENANT", "acme"),
                ("HERMES_KANBAN_GOAL_MODE", "1"),
                ("HERMES_KANBAN_GOAL_MAX_TURNS", "7"),
                // The larger one is left, the smaller one is raised.
                ("TERMINAL_TIMEOUT", " 1000 "),
                ("TERMINAL_MAX_FOREGROUND_TIMEOUT", "60"),
            ],
        ),
    ] {
        let found = environment(&house, id)?;
        let workspace = house.root().join("kanban/workspaces").join(id);
        let run: i64 = house.query("SELECT id FROM task_runs WHERE task_id = ?1", id)?;
        let lock = found
            .get("HERMES_KANBAN_CLAIM_LOCK")
            .cloned()
            .unwrap_or_default();
        let told: String = house.query(
            "SELECT payload ->> 'lock' FROM task_events WHERE kind = 'claimed' AND task_id = ?1",
            id,
        )?;
        assert_eq!(lock, told, "byte for byte");
        let mut wanted: BTreeMap<String, String> = [
            ("HERMES_PROFILE", profile.to_owned()),
            ("HERMES_KANBAN_TASK", id.clone()),
            ("HERMES_KANBAN_RUN_ID", run.to_string()),
            ("HERMES_KANBAN_CLAIM_LOCK", lock),
            ("HERMES_KANBAN_HOME", text(&house.root())),
            ("HERMES_KANBAN_DB", text(&house.root().join("kanban.db"))),
            ("HERMES_KANBAN_BOARD", "default".to_owned()),
            (
                "HERMES_KANBAN_WORKSPACES_ROOT",
                text(&house.root().join("kanban/workspaces")),
            ),
            ("HERMES_KANBAN_WORKSPACE", text(&workspace)),
            ("TERMINAL_CWD", text(&workspace)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        if profile == "coder" {
            wanted.insert(
                "HERMES_HOME".into(),
                text(&house.root().join("profiles/coder")),
            );
        }
        wanted.extend(
            more.iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        assert_eq!(found, wanted, "{profile}");
        let place = fs::read_to_string(house.root().join(format!("told.{id}.dir")))?;
        assert_eq!(place.trim(), text(&workspace.canonicalize()?));
    }
    Ok(())
}

#[test]
fn a_worker_has_three_descriptors_and_they_are_its_log() -> Result {
    let house = House::with_board()?;
    house.settings_with(TELLS, "")?;
    let id = house.add(&["work", "--assignee", "lane"])?;
    // Whoever starts the dispatcher may have left something open.
    let leaky = ["sh", "-c", "exec 9</dev/zero; exec \"$@\"", "sh"];
    assert!(
        under(&leaky, &house.command(&["tick"]))
            .output()?
            .status
            .success()
    );
    environment(&house, &id)?;
    let log = house.root().join("kanban/logs").join(format!("{id}.log"));
    let fds = fs::read_to_string(house.root().join(format!("told.{id}.fds")))?;
    let log_name = log.display();
    // The shell reads its own directory by one more, which is gone when it is looked at.
    assert_eq!(fds, format!("0 /dev/null\n1 {log_name}\n2 {log_name}\n"));
    house.until("both streams in one log", || {
        match fs::read_to_string(&log)?.as_str() {
            "out\nerr\n" => Ok(()),
            other => Err(other.into()),
        }
    })
}

#[test]
fn the_peers_worker_is_started_with_the_peers_words() -> Result {
    let house = House::with_board()?;
    fs::create_dir_all(house.root().join("profiles/coder"))?;
    let stub = house.beside("bin/hermes-stub");
    fs::create_dir_all(house.beside("bin"))?;
    fs::write(
        &stub,
        "#!/bin/sh\nprintf '%s|' \"$@\" > \"$HERMES_KANBAN_HOME/told.$HERMES_KANBAN_TASK\"\n",
    )?;
    fs::set_permissions(&stub, fs::Permissions::from_mode(0o755))?;
    let plain = house.add(&["plain", "--assignee", "Coder"])?;
    let full = house.add(&[
        "full",
        "--assignee",
        "coder",
        "--skill",
        "a",
        "--skill",
        "b",
        "--model",
        "m",
        "--goal",
    ])?;
    // A relative path means from here, wherever the worker runs.
    let said = house.say_with(&[("HERMES_BIN", "bin/hermes-stub")], &["tick"])?;
    assert_eq!(said.code, Some(0), "{said:?}");
    for (id, words) in [
        (
            &plain,
            format!("-p|coder|--cli|--accept-hooks|chat|-q|work kanban task {plain}|"),
        ),
        (
            &full,
            format!(
                "-p|coder|--cli|--accept-hooks|--skills|a|--skills|b|-m|m|chat|-q|work kanban task {full}|-Q|"
            ),
        ),
    ] {
        let path = house.root().join(format!("told.{id}"));
        let told = house.until("the worker's words", || match fs::read_to_string(&path)? {
            told if told.ends_with('|') => Ok(told),
            _ => Err("not yet".into()),
        })?;
        assert_eq!(told, words);
    }
    Ok(())
}

#[test]
fn under_the_environments_database_one_board_is_served_once() -> Result {
    let house = House::with_board()?;
    house.settings()?;
    house.ok(&["init", "shop"])?;
    let here = house.add(&["here", "--assignee", "anyone"])?;
    house.ok(&["tick"])?;
    let worker = house.worker(&here)?;
    let there = house.ok(&["--board", "shop", "add", "there", "--assignee", "anyone"])?;
    let late = house.add(&["late", "--assignee", "anyone"])?;

    let shop = house.root().join("kanban/boards/shop/kanban.db");
    let pinned = [("HERMES_KANBAN_DB", shop.to_str().ok_or("not UTF-8")?)];
    let said = house.say_with(&pinned, &["tick", "--json"])?;
    let report = said.json()?;
    assert_eq!(
        report["boards"].as_array().map(Vec::len),
        Some(1),
        "{report}"
    );
    assert_eq!(report["boards"][0]["slug"], "shop");
    assert_eq!(report["boards"][0]["started"][0], *there.out.trim());
    assert!(said.err.contains("only this board is served"), "{said:?}");
    let plan = house
        .say_with(&pinned, &["tick", "--dry-run", "--json"])?
        .json()?;
    assert_eq!(plan["boards"].as_array().map(Vec::len), Some(1), "{plan}");
    // The others are left as they are, and so are their workers.
    assert_eq!(house.task::<String>("status", &late)?, "ready");
    assert!(is_alive(worker));
    assert_eq!(house.task::<String>("status", &here)?, "running");

    let other = House::with_board()?;
    let foreign = other.root().join("kanban.db");
    let pinned = [("HERMES_KANBAN_DB", foreign.to_str().ok_or("not UTF-8")?)];
    for verb in [&["tick"][..], &["run", "--once"], &["tick", "--dry-run"]] {
        house
            .say_with(&pinned, verb)?
            .fails(78, &["HERMES_KANBAN_DB", "no board of"]);
    }
    Ok(())
}

#[test]
fn scratch_directories_may_be_elsewhere() -> Result {
    let house = House::with_board()?;
    house.settings()?;
    let elsewhere = house.beside("far/away");
    let vars = [(
        "HERMES_KANBAN_WORKSPACES_ROOT",
        elsewhere.to_str().ok_or("not UTF-8")?,
    )];
    let id = house.add(&["work", "--assignee", "anyone"])?;
    assert_eq!(house.say_with(&vars, &["tick"])?.code, Some(0));
    house.worker(&id)?;
    assert!(elsewhere.join(&id).is_dir());
    // Whoever does not know of the place removes nothing there.
    assert_eq!(house.say_with(&vars, &["complete", &id])?.code, Some(0));
    assert!(!elsewhere.join(&id).exists() && elsewhere.exists());
    Ok(())
}

#[test]
fn settings_that_lead_nowhere_are_an_error() -> Result {
    let house = House::with_board()?;
    fs::create_dir_all(house.root().join("kanban"))?;
    std::os::unix::fs::symlink("gone.toml", house.root().join("kanban/dispatcher.toml"))?;
    for verb in [&["tick"][..], &["run", "--once"]] {
        house
            .say(verb)?
            .fails(78, &["dispatcher.toml", "No such file"]);
    }
    Ok(())
}

#[test]
fn the_end_of_the_terminal_is_an_end_like_any_other_unless_nohup_says_otherwise() -> Result {
    let house = House::with_board()?;
    house.settings()?;
    let mut daemon = house.daemon(&[])?;
    daemon.serves(&house)?;
    assert_eq!(
        daemon.stop(&house, Signal::HUP)?.code(),
        Some(0),
        "{}",
        daemon.log()
    );
    assert!(daemon.log().contains("dispatcher ends"), "{}", daemon.log());

    let mut daemon = house.nohup_daemon()?;
    daemon.serves(&house)?;
    daemon.signal(Signal::HUP)?;
    // It ticks on: a task that is added now starts.
    let id = house.add(&["work", "--assignee", "anyone"])?;
    house.worker(&id)?;
    assert_eq!(
        daemon.stop(&house, Signal::TERM)?.code(),
        Some(0),
        "{}",
        daemon.log()
    );
    Ok(())
}
