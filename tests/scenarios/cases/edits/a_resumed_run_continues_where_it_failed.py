"""`run.resume()` calls only what is not recorded; of a run that is COMPLETED, nothing."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[str]:
    def fit() -> str:
        world.called()
        if not world.notes.get("connected"):
            raise ConnectionError("no route to host")
        return "fitted"

    loaded = await io.run_task("load", world.returning("loaded"))
    fitted = await io.run_task("fit", fit)
    return [loaded, fitted, await io.run_task("save", world.returning("saved"))]


def resume(run: nb.Run, world: World) -> None:
    world.notes["connected"] = True
    assert run.resume().output == ["loaded", "fitted", "saved"]
    assert run.resume().status == "COMPLETED"


STEPS = [resume]
EXPECT = Expect(
    output=["loaded", "fitted", "saved"],
    calls={"load": 1, "fit": 2, "save": 1},
    statuses={"load": "COMPLETED", "fit": "COMPLETED", "save": "COMPLETED"},
)
