"""Values that differ each time are recorded on first use (v2: `random-example`)."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> str:
    drawn = (
        await io.random("share"),
        await io.random("below zero", min=-20, max=-10),
        await io.random("die", min=1, max=6, round=True),
        await io.random("bounds that are no whole numbers", min=0.5, max=2.5, round=True),
        await io.random("no choice", min=7, max=7),
        await io.now("began"),
        await io.uuid("order"),
    )
    await io.wait("an hour", 3600)
    assert world.notes.setdefault("acknowledged", drawn) == drawn
    share, below, die, whole, same, began, order = drawn
    assert 0 <= share <= 1
    assert -20 <= below <= -10
    assert die in range(1, 7)
    assert whole in (1, 2)
    assert same == 7
    assert timedelta() <= began - datetime(2026, 1, 1, tzinfo=UTC) < timedelta(minutes=1)
    assert isinstance(order, uuid.UUID)
    return "the same each time"


KEYS = (
    "share", "below zero", "die", "bounds that are no whole numbers", "no choice", "began", "order",
    "an hour",
)  # fmt: skip
EXPECT = Expect(
    output="the same each time", statuses=dict.fromkeys(KEYS, "COMPLETED"), seconds=3600
)
