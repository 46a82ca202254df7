//! The place in docs/benchmarks.md that this program writes.

use std::fs;
use std::path::Path;

use crate::Result;

const BEGIN: &str = "<!-- begin: written by `cargo xtask scale --write` -->\n";
const END: &str = "<!-- end of scale -->";

/// Puts the tables between the markers.
pub(crate) fn write(page: &Path, tables: &str) -> Result {
    let text = fs::read_to_string(page)?;
    let place = place(&text).ok_or_else(|| format!("{} has no place for it", page.display()))?;
    let written = format!("{}\n{tables}\n{}", &text[..place.0], &text[place.1..]);
    Ok(fs::write(page, written)?)
}

/// Where it begins and ends.
fn place(text: &str) -> Option<(usize, usize)> {
    let begin = text.find(BEGIN)? + BEGIN.len();
    let end = begin + text[begin..].find(END)?;
    Some((begin, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_a_place_and_what_is_around_it_stays() -> Result {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/benchmarks.md");
        assert!(place(&fs::read_to_string(page)?).is_some());
        let dir = tempfile::tempdir()?;
        let page = dir.path().join("page.md");
        fs::write(&page, format!("before\n{BEGIN}old\n{END}\nafter\n"))?;
        write(&page, "new")?;
        assert_eq!(
            fs::read_to_string(&page)?,
            format!("before\n{BEGIN}\nnew\n{END}\nafter\n")
        );
        fs::write(&page, "no place")?;
        assert!(write(&page, "new").is_err());
        Ok(())
    }
}
