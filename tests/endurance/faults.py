"""Faults of one process: a kill in the middle of a call, a full disk, a clock that jumps."""

from __future__ import annotations

import errno
import functools
import os
import random
import resource
import signal
import time
from collections.abc import Callable
from typing import Any

from nbtasks.journal import wal

__all__ = ["fill_disk", "kill_at_call", "move_clock", "set_clock_ahead"]

_CALLS = ("pwrite", "fsync", "fdatasync", "replace", "rename", "unlink")


def _interpose(name: str, wrap: Callable[..., Any]) -> None:
    wrapped = functools.partial(wrap, getattr(os, name))
    setattr(os, name, wrapped)
    if name == "fdatasync":
        wal._sync_data = wrapped


def kill_at_call(chance: random.Random) -> None:
    """Let this process die at a call that changes files: before it, after it, or in its middle."""
    left = [int(chance.expovariate(1 / 20)) + 1]

    def call(name: str, inner: Callable[..., Any], *args: Any, **options: Any) -> Any:
        left[0] -= 1
        if left[0]:
            return inner(*args, **options)
        side = chance.choice(["before", "within", "after"])
        if side == "after":
            inner(*args, **options)
        elif side == "within" and name == "pwrite" and len(args[1]) > 1:
            inner(args[0], args[1][: chance.randrange(1, len(args[1]))], args[2])
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    for name in _CALLS:
        _interpose(name, functools.partial(call, name))


def fill_disk(chance: random.Random) -> None:
    """Let the disk be full for some writes: of nbtasks, and of DuckDB by a limit of the system."""
    if chance.random() < 1 / 3:
        limit = chance.choice([2_000, 20_000, 300_000, 1_000_000])
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    begin = int(chance.expovariate(1 / 15))
    full = range(begin, begin + chance.choice([1, 3, 1000]))
    count = [0]

    def write(inner: Callable[..., int], fd: int, data: bytes, offset: int) -> int:
        count[0] += 1
        if count[0] not in full:
            return inner(fd, data, offset)
        if len(data) > 1 and chance.random() < 1 / 2:
            return inner(fd, data[: chance.randrange(1, len(data))], offset)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    _interpose("pwrite", write)


def set_clock_ahead(days: int) -> None:
    """Let the clock of this process be ahead."""
    real = time.time_ns
    vars(time).update(
        time_ns=lambda: real() + days * 86400 * 10**9, time=lambda: real() / 1e9 + days * 86400
    )


def move_clock(chance: random.Random, most_seconds: int) -> None:
    """Let the clock of this process be wrong, and jump now and then."""
    real = time.time_ns
    state = {"offset": chance.randint(-most_seconds, most_seconds), "next": 0.0}

    def jumping() -> int:
        if time.monotonic() > state["next"]:
            if state["next"]:
                state["offset"] = chance.randint(-most_seconds, most_seconds)
            state["next"] = time.monotonic() + chance.expovariate(5)
        return real() + int(state["offset"]) * 1_000_000_000

    vars(time).update(time_ns=jumping, time=lambda: jumping() / 1e9)
