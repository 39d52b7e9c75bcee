"""Also what was printed before a crash; nothing is printed twice by a replay."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> int:
    def load() -> int:
        world.called()
        print("loading")
        print("loaded", end="")
        return 3

    number = await io.run_task("load", load)
    print("the body")
    await io.wait("rest", 5)
    return int(number)


EXPECT = Expect(
    output=3,
    calls={"load": 1},
    statuses={"load": "COMPLETED", "rest": "COMPLETED"},
    seconds=5,
    logs=["load: loading", "load: loaded"],
)
