"""For the run, the job, and all: what is there, what is not, odd names, odd values (v2:
`store-example`)."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World

NAMES = ("plain", "\N{SNOWMAN}/%", "https://example.com/?q=1&b=[2]")
VALUES = (None, False, 0, "", {"rows": [1, 2]}, (1, 2))


async def body(io: Any, world: World) -> list[Any]:
    answers: list[Any] = []
    for scope in ("run", "job", "env"):
        shelf = getattr(io.store, scope)
        for n, name in enumerate(NAMES):
            mine = f"{name} {world.ctx.run.key}"  # others run on the same journal
            at = f"{scope} {n}"
            answers.append(await io.stored(shelf.has, f"{at} had", mine))
            answers.append(await io.stored(shelf.get, f"{at} got", mine))
            await io.stored(shelf.set, f"{at} set", mine, VALUES[n])
            await io.stored(shelf.set, f"{at} set again", mine, VALUES[n + 3])
            answers.append(await io.stored(shelf.has, f"{at} has", mine))
            answers.append(await io.stored(shelf.get, f"{at} gets", mine))
    return answers


EXPECT = Expect(
    output=[
        answer for _ in range(3) for n in range(3) for answer in (False, None, True, VALUES[n + 3])
    ],
    statuses={
        f"{scope} {n} {what}": "COMPLETED"
        for scope in ("run", "job", "env")
        for n in range(3)
        for what in ("had", "got", "set", "set again", "has", "gets")
    },
)
