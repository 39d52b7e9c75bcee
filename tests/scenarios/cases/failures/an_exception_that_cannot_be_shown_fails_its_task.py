"""Its __str__ raises, or is no valid text: the failure says so, and can be caught."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[str]:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    def broken(error: Exception) -> None:
        world.called()
        raise error

    found = []
    for key, error in (("mute", MuteError()), ("torn", ValueError("half \ud83d"))):
        try:
            await io.run_task(key, broken, error)
        except nb.TaskFailed as caught:
            found.append(caught.message)
    return await io.run_task("note", world.returning(found))


EXPECT = Expect(
    output=["(its __str__ failed: RuntimeError('no words'))", "half ?"],
    calls={"mute": 1, "torn": 1, "note": 1},
    statuses={"mute": "FAILED", "torn": "FAILED", "note": "COMPLETED"},
)
