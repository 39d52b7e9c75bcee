"""Whoever writes them, by io or by the current task; those of finished tasks are not written
again."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> int:
    async def parent() -> int:
        world.called()
        inner = world.io()
        inner.logger.info("of the parent")
        n = await inner.run_task("child", child)
        inner.logger.info("of the parent, after its child")
        return n

    def child() -> int:
        world.called()
        nb.current_task().log("of the child", level="warn", n=1)
        return 1

    io.logger.info("of the body")
    return await io.run_task("parent", parent)


EXPECT = Expect(
    output=1,
    calls={"parent": 1, "parent/child": 1},
    statuses={"parent": "COMPLETED", "parent/child": "COMPLETED"},
    logs=[
        "of the body",
        "parent: of the parent",
        "parent: of the parent, after its child",
        "parent/child: of the child",
    ],
)
