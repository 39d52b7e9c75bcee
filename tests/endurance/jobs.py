"""Jobs and the executor that the random programs use."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import nbtasks as nb
from tests.endurance.notes import ack, begun, note

__all__ = ["FOR_CELLS", "Elsewhere", "tripled", "trivial"]


@nb.job("trivial", trigger=nb.event_trigger("work"))
def trivial(payload: dict[str, int], io: nb.SyncIO, ctx: nb.Context) -> int:
    """Double a number, in steps."""
    number = payload["n"]

    def double() -> int:
        begun(1)
        return 2 * number

    note("mode", ctx.run.id, "ignore", "trivial")
    doubled = ack("double", 1, io.run_task("double", double), 2 * number)
    io.wait("pause", 0.01)
    return int(ack("again", 1, io.run_task("again", double), 2 * number) + doubled)


@nb.job("tripled", trigger=nb.invoke_trigger(dict[str, int]))
def tripled(payload: dict[str, int], io: nb.SyncIO, ctx: nb.Context) -> int:
    """Triple a number, as a run that another run has invoked."""
    number = payload["n"]

    def triple() -> int:
        begun(1)
        return 3 * number

    note("mode", ctx.run.id, "ignore", "tripled")
    if number % 3 == 0:
        io.wait("pause", 0.01)
    return int(ack("triple", 1, io.run_task("triple", triple), 3 * number))


class Elsewhere(Executor):
    """Executor that is no pool of threads to nbtasks: calls go there as bytes, and large values
    into the store. It dies with its process, so that a kill also cuts these short.
    """

    _threads: ThreadPoolExecutor | None = None  # made in the process that uses it, after its fork

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self._threads = self._threads or ThreadPoolExecutor(2)
        return self._threads.submit(fn, *args, **kwargs)


#: Builtins of the cells.
FOR_CELLS = {"tripled": tripled, "elsewhere": Elsewhere()}
