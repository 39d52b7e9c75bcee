"""`nb.retry_at` is heard also where there is no retry, and never goes beyond a limit."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import nbtasks as nb
from nbtasks.core import clock
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[Any]:
    def flaky() -> str:
        world.called()
        if nb.current_task().attempt < 4:
            raise ConnectionError("not yet")
        return "ok"

    def limited() -> str:
        world.called()
        raise ConnectionError("never")

    answers = (
        nb.retry_at(30),
        nb.retry_at(timedelta(minutes=1)),
        nb.retry_at(clock.at(clock.micros()) + timedelta(hours=1)),
    )
    got: list[Any] = [
        await io.run_task("flaky", flaky, on_error=lambda _, task: answers[task.attempt - 1])
    ]
    try:
        await io.run_task("limited", limited, retry=2, on_error=lambda *_: nb.retry_at(5))
    except nb.TaskFailed as error:
        got.append(error.type)
    return got


EXPECT = Expect(
    output=["ok", "ConnectionError"],
    calls={"flaky": 4, "limited": 2},
    statuses={"flaky": "COMPLETED", "limited": "FAILED"},
    seconds=3605,
)
