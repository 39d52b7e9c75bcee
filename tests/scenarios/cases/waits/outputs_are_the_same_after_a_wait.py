"""A task returns the same output before a wait and after it."""

from __future__ import annotations

import datetime as dt
from typing import Any

from tests.scenarios.harness import Expect, World

VALUES: list[Any] = [
    None, False, True, "", {"nested": [{"deep": [1, 2]}]}, [[], {}],
    dt.datetime(2026, 1, 31, tzinfo=dt.UTC), [{"row": n} for n in range(5000)],
]  # fmt: skip


async def body(io: Any, world: World) -> list[Any]:
    got = [await io.run_task(["value", n], world.returning(v)) for n, v in enumerate(VALUES)]
    await io.wait("a moment", 1)
    assert got == VALUES
    return got


EXPECT = Expect(
    output=VALUES,
    calls={f"value[{n}]": 1 for n in range(len(VALUES))},
    statuses={
        **{f"value[{n}]": "COMPLETED" for n in range(len(VALUES))},
        "a moment": "COMPLETED",
    },
    seconds=1,
)
