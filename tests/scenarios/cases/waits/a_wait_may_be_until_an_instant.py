"""One that is past is over at once."""

from __future__ import annotations

import datetime as dt
from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> str:
    await io.wait("past", until=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    await io.wait("one o'clock", until=dt.datetime(2026, 1, 1, 1, tzinfo=dt.UTC))
    elsewhere = dt.timezone(dt.timedelta(hours=-5))
    await io.wait("two in the west", until=dt.datetime(2025, 12, 31, 21, tzinfo=elsewhere))
    await io.wait("a minute", dt.timedelta(minutes=1))
    return await io.run_task("after", world.returning("done"))


EXPECT = Expect(
    output="done",
    calls={"after": 1},
    statuses={
        "past": "COMPLETED",
        "one o'clock": "COMPLETED",
        "two in the west": "COMPLETED",
        "a minute": "COMPLETED",
        "after": "COMPLETED",
    },
    seconds=2 * 3600 + 60,
)
