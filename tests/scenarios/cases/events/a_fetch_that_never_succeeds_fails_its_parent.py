"""Tried again by both of them, and not stuck (v2: `background-fetch`, `stuck-error`)."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World

_NOBODY = "http://127.0.0.1:9/"


async def body(io: Any, world: World) -> Any:
    async def parent() -> Any:
        retry = {"timeout": nb.Retry(attempts=2, min_delay=5, jitter=False)}
        return await world.io().call("background_fetch", "fetch", _NOBODY, retry=retry)

    return await io.run_task("parent", parent, retry=nb.Retry(attempts=2, min_delay=1))


EXPECT = Expect(
    raises=nb.TaskFailed,
    statuses={"parent": "FAILED", "parent/fetch": "FAILED"},
    seconds=11,
)
