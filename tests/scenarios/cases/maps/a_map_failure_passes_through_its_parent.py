"""Also the parent's failure is a MapFailed that knows the items, now and when it is replayed."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[Any]:
    def parse(text: str) -> int:
        world.called()
        return int(text)

    async def stage() -> list[int]:
        world.called()
        return await world.io().map(
            "parse", parse, ["1", "two"], key_of=lambda text: text, concurrency=1
        )

    try:
        await io.run_task("stage", stage)
    except nb.MapFailed as error:
        await io.run_task("after", world.returning(None))
        return [error.path, error.succeeded, [failed.path for failed in error.failed.values()]]
    return []


EXPECT = Expect(
    output=["stage/parse", {0: 1}, ["stage/parse/two"]],
    calls={"stage": 1, "stage/parse/1": 1, "stage/parse/two": 1, "after": 1},
    statuses={
        "stage": "FAILED",
        "stage/parse": "FAILED",
        "stage/parse/1": "COMPLETED",
        "stage/parse/two": "FAILED",
        "after": "COMPLETED",
    },
)
