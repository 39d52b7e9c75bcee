"""Methods, partials, builtins, callable objects, and what gives an awaitable."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

from tests.scenarios.harness import Expect, World


class Adder:
    def __init__(self, n: int) -> None:
        self.n = n

    def add(self, m: int) -> int:
        return self.n + m

    def __call__(self, m: int) -> int:
        return self.n * m


async def later(n: int) -> int:
    await asyncio.sleep(0)
    return -n


async def body(io: Any, world: World) -> list[Any]:
    adder = Adder(10)
    return [
        await io.run_task("method", adder.add, 1),
        await io.run_task("object", adder, 2),
        await io.run_task("partial", functools.partial(sorted, reverse=True), [1, 3, 2]),
        await io.run_task("builtin", len, "four"),
        await io.run_task("class", complex, 1, 2),
        await io.run_task("awaitable", lambda: later(5)),
    ]


NAMES = ["method", "object", "partial", "builtin", "class", "awaitable"]
EXPECT = Expect(
    output=[11, 20, [3, 2, 1], 4, 1 + 2j, -5], statuses=dict.fromkeys(NAMES, "COMPLETED")
)
