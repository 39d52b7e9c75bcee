"""Notes of what happened, outside of the home: lines in a plain file that writers only append to.

Nothing here is remembered in the process: the functions are builtins of the cells, and no input of
a task. A note that a task was acknowledged is written after nbtasks has returned its value.
"""

from __future__ import annotations

import json
import os
import resource
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbtasks as nb
from nbtasks.engine import effects

__all__ = ["FILE", "FOR_CELLS", "Reader", "ack", "begun", "note"]

#: Names the file.
FILE = "ENDURANCE_NOTES"


_unlimited = threading.Lock()


def note(*words: Any) -> None:
    """Append a line. It is there even if this process dies right after."""
    line = json.dumps(words).encode() + b"\n"
    fd = os.open(os.environ[FILE], os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    with _unlimited:  # the disk of the notes is never full
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, limit[1]))
        try:
            os.write(fd, line)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
            os.close(fd)


def begun(code: int) -> None:
    """Note that the function of a task begins."""
    task = nb.current_task()
    note("begun", task.run_id, task.path, code)


def ack(path: str, code: int, value: Any, expected: Any) -> Any:
    """Note that a task was acknowledged, by the body or the task that has called it."""
    context = effects.current.get()
    assert context is not None
    note("acked", context.execution.run.run_id, path, code, value, expected)
    return value


def begun_once(code: int) -> None:
    """Note that the function of a task begins that may be called only once."""
    task = nb.current_task()
    note("once", task.run_id, task.path, code)


def ack_invoked(path: str, code: int, run: nb.Run, number: int) -> str:
    """Note that a run was invoked, which goes on by itself."""
    note("invoked", run.id, number)
    return str(ack(path, code, run.id, "any"))


def ack_ended(path: str, code: int, runs: nb.Run | list[nb.Run], number: int) -> list[int | None]:
    """Note that one or more invoked runs have ended, and how. They have successive numbers."""
    several = runs if isinstance(runs, list) else [runs]
    ack(path, code, [run.id for run in several], "any")
    for n, run in enumerate(several):
        how = run.status if run.error is None else run.error.type
        note("child", run.id, number + n, how, run.output)
    return [run.output for run in several]


def ack_stored(path: str, code: int, made: nb.Ref, expected: Any) -> Any:
    """Note that a large value was acknowledged that is in the store."""
    assert isinstance(made, nb.Ref)
    return ack(path, code, summed(made.load()), expected)


def summed(value: list[Any]) -> list[int]:
    """Return what is noted of a large value."""
    return [zlib.crc32(value[0]), value[1]]


async def acked(path: str, code: int, awaitable: Any, expected: Any) -> Any:
    return ack(path, code, await awaitable, expected)


def ack_map(path: str, code: int, values: list[Any], expected: list[Any]) -> list[Any]:
    """Note that a map was acknowledged, with all its items."""
    for number, (value, wanted) in enumerate(zip(values, expected, strict=True)):
        ack(f"{path}/{number}", code, value, wanted)
    return ack(path, code, values, expected)


def ack_cell(run_id: str, path: str, code: int, value: Any, expected: Any) -> None:
    """Note that a `%%task` cell has ended."""
    note("acked", run_id, path, code, value, expected)


#: Builtins of the cells.
FOR_CELLS = {
    "note": note, "begun": begun, "ack": ack, "acked": acked, "ack_map": ack_map,
    "ack_cell": ack_cell, "summed": summed, "begun_once": begun_once, "ack_invoked": ack_invoked,
    "ack_ended": ack_ended, "ack_stored": ack_stored,
}  # fmt: skip


class Reader:
    """Reader of the notes from where it read last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._end = 0

    def lines(self) -> Iterator[list[Any]]:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._end)
            for line in file:
                if line.endswith(b"\n"):
                    self._end += len(line)
                    yield json.loads(line)
