# One of the peer's writers: a wish per line comes in, what came of it goes out.
import json
import sys

from hermes_cli import kanban_db as kb


def fulfil(connection, wish):
    task, token = wish.get("task"), wish["token"]
    match wish["verb"]:
        case "create":
            return kb.create_task(
                connection,
                title=token,
                assignee="anyone",
                priority=wish["priority"],
                max_runtime_seconds=wish["max_runtime"],
                board=wish["board"],
            )
        case "comment":
            return kb.add_comment(connection, task, "peer", token)
        case "complete":
            return kb.complete_task(connection, task, summary=token)
        case "block":
            return kb.block_task(connection, task, reason=token, kind="needs_input")
        case "unblock":
            return kb.unblock_task(connection, task)
        case "reclaim":
            return kb.reclaim_task(connection, task, reason=token)


for line in sys.stdin:
    wish = json.loads(line)
    try:
        connection = kb.connect(board=wish["board"])
        try:
            answer = {"done": fulfil(connection, wish)}
        finally:
            connection.close()
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"[:200]}
    print(json.dumps(answer), flush=True)
