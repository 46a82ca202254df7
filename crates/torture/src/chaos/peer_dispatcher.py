# The peer's dispatcher, as its gateway runs it: every board in turn, each with a connection of its own.
import sys
import time

from hermes_cli import kanban_db as kb

boards, interval, running_max = sys.argv[1].split(","), float(sys.argv[2]), int(sys.argv[3])
while True:
    for board in boards:
        try:
            connection = kb.connect(board=board)
            try:
                kb.dispatch_once(connection, board=board, max_in_progress=running_max, stale_timeout_seconds=14400)
            finally:
                connection.close()
        except Exception as error:
            print(board, type(error).__name__, str(error)[:200], file=sys.stderr, flush=True)
    time.sleep(interval)
