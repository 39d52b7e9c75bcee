"""Of any script and length, with spaces, signs and line breaks; below each other, too."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from nbtasks.core import keys as nb_keys
from tests.scenarios.harness import Expect, World

KEYS: list[Any] = [
    "größe", "価格", "🐍 snake", "two\nlines", " ", "/", "%", "../up", "a/b/c", "x" * 1000, "'\"",
    ["größe", -1], [2**70], ["a/b", 0], ["", ""],
]  # fmt: skip


async def body(io: Any, world: World) -> list[str]:
    async def parent(key: Any) -> str:
        world.called()
        return await world.io().run_task(key, own_path)

    def own_path() -> str:
        world.called()
        return nb.current_task().path

    return [await io.run_task(key, parent, key) for key in KEYS]


TOP = [nb_keys.segment(key) for key in KEYS]
PATHS = [path for top in TOP for path in (top, f"{top}/{top}")]
EXPECT = Expect(
    output=[f"{top}/{top}" for top in TOP],
    calls=dict.fromkeys(PATHS, 1),
    statuses=dict.fromkeys(PATHS, "COMPLETED"),
)
