"""Each parent's failure names the innermost task, and is caused by that of its subtask."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[Any]:
    async def outer() -> None:
        world.called()
        await world.io().run_task("middle", middle)

    async def middle() -> None:
        world.called()
        await world.io().run_task("inner", inner, retry=nb.Retry(2, jitter=False))

    def inner() -> None:
        world.called()
        raise ZeroDivisionError("deep down")

    links: list[Any] = []
    try:
        await io.run_task("outer", outer)
    except ZeroDivisionError as error:
        link: BaseException | None = error
        while link is not None:
            assert isinstance(link, nb.TaskFailed)
            assert isinstance(link, ZeroDivisionError)
            links.append([link.path, link.type, link.message])
            link = link.__cause__
    return await io.run_task("note", world.returning(links))


EXPECT = Expect(
    output=[["outer/middle/inner", "ZeroDivisionError", "deep down"]] * 3,
    calls={"outer": 1, "outer/middle": 1, "outer/middle/inner": 2, "note": 1},
    statuses={
        "outer": "FAILED",
        "outer/middle": "FAILED",
        "outer/middle/inner": "FAILED",
        "note": "COMPLETED",
    },
    seconds=1,
)
