"""Keys are strings or lists, so the order of the items may change between executions."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> dict[str, str]:
    def fit(item: dict[str, Any]) -> str:
        world.called()
        return nb.current_task().path

    items = [{"name": "UA", "year": 1}, {"name": "UA", "year": 2}, {"name": "a/b", "year": None}]
    if world.notes.setdefault("executions", 0) % 2:
        items.reverse()
    world.notes["executions"] += 1
    by = lambda item: item["name"] if item["year"] is None else [item["name"], item["year"]]
    ignore = nb.TaskOptions(on_change="ignore")  # another order is another input
    paths = await io.map("fit", fit, iter(items), key_of=by, concurrency=1, options=ignore)
    return dict.fromkeys(sorted(paths), "ran")


PATHS = ["fit/UA[1]", "fit/UA[2]", "fit/a%2Fb"]
EXPECT = Expect(
    output=dict.fromkeys(PATHS, "ran"),
    calls=dict.fromkeys(PATHS, 1),
    statuses=dict.fromkeys(["fit", *PATHS], "COMPLETED"),
)
