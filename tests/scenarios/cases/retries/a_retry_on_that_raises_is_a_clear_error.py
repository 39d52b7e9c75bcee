"""The function that was asked is named, with what it was asked about."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[str]:
    def fails() -> None:
        world.called()
        raise ValueError("the task's own")

    def asked(error: Exception) -> bool:
        return error.args[7] == "there is none"

    try:
        await io.run_task("fails", fails, retry=3, retry_on=asked)
    except nb.InvalidOptionError as error:
        assert isinstance(error, nb.TaskFailed)
        return [part for part in ("IndexError", "the task's own") if part in error.message]
    return []


EXPECT = Expect(
    output=["IndexError", "the task's own"], calls={"fails": 1}, statuses={"fails": "FAILED"}
)
