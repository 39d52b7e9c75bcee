"""It can be caught as one, on the first execution and on every later one."""

from __future__ import annotations

from typing import Any

from nbtasks.core import clock
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> str:
    def slow() -> None:
        world.called()
        clock.current().advance(6)  # type: ignore[attr-defined]  # of the FakeClock

    def raises() -> None:
        world.called()
        raise TimeoutError("the task's own")

    messages = []
    for key, fn in {"slow": slow, "raises": raises}.items():
        try:
            await io.run_task(key, fn, timeout=5)
        except TimeoutError as error:
            messages.append(error.message)  # type: ignore[attr-defined]  # the TaskFailed, too
    return ", ".join(messages)


EXPECT = Expect(
    output="task 'slow' took longer than 5 s, the task's own",
    calls={"slow": 1, "raises": 1},
    statuses={"slow": "FAILED", "raises": "FAILED"},
    seconds=6,
)
