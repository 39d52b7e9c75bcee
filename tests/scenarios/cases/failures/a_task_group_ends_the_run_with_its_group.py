"""The error is Python's own ExceptionGroup, and the failed task is in it."""

from __future__ import annotations

import asyncio
from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> None:
    def broken() -> None:
        world.called()
        raise ValueError("one of two")

    await io.run_task("before", world.returning(None))
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(io.run_task("broken", broken))
    except* nb.TaskFailed as found:
        assert [(type(e), e.path) for e in found.exceptions]  # type: ignore[union-attr]  # no groups in it
        assert isinstance(found.exceptions[0], ValueError)
        raise


EXPECT = Expect(
    raises=ExceptionGroup,
    calls={"before": 1, "broken": 1},
    statuses={"before": "COMPLETED", "broken": "FAILED"},
    sync=False,
)
