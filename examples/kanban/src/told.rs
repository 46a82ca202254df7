//! What a verb answers once it has written: by then it has happened, whatever becomes of the answer.

use kanban_dispatcher::{DispatcherState, Released, Slug, Status, Store, Summary};
use serde::Serialize;
use serde_json::{Map, Value};

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

/// How a verb answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told<'a> {
    /// The document's name.
    pub(crate) schema: &'static str,
    /// Whether a document is asked for.
    pub(crate) json: bool,
    pub(crate) place: &'a Place,
}

/// What a verb did to a task.
#[derive(Debug, Default)]
pub(crate) struct Did {
    /// In words.
    words: String,
    /// A claim that was taken away.
    released: Option<Released>,
    /// The task as it was, if it is there no longer.
    gone: Option<Summary>,
    /// What else its document says.
    more: Map<String, Value>,
}

#[derive(Serialize)]
struct Changed {
    #[serde(flatten)]
    task: Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    released: Option<Claim>,
    #[serde(flatten)]
    more: Map<String, Value>,
}

/// A claim that was taken away.
#[derive(Serialize)]
struct Claim {
    claim_lock: Option<String>,
    worker_pid: Option<i64>,
    /// A dispatcher is there that stops the worker.
    is_stopped: bool,
}

// ===== impl Told =====

impl Told<'_> {
    /// Says it: the words to standard error, or the task as a document to standard output.
    ///
    /// It is done by now: an answer that cannot be given is no reason to do it again, so it is no failure.
    pub(crate) fn end(&self, store: &Store, id: &str, did: Did) -> Code {
        if !self.json {
            did.say(self.place);
            return Code::Done;
        }
        let words = did.words.clone();
        let written = did
            .document(store, id, self.place)
            .and_then(|content| output::document(self.schema, content));
        if let Err(failure) = written {
            unheard(&words, &failure);
        }
        Code::Done
    }
}

// ===== impl Did =====

impl From<String> for Did {
    fn from(words: String) -> Self {
        Self {
            words,
            ..Self::default()
        }
    }
}

impl Did {
    /// It may have taken a claim away.
    pub(crate) fn released(self, released: Option<Released>) -> Self {
        Self { released, ..self }
    }

    /// The task, as it was, is there no longer.
    pub(crate) fn gone(self, task: Summary) -> Self {
        Self {
            gone: Some(task),
            ..self
        }
    }

    /// One thing more for the document.
    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.more.insert(key.to_owned(), value.into());
        self
    }

    /// What was done.
    pub(crate) fn words(&self) -> &str {
        &self.words
    }

    pub(crate) fn say(&self, place: &Place) {
        say(&self.words);
        if let Some(released) = &self.released {
            say(&format!(
                "  {}",
                fate(released, is_stopped(released, place))
            ));
        }
    }

    /// The task as it is now, with what became of its claim.
    pub(crate) fn document(
        self,
        store: &Store,
        id: &str,
        place: &Place,
    ) -> Result<impl Serialize + use<>, Failure> {
        let released = self.released.map(|released| Claim {
            is_stopped: is_stopped(&released, place),
            claim_lock: released.lock,
            worker_pid: released.pid,
        });
        let task = match self.gone {
            Some(task) => task,
            None => store.show(id)?.task,
        };
        Ok(On {
            board: store.slug().clone(),
            content: Changed {
                task,
                released,
                more: self.more,
            },
        })
    }
}

/// What was done, to standard error, because standard output did not take it.
pub(crate) fn unheard(words: &str, failure: &Failure) {
    say(&format!(
        "kanban: {words}; only the answer failed to {}",
        failure.what()
    ));
}

fn is_stopped(released: &Released, place: &Place) -> bool {
    released.is_of_this_host() && released.pid.is_some() && has_dispatcher(place)
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
