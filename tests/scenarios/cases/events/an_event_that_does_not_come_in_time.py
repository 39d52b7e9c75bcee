"""A wait for an event that never comes fails, and the body may continue."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> str:
    try:
        await io.call("wait_for_event", "listen", "never", timeout=60)
    except nb.TaskFailed as error:
        assert isinstance(error, nb.WaitTimeout)
        return error.message
    return "it came"


EXPECT = Expect(
    output="no matching event 'never' came within 60 seconds",
    statuses={"listen": "FAILED"},
    seconds=60,
)
