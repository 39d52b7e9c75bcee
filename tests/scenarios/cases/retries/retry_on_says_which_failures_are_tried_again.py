"""A failure that `retry_on` does not name is final at once."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World

RETRY = nb.Retry(3, min_delay=10, jitter=False)


async def body(io: Any, world: World) -> list[Any]:
    def named() -> int:
        world.called()
        if nb.current_task().attempt < 3:
            raise ConnectionResetError("named by its base class")
        return 1

    def other() -> int:
        world.called()
        raise KeyError("not named")

    got: list[Any] = [
        await io.run_task("named", named, retry=RETRY, retry_on=(OSError, ValueError))
    ]
    try:
        await io.run_task("other", other, retry=RETRY, retry_on=OSError)
    except KeyError as error:
        assert isinstance(error, nb.TaskFailed)
        got.append(error.type)
    return got


EXPECT = Expect(
    output=[1, "KeyError"],
    calls={"named": 3, "other": 1},
    statuses={"named": "COMPLETED", "other": "FAILED"},
    seconds=28,
)
