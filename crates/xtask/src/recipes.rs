//! The recipe pages: each excerpt stands verbatim in the example that its heading links to.

use std::fs;
use std::path::Path;

use crate::run::root;

/// A fenced block of a page, and the file that the heading above it links to.
#[derive(Debug, PartialEq, Eq)]
struct Excerpt {
    file: String,
    text: Vec<String>,
}

/// The blocks marked `rust` of a page, each with the link of the last heading.
fn excerpts(page: &str) -> Vec<Excerpt> {
    let mut found = Vec::new();
    let (mut file, mut block) = (String::new(), None);
    for line in page.lines() {
        match &mut block {
            Some(_) if line == "```" => {
                let text = block.take().unwrap_or_default();
                found.push(Excerpt {
                    file: file.clone(),
                    text,
                });
            }
            Some(text) => text.push(line.to_owned()),
            None if line == "```rust" => block = Some(Vec::new()),
            None if line.starts_with("## ") => {
                let link = line.split_once("](").map_or("", |(_, link)| link);
                link.trim_end_matches(')').clone_into(&mut file);
            }
            None => {}
        }
    }
    found
}

/// Whether `lines` stand together in `text`, all moved to the right by the same number of blanks.
fn stands_in(lines: &[String], text: &str) -> bool {
    let text: Vec<&str> = text.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    text.windows(lines.len().max(1)).any(|window| {
        let by = indent(window[0]);
        window.iter().zip(lines).all(|(theirs, ours)| {
            (theirs.is_empty() && ours.is_empty())
                || (theirs.get(by..) == Some(ours) && theirs[..by].trim().is_empty())
        })
    })
}

#[test]
fn each_excerpt_of_the_recipe_pages_stands_in_its_example() {
    let pages = root().join("docs/recipes");
    let mut count = 0;
    for entry in fs::read_dir(&pages).unwrap().flatten() {
        let page = fs::read_to_string(entry.path()).unwrap();
        for excerpt in excerpts(&page) {
            let at = format!("{}: {}", entry.path().display(), excerpt.file);
            let example = fs::read_to_string(pages.join(Path::new(&excerpt.file)))
                .unwrap_or_else(|error| panic!("{at}: {error}"));
            assert!(
                stands_in(&excerpt.text, &example),
                "{at} has no\n{}",
                excerpt.text.join("\n")
            );
            count += 1;
        }
    }
    assert!(
        count >= 12,
        "three recipes for each of four crates, not {count}"
    );
}

#[test]
fn an_excerpt_may_be_moved_but_not_changed() {
    let example = "fn main() {\n    if a {\n\n        b();\n    }\n}\n";
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(stands_in(&lines("if a {\n\n    b();\n}"), example));
    assert!(!stands_in(&lines("if a {\n\n    c();\n}"), example));
    assert!(!stands_in(&lines("if a {\n\nb();\n}"), example));
    let page = "# P\n\n## [A](../a.rs)\n\n```rust\nb();\n```\n\n```sh\nls\n```\n";
    assert_eq!(
        excerpts(page),
        [Excerpt {
            file: "../a.rs".to_owned(),
            text: vec!["b();".to_owned()]
        }]
    );
}
