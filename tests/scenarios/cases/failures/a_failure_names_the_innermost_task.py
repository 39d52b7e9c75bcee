"""The error that reaches the body says where it began, and links the tasks it came through."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> None:
    async def outer() -> None:
        world.called()
        await world.io().run_task("inner", broken)

    def broken() -> None:
        world.called()
        raise LookupError("deep down")

    try:
        await io.run_task("outer", outer)
    except nb.TaskFailed as error:
        assert isinstance(error, LookupError)
        assert (error.path, error.type, error.message) == (
            "outer/inner",
            "LookupError",
            "deep down",
        )
        assert "deep down" in error.traceback
        assert isinstance(error.__cause__, nb.TaskFailed)
        assert error.__cause__.path == "outer/inner"
        raise


EXPECT = Expect(
    raises=LookupError,
    calls={"outer": 1, "outer/inner": 1},
    statuses={"outer": "FAILED", "outer/inner": "FAILED"},
)
