"""Whatever became of a task, who sets it gives its answer."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> tuple[Any, ...]:
    def broken() -> None:
        world.called()
        raise ValueError("never")

    first = await io.run_task("first", world.returning(1))
    return first, await io.run_task("second", broken, retry=2)


def set_both(run: nb.Run, world: World) -> None:
    run.set("first", {"rows": (1, 2)})
    run.set("second", "by hand")
    assert run["first"] == {"rows": (1, 2)}


STEPS = [set_both]
EXPECT = Expect(
    output=({"rows": (1, 2)}, "by hand"),
    calls={"first": 1, "second": 2},
    statuses={"first": "COMPLETED", "second": "COMPLETED"},
)
