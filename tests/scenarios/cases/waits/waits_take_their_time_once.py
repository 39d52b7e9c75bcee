"""A wait is one task; what was waited already is not waited again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> str:
    await io.run_task("before", world.returning(None))
    await io.wait("cool down", 60)
    await io.wait("no time", 0)
    await io.wait("the past", until=datetime(2000, 1, 1, tzinfo=UTC))
    return await io.run_task("after", world.returning("done"))


EXPECT = Expect(
    output="done",
    calls={"before": 1, "after": 1},
    statuses={
        "before": "COMPLETED",
        "cool down": "COMPLETED",
        "no time": "COMPLETED",
        "the past": "COMPLETED",
        "after": "COMPLETED",
    },
    seconds=60,
)
