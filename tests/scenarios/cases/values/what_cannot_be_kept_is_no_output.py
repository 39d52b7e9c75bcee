"""Generators, asynchronous ones too, locks and open files: each says what it is."""

from __future__ import annotations

import sys
import threading
from collections.abc import AsyncIterator
from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[str]:
    async def numbers() -> AsyncIterator[int]:
        yield 1

    makers: dict[str, Any] = {
        "generator": lambda: (n for n in range(3)),
        "async_generator": numbers,
        "lock": threading.Lock,
        "frame": lambda: {"deep": [sys._getframe()]},
    }

    def make(name: str) -> Any:
        world.called()
        return makers[name]()

    found = []
    for name in makers:
        try:
            await io.run_task(name, make, name)
        except nb.ValueNotKeptError as error:
            assert isinstance(error, nb.TaskFailed)
            assert name in error.message
            found.append(name)
    return await io.run_task("note", world.returning(found))


NAMES = ["generator", "async_generator", "lock", "frame"]
EXPECT = Expect(
    output=NAMES,
    calls=dict.fromkeys([*NAMES, "note"], 1),
    statuses={**dict.fromkeys(NAMES, "FAILED"), "note": "COMPLETED"},
)
