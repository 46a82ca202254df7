//! `boards` and `init`: which boards there are, and one more.

use kanban_dispatcher::{Slug, Store, discover};
use serde::Serialize;

use crate::cli::{Boards, Init};
use crate::exit::{Code, Failure};
use crate::output;
use crate::place::Place;
use crate::table::{Cell, Table, Tone};

/// The content of the document.
#[derive(Serialize)]
struct Content {
    root: String,
    boards: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    slug: Slug,
    /// Whether verbs without `--board` mean this one.
    current: bool,
    /// Whether it has a database.
    exists: bool,
    db: String,
}

/// Lists the boards; opens none, because opening may bring an older schema up to date.
pub(crate) fn list(args: &Boards, place: &Place) -> Result<Code, Failure> {
    let current = place.current();
    let boards = discover(&place.root)?.into_iter().map(|board| Entry {
        slug: board.slug().clone(),
        current: *board.slug() == current,
        exists: board.db().exists(),
        db: board.db().display().to_string(),
    });
    let content = Content {
        root: place.root.dir().display().to_string(),
        boards: boards.collect(),
    };
    if args.json {
        output::document("kanban.boards", content)?;
        return Ok(Code::Done);
    }
    let head = ["slug", "current", "exists", "db"];
    let mut table = Table::new(&head, output::is_colourful(&std::io::stdout()));
    for board in &content.boards {
        let (exists, tone) = if board.exists {
            ("yes", Tone::Plain)
        } else {
            ("not yet", Tone::Odd)
        };
        table.push(vec![
            Cell::text(board.slug.as_str()),
            Cell::text(if board.current { "*" } else { "" }),
            Cell::text(exists).tone(tone),
            Cell::text(&board.db),
        ]);
    }
    output::print(&table.render())?;
    Ok(Code::Done)
}

pub(crate) fn init(args: &Init, place: &Place) -> Result<Code, Failure> {
    // A board that is named is to be made where it belongs, wherever HERMES_KANBAN_DB points.
    let board = match &args.slug {
        Some(slug) => place.root.board(slug),
        None => place.board(),
    };
    let existed = board.db().exists();
    Store::init(&board, &place.clock)?;
    let verb = if existed { "is there" } else { "made" };
    output::say(&format!(
        "board {} {verb}: {}",
        board.slug(),
        board.db().display()
    ));
    Ok(Code::Done)
}
