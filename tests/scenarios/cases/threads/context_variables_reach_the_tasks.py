"""Into worker threads and subtasks."""

from __future__ import annotations

import contextvars
from typing import Any

from tests.scenarios.harness import Expect, World

USER: contextvars.ContextVar[str] = contextvars.ContextVar("user", default="nobody")


async def body(io: Any, world: World) -> list[str]:
    def plain() -> str:
        world.called()
        return USER.get()

    async def parent() -> list[str]:
        world.called()
        inner = world.io()
        return [USER.get(), await inner.run_task("plain", plain)]

    token = USER.set("ada")
    try:
        found = [await io.run_task("plain", plain), *await io.run_task("parent", parent)]
    finally:
        USER.reset(token)
    return [*found, await io.run_task("later", plain)]


EXPECT = Expect(
    output=["ada", "ada", "ada", "nobody"],
    calls={"plain": 1, "parent": 1, "parent/plain": 1, "later": 1},
    statuses=dict.fromkeys(["plain", "parent", "parent/plain", "later"], "COMPLETED"),
)
