"""An ExceptionGroup that a function raises is one failure, with its members in the traceback."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[str]:
    def broken() -> None:
        world.called()
        raise ExceptionGroup("two of three", [ValueError("the first"), KeyError("the third")])

    try:
        await io.run_task("broken", broken)
    except nb.TaskFailed as error:
        assert "the first" in error.traceback
        assert "the third" in error.traceback
        found = [error.type, error.message]
    return await io.run_task("note", world.returning(found))


EXPECT = Expect(
    output=["ExceptionGroup", "two of three (2 sub-exceptions)"],
    calls={"broken": 1, "note": 1},
    statuses={"broken": "FAILED", "note": "COMPLETED"},
)
