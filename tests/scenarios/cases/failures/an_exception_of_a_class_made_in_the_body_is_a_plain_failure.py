"""Nobody can import its class again, so it is none of it the first time either."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[Any]:
    class OutOfFuelError(ArithmeticError):
        def __init__(self, liters: int, *, at: str) -> None:
            super().__init__(liters)
            self.at = at

    def broken() -> None:
        world.called()
        raise OutOfFuelError(3, at="JFK")

    try:
        await io.run_task("fly", broken)
    except OutOfFuelError:
        found = ["its own class"]
    except nb.TaskFailed as error:
        found = [error.type.rpartition(".")[2], error.message]
    return await io.run_task("note", world.returning(found))


EXPECT = Expect(
    output=["OutOfFuelError", "3"],
    calls={"fly": 1, "note": 1},
    statuses={"fly": "FAILED", "note": "COMPLETED"},
)
