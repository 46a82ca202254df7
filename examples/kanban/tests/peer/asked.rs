//! Many commands for the peer in one process of it: its own argument parser and its own handlers, without a start for each.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde_json::{Value, json};

use super::house::{House, Result};

const PROGRAM: &str = r#"
import argparse, contextlib, io, json, os, sys
from hermes_cli import kanban, kanban_db
parser = argparse.ArgumentParser()
kanban.build_parser(parser.add_subparsers())
for line in sys.stdin:
    asked = json.loads(line)
    asked["vars"].setdefault("HERMES_PROFILE", sys.argv[1])
    os.environ.update(asked["vars"])
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            if "call" in asked:
                with kanban_db.connect_closing() as db:
                    answer = getattr(kanban_db, asked["call"])(db, *asked["args"], **asked["with"])
                code = 0 if answer else 1
            else:
                code = kanban.kanban_command(parser.parse_args(["kanban", *asked["args"]]))
        except BaseException as error:
            code = 70
            print(repr(error))
    for name in asked["vars"]:
        del os.environ[name]
    print(json.dumps({"code": code, "said": said.getvalue()}), flush=True)
"#;

/// The peer, listening.
#[derive(Debug)]
pub(crate) struct Asked {
    child: Child,
    ask: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Asked {
    /// On this installation, speaking as `profile`.
    pub(crate) fn start(house: &House, profile: &str) -> Result<Self> {
        let mut command = house.python(PROGRAM)?;
        command.arg(profile);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let (ask, answers) = (child.stdin.take(), child.stdout.take());
        Ok(Self {
            ask,
            answers: BufReader::new(answers.ok_or("no output")?),
            child,
        })
    }

    /// Its code, 0 for "done", and what it said.
    pub(crate) fn ask(&mut self, vars: &[(&str, &str)], args: &[&str]) -> Result<(i64, String)> {
        let vars: Value = vars
            .iter()
            .map(|(k, v)| (k.to_string(), json!(v)))
            .collect();
        let answer = self.answer(&json!({ "vars": vars, "args": args }))?;
        let said = answer["said"].as_str().unwrap_or_default().to_owned();
        Ok((answer["code"].as_i64().unwrap_or(-1), said))
    }

    /// Calls a function below its commands, about a task and as `ann`. Whether it did anything.
    pub(crate) fn call(&mut self, name: &str, id: &str, with: &Value) -> Result<bool> {
        let mut with = with.clone();
        with["author"] = "ann".into();
        let asked = json!({ "vars": {}, "call": name, "args": [id], "with": with });
        Ok(self.answer(&asked)?["code"] == 0)
    }

    fn answer(&mut self, asked: &Value) -> Result<Value> {
        let mut ask = self.ask.as_ref().ok_or("it was told to end")?;
        writeln!(ask, "{asked}")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        serde_json::from_str(&line).map_err(|error| format!("{asked}: {error}: {line:?}").into())
    }

    /// Asks for what must be done. What it said.
    pub(crate) fn done(&mut self, args: &[&str]) -> Result<String> {
        match self.ask(&[], args)? {
            (0, said) => Ok(said),
            other => Err(format!("hermes kanban {args:?}: {other:?}").into()),
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        // The end of its input is the end of its loop.
        drop(self.ask.take());
        let _ = self.child.wait();
    }
}
