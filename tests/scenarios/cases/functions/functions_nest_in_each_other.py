"""A task function that a task calls is a subtask of it, to any depth."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> int:
    async def factorial(n: int) -> int:
        world.called()
        return 1 if n == 0 else n * int(await task(n - 1))

    task = world.task(factorial)
    return int(await task(3)) + int(await io.run_task("beside", factorial, 1))


def below(n: int, path: str) -> list[str]:
    path = f"{path}factorial[{n}]"
    return [path, *(below(n - 1, f"{path}/") if n else [])]


PATHS = [*below(3, ""), "beside", *below(0, "beside/")]
EXPECT = Expect(output=7, calls=dict.fromkeys(PATHS, 1), statuses=dict.fromkeys(PATHS, "COMPLETED"))
