"""Options from `nb.task` hold wherever the function runs; those of a call win."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from nbtasks.core import clock
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[str]:
    @nb.task(retry=nb.Retry(3, min_delay=1, jitter=False), retry_on=OSError, timeout=30)
    def marked(seconds: int, error: Exception | None) -> str:
        world.called()
        if error is not None:
            raise error
        if nb.current_task().attempt == 1:
            clock.current().advance(seconds)  # type: ignore[attr-defined]  # of the FakeClock
        return "ok"

    got = [
        await io.run_task("late", marked, 60, None),  # a TimeoutError is an OSError
        await io.run_task("has the time", marked, 60, None, timeout=90),
    ]
    try:
        await io.run_task("not named", marked, 0, KeyError())
    except KeyError:
        got.append("failed")
    return got


EXPECT = Expect(
    output=["ok", "ok", "failed"],
    calls={"late": 2, "has the time": 1, "not named": 1},
    statuses={"late": "COMPLETED", "has the time": "COMPLETED", "not named": "FAILED"},
    seconds=121,
)
