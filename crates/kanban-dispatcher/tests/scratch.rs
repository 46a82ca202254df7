//! A scratch directory is removed when its task is done: only inside the board's own directory for them, and never while an
//! open task needs it.

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use kanban_dispatcher::{Complete, ErrorKind, NewTask};
use support::{Fleet, Result, task};

/// A task with a scratch directory that has something in it, as a worker leaves it.
fn worked(fleet: &Fleet, parents: &[&String]) -> Result<(String, PathBuf)> {
    let id = fleet.store("alpha")?.create(&NewTask {
        parents: parents.iter().map(|id| (*id).clone()).collect(),
        ..task(0)
    })?;
    let dir = fleet.board("alpha")?.workspaces_dir().join(&id);
    fs::create_dir_all(dir.join("deep"))?;
    fs::write(dir.join("deep/file"), "work")?;
    works_in(fleet, &id, &dir)?;
    Ok((id, dir))
}

fn works_in(fleet: &Fleet, id: &str, dir: &std::path::Path) -> Result {
    let dir = dir.display();
    fleet.sql(
        "alpha",
        &format!("UPDATE tasks SET workspace_path = '{dir}' WHERE id = '{id}'"),
    )
}

fn complete(fleet: &Fleet, id: &str) -> Result {
    Ok(fleet.store("alpha")?.complete(id, &Complete::default())?)
}

#[test]
fn a_done_tasks_scratch_directory_is_removed_and_no_other() -> Result {
    let fleet = Fleet::new()?;
    let (id, dir) = worked(&fleet, &[])?;
    let (_, other) = worked(&fleet, &[])?;
    let kept = fleet.board("alpha")?.workspaces_dir().join("kept");
    fs::create_dir(&kept)?;
    let named = fleet.store("alpha")?.create(&task(0))?;
    works_in(&fleet, &named, &kept)?;
    fleet.sql(
        "alpha",
        &format!("UPDATE tasks SET workspace_kind = 'dir' WHERE id = '{named}'"),
    )?;
    complete(&fleet, &named)?;
    complete(&fleet, &id)?;
    assert!(!dir.exists() && other.exists() && kept.exists());
    Ok(())
}

#[test]
fn it_stays_while_a_child_is_open_and_goes_with_the_last_of_them() -> Result {
    let fleet = Fleet::new()?;
    let (parent, dir) = worked(&fleet, &[])?;
    let (first, first_dir) = worked(&fleet, &[&parent])?;
    let (second, _) = worked(&fleet, &[&parent])?;
    complete(&fleet, &parent)?;
    assert!(dir.exists(), "both children may want to read it");
    complete(&fleet, &first)?;
    assert!(dir.exists() && !first_dir.exists());
    complete(&fleet, &second)?;
    assert!(!dir.exists());
    Ok(())
}

#[test]
fn an_open_parent_keeps_its_directory_whatever_its_children_do() -> Result {
    let fleet = Fleet::new()?;
    let (parent, dir) = worked(&fleet, &[])?;
    let (child, _) = worked(&fleet, &[])?;
    let mut store = fleet.store("alpha")?;
    store.link(&parent, &child)?;
    store.promote(&child, None, "ann", None, true)?;
    complete(&fleet, &child)?;
    assert!(dir.exists());
    Ok(())
}

#[test]
fn a_directory_that_another_open_task_shares_is_not_taken_from_it() -> Result {
    // A worker's own tool gives the tasks it makes the directory that it works in itself.
    let fleet = Fleet::new()?;
    let (parent, dir) = worked(&fleet, &[])?;
    for inside in ["", "deep"] {
        let child = fleet.store("alpha")?.create(&task(0))?;
        works_in(&fleet, &child, &dir.join(inside))?;
        complete(&fleet, &child)?;
        assert!(dir.join("deep/file").exists(), "{inside}");
    }
    let child = fleet.store("alpha")?.create(&task(0))?;
    works_in(&fleet, &child, &dir.join("deep"))?;
    complete(&fleet, &parent)?;
    assert!(dir.join("deep/file").exists(), "the child is at it");
    complete(&fleet, &child)?;
    assert!(!dir.join("deep").exists());
    Ok(())
}

#[test]
fn a_link_to_another_tasks_directory_does_not_remove_it() -> Result {
    let fleet = Fleet::new()?;
    let ids = fleet.ready("alpha", 2)?;
    fleet.dispatcher().tick();
    let dir = |id: &String| {
        Ok::<_, Box<dyn std::error::Error>>(fleet.board("alpha")?.workspaces_dir().join(id))
    };
    let (mine, others) = (dir(&ids[0])?, dir(&ids[1])?);
    fs::remove_dir(&mine)?;
    symlink(&others, &mine)?;
    complete(&fleet, &ids[0])?;
    assert!(others.exists(), "somebody is at it");
    Ok(())
}

#[test]
fn nothing_outside_the_boards_own_directory_is_ever_removed() -> Result {
    let fleet = Fleet::new()?;
    fleet.store("alpha")?;
    let root = fleet.board("alpha")?.workspaces_dir();
    fs::create_dir(&root)?;
    fs::write(root.join("marker"), "")?;
    let precious = fleet.path().join("precious");
    fs::create_dir(&precious)?;
    symlink(&precious, root.join("link"))?;
    for path in [
        precious.clone(),
        root.join("link"),
        root.join("../../../../precious"),
        root.clone(),
        root.join("."),
        fleet.board("alpha")?.dir().to_owned(),
        PathBuf::from("precious"),
    ] {
        let id = fleet.store("alpha")?.create(&task(0))?;
        works_in(&fleet, &id, &path)?;
        complete(&fleet, &id)?;
        assert!(
            precious.exists() && root.join("marker").exists(),
            "{}",
            path.display()
        );
    }
    Ok(())
}

#[test]
fn a_named_file_that_cannot_be_kept_keeps_the_task_open_and_everything_in_its_place() -> Result {
    let fleet = Fleet::new()?;
    let (id, dir) = worked(&fleet, &[])?;
    fs::write(dir.join("large"), vec![0; 25 * 1024 * 1024 + 1])?;
    let attachments = fleet.board("alpha")?.attachments_dir();
    let named = |names: &[&str]| -> Complete {
        let names: Vec<_> = names
            .iter()
            .map(|name| dir.join(name).display().to_string())
            .collect();
        let mut done = Complete::default();
        done.metadata.insert("artifacts".to_owned(), names.into());
        done
    };
    let mut store = fleet.store("alpha")?;
    for names in [
        ["deep/file", "gone"],
        ["deep/file", "deep"],
        ["deep/file", "large"],
    ] {
        let error = store.complete(&id, &named(&names)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        assert!(error.chain().contains(names[1]), "{error}");
    }
    // And what the board refuses leaves no copy either.
    let stale = Complete {
        run: Some(99),
        ..named(&["deep/file"])
    };
    assert_eq!(
        store.complete(&id, &stale).unwrap_err().kind(),
        ErrorKind::Refused
    );
    assert_eq!(store.show(&id)?.task.status, "ready");
    assert!(dir.join("deep/file").exists() && !attachments.join(&id).exists());
    assert_eq!(store.show(&id)?.events.len(), 1);

    store.complete(&id, &named(&["deep/file"]))?;
    assert_eq!(
        fs::read_to_string(attachments.join(&id).join("file"))?,
        "work"
    );
    assert!(!dir.exists());
    Ok(())
}

#[test]
fn a_board_is_no_file_to_be_copied() -> Result {
    let fleet = Fleet::new()?;
    let (id, dir) = worked(&fleet, &[])?;
    // By another name of the same file: to open and close it would drop this process's locks on it.
    fs::hard_link(fleet.db("alpha")?, dir.join("copy.db"))?;
    let mut done = Complete::default();
    let path = dir.join("copy.db").display().to_string();
    done.metadata
        .insert("artifacts".to_owned(), vec![path].into());
    let error = fleet.store("alpha")?.complete(&id, &done).unwrap_err();
    assert!(error.chain().contains("no file to be copied"), "{error}");
    Ok(())
}
