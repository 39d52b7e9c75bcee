"""Tools for testing your own jobs: a clock that jumps, tasks with predefined values, processes that
crash at any write.

```python
import nbtasks as nb
from nbtasks.testing import run_job


def load(day: str) -> list[int]: ...  # asks a database that no test should ask


@nb.job("testing-example")
def report(payload: str, io: nb.SyncIO) -> int:
    rows = io.run_task("load", load, payload)
    io.wait("until the others are done", 3 * 60 * 60)
    return io.run_task("sum", sum, rows)


run = run_job(report, "2013-01-01", tasks={"load": [1, 2, 3]})
assert run.output == 6
```
"""

from __future__ import annotations

from nbtasks.testing.always_replay import always_replay
from nbtasks.testing.clock import FakeClock
from nbtasks.testing.crashing import CrashingJournal
from nbtasks.testing.journals import Crash, use_journal
from nbtasks.testing.replay_history import ReplayError
from nbtasks.testing.run_job import run_job

__all__ = [
    "Crash",
    "CrashingJournal",
    "FakeClock",
    "ReplayError",
    "always_replay",
    "run_job",
    "use_journal",
]
