"""Ticks boards with the peer's own `dispatch_once`, in one process, because its import is slow.

Standard input: one JSON object per line, {"db", "board", "now", "options", "waits"}. Standard output: one per line,
{"spawned": [[task, skills]], "error": text or null}. The clock says what the line says. A worker is what its task's title asks for:
"raise: TEXT" fails to start, "run: SCRIPT" is a real process, and any other one is a process id that nobody has.
"""

import json
import os
import sys
import time
import types
from pathlib import Path

import hermes_cli.kanban_db as kb

NOBODY = 5_000_000


def wait_for(children):
    """Waits until the children have ended, and leaves them for the tick to find."""
    for pid in children:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def main():
    clock = {"now": 0}
    kb.time = types.SimpleNamespace(
        time=lambda: float(clock["now"]),
        sleep=lambda _: time.sleep(0.02),
        monotonic=time.monotonic,
        perf_counter=time.perf_counter,
        strftime=time.strftime,
        localtime=time.localtime,
        gmtime=time.gmtime,
    )
    children = []
    for line in sys.stdin:
        job = json.loads(line)
        clock["now"] = job["now"]
        spawned = []

        def spawn(task, workspace, board=None):
            title = task.title
            if title.startswith("raise: "):
                raise RuntimeError(title[7:])
            spawned.append([task.id, task.skills or []])
            if not title.startswith("run: "):
                return NOBODY + len(spawned)
            pid = os.fork()
            if pid == 0:
                os.setsid()
                os.execvp("sh", ["sh", "-c", title[5:]])
            children.append(pid)
            return pid

        # By the environment, which it asks for every claim; its argument is for new ones only.
        os.environ["HERMES_KANBAN_CLAIM_TTL_SECONDS"] = str(job["options"].pop("ttl_seconds", 900))
        wait_for(children)
        children.clear()
        error = None
        conn = kb.connect(Path(job["db"]))
        try:
            kb.dispatch_once(conn, spawn_fn=spawn, board=job["board"], **job["options"])
        except Exception as exc:
            error = f"{type(exc).__name__}: {exc}"
        finally:
            conn.close()
        print(json.dumps({"spawned": spawned, "error": error}), flush=True)


main()
