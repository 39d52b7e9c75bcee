"""No task starts after `max_time`; the next execution has as much time again."""

from __future__ import annotations

from typing import Any

from nbtasks.core import clock
from nbtasks.testing import FakeClock
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[int]:
    def step(n: int) -> int:
        world.called()
        now = clock.current()
        assert isinstance(now, FakeClock)
        now.advance(40)
        return n

    return [await io.run_task(["step", n], step, n) for n in range(5)]


OPTIONS = {"max_time": 60}
EXPECT = Expect(
    output=[0, 1, 2, 3, 4],
    calls={f"step[{n}]": 1 for n in range(5)},
    statuses={f"step[{n}]": "COMPLETED" for n in range(5)},
    seconds=200,
)
