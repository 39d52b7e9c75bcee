"""Tasks that started before are kept; a parent of the chosen task runs again, its earlier subtasks
answer."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[Any]:
    async def parent() -> list[Any]:
        world.called()
        inside = world.io()
        return [await inside.run_task(key, world.returning(key)) for key in ("x", "y", "z")]

    first = await io.run_task("first", world.returning("first"))
    await io.wait("rest", 60)
    return [first, await io.run_task("parent", parent), await io.run_task("last", list)]


def again(run: nb.Run, world: World) -> None:
    if nb.sql("from edits where run_id = ?", [run.id]).empty:  # else it died in this: it goes on
        world.forget("parent", "last")
        world.acknowledge("parent/x")
        assert run.rerun(from_="parent/y").output == ["first", ["x", "y", "z"], []]


STEPS = [again]
EXPECT = Expect(
    output=["first", ["x", "y", "z"], []],
    calls={"first": 1, "parent": 2, "parent/x": 1, "parent/y": 2, "parent/z": 2},
    statuses={
        "first": "COMPLETED",
        "rest": "COMPLETED",
        "parent": "COMPLETED",
        "parent/x": "COMPLETED",
        "parent/y": "COMPLETED",
        "parent/z": "COMPLETED",
        "last": "COMPLETED",
    },
    seconds=60,
)
