"""Script of a worker whose job notes when it starts: `listener.py HOME`.

For each line on its input, a number of events, it prints the instants at which their runs started
once they all have, in seconds since the epoch.
"""

from __future__ import annotations

import json
import sys
import threading
import time

import nbtasks as nb

_started: dict[int, float] = {}
_changed = threading.Condition()


def main(home: str) -> None:
    """Work until the input ends."""
    nb.configure(home=home)

    @nb.job("benchmark-listener", trigger=nb.event_trigger("heard"))
    def listener(payload: int) -> None:
        with _changed:
            _started[payload] = time.time()
            _changed.notify_all()

    nb.worker.start()
    print("ready", flush=True)
    for line in sys.stdin:
        with _changed:
            _changed.wait_for(lambda: len(_started) >= int(line))  # noqa: B023 - waited for at once
            print(json.dumps(_started), flush=True)
            _started.clear()
    nb.worker.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
