"""A failure that the body caught is raised again, without another call of the function."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> str:
    def broken() -> None:
        world.called()
        raise ZeroDivisionError("by nought")

    try:
        await io.run_task("try this", broken)
    except ZeroDivisionError as error:
        assert error.path == "try this"  # type: ignore[attr-defined]  # it is a TaskFailed, too
        found = await io.run_task("instead", world.returning("plan B"))
    else:
        found = "plan A"
    await io.run_task("after", world.returning(None))
    return found


EXPECT = Expect(
    output="plan B",
    calls={"try this": 1, "instead": 1, "after": 1},
    statuses={"try this": "FAILED", "instead": "COMPLETED", "after": "COMPLETED"},
)
