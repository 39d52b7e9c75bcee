"""A loop may use one key: each call has its own number, and its own answer."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[Any]:
    answers = [await io.run_task(nb.numbered("poll"), world.returning(n)) for n in range(3)]
    other = await io.run_task(nb.numbered("other"), world.returning("once"))
    await io.wait(nb.numbered("poll"), 5)
    return [*answers, other]


EXPECT = Expect(
    output=[0, 1, 2, "once"],
    calls={"poll": 1, "poll#2": 1, "poll#3": 1, "other": 1},
    statuses={
        "poll": "COMPLETED",
        "poll#2": "COMPLETED",
        "poll#3": "COMPLETED",
        "other": "COMPLETED",
        "poll#4": "COMPLETED",
    },
    seconds=5,
)
