"""Strings and lists never collide, nor do keys that hold the path's own signs."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World

KEYS: list[Any] = ["a", ["a"], "a[]", "a/b", ["a", "b"], "a%2Fb", 1, [1], "[1]", "a,b", "a#2"]
PATHS = [
    "a", "[a]", "a%5B%5D", "a%2Fb", "a[b]", "a%252Fb", "1", "[1]", "%5B1%5D", "a%2Cb", "a%232",
]  # fmt: skip


async def body(io: Any, world: World) -> list[int]:
    return [await io.run_task(key, world.returning(n)) for n, key in enumerate(KEYS)]


EXPECT = Expect(
    output=list(range(len(KEYS))),
    calls=dict.fromkeys(PATHS, 1),
    statuses=dict.fromkeys(PATHS, "COMPLETED"),
)
