//! What a verb answers once it has written: by then it has happened, whatever becomes of the answer.

use kanban_dispatcher::{DispatcherState, Released, Slug, Status, Store, Summary};
use serde::Serialize;

use crate::exit::{Code, Failure};
use crate::output::{self, say};
use crate::place::Place;

/// A document's content, and the board it is about.
#[derive(Serialize)]
pub(crate) struct On<T> {
    pub(crate) board: Slug,
    #[serde(flatten)]
    pub(crate) content: T,
}

/// One verb's answer.
#[derive(Debug)]
pub(crate) struct Told<'a> {
    /// The document's name.
    pub(crate) schema: &'static str,
    /// The task it is about.
    pub(crate) id: &'a str,
    /// The same in words.
    pub(crate) words: String,
    /// Whether a document is asked for.
    pub(crate) json: bool,
}

#[derive(Serialize)]
struct Changed {
    #[serde(flatten)]
    task: Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    released: Option<Claim>,
}

/// A claim that was taken away.
#[derive(Serialize)]
struct Claim {
    claim_lock: Option<String>,
    worker_pid: Option<i64>,
    /// A dispatcher is there that stops the worker.
    is_stopped: bool,
}

impl Told<'_> {
    /// Says it: the words to standard error, or the task as a document to standard output.
    pub(crate) fn end(&self, store: &Store) -> Code {
        if self.json {
            self.document(store, None);
        } else {
            say(&self.words);
        }
        Code::Done
    }

    /// The same of a verb that may have taken a claim away, and what becomes of the worker.
    pub(crate) fn end_with(
        &self,
        store: &Store,
        released: Option<Released>,
        place: &Place,
    ) -> Code {
        let is_stopped = released.as_ref().is_some_and(|released| {
            released.is_of_this_host() && released.pid.is_some() && has_dispatcher(place)
        });
        if self.json {
            let claim = released.map(|Released { lock, pid, .. }| Claim {
                claim_lock: lock,
                worker_pid: pid,
                is_stopped,
            });
            self.document(store, claim);
            return Code::Done;
        }
        say(&self.words);
        if let Some(released) = &released {
            say(&format!("  {}", fate(released, is_stopped)));
        }
        Code::Done
    }

    /// It is done by now: an answer that cannot be given is no reason to do it again, so it is no failure.
    fn document(&self, store: &Store, released: Option<Claim>) {
        let written = store
            .show(self.id)
            .map_err(Failure::from)
            .and_then(|detail| {
                let content = On {
                    board: store.slug().clone(),
                    content: Changed {
                        task: detail.task,
                        released,
                    },
                };
                output::document(self.schema, content)
            });
        if let Err(failure) = written {
            unheard(&self.words, &failure);
        }
    }
}

/// What was done, to standard error, because standard output did not take it.
pub(crate) fn unheard(words: &str, failure: &Failure) {
    say(&format!(
        "kanban: {words}; only the answer failed to {}",
        failure.what()
    ));
}

fn fate(released: &Released, is_stopped: bool) -> String {
    let Some(pid) = released.pid else {
        return "no worker was known to be at it".to_owned();
    };
    if is_stopped {
        format!("its worker (pid {pid}) is stopped by the dispatcher at its next tick")
    } else if released.is_of_this_host() {
        format!(
            "no dispatcher runs here: its worker (pid {pid}) goes on until `kanban run` starts; what it reports is refused"
        )
    } else {
        let lock = released.lock.as_deref().unwrap_or("nobody");
        format!(
            "its worker (pid {pid}) was started by another program, {}, and goes on; what it reports is refused",
            output::plain(lock)
        )
    }
}

fn has_dispatcher(place: &Place) -> bool {
    let status = Status::read(&place.root, &place.clock);
    status.is_ok_and(|status| status.dispatcher.state == DispatcherState::Serving)
}
