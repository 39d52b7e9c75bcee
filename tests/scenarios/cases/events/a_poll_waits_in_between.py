"""A server is asked until its time is over, and the body goes on (v2: `background-poll`)."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World

_NOBODY = "http://127.0.0.1:9/"


async def body(io: Any, world: World) -> Any:
    try:
        await io.call("background_poll", "poll", _NOBODY, interval=10, timeout=20)
    except nb.TaskFailed as error:
        return [error.type, isinstance(error, nb.WaitTimeout), error.path]


EXPECT = Expect(
    output=["WaitTimeout", True, "poll"],
    statuses={
        "poll": "FAILED",
        "poll/began": "COMPLETED",
        "poll/attempt[1]": "COMPLETED",
        "poll/wait[1]": "COMPLETED",
        "poll/attempt[2]": "COMPLETED",
        "poll/wait[2]": "COMPLETED",
        "poll/attempt[3]": "COMPLETED",
    },
    seconds=20,
)
