//! A look, now and then, at what other programs do to the boards' files.

use std::time::Duration;

use super::{Dispatcher, Home};
use crate::risk::deleted_logs;

/// It reads every descriptor of every process of this user: seldom.
const LOOK_EVERY: Duration = Duration::from_secs(60);

impl Dispatcher {
    /// Notes which boards are at risk, and tells it: one line a window.
    pub(super) fn look_for_risks(&mut self) {
        let now = self.site.clock.monotonic();
        let is_soon = |last: Duration| now.saturating_sub(last) < LOOK_EVERY;
        if self.looked_for_risks.is_some_and(is_soon) {
            return;
        }
        let boards = self.roster.served(&self.site.root);
        self.looked_for_risks = Some(now);
        let mut risks = deleted_logs(&boards);
        for (slug, home) in &mut self.states {
            let Home::In(state) = home else {
                continue;
            };
            let risk = risks.remove(slug);
            match &risk {
                Some(risk) => self.site.resilience.log_risk(slug, risk),
                None if state.risk.is_some() => {
                    tracing::info!(board = %slug, "no program works on a deleted log of it any more");
                }
                None => {}
            }
            if state.risk != risk {
                self.noted.push(slug.clone());
                state.risk = risk;
            }
        }
    }
}
