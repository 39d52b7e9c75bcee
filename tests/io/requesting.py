"""Runs of one request, and servers that answer in turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nbtasks as nb
from tests.servers import Answer, Asked


def run(sync: bool, call: str, *args: Any, **options: Any) -> nb.Run:
    """A run whose body is one call of io."""
    if sync:

        @nb.job("fetches")
        def blocking(io: nb.SyncIO) -> Any:
            return getattr(io, call)("ask", *args, **options)

        return blocking.run(key=args[0])

    @nb.job("fetches")
    async def awaiting(io: nb.AsyncIO) -> Any:
        return await getattr(io, call)("ask", *args, **options)

    return awaiting.run(key=args[0])


def in_turn(*answers: Answer) -> Callable[[Asked], Answer]:
    """Each answer once; the last one from then on."""
    left = list(answers)

    def answer(_: Asked) -> Answer:
        return left.pop(0) if len(left) > 1 else left[0]

    return answer
