//! People say what becomes of a task in triage.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::process::Stdio;

use serde_json::json;

use super::house::{House, Result};
use super::said::Said;

#[test]
fn a_task_is_specified_and_can_start() -> Result {
    let house = House::with_board()?;
    let id = house.add(&["report?", "--triage"])?;
    let words = [
        "--title",
        "write the report",
        "--assignee",
        "Coder",
        "--author",
        "ann",
    ];
    let said = house.ok(&[&["specify", &id, "--json"][..], &words].concat())?;
    let told = said.json()?;
    assert_eq!(told["schema"], "kanban.specify");
    assert_eq!(
        (&told["status"], &told["assignee"]),
        (&json!("ready"), &json!("coder"))
    );
    let show = house.show(&id)?;
    assert_eq!(show["comments"][0]["author"], "ann");
    assert_eq!(
        show["comments"][0]["body"],
        "Specified: new are its title, assignee."
    );
    house
        .say(&["specify", &id])?
        .fails(1, &["failed to specify", "it is ready, allowed are triage"]);
    Ok(())
}

#[test]
fn a_task_is_decomposed_by_titles_or_a_file_and_the_new_ids_are_the_answer() -> Result {
    let house = House::with_board()?;
    let coat = house.add(&["coat", "--triage"])?;
    let said = house.ok(&["decompose", &coat, "--child", "cut", "--child", "buttons"])?;
    let ids: Vec<&str> = said.out.lines().collect();
    let title = |id: &str| house.task::<String>("title", id);
    assert_eq!(
        (title(ids[0])?, title(ids[1])?),
        ("cut".into(), "buttons".into())
    );
    assert_eq!(said.err, "");
    let show = house.show(&coat)?;
    assert_eq!(show["parents"].as_array().map(Vec::len), Some(2));
    let comment = show["comments"][0]["body"].as_str().ok_or("no comment")?;
    assert!(ids.iter().all(|id| comment.contains(id)), "{comment}");

    let hat = house.add(&["hat", "--triage"])?;
    let mut child = house
        .command(&["decompose", &hat, "--file", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let parts = json!(["felt", { "title": "sew", "parents": [0], "workspace": "dir:sub" }]);
    child
        .stdin
        .take()
        .ok_or("no input")?
        .write_all(parts.to_string().as_bytes())?;
    let told = Said::from(child.wait_with_output()?).json()?;
    let sew = told["children"][1].as_str().ok_or("no id")?;
    assert_eq!(
        (&told["id"], &told["status"]),
        (&json!(hat), &json!("todo"))
    );
    assert_eq!(house.task::<String>("status", sew)?, "todo");
    let wanted = house.beside("sub");
    assert_eq!(
        house.task::<String>("workspace_path", sew)?,
        wanted.to_string_lossy()
    );
    Ok(())
}

#[test]
fn parts_that_cannot_be_read_are_named_and_nothing_is_made() -> Result {
    let house = House::with_board()?;
    let coat = house.add(&["coat", "--triage"])?;
    let file = house.beside("parts.json");
    let decompose = [
        "decompose",
        &coat,
        "--file",
        file.to_str().ok_or("not UTF-8")?,
    ];
    house
        .say(&decompose)?
        .fails(1, &["parts.json", "No such file"]);
    for (text, words) in [
        ("{}", &["parts.json", "invalid type"][..]),
        ("[\"a\", {\"titel\": \"b\"}]", &["part 1", "titel"]),
        (
            "[{\"title\": \"a\", \"workspace\": \"git:x\"}]",
            &["part 0", "allowed are scratch"],
        ),
        ("[]", &["there is no part"]),
        ("[\"a\", \" \"]", &["the title of part 1"]),
        (
            "[{\"title\": \"a\", \"parents\": [1]}]",
            &["part 0 waits for part 1"],
        ),
        (
            "[{\"title\": \"a\", \"parents\": [0]}]",
            &["part 0 waits for itself"],
        ),
    ] {
        fs::write(&file, text)?;
        house.say(&decompose)?.fails(2, words);
    }
    assert_eq!(house.task::<String>("status", &coat)?, "triage");
    let tasks: i64 = house.query("SELECT count(*) FROM tasks WHERE ?1 <> ''", &coat)?;
    assert_eq!(tasks, 1);
    Ok(())
}

#[test]
fn parts_that_are_made_are_told_whatever_becomes_of_the_answer() -> Result {
    let house = House::with_board()?;
    let coat = house.add(&["coat", "--triage"])?;
    let full = OpenOptions::new().write(true).open("/dev/full")?;
    let child = house
        .command(&["decompose", &coat, "--child", "cut"])
        .stdout(Stdio::from(full))
        .stderr(Stdio::piped())
        .spawn()?;
    let said = Said::from(child.wait_with_output()?);
    let id: String = house.query(
        "SELECT id FROM tasks WHERE title = 'cut' AND ?1 <> ''",
        &coat,
    )?;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.err.contains(&id), "{said:?}");
    Ok(())
}
