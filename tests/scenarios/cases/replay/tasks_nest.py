"""A task's function starts tasks of its own; finished branches are not entered again."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> int:
    async def fit(carrier: str) -> int:
        world.called()
        inner = world.io()
        rows = await inner.run_task("prepare", world.returning(len(carrier)))
        return await inner.run_task("train", world.returning(rows * 10))

    total = 0
    for carrier in ("AA", "BB"):
        total += await io.run_task(["fit", carrier], fit, carrier)
    return total


EXPECT = Expect(
    output=40,
    calls={f"fit[{name}]{sub}": 1 for name in ("AA", "BB") for sub in ("", "/prepare", "/train")},
    statuses={
        f"fit[{name}]{sub}": "COMPLETED"
        for name in ("AA", "BB")
        for sub in ("", "/prepare", "/train")
    },
)
