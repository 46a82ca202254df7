//! What an operator asked for in another process, looked up before each tick.

use std::sync::Arc;

use super::{Dispatcher, Home};
use crate::ledger::levers::{Pauses, Read, Request};
use crate::root::Slug;

impl Dispatcher {
    /// Reads the pauses and does what is requested. Without a ledger the pauses that are known stay in force.
    pub(super) fn pull_levers(&mut self) {
        let (root, ledger) = (&self.site.root, &self.site.ledger);
        // Before they are read: what is written meanwhile is news to the next tick.
        let version = ledger.version();
        if version != self.levers_at {
            self.told.doubt();
        }
        // A pause can also end by what happens to its board.
        if version.is_some() && version == self.levers_at && self.pauses.is_empty() {
            return;
        }
        let read = ledger.pauses(root, &self.pauses, self.mark.as_ref());
        let requests = ledger.take_requests();
        let is_all = read.is_some() && requests.is_some();
        self.levers_at = version.filter(|_| is_all);
        if let Some(read) = read {
            for slug in &read.ended {
                tracing::info!(board = %slug, "board was made anew: the pause of the one before is over");
            }
            log_changes(&self.pauses, &read);
            for slug in changed(&self.pauses, &read.pauses) {
                self.roster.wake(slug);
            }
            self.pauses = Arc::new(read.pauses);
            self.mark = Some(read.mark);
        }
        for (slug, request) in requests.into_iter().flatten() {
            self.serve(&slug, request);
        }
    }

    fn serve(&mut self, slug: &Slug, request: Request) {
        self.roster.ask_for(slug);
        let resilience = &self.site.resilience;
        match request {
            Request::Release => {
                let rested = match self.states.get_mut(slug) {
                    Some(Home::In(state)) => state.release(),
                    // Its turn goes on: when it comes back.
                    Some(Home::Out { is_released, .. }) => !std::mem::replace(is_released, true),
                    None => false,
                };
                self.site.ledger.keep_breaker(&self.site.root, slug, None);
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

/// The boards whose pause has begun, ended or changed.
fn changed<'p>(before: &'p Pauses, after: &'p Pauses) -> impl Iterator<Item = &'p Slug> {
    let slugs = before.keys().chain(after.keys());
    slugs.filter(|slug| before.get(*slug) != after.get(*slug))
}

fn log_changes(before: &Pauses, read: &Read) {
    let after = &read.pauses;
    for (slug, pause) in after {
        if !before.contains_key(slug) {
            let reason = pause.reason.as_deref();
            tracing::info!(board = %slug, reason, since = pause.since, "board is paused by an operator");
        }
    }
    let is_over = |slug: &&Slug| !after.contains_key(*slug) && !read.ended.contains(slug);
    for slug in before.keys().filter(is_over) {
        tracing::info!(board = %slug, "board is resumed by an operator");
    }
}
