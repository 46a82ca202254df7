//! "Within two ticks", counted in ticks, so that a loaded machine fails nothing.

use super::{Case, Line, Result};

impl Case {
    /// Each of these boards gets a task, and starts it within two ticks.
    #[track_caller]
    pub(crate) fn start_within_two_ticks(&self, slugs: &[&str]) -> Result {
        self.start_soon_after(slugs, |case| {
            for slug in slugs {
                case.add(slug, "pulse")?;
            }
            Ok(())
        })
    }

    /// On each of these boards a worker starts within two ticks of the end of `what`.
    #[track_caller]
    pub(crate) fn start_soon_after(
        &self,
        slugs: &[&str],
        what: impl FnOnce(&Self) -> Result,
    ) -> Result {
        let before = self.lines()?.len();
        what(self)?;
        // Seen by the pass after the one under way at the latest.
        let limit = self.ticks()? + 2;
        for slug in slugs {
            let line = self.until(&format!("a start on {slug}"), |case| {
                let lines = case.lines()?;
                let is_it = |line: &&Line| line.board() == Some(slug) && line.started() > 0;
                let started = lines[before..].iter().find(is_it).cloned();
                started.ok_or_else(|| format!("{:#?}", &lines[before..]).into())
            })?;
            assert!(
                line.number("tick") <= limit,
                "{slug} started later than tick {limit}: {line:?}"
            );
        }
        Ok(())
    }

    /// The boards that nothing was done to do not notice.
    #[track_caller]
    pub(crate) fn others_go_on(&self) -> Result {
        self.start_within_two_ticks(&self.others())
    }
}
