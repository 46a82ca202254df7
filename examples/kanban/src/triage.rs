//! `specify`, `decompose`: what becomes of a task in triage.

use std::io::Read;

use kanban_dispatcher as library;
use serde::Deserialize;
use serde_json::Value;

use crate::change::told;
use crate::cli::{Decompose, Specify, Workplace};
use crate::exit::{Code, Failure};
use crate::output;
use crate::place::{Place, author};
use crate::tasks::placed;
use crate::told::{Did, unheard};

pub(crate) fn specify(args: Specify, place: &Place) -> Result<Code, Failure> {
    let told = told("kanban.specify", &args.on.said, place);
    told.one(&args.on.task, None, |store, id, fence| {
        let words = library::Specify {
            run: fence.run,
            title: args.title,
            body: args.body,
            assignee: args.assignee,
            author: Some(args.author.unwrap_or_else(author)),
        };
        let status = store.specify(id, &words)?;
        Ok(format!("task {id} is {status}").into())
    })
}

pub(crate) fn decompose(args: Decompose, place: &Place) -> Result<Code, Failure> {
    let parts = match &args.file {
        Some(file) => read(file)?,
        None => args.children.into_iter().map(titled).collect(),
    };
    let told = told("kanban.decompose", &args.on.said, place);
    let (store, (did, ids)) = told.done(&args.on.task, None, |store, id, fence| {
        let into = library::Decompose {
            run: fence.run,
            assignee: args.assignee,
            author: Some(args.author.unwrap_or_else(author)),
            parts,
        };
        let ids = store.decompose(id, &into)?;
        let did = Did::from(format!("task {id} waits for {}", ids.join(", ")));
        Ok((did.with("children", ids.clone()), ids))
    })?;
    if told.json {
        return Ok(told.end(&store, &args.on.task.id, did));
    }
    // They are made by now, as in `add`.
    if let Err(failure) = output::print(&ids.join("\n")) {
        unheard(did.words(), &failure);
    }
    Ok(Code::Done)
}

/// A part as it is written in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    title: String,
    body: Option<String>,
    assignee: Option<String>,
    #[serde(default)]
    parents: Vec<usize>,
    workspace: Option<String>,
}

fn titled(title: String) -> library::Part {
    library::Part {
        title,
        ..library::Part::default()
    }
}

/// The parts in a file, or in standard input: a JSON array of titles and objects.
fn read(file: &str) -> Result<Vec<library::Part>, Failure> {
    let mut text = String::new();
    let (what, read) = if file == "-" {
        let read = std::io::stdin().read_to_string(&mut text);
        ("standard input".to_owned(), read.map(drop))
    } else {
        let read = std::fs::read_to_string(file).map(|read| text = read);
        (file.to_owned(), read)
    };
    read.map_err(|error| Failure::io(format!("read {what}"), &error))?;
    let wrong = |why: String| {
        let what = format!("read the parts in {what}: {why}");
        Failure::new(Code::Usage, what, "`kanban decompose --help` shows one")
    };
    let found: Vec<Value> =
        serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let part = |(n, value)| part(value).map_err(|why| wrong(format!("part {n}: {why}")));
    found.into_iter().enumerate().map(part).collect()
}

fn part(value: Value) -> Result<library::Part, String> {
    if let Value::String(title) = value {
        return Ok(titled(title));
    }
    let given: Given = serde_json::from_value(value).map_err(|error| error.to_string())?;
    let workspace = given.workspace.map(|text| text.parse::<Workplace>());
    let workspace = workspace.transpose()?.map(|place| placed(&place));
    Ok(library::Part {
        title: given.title,
        body: given.body,
        assignee: given.assignee,
        parents: given.parents,
        workspace: workspace.transpose().map_err(|failure| failure.what())?,
    })
}
