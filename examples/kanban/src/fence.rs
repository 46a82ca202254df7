//! What a worker may write: its own task, and only while its attempt is the current one.

use std::env;
use std::ffi::OsStr;

use kanban_dispatcher::{Board, Slug};

use crate::cli::TaskRef;
use crate::exit::{Code, Failure};
use crate::place::variable;

/// Seconds that a claim is renewed for, unless the environment says otherwise.
const CLAIM_TTL: i64 = 900;

/// On whose behalf a write is made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fence {
    /// The attempt that must still be the current one; `None` is a person.
    pub(crate) run: Option<i64>,
    /// A worker's claim and for how long to renew it.
    pub(crate) claim: Option<(String, i64)>,
}

impl Fence {
    /// Who writes to `task`: a worker is known by `HERMES_KANBAN_TASK`; `run` is what was said about the attempt.
    pub(crate) fn of(task: &TaskRef, board: &Board, run: Option<i64>) -> Result<Self, Failure> {
        for name in ["HERMES_KANBAN_TASK", "HERMES_KANBAN_RUN_ID"] {
            readable(name, env::var_os(name).as_deref())?;
        }
        Self::read(task, board.slug(), run, variable)
    }

    fn read(
        task: &TaskRef,
        board: &Slug,
        run: Option<i64>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Failure> {
        let Some(own) = variable("HERMES_KANBAN_TASK") else {
            return Ok(Self { run, claim: None });
        };
        let home = variable("HERMES_KANBAN_BOARD").and_then(|text| text.parse::<Slug>().ok());
        if own != task.id || home.as_ref().is_some_and(|home| home != board) {
            let what = format!(
                "write to task {}: this is the worker of task {own}, and a worker writes to its own task only",
                task.id
            );
            return Err(Failure::new(
                Code::Failed,
                what,
                "HERMES_KANBAN_TASK says whose worker",
            ));
        }
        let run = match (run, variable("HERMES_KANBAN_RUN_ID")) {
            (None, Some(text)) => Some(number("HERMES_KANBAN_RUN_ID", &text)?),
            (run, _) => run,
        };
        let ttl = match variable("HERMES_KANBAN_CLAIM_TTL_SECONDS") {
            // As the peer: anything but a positive number means the default.
            Some(text) => text
                .parse()
                .ok()
                .filter(|ttl| *ttl > 0)
                .unwrap_or(CLAIM_TTL),
            None => CLAIM_TTL,
        };
        let claim = variable("HERMES_KANBAN_CLAIM_LOCK").map(|lock| (lock, ttl));
        Ok(Self { run, claim })
    }
}

/// A worker whose fence is there and says nothing is not a person.
fn readable(name: &str, value: Option<&OsStr>) -> Result<(), Failure> {
    let text = value.map(|value| value.to_str().unwrap_or_default());
    if text.is_none_or(|text| !text.trim().is_empty()) {
        return Ok(());
    }
    let what = format!("read {name}: it is empty or no text");
    Err(Failure::new(
        Code::Failed,
        what,
        "unset it to write as a person",
    ))
}

/// A fence that cannot be read keeps everybody out.
fn number(name: &str, text: &str) -> Result<i64, Failure> {
    text.parse().map_err(|_| {
        let what = format!("read {name}: \"{text}\" is not the number of an attempt");
        Failure::new(Code::Failed, what, "--run N says it instead")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fence(env: &[(&str, &str)], task: &str, run: Option<i64>) -> Result<Fence, Failure> {
        Fence::read(&task.parse().unwrap(), &Slug::default(), run, |name| {
            env.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_person_is_not_fenced_unless_an_attempt_is_named() {
        assert_eq!(
            fence(&[], "t_1", None).unwrap(),
            Fence {
                run: None,
                claim: None
            }
        );
        assert_eq!(fence(&[], "t_1", Some(7)).unwrap().run, Some(7));
    }

    #[test]
    fn a_worker_speaks_for_its_attempt_and_renews_its_claim() {
        let mut env = vec![
            ("HERMES_KANBAN_TASK", "t_1"),
            ("HERMES_KANBAN_RUN_ID", "3"),
            ("HERMES_KANBAN_CLAIM_LOCK", "host:1"),
        ];
        let claim = |ttl| Some(("host:1".to_owned(), ttl));
        let found = fence(&env, "t_1", None).unwrap();
        assert_eq!(
            found,
            Fence {
                run: Some(3),
                claim: claim(CLAIM_TTL)
            }
        );
        assert_eq!(fence(&env, "t_1", Some(9)).unwrap().run, Some(9));
        env.push(("HERMES_KANBAN_CLAIM_TTL_SECONDS", "60"));
        assert_eq!(fence(&env, "t_1", None).unwrap().claim, claim(60));
    }

    #[test]
    fn a_worker_writes_to_its_own_task_only() {
        let own = ("HERMES_KANBAN_TASK", "t_1");
        assert!(fence(&[own], "t_2", Some(1)).is_err());
        assert!(fence(&[own, ("HERMES_KANBAN_BOARD", "shop")], "t_1", None).is_err());
        assert!(fence(&[own, ("HERMES_KANBAN_BOARD", "default")], "t_1", None).is_ok());
        assert!(fence(&[own, ("HERMES_KANBAN_RUN_ID", "three")], "t_1", None).is_err());
    }

    #[test]
    fn a_fence_that_is_there_and_says_nothing_is_no_person() {
        use std::os::unix::ffi::OsStrExt;
        let read = |bytes: &[u8]| readable("X", Some(OsStr::from_bytes(bytes)));
        assert!(readable("X", None).is_ok() && read(b"3").is_ok());
        assert!(read(b"").is_err() && read(b" ").is_err() && read(b"\xff").is_err());
    }
}
