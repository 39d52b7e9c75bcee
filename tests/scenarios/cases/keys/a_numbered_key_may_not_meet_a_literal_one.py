"""A key that somebody wrote out is no number of another: using both is using one twice."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> str:
    await io.run_task(nb.numbered("poll"), world.returning(1))
    await io.run_task("poll#2", world.returning(2))
    try:
        await io.run_task(nb.numbered("poll"), world.returning(3))
    except nb.DuplicateKeyError as error:
        return str(error).partition(":")[0]
    return "nothing"


EXPECT = Expect(
    output="Task key 'poll#2' is used twice",
    calls={"poll": 1, "poll#2": 1},
    statuses={"poll": "COMPLETED", "poll#2": "COMPLETED"},
)
