"""For the run, the job, and all: what is there, what is not, odd names, odd values (v2:
`store-example`)."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World

NAMES = {"run": "plain", "job": "\N{SNOWMAN}/%", "env": "https://example.com/?q=1&b=[2]"}
VALUES = {"run": None, "job": (1, False, ""), "env": {"rows": [1, 2]}}


async def body(io: Any, world: World) -> list[Any]:
    answers: list[Any] = []
    for scope, name in NAMES.items():
        shelf = getattr(io.store, scope)
        mine = f"{name} {world.ctx.run.key}"  # others run on the same journal
        answers.append(await io.stored(shelf.get, [scope, "got"], mine))
        await io.stored(shelf.set, [scope, "set"], mine, VALUES[scope])
        answers.append(await io.stored(shelf.has, [scope, "has"], mine))
        answers.append(await io.stored(shelf.get, [scope, "gets"], mine))
    return answers


EXPECT = Expect(
    output=[answer for scope in NAMES for answer in (None, True, VALUES[scope])],
    statuses={
        f"{scope}[{what}]": "COMPLETED" for scope in NAMES for what in ("got", "set", "has", "gets")
    },
)
