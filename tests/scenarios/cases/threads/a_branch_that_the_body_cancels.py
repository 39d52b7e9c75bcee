"""Its task is canceled, and the body goes on."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> str:
    branch = asyncio.ensure_future(io.wait("too long", 3600))
    found = await io.run_task("quick", world.returning("enough"))
    await asyncio.sleep(0)
    branch.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await branch
    assert branch.cancelled()
    return await io.run_task("after", world.returning(found))


EXPECT = Expect(
    output="enough",
    calls={"quick": 1, "after": 1},
    statuses={"quick": "COMPLETED", "too long": "CANCELED", "after": "COMPLETED"},
    sync=False,
)
