"""It runs meanwhile, in an asyncio task of its own."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[int]:
    early = asyncio.ensure_future(io.run_task("early", world.returning(1)))
    found = [await io.run_task(["other", n], world.returning(n)) for n in (2, 3)]
    return [await early, *found]


EXPECT = Expect(
    output=[1, 2, 3],
    calls={"early": 1, "other[2]": 1, "other[3]": 1},
    statuses=dict.fromkeys(["other[2]", "early", "other[3]"], "COMPLETED"),
    sync=False,
)
