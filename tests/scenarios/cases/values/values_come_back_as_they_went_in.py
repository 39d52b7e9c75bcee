"""Equal in type and value, on the first execution and on each replay."""

from __future__ import annotations

import datetime as dt
import decimal
import pathlib
import uuid
from typing import Any

from tests.scenarios.harness import Expect, World

VALUES: list[Any] = [
    None, False, True, 0, -(2**80), 1.5, float("inf"), "", "ünïcödé \u2028 \x00",
    [], {}, (), (1, (2,)),
    {1, 2}, frozenset("ab"), b"\xff\x00", {"a": [1, {"b": None}]}, {1: "int key", "1": "text key"},
    {"$tuple": [1]}, dt.datetime(2026, 1, 31, 9, tzinfo=dt.UTC), dt.date(2026, 1, 31),
    dt.timedelta(days=-1, microseconds=3), decimal.Decimal("1.10"), uuid.UUID(int=5),
    pathlib.PurePosixPath("/a/b"), 1 - 2j, range(3),
]  # fmt: skip


async def body(io: Any, world: World) -> list[Any]:
    got = [await io.run_task(["value", n], world.returning(v)) for n, v in enumerate(VALUES)]
    assert [type(value) for value in got] == [type(value) for value in VALUES]
    return got


PATHS = [f"value[{n}]" for n in range(len(VALUES))]
EXPECT = Expect(
    output=VALUES, calls=dict.fromkeys(PATHS, 1), statuses=dict.fromkeys(PATHS, "COMPLETED")
)
