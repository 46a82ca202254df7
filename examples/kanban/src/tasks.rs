//! `add`, `list`, `show`: tasks, made and looked at by people.

use std::path::Path;

use kanban_dispatcher::{Detail, NewTask, Slug, Summary, Workspace};
use serde::Serialize;

use crate::age::{self, NOTHING};
use crate::cli::{Add, List, Show, Workplace};
use crate::exit::{Code, Failure};
use crate::output::{self, plain, plain_lines};
use crate::place::{Place, absolute, author, expand_home};
use crate::table::{Cell, Table, Tone};
use crate::told::{On, Told, unheard};

#[derive(Serialize)]
struct Tasks {
    tasks: Vec<Summary>,
}

pub(crate) fn add(args: Add, place: &Place) -> Result<Code, Failure> {
    let workspace = workspace(&args)?;
    let board = place.board();
    let mut store = place.open(&board)?;
    let id = store.create(&NewTask {
        title: args.title,
        body: args.body,
        assignee: args.assignee,
        priority: args.priority,
        parents: args.parents,
        workspace,
        branch: args.branch,
        tenant: args.tenant,
        skills: args.skills,
        model: args.model,
        max_runtime: args.max_runtime,
        max_retries: args.max_retries,
        goal: args.goal,
        goal_turns_max: args.goal_max_turns,
        triage: args.triage,
        blocked: args.initial_status == "blocked",
        idempotency_key: args.idempotency_key,
        created_by: Some(args.created_by.unwrap_or_else(author)),
    })?;
    let words = format!("task {id} is made");
    if args.json {
        let told = Told {
            schema: "kanban.add",
            json: true,
            place,
        };
        return Ok(told.end(&store, &id, words.into()));
    }
    // It is made by now: whoever takes a failure for a reason to try again would make a second one.
    if let Err(failure) = output::print(&id) {
        unheard(&words, &failure);
    }
    Ok(Code::Done)
}

fn workspace(args: &Add) -> Result<Workspace, Failure> {
    if let Some(dir) = &args.dir {
        return Ok(Workspace::Dir(Some(existing(dir)?)));
    }
    placed(&args.workspace)
}

/// A place as its worker finds it.
pub(crate) fn placed(place: &Workplace) -> Result<Workspace, Failure> {
    Ok(match place {
        Workplace::Scratch => Workspace::Scratch,
        Workplace::Dir(path) => Workspace::Dir(Some(in_full(path)?)),
        Workplace::Worktree(None) => Workspace::Worktree(None),
        Workplace::Worktree(Some(path)) => Workspace::Worktree(Some(in_full(path)?)),
    })
}

/// A path as its worker finds it, wherever that one runs. No shell expands `~` behind a colon.
fn in_full(path: &Path) -> Result<String, Failure> {
    let text = path.to_str().ok_or_else(|| {
        let what = format!("use {}: its name is not UTF-8", path.display());
        Failure::new(Code::Usage, what, "")
    })?;
    let path = absolute(&expand_home(text))?;
    Ok(path.to_string_lossy().into_owned())
}

/// A worker works elsewhere: its directory is named in full, and is there.
fn existing(dir: &Path) -> Result<String, Failure> {
    let refuse = |why: &str| {
        let what = format!("use --dir {}: {why}", dir.display());
        Failure::new(Code::Usage, what, "give an existing directory")
    };
    let found = std::path::absolute(dir).map_err(|error| refuse(&error.to_string()))?;
    if !found.is_dir() {
        return Err(refuse("it is no directory"));
    }
    found
        .into_os_string()
        .into_string()
        .map_err(|_| refuse("its name is not UTF-8"))
}

pub(crate) fn list(args: &List, place: &Place) -> Result<Code, Failure> {
    let board = place.board();
    let tasks = place.open(&board)?.list(args.status.as_deref())?;
    if args.json {
        let content = On {
            board: board.slug().clone(),
            content: Tasks { tasks },
        };
        output::document("kanban.list", content)?;
        return Ok(Code::Done);
    }
    let now = place.clock.unix();
    let head = ["id", "status", "priority", "assignee", "created", "title"];
    let mut table = Table::new(&head, output::is_colourful(&std::io::stdout()));
    for task in &tasks {
        table.push(vec![
            Cell::text(&task.id),
            Cell::text(&task.status).tone(tone(&task.status)),
            Cell::number(task.priority),
            Cell::text(task.assignee.as_deref().unwrap_or(NOTHING)),
            Cell::text(&age::relative(task.created_at, now)),
            Cell::text(&task.title),
        ]);
    }
    output::print(&table.render())?;
    Ok(Code::Done)
}

fn tone(status: &str) -> Tone {
    match status {
        "running" | "done" => Tone::Good,
        "blocked" | "triage" => Tone::Bad,
        _ => Tone::Plain,
    }
}

pub(crate) fn show(args: &Show, place: &Place) -> Result<Code, Failure> {
    let board = place.board_of(&args.task)?;
    let detail = place.open(&board)?.show(&args.task.id)?;
    if args.json {
        let content = On {
            board: board.slug().clone(),
            content: detail,
        };
        output::document("kanban.show", content)?;
    } else {
        output::print(&page(&detail, board.slug(), place.clock.unix()))?;
    }
    Ok(Code::Done)
}

/// One task as a page: what it is, then what happened.
fn page(detail: &Detail, board: &Slug, now: i64) -> String {
    let task = &detail.task;
    let mut lines = vec![format!(
        "{}  {}  {}",
        plain(&task.id),
        plain(&task.status),
        plain(&task.title)
    )];
    let mut fact = |name: &str, value: Option<&str>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            lines.push(format!("  {name:<10} {}", plain(value)));
        }
    };
    fact("board", Some(board.as_str()));
    fact("assignee", task.assignee.as_deref());
    fact("priority", Some(&task.priority.to_string()));
    fact("created", Some(&age::full(task.created_at, now)));
    fact(
        "started",
        task.started_at.map(|then| age::full(then, now)).as_deref(),
    );
    fact(
        "completed",
        task.completed_at
            .map(|then| age::full(then, now))
            .as_deref(),
    );
    fact("parents", Some(&detail.parents.join(" ")));
    fact("children", Some(&detail.children.join(" ")));
    fact("blocked", task.block_kind.as_deref());
    fact(
        "failures",
        Some(&task.consecutive_failures.to_string())
            .filter(|n| *n != "0")
            .map(String::as_str),
    );
    fact("error", task.last_failure_error.as_deref());
    fact("result", task.result.as_deref());
    fact("workspace", task.workspace_path.as_deref());
    fact("branch", task.branch_name.as_deref());
    fact("skills", Some(&task.skills.join(" ")));
    if let Some(body) = task.body.as_ref().filter(|body| !body.is_empty()) {
        lines.extend([String::new(), plain_lines(body)]);
    }
    for comment in &detail.comments {
        let when = age::relative(comment.created_at, now);
        lines.push(format!(
            "\n{}, {when}:\n{}",
            plain(&comment.author),
            plain_lines(&comment.body)
        ));
    }
    if !detail.runs.is_empty() {
        lines.extend([String::new(), runs(detail, now).render()]);
    }
    if !detail.events.is_empty() {
        lines.extend([String::new(), events(detail, now).render()]);
    }
    lines.join("\n")
}

fn runs(detail: &Detail, now: i64) -> Table {
    let head = [
        "run", "profile", "outcome", "pid", "started", "ended", "summary",
    ];
    let mut table = Table::new(&head, output::is_colourful(&std::io::stdout()));
    for run in &detail.runs {
        let words = run.error.as_deref().or(run.summary.as_deref());
        table.push(vec![
            Cell::number(run.id),
            Cell::text(run.profile.as_deref().unwrap_or(NOTHING)),
            Cell::text(run.outcome.as_deref().unwrap_or(&run.status)),
            Cell::text(
                &run.worker_pid
                    .map_or_else(|| NOTHING.to_owned(), |pid| pid.to_string()),
            ),
            Cell::text(&age::relative(run.started_at, now)),
            Cell::text(&age::relative_or_nothing(run.ended_at, now)),
            Cell::text(words.unwrap_or(NOTHING)),
        ]);
    }
    table
}

fn events(detail: &Detail, now: i64) -> Table {
    let head = ["when", "event", "run", "details"];
    let mut table = Table::new(&head, output::is_colourful(&std::io::stdout()));
    for event in &detail.events {
        let payload = if event.payload.is_null() {
            String::new()
        } else {
            event.payload.to_string()
        };
        table.push(vec![
            Cell::text(&age::relative(event.created_at, now)),
            Cell::text(&event.kind),
            Cell::text(
                &event
                    .run_id
                    .map_or_else(|| NOTHING.to_owned(), |run| run.to_string()),
            ),
            Cell::text(&payload),
        ]);
    }
    table
}
