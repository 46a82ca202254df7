//! A board that may be read and not written: by its mount, by its mode, or because its disk is full.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::case::{Case, Daemon, FAULTY, Result, at_most_one_a_window, needs};
use crate::house::under;

/// A user without rights.
const NOBODY: &str = "65534";

case! {
    c15_a_board_mounted_read_only_waits_and_is_served_as_soon_as_it_can_be_written,
    injects: "a read-only mount over a board's directory, under the daemon; its task becomes ready there",
    holds: "failing as read_only, exit code 4, one line a window, no hold, no repair; started within 2 ticks of the mount's end",
    |case| {
        case.start()?;
        add_held_back(case, FAULTY)?;
        case.make_read_only(FAULTY)?;
        case.house.ok(&["resume", FAULTY])?;
        is_told_as(case, FAULTY, "read_only")?;
        case.others_go_on()?;
        case.start_soon_after(&[FAULTY], |case| {
            case.unmount();
            Ok(())
        })?;
        case.state(FAULTY, "ok")?;
        Ok(())
    }
}

case! {
    c15_a_board_whose_mode_forbids_writing_waits_and_is_served_as_soon_as_it_can_be_written,
    injects: "the daemon of a user without rights, started on a board whose files it may only read",
    holds: "failing as read_only, exit code 4, one line a window, no hold, no repair; started within 2 ticks of the mode's return",
    |case| {
        case.add(FAULTY, "waits")?;
        let everything = case.house.beside("");
        needs(
            Command::new("chown").args(["-R", &format!("{NOBODY}:{NOBODY}")]).arg(&everything),
            "chown: run the tests as root",
        )?;
        fs::set_permissions(&everything, fs::Permissions::from_mode(0o755))?;
        set_mode(case, 0o444)?;
        let daemon = as_nobody(case)?;
        case.begin(daemon)?;
        is_told_as(case, FAULTY, "read_only")?;
        case.others_go_on()?;
        case.start_soon_after(&[FAULTY], |case| {
            set_mode(case, 0o644)
        })?;
        case.state(FAULTY, "ok")?;
        Ok(())
    }
}

case! {
    c16_a_full_disk_costs_no_repair_and_no_copy_and_is_over_when_it_is_freed,
    injects: "two boards' own disks, full to the last byte; one of the boards also lacks a column",
    holds: "failing as disk_full, no repair counted, no hold, no file made; started within 2 ticks of a freed disk, and then repaired",
    |case| {
        const DRIFTED: &str = "drifted";
        case.make_board(DRIFTED)?;
        for slug in [FAULTY, DRIFTED] {
            case.on_own_disk(slug, 1024)?;
        }
        case.start()?;
        let mut ballast = Vec::new();
        let mut before = Vec::new();
        for slug in [FAULTY, DRIFTED] {
            add_held_back(case, slug)?;
            let db = case.db(slug)?;
            // A log that is there already could take some more.
            db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            if slug == DRIFTED {
                db.execute_batch("ALTER TABLE tasks DROP COLUMN skills")?;
            }
            drop(db);
            ballast.push(case.fill(slug)?);
            before.push(names(&case.dir(slug))?);
            case.house.ok(&["resume", slug])?;
        }
        for slug in [FAULTY, DRIFTED] {
            is_told_as(case, slug, "disk_full")?;
        }
        case.others_go_on()?;
        for (slug, before) in [FAULTY, DRIFTED].into_iter().zip(before) {
            assert_eq!(names(&case.dir(slug))?, before);
        }
        case.start_soon_after(&[FAULTY, DRIFTED], |_| {
            Ok(ballast.iter().try_for_each(fs::remove_file)?)
        })?;
        for slug in [FAULTY, DRIFTED] {
            let board = case.state(slug, "ok")?;
            let repairs = u32::from(slug == DRIFTED);
            assert_eq!(board["repair_attempts"], repairs, "{board}");
            for entry in fs::read_dir(case.dir(slug))? {
                let entry = entry?;
                let is_empty = entry.metadata()?.is_file() && entry.metadata()?.len() == 0;
                let name = entry.file_name().to_string_lossy().into_owned();
                assert!(!is_empty || name.ends_with(".lock"), "{name} is empty");
            }
        }
        Ok(())
    }
}

/// A ready task that is not started before the board is resumed.
fn add_held_back(case: &Case, slug: &str) -> Result {
    case.house.ok(&["pause", slug])?;
    case.let_ticks_pass(1)?;
    case.add(slug, "waits")?;
    Ok(())
}

/// The board fails as this class: told in status, with an exit code, and in no more than a line a window; it is neither held
/// nor repaired.
fn is_told_as(case: &Case, slug: &str, class: &str) -> Result {
    let is_told = |board: &Value| board["state"] == "failing" && board["class"] == class;
    let board = case.until(&format!("{slug} failing as {class}"), |case| {
        match case.board_status(slug)? {
            board if is_told(&board) => Ok(board),
            board => Err(board.to_string().into()),
        }
    })?;
    assert_eq!(board["next_retry"], Value::Null, "{board}");
    let lines = case.until("three lines", |case| {
        let lines = case.lines_about(slug)?;
        match lines.iter().filter(|line| line.is_above_info()).count() {
            3.. => Ok(lines),
            n => Err(format!("{n} lines").into()),
        }
    })?;
    at_most_one_a_window(&lines)?;
    for line in lines.iter().filter(|line| line.is_above_info()) {
        assert_eq!(
            (line.level(), line.text("class")),
            ("WARN", Some(class)),
            "{line:?}"
        );
    }
    let board = case.board_status(slug)?;
    assert!(is_told(&board), "{board}");
    assert_eq!(board["repair_attempts"], 0, "{board}");
    assert_eq!(case.house.say(&["status"])?.code, Some(4));
    Ok(())
}

/// `kanban run` of a user without rights.
fn as_nobody(case: &Case) -> Result<Daemon> {
    // The build directory may be closed to other users.
    let program = case.house.beside("kanban");
    needs(
        Command::new("cp")
            .arg(env!("CARGO_BIN_EXE_kanban"))
            .arg(&program),
        "cp (coreutils)",
    )?;
    // `$1` is the root; the worker's own way to the program is closed too.
    case.settings("\"$1/../kanban\" complete \"$HERMES_KANBAN_TASK\"", "", "")?;
    let user = [
        "setpriv",
        "--reuid",
        NOBODY,
        "--regid",
        NOBODY,
        "--clear-groups",
    ];
    needs(
        Command::new(user[0]).args(&user[1..]).arg("true"),
        "setpriv (util-linux), as root",
    )?;
    let program = program.to_string_lossy();
    let other = ["sh", "-c", "shift; exec \"$0\" \"$@\"", &*program];
    let command = case.house.command(&["run", "--log-format", "json"]);
    Daemon::spawn(
        &case.house,
        &mut under(&[&user[..], &other[..]].concat(), &command),
    )
}

/// The mode of the database's files.
fn set_mode(case: &Case, mode: u32) -> Result {
    for entry in fs::read_dir(case.dir(FAULTY))? {
        let entry = entry?;
        let name = entry.file_name();
        if ["kanban.db", "kanban.db-wal", "kanban.db-shm"]
            .iter()
            .any(|file| name == *file)
        {
            fs::set_permissions(entry.path(), fs::Permissions::from_mode(mode))?;
        }
    }
    Ok(())
}

fn names(dir: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
