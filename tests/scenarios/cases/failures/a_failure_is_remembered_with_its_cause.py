"""A caught failure of a nest of tasks is raised again with the same links."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[str]:
    async def outer() -> None:
        world.called()
        await world.io().run_task("inner", broken)

    def broken() -> None:
        world.called()
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    try:
        await io.run_task("outer", outer)
    except UnicodeDecodeError as error:
        assert isinstance(error, nb.TaskFailed)
        assert isinstance(error.__cause__, nb.TaskFailed)
        found = [error.path, error.__cause__.path, error.type]
    return await io.run_task("note", world.returning(found))


EXPECT = Expect(
    output=["outer/inner", "outer/inner", "UnicodeDecodeError"],
    calls={"outer": 1, "outer/inner": 1, "note": 1},
    statuses={"outer": "FAILED", "outer/inner": "FAILED", "note": "COMPLETED"},
)
