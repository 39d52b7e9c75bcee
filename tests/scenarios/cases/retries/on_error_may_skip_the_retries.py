"""`nb.skip_retrying()` fails the task now; nothing, and the retries go on."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> bool:
    def fails() -> None:
        world.called()
        raise ValueError(f"number {nb.current_task().attempt}")

    def decide(error: Exception, task: Any) -> Any:
        assert type(error) is ValueError
        assert (task.path, str(error)) == ("fails", f"number {task.attempt}")
        return nb.skip_retrying() if task.attempt > 1 else None

    try:
        await io.run_task(
            "fails", fails, retry=nb.Retry(5, min_delay=3, jitter=False), on_error=decide
        )
    except ValueError as error:
        return isinstance(error, nb.TaskFailed) and error.attempts < 5
    return False


EXPECT = Expect(output=True, calls={"fails": 2}, statuses={"fails": "FAILED"}, seconds=3)
