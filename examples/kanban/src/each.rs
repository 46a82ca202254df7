//! A verb on one task, or on several: then each is a transaction of its own and has its own fate.

use kanban_dispatcher::Store;
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::TaskRef;
use crate::exit::{self, Code, Failure};
use crate::fence::Fence;
use crate::output;
use crate::told::{Did, Told, unheard};

#[derive(Serialize)]
struct Fates {
    tasks: Vec<Value>,
}

impl Told<'_> {
    /// Does it to one task, on whose behalf it may be done. The fence is asked first: a refused worker opens nothing.
    pub(crate) fn one(
        &self,
        task: &TaskRef,
        run: Option<i64>,
        verb: impl FnOnce(&mut Store, &str, &Fence) -> Result<Did, Failure>,
    ) -> Result<Code, Failure> {
        let (store, did) = self.done(task, run, verb)?;
        Ok(self.end(&store, &task.id, did))
    }

    /// The same to each of several tasks, in their order and once each. One that fails keeps no other from it, and the
    /// exit code is 1 then.
    pub(crate) fn each(
        &self,
        tasks: &[TaskRef],
        run: Option<i64>,
        mut verb: impl FnMut(&mut Store, &str, &Fence) -> Result<Did, Failure>,
    ) -> Result<Code, Failure> {
        let mut once: Vec<&TaskRef> = Vec::new();
        for task in tasks {
            if !once.contains(&task) {
                once.push(task);
            }
        }
        if let [task] = once[..] {
            return self.one(task, run, verb);
        }
        if run.is_some() {
            let what = "speak for one attempt on several tasks";
            return Err(Failure::new(Code::Usage, what, "--run goes with one ID"));
        }
        let (mut code, mut fates, mut words) = (Code::Done, Vec::new(), Vec::new());
        for task in once {
            let fate = match self.done(task, None, &mut verb) {
                Ok((store, did)) => {
                    words.push(did.words().to_owned());
                    self.fate(&store, task, did)
                }
                Err(failure) => {
                    code = Code::Failed;
                    let error = format!("failed to {}", failure.what());
                    exit::tell(failure);
                    let board = task.board.clone();
                    let board = board.unwrap_or_else(|| self.place.current());
                    json!({ "id": task.id, "board": board, "done": false, "error": error })
                }
            };
            fates.push(fate);
        }
        if self.json
            && let Err(failure) = output::document(self.schema, Fates { tasks: fates })
        {
            unheard(&words.join(", "), &failure);
        }
        Ok(code)
    }

    /// The same without an answer yet.
    pub(crate) fn done<T>(
        &self,
        task: &TaskRef,
        run: Option<i64>,
        verb: impl FnOnce(&mut Store, &str, &Fence) -> Result<T, Failure>,
    ) -> Result<(Store, T), Failure> {
        let board = self.place.board_of(task)?;
        let fence = Fence::of(task, &board, run)?;
        let mut store = self.place.open(&board)?;
        let did = verb(&mut store, &task.id, &fence)?;
        Ok((store, did))
    }

    /// What became of one of several: said, or a part of the document.
    fn fate(&self, store: &Store, task: &TaskRef, did: Did) -> Value {
        if !self.json {
            did.say(self.place);
            return Value::Null;
        }
        let did = did.with("done", true);
        let words = did.words().to_owned();
        let content = did
            .document(store, &task.id, self.place)
            .and_then(|content| {
                serde_json::to_value(content).map_err(|e| Failure::output(&e.into()))
            });
        content.unwrap_or_else(|failure| {
            unheard(&words, &failure);
            json!({ "id": task.id, "board": store.slug(), "done": true })
        })
    }
}
