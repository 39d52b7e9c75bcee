"""The run ends with its body; nothing goes on behind its back."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> str:
    left = asyncio.ensure_future(io.wait("left alone", 3600))
    await asyncio.sleep(0)
    assert not left.done()
    return await io.run_task("one", world.returning("done"))


EXPECT = Expect(
    output="done",
    calls={"one": 1},
    statuses={"left alone": "CANCELED", "one": "COMPLETED"},
    sync=False,
)
