"""A call in a plain thread belongs to the task that started the thread."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[int]:
    @nb.task
    def part(n: int) -> int:
        world.called()
        return n

    def parent(n: int) -> int:
        world.called()
        found: list[Any] = []

        def work() -> None:
            try:
                found.append(part(n))
            except BaseException as error:  # noqa: BLE001 - the death of the process, too
                found.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        if isinstance(found[0], BaseException):
            raise found[0]
        with ThreadPoolExecutor(2) as pool:
            return sum(found) + sum(pool.map(part, [10, 20]))

    return [await io.run_task(name, parent, n) for n, name in enumerate(("a", "b"), 1)]


PATHS = [f"{name}{part}" for name, n in (("a", 1), ("b", 2))
         for part in ("", f"/part[{n}]", "/part[10]", "/part[20]")]  # fmt: skip
EXPECT = Expect(
    output=[31, 32], calls=dict.fromkeys(PATHS, 1), statuses=dict.fromkeys(PATHS, "COMPLETED")
)
