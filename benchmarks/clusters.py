"""Benchmarks of tasks on a Dask cluster of this machine, against what Dask takes by itself."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

import nbtasks as nb
from benchmarks.report import Figure, at_most

__all__ = ["clusters"]

TASKS, BATCH = 10_000, 100
NAPS, SLOTS = 48, 24
CLOSURE_BYTES, ITEMS = 20_000_000, 16
VALUE_BYTES = 100_000_000
LINES = 12


def clusters(folder: Path, rounds: int) -> Iterator[Figure]:
    """Yield the time of maps and of large values on a cluster, as a share of Dask's own."""
    with _client(2, 1) as client:
        _run(lambda io: io.map("warm", _same, range(8), on=client))
        yield from _many(client)
        yield _closure(client, rounds)
        yield _stored(client, folder / "store", rounds)
        yield _heard(client)
    with _client(3, SLOTS // 3) as client:
        _run(lambda io: io.map("warm", _same, range(SLOTS), on=client))
        yield _wide(client, rounds)


@contextlib.contextmanager
def _client(workers: int, threads: int) -> Iterator[Any]:
    """Yield the client of a cluster of processes of this machine."""
    import distributed

    dask: Any = distributed  # parts of it carry no types
    with _silent():
        cluster = dask.LocalCluster(
            n_workers=workers, threads_per_worker=threads, host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        )  # fmt: skip
    with cluster, dask.Client(cluster) as client:
        yield client


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Let processes that start here print nothing into the table."""
    own = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(own, 1)
        os.close(own)


def _same(number: int) -> int:
    return number


def _nap(_: int) -> None:
    time.sleep(1)


def _say(_: int) -> None:
    print(time.time())
    time.sleep(1)


def _make(count: int) -> Any:
    return np.arange(count)


def _use(values: Any) -> int:
    return int(values[-1])


def _run(body: Callable[..., Any]) -> Any:
    return nb.job("benchmark-clusters")(body).run(new=True).output


def _many(client: Any) -> Iterator[Figure]:
    def bare() -> None:
        client.gather(client.map(_same, range(TASKS), pure=False))

    def ours(**options: Any) -> Callable[[], object]:
        return lambda: _run(lambda io: io.map("same", _same, range(TASKS), on=client, **options))

    dasks, batches, singles = map(_seconds, (bare, ours(batch=BATCH), ours()))
    detail = f"client.map and gather take {dasks:.1f} s"
    what = f"Dask: io.map of {TASKS:,} items, to client.map"
    yield at_most(what, singles / dasks, 1.5, "{:.2f}", detail)
    yield at_most(f"  in batches of {BATCH}", batches / dasks, 0.3, "{:.2f}", f"{batches:.1f} s")


def _closure(client: Any, rounds: int) -> Figure:
    def bare() -> None:
        there = client.scatter(np.arange(CLOSURE_BYTES // 8), hash=False)
        client.gather(client.map(lambda n, big: int(big[n]), range(ITEMS), big=there, pure=False))

    def ours() -> None:
        big = np.arange(CLOSURE_BYTES // 8)
        _run(lambda io: io.map("at", lambda n: int(big[n]), range(ITEMS), on=client))

    dasks, own = _in_turns(rounds, bare, ours)
    detail = f"{own:.2f} s, {dasks:.2f} s by scatter and map"
    return at_most("  a closure over 20 MB, 16 items", own / dasks, 2, "{:.2f}", detail)


def _stored(client: Any, store: Path, rounds: int) -> Figure:
    def bare() -> None:
        client.submit(_use, client.submit(_make, VALUE_BYTES // 8, pure=False)).result()

    def body(io: Any) -> Any:
        made = io.run_task("make", _make, VALUE_BYTES // 8, on=client)
        return io.run_task("use", _use, made, on=client)

    previous = nb.config.store
    nb.configure(store=str(store))
    try:
        dasks, own = _in_turns(rounds, bare, lambda: _run(body))
    finally:
        nb.configure(store=previous)
    detail = f"{own:.2f} s, {dasks:.2f} s in Dask's memory"
    return at_most("  100 MB made and used there, by a store", own / dasks, 3, "{:.2f}", detail)


def _heard(client: Any) -> Figure:
    """Measure how long a printed line is on its way to the log. The looks at the log count, too."""
    heard: list[float] = []

    def listen(run_id: str) -> None:
        seen = 0
        while not is_over.is_set():
            lines = nb.logs(run_id).message
            heard.extend(time.time() - float(line) for line in lines[seen:])
            seen = len(lines)
            time.sleep(0.01)

    is_over = threading.Event()
    listening: list[threading.Thread] = []

    def body(io: Any, ctx: nb.Context) -> None:
        listening.append(threading.Thread(target=listen, args=(ctx.run.id,)))
        listening[0].start()
        io.map("say", _say, range(LINES), on=client)

    _run(body)
    is_over.set()
    listening[0].join()
    detail = f"at most {max(heard):.2f} s, of {len(heard)} lines"
    what = "  a line printed there, until it is in the log here"
    return at_most(what, median(heard), 0.5, "{:.2f} s", detail)


def _wide(client: Any, rounds: int) -> Figure:
    def bare() -> None:
        client.gather(client.map(_nap, range(NAPS), pure=False))

    def ours() -> None:
        _run(lambda io: io.map("nap", _nap, range(NAPS), on=client))

    dasks, own = _in_turns(rounds, bare, ours)
    detail = f"{own:.2f} s, {dasks:.2f} s by client.map"
    return at_most(f"  {NAPS} naps of 1 s at {SLOTS} places", own / dasks, 1.3, "{:.2f}", detail)


def _in_turns(rounds: int, *calls: Callable[[], object]) -> tuple[float, ...]:
    """Return the median seconds of calls that take turns."""
    times = [[_seconds(call) for call in calls] for _ in range(rounds)]
    return tuple(map(median, zip(*times, strict=True)))


def _seconds(call: Callable[[], object]) -> float:
    start = perf_counter()
    call()
    return perf_counter() - start
