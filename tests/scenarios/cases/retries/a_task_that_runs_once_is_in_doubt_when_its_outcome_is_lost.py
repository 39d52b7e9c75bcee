"""It is not called again. Whoever knows what came of it says so; here, nobody does."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> str:
    def pay() -> str:
        world.called()
        return "paid"

    try:
        assert await io.run_task("pay", pay, options=nb.TaskOptions(once=True)) == "paid"
    except nb.InDoubtError as error:
        assert '.set("pay", value)' in str(error)
        assert '.reset("pay")' in str(error)
    assert world.calls["pay"] <= 1
    return await io.run_task("after", world.returning("went on"))


EXPECT = Expect(
    output="went on",
    calls={"pay": 1, "after": 1},
    statuses={"pay": "COMPLETED", "after": "COMPLETED"},
    doubt=("pay",),
)
