"""Measures the peer's own `dispatch_once`, in one process, because its import is slow.

Standard input: one JSON object per line, {"job", ...}. Standard output: one answer per line.

- pass: one round over all boards, as its gateway makes one: list, open, dispatch, close, log what fails.
- claims: `ready` new tasks on one board, and one round over that board alone; the launcher refuses, or starts `true`.
"""

import io
import json
import logging
import os
import subprocess
import sys
import time

from hermes_cli import kanban_db as kb

log_text = io.StringIO()
logging.basicConfig(stream=log_text, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
log = logging.getLogger("gateway")


def refuse(task, workspace, board=None):
    raise RuntimeError("refused")


def start(task, workspace, board=None):
    return subprocess.Popen(["true"]).pid


def dispatch(slug, spawn=refuse):
    connection = None
    try:
        connection = kb.connect(board=slug)
        return kb.dispatch_once(connection, spawn_fn=spawn, board=slug, failure_limit=1000)
    except Exception:
        log.exception("dispatching board %s went wrong", slug)
        return None
    finally:
        if connection is not None:
            connection.close()


def measured(work):
    cpu, wall = time.process_time_ns(), time.perf_counter_ns()
    result = work()
    return result, time.process_time_ns() - cpu, time.perf_counter_ns() - wall


def one_pass(job):
    def work():
        boards = kb.list_boards(include_archived=False)
        for board in boards:
            dispatch(board["slug"])
        return len(boards)

    log_text.seek(0)
    log_text.truncate()
    boards, cpu, wall = measured(work)
    return {"boards": boards, "cpu": cpu, "wall": wall, "log": len(log_text.getvalue().encode())}


def feed(job):
    connection = kb.connect(board="default")
    for statement in job["sql"]:
        connection.execute(statement)
    connection.commit()
    connection.close()


def claims(job):
    feed(job)
    spawn = start if job["starts"] else refuse
    begun = time.perf_counter_ns()
    spent = []
    claim = kb.claim_task

    def timed(*args, **options):
        before = time.perf_counter_ns()
        if not spent:
            spent.append(before - begun)
        try:
            return claim(*args, **options)
        finally:
            spent.append(time.perf_counter_ns() - before)

    kb.claim_task = timed
    os.path.exists("/scale-marker/begin")
    result, cpu, wall = measured(lambda: dispatch("default", spawn))
    os.path.exists("/scale-marker/end")
    kb.claim_task = claim
    connection = kb.connect(board="default")
    count = connection.execute("SELECT count(*) FROM task_runs WHERE task_id LIKE 't_new%'").fetchone()[0]
    connection.close()
    return {"count": count, "claimed": sum(spent), "cpu": cpu, "wall": wall}


for line in sys.stdin:
    job = json.loads(line)
    print(json.dumps({"pass": one_pass, "claims": claims}[job["job"]](job)), flush=True)
