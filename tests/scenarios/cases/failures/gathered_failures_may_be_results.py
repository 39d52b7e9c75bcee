"""asyncio.gather(..., return_exceptions=True): the failures are caught, so they are final."""

from __future__ import annotations

import asyncio
from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[Any]:
    async def parse(text: str) -> int:
        world.called()
        return int(text)

    texts = ["1", "two", "3", "four"]
    found = await asyncio.gather(
        *(io.run_task(["parse", text], parse, text) for text in texts), return_exceptions=True
    )
    bad = [e.path for e in found if isinstance(e, nb.TaskFailed) and isinstance(e, ValueError)]
    good = [n for n in found if isinstance(n, int)]
    return await io.run_task("note", world.returning([good, bad]))


PATHS = {"parse[1]": "COMPLETED", "parse[two]": "FAILED",
         "parse[3]": "COMPLETED", "parse[four]": "FAILED"}  # fmt: skip
EXPECT = Expect(
    output=[[1, 3], ["parse[two]", "parse[four]"]],
    calls=dict.fromkeys([*PATHS, "note"], 1),
    statuses={**PATHS, "note": "COMPLETED"},
    sync=False,
)
