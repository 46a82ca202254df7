//! A verb on several tasks: each has its own fate, and is told it.

use serde_json::json;

use super::house::{House, Result, is_alive};

#[test]
fn each_of_several_tasks_is_told_its_own_fate() -> Result {
    let house = House::with_board()?;
    let made = |title: &str| house.add(&[title]);
    let (a, over, b) = (made("a")?, made("over")?, made("b")?);
    house.ok(&["complete", &over])?;
    let said = house.say(&["complete", &a, &over, &b, "--result", "checked", "--json"])?;
    assert_eq!(said.code, Some(1), "{said:?}");
    let told = said.json()?;
    assert_eq!(told["schema"], "kanban.complete");
    let fates = told["tasks"].as_array().ok_or("no list")?;
    let fate = |n: usize| (&fates[n]["id"], &fates[n]["done"], &fates[n]["status"]);
    assert_eq!(fate(0), (&json!(a), &json!(true), &json!("done")));
    assert_eq!(fate(1), (&json!(over), &json!(false), &json!(null)));
    assert_eq!(fate(2), (&json!(b), &json!(true), &json!("done")));
    assert_eq!(fates[1]["board"], "default");
    let error = fates[1]["error"].as_str().ok_or("no error")?;
    assert!(error.contains("it is done"), "{error}");
    assert!(said.err.contains(error), "{said:?}");
    assert_eq!(house.task::<String>("result", &b)?, "checked");

    // In words, and one that is named twice is one.
    let (c, d) = (made("c")?, made("d")?);
    let said = house.ok(&["block", &c, "no network", "--ids", &d, &c])?;
    let words = format!("task {c} is blocked\ntask {d} is blocked\n");
    assert_eq!((said.out.as_str(), said.err), ("", words));
    let said = house.ok(&["unblock", &d, &d, "--json", "--reason", "it is back"])?;
    assert_eq!(said.json()?["status"], "ready", "one task, one answer");
    Ok(())
}

#[test]
fn what_is_said_of_one_task_is_not_said_of_several() -> Result {
    let house = House::with_board()?;
    let (a, b) = (house.add(&["a"])?, house.add(&["b"])?);
    for (more, word) in [
        (["--summary", "s"], "summary"),
        (["--metadata", "{}"], "metadata"),
        (["--run", "1"], "--run"),
    ] {
        let said = house.say(&[&["complete", &a, &b][..], &more].concat())?;
        said.fails(2, &[word]);
    }
    assert_eq!(house.task::<String>("status", &a)?, "ready");
    Ok(())
}

#[test]
fn a_worker_that_names_other_tasks_too_changes_its_own_only() -> Result {
    let house = House::with_board()?;
    house.settings()?;
    let own = house.add(&["work", "--assignee", "anyone"])?;
    let other = house.add(&["other"])?;
    let vague = house.add(&["vague", "--triage"])?;
    let gone = house.add(&["gone"])?;
    house.ok(&["archive", &gone])?;
    house.ok(&["tick"])?;
    house.worker(&own)?;
    let as_worker = [
        ("HERMES_KANBAN_TASK", own.as_str()),
        ("HERMES_KANBAN_RUN_ID", "1"),
    ];
    for args in [
        &["specify", &vague][..],
        &["decompose", &vague, "--child", "part"],
        &["archive", "--rm", &gone],
        &["unblock", &other, "--reason", "why"],
        &["promote", &other, "--dry-run"],
    ] {
        house
            .say_with(&as_worker, args)?
            .fails(1, &["a worker writes to its own task only"]);
    }
    let said = house.say_with(&as_worker, &["complete", &other, &own])?;
    assert_eq!(said.code, Some(1), "{said:?}");
    let status = |id: &str| house.task::<String>("status", id);
    assert_eq!(
        (status(&own)?, status(&other)?),
        ("done".into(), "ready".into())
    );
    assert_eq!(
        (status(&vague)?, status(&gone)?),
        ("triage".into(), "archived".into())
    );
    Ok(())
}

#[test]
fn a_dry_run_tells_and_a_deletion_shows_what_it_took() -> Result {
    let house = House::with_board()?;
    let held = house.add(&["held", "--initial-status", "blocked"])?;
    let said = house
        .ok(&["promote", &held, "--dry-run", "--json"])?
        .json()?;
    assert_eq!(
        (&said["dry_run"], &said["status"]),
        (&json!(true), &json!("blocked"))
    );
    let said = house.ok(&["promote", &held, "--dry-run"])?;
    assert_eq!(said.err, format!("task {held} would be ready\n"));

    house.ok(&["archive", &held])?;
    let said = house.ok(&["archive", "--rm", &held, "--json"])?.json()?;
    assert_eq!(
        (&said["deleted"], &said["title"]),
        (&json!(true), &json!("held"))
    );
    house
        .say(&["show", &held])?
        .fails(1, &["failed to find", &held]);
    Ok(())
}

#[test]
fn a_worker_whose_task_is_deleted_is_stopped_all_the_same() -> Result {
    let house = House::with_board()?;
    house.settings()?;
    let id = house.add(&["work", "--assignee", "anyone"])?;
    house.ok(&["tick"])?;
    let worker = house.worker(&id)?;
    house.ok(&["archive", &id])?;
    house.ok(&["archive", "--rm", &id])?;
    assert!(is_alive(worker), "a verb signals nobody");
    house.until("the end of its worker", || {
        house.ok(&["tick"])?;
        match is_alive(worker) {
            true => Err("it lives".into()),
            false => Ok(()),
        }
    })
}
