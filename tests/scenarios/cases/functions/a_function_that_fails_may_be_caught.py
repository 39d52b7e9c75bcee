"""A call of a task function fails as a call of io does, every time in the same way."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[str]:
    async def parse(text: str) -> int:
        world.called()
        return int(text)

    task = world.task(parse)
    found = []
    for text in ("1", "x", "2"):
        try:
            found.append(str(await task(text)))
        except ValueError as error:
            assert isinstance(error, nb.TaskFailed)
            found.append(error.path)
    return found


EXPECT = Expect(
    output=["1", "parse[x]", "2"],
    calls={"parse[1]": 1, "parse[x]": 1, "parse[2]": 1},
    statuses={"parse[1]": "COMPLETED", "parse[x]": "FAILED", "parse[2]": "COMPLETED"},
)
