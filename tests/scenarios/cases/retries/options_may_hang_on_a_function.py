"""Options from `nb.task` hold wherever the function runs; those of a call win."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[int]:
    @nb.task(name="Flaky", retry=nb.Retry(3, min_delay=5, factor=1, jitter=False))
    def flaky() -> int:
        world.called()
        task = nb.current_task()
        # an interrupted attempt counts, too, so the second one must not depend on the number
        if task.attempt < 3 or task.key == "as the call says":
            raise ConnectionError("not yet")
        return 3

    found = [await io.run_task("as it says", flaky)]
    try:
        await io.run_task("as the call says", flaky, retry=2)
    except ConnectionError:
        found.append(2)
    return found


EXPECT = Expect(
    output=[3, 2],
    calls={"as it says": 3, "as the call says": 2},
    statuses={"as it says": "COMPLETED", "as the call says": "FAILED"},
    seconds=10 + 1,
)
