//! The peer's gateway, as far as it dispatches: its own loop, with its own lock, as a process.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};

use super::house::{House, Result};

/// Runs the loop until its standard input ends; says when the loop is running, and when it has ended by itself.
const LOOP: &str = "
import asyncio, sys
from gateway.kanban_watchers import GatewayKanbanWatchersMixin

class Gateway(GatewayKanbanWatchersMixin):
    _running = True

async def main():
    gateway = Gateway()
    watcher = asyncio.create_task(gateway._kanban_dispatcher_watcher())
    end = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    done, _ = await asyncio.wait({watcher}, timeout=1)
    print('ended' if done else 'runs', flush=True)
    await end
    gateway._running = False
    await watcher

asyncio.run(main())
";

/// A gateway; killed when dropped.
#[derive(Debug)]
pub(crate) struct Gateway {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Gateway {
    /// Starts one whose workers are `hermes`.
    pub(crate) fn start(house: &House, hermes: &std::path::Path) -> Result<Self> {
        let mut child = house
            .python(LOOP)?
            .env("HERMES_BIN", hermes)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let output = BufReader::new(child.stdout.take().ok_or("no pipe")?);
        Ok(Self { child, output })
    }

    /// Whether it dispatches: one that finds the lock taken ends its loop at once, and for good.
    pub(crate) fn dispatches(&mut self) -> Result<bool> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        match line.trim() {
            "runs" => Ok(true),
            "ended" => Ok(false),
            other => Err(format!("the gateway said {other:?}").into()),
        }
    }

    /// As if the machine had run out of memory.
    pub(crate) fn kill(mut self) -> Result {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Harmless where it has ended; nothing is to be done about a failure in a test that is over.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
