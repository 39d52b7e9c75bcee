"""They get their own io there, and their tasks are journaled like all others."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> bool:
    here = threading.get_ident()

    def parent(n: int) -> int:
        world.called()
        assert threading.get_ident() != here
        inner = nb.current_io()
        assert isinstance(inner, nb.SyncIO)
        return inner.run_task("child", world.returning(n))

    got = await asyncio.gather(*(io.run_task(["parent", n], parent, n) for n in range(4)))
    return got == [0, 1, 2, 3]


TOP = [f"parent[{n}]" for n in range(4)]
PATHS = [*TOP, *(f"{path}/child" for path in TOP)]
EXPECT = Expect(
    output=True,
    calls=dict.fromkeys(PATHS, 1),
    statuses=dict.fromkeys(PATHS, "COMPLETED"),
    sync=False,
)
