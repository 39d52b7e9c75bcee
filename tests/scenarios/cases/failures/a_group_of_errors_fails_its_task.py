"""An ExceptionGroup that a function raises is one failure, and is caught as the group it is."""

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
    except ExceptionGroup as error:
        assert isinstance(error, nb.TaskFailed)
        assert "the first" in error.traceback
        assert "the third" in error.traceback
        members = [f"{type(member).__name__}{member.args}" for member in error.exceptions]
        found = [error.type, error.message, str(error), *members]
    return await io.run_task("note", world.returning(found))


EXPECT = Expect(
    output=[
        "ExceptionGroup",
        "two of three",
        "two of three (2 sub-exceptions)",
        "ValueError('the first',)",
        "KeyError('the third',)",
    ],
    calls={"broken": 1, "note": 1},
    statuses={"broken": "FAILED", "note": "COMPLETED"},
)
