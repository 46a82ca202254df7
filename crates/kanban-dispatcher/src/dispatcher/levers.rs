//! What an operator asked for in another process, looked up before each tick.

use std::sync::Arc;

use super::{Dispatcher, Home};
use crate::ledger::levers::{Pauses, Request};
use crate::root::Slug;

impl Dispatcher {
    /// Reads the pauses and does what is requested. Without a ledger the pauses that are known stay in force.
    pub(super) fn pull_levers(&mut self) {
        let read = self.site.ledger.pauses(&self.pauses, self.mark.as_ref());
        if let Some((pauses, mark)) = read {
            log_changes(&self.pauses, &pauses);
            self.pauses = Arc::new(pauses);
            self.mark = Some(mark);
        }
        for (slug, request) in self.site.ledger.take_requests() {
            self.serve(&slug, request);
        }
    }

    fn serve(&mut self, slug: &Slug, request: Request) {
        let resilience = &self.site.resilience;
        match request {
            Request::Release => {
                let rested = match self.states.get_mut(slug) {
                    Some(Home::In(state)) => state.release(),
                    // Its turn goes on: when it comes back.
                    Some(Home::Out { is_released, .. }) => !std::mem::replace(is_released, true),
                    None => false,
                };
                self.site.ledger.keep_breaker(slug, None);
                if resilience.quarantine.release(slug) || rested {
                    tracing::info!(board = %slug, "board is released by an operator");
                }
            }
            Request::Repair => {
                resilience.gate.retain(|key| key.slug != *slug);
                resilience.quarantine.release(slug);
                tracing::info!(board = %slug, "one more repair is allowed by an operator");
            }
        }
    }
}

fn log_changes(before: &Pauses, after: &Pauses) {
    for (slug, pause) in after {
        if !before.contains_key(slug) {
            let reason = pause.reason.as_deref();
            tracing::info!(board = %slug, reason, since = pause.since, "board is paused by an operator");
        }
    }
    for slug in before.keys().filter(|slug| !after.contains_key(*slug)) {
        tracing::info!(board = %slug, "board is resumed by an operator");
    }
}
