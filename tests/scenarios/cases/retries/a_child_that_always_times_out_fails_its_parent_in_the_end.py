"""Retries within retries come to their end; the child's error is that of both."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from nbtasks.core import clock
from nbtasks.testing import FakeClock
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> None:
    def fetch() -> None:
        world.called()
        now = clock.current()
        assert isinstance(now, FakeClock)
        now.advance(10)

    async def parent() -> None:
        world.called()
        retry = nb.Retry(2, min_delay=1, jitter=False)
        await world.io().run_task("fetch", fetch, timeout=5, retry=retry)

    try:
        await io.run_task("parent", parent, retry=nb.Retry(4, min_delay=1, jitter=False))
    except nb.TaskFailed as error:
        assert (error.path, error.type) == ("parent/fetch", "TimeoutError")
        raise


EXPECT = Expect(
    raises=TimeoutError,
    calls={"parent": 4, "parent/fetch": 8},
    statuses={"parent": "FAILED", "parent/fetch": "FAILED"},
    seconds=80,
)
