"""Benchmarks of frames in the journal against Parquet files: flights of 2013, 100 MB of numbers.

Both sides write to the same disk, are synced likewise, and take turns. Memory is measured in a
separate process, above its level once the frame is loaded.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any
from unittest import mock

import nbtasks as nb
from benchmarks.report import Figure, at_most
from tests.kinds import flights

__all__ = ["frames"]

_PEAK = """
import resource, sys
from pathlib import Path
from benchmarks.frames import FRAMES
from nbtasks.values import codec
from nbtasks.journal.blobs import Blobs

def peak():  # bytes
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(l.split()[1] for l in lines if l.startswith("VmHWM"))) * 1024

def reset():
    Path("/proc/self/clear_refs").write_text("5")

blobs = Blobs(Path(sys.argv[1]), durable=True)
frame = FRAMES[sys.argv[2]]()
size = frame.memory_usage(deep=True).sum()
codec.encode(frame.head(10))  # imports everything it needs
reset()
before = peak()
encoded = codec.encode(frame)
name = blobs.put(encoded.blob)
wrote = peak() - before
del frame, encoded
reset()
before = peak()
blob = blobs.get(name)
frame = codec.decode_blob("arrow", None, blob.unchecked)
blob.check()
print(wrote / size, (peak() - before) / size)
"""


def numbers() -> Any:
    """Return a frame of 100 MB that cannot be compressed."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(20130101)
    return pd.DataFrame(rng.random((1_250_000, 10))).rename(columns=str)


FRAMES = {"flights": flights, "numbers": numbers}


def frames(folder: Path, rounds: int) -> Iterator[Figure]:
    """Yield the times and the memory of writing and reading."""
    yield from _as_argument(numbers(), 100)
    for name, what in (("flights", "the NYC flights"), ("numbers", "100 MB of random numbers")):
        yield from _times(folder / name, FRAMES[name](), what, rounds)
        if Path("/proc/self/clear_refs").exists():
            yield from _memory(folder / name, name, what)


def _times(folder: Path, frame: Any, what: str, rounds: int) -> Iterator[Figure]:
    import pandas as pd

    from nbtasks.journal.blobs import Blobs
    from nbtasks.values import codec

    folder.mkdir()
    blobs, parquet = Blobs(folder / "blobs", durable=True), folder / "frame.parquet"
    names: list[str] = []

    def keep() -> None:
        encoded = codec.encode(frame)
        assert encoded.blob is not None
        names.append(blobs.put(encoded.blob))

    def to_parquet() -> None:
        frame.to_parquet(parquet)
        with parquet.open("rb") as file:
            os.fsync(file.fileno())

    def forget() -> None:
        for name in names:
            blobs.path(name).unlink(missing_ok=True)
        parquet.unlink(missing_ok=True)

    ours, theirs = _in_turns(keep, to_parquet, rounds, forget)
    yield at_most(
        f"write {what}, against to_parquet", ours / theirs, 1.3, "{:.2f} x",
        f"{ours * 1e3:.0f} ms, {theirs * 1e3:.0f} ms",
    )  # fmt: skip
    keep()
    to_parquet()

    def read() -> None:  # as `kept.value` does
        blob = blobs.get(names[-1])
        codec.decode_blob("arrow", None, blob.unchecked)
        blob.check()

    ours, theirs = _in_turns(read, lambda: pd.read_parquet(parquet), rounds)
    yield at_most(
        "  read it, against read_parquet", ours / theirs, 1.3, "{:.2f} x",
        f"{ours * 1e3:.0f} ms, {theirs * 1e3:.0f} ms",
    )  # fmt: skip


def _as_argument(frame: Any, count: int) -> Iterator[Figure]:
    """Yield how often tasks that all take one frame read it, and how long that takes them."""
    from nbtasks.engine.fingerprint import tables

    @nb.job("as-argument")
    def body(io: nb.SyncIO) -> None:
        for n in range(count):
            io.run_task(n, len, frame)

    content, seconds = tables.content, []

    def timed(*arguments: Any) -> Any:
        start = perf_counter()
        try:
            return content(*arguments)
        finally:
            seconds.append(perf_counter() - start)

    with mock.patch.object(tables, "content", timed):
        for what, limit in ((f"{count} tasks that take one frame of 100 MB read it", 1),
                            ("  replayed", 0)):  # fmt: skip
            start, before = perf_counter(), len(seconds)
            body.run()
            took, reads = perf_counter() - start, len(seconds) - before
            note = f"{took * 1e3:.0f} ms in all, {sum(seconds[before:]) * 1e3:.0f} ms to read it"
            yield at_most(what, reads, limit, "{:.0f} times", note)


def _in_turns(
    one: Callable[[], object],
    other: Callable[[], object],
    rounds: int,
    before: Callable[[], None] = lambda: None,
) -> tuple[float, float]:
    times: tuple[list[float], list[float]] = [], []
    for turn in range(rounds + 1):
        for call, spent in zip((one, other), times, strict=True):
            before()
            start = perf_counter()
            call()
            if turn:  # the first warms the caches
                spent.append(perf_counter() - start)
    return median(times[0]), median(times[1])


def _memory(folder: Path, name: str, what: str) -> Iterator[Figure]:
    command = [sys.executable, "-c", _PEAK, str(folder / "peak"), name]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    wrote, read = map(float, done.stdout.split())
    yield at_most("  memory to write it, beside the frame itself", wrote, 1.5, "{:.2f} x")
    yield at_most("  memory to read it, with the frame", read, 2.5, "{:.2f} x", what)
