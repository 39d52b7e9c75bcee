"""SystemExit is no failure: the task and the run are canceled; `except Exception` lets it pass."""

from __future__ import annotations

import sys
from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> None:
    def leave() -> None:
        world.called()
        sys.exit("enough")

    await io.run_task("before", world.returning(1))
    try:
        await io.run_task("leave", leave, retry=3)
    except Exception:  # noqa: BLE001 - that is what must not catch it
        await io.run_task("caught", world.returning(None))


EXPECT = Expect(
    raises=SystemExit,
    ends="CANCELED",
    calls={"before": 1, "leave": 1},
    statuses={"before": "COMPLETED", "leave": "CANCELED"},
)
