"""Before anything runs or is recorded; the body may go on."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World

BAD: list[Any] = [
    "", [], None, 1.5, True, ["a", None], [True], [["a"]], {"a": 1}, b"a", "\ud83d",
]  # fmt: skip


async def body(io: Any, world: World) -> int:
    refused = 0
    for key in BAD:
        try:
            await io.run_task(key, world.returning(key))
        except nb.InvalidKeyError:
            refused += 1
    return await io.run_task("good", world.returning(refused))


EXPECT = Expect(output=len(BAD), calls={"good": 1}, statuses={"good": "COMPLETED"})
