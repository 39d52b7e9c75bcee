"""Benchmarks of events and invocations: from sending to the start of the run, in a worker's
process, and from an invocation to the child's end, in this one."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter

import nbtasks as nb
from benchmarks import listener
from benchmarks.report import Figure, at_least, at_most

__all__ = ["events"]

_MANY = 2_000
_FEW = 40
_INVOKED = 100


def events(folder: Path) -> Iterator[Figure]:
    """Yield the rates of events and the latencies of what they start."""
    home = folder / "events"
    nb.configure(home=home)
    try:
        with _worker(home) as worker:
            yield at_most(
                "latency from `send_event` to the start of the run in an idle worker",
                _latency(worker) * 1e3, 100, "{:.0f} ms",
            )  # fmt: skip
            sent, delivered = _rates(worker)
            yield at_least(
                f"{_MANY} events through a worker to a trivial job",
                delivered, 500, "{:.0f}/s", f"sent one by one at {sent:.0f}/s",
            )  # fmt: skip
        yield at_least("events sent in one batch", _batch(), 2_000, "{:.0f}/s")
        yield at_most("`invoke_and_wait` of a trivial child", _invoke() * 1e3, 5, "{:.1f} ms")
    finally:
        nb.configure(home=folder / "home")


class _Worker:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin
        assert process.stdout
        self._in, self._out = process.stdin, process.stdout

    def line(self) -> str:
        return self._out.readline()

    def started(self, count: int) -> dict[int, float]:
        """Return when the runs of so many events started."""
        print(count, file=self._in, flush=True)
        return {int(number): instant for number, instant in json.loads(self.line()).items()}


@contextmanager
def _worker(home: Path) -> Iterator[_Worker]:
    command = [sys.executable, listener.__file__, str(home)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        worker = _Worker(process)
        worker.line()
        yield worker
        process.communicate()


def _latency(worker: _Worker) -> float:
    sent = {}
    for number in range(_FEW):
        sent[number] = time.time()
        nb.send_event("heard", number)
        time.sleep(0.1)
    started = worker.started(_FEW)
    return median(started[number] - sent[number] for number in sent)


def _rates(worker: _Worker) -> tuple[float, float]:
    """Return the events per second that this process sends, and that reach the job."""
    begin, start = time.time(), perf_counter()
    for number in range(_MANY):
        nb.send_event("heard", number)
    sent = _MANY / (perf_counter() - start)
    return sent, _MANY / (max(worker.started(_MANY).values()) - begin)


def _batch() -> float:
    took: list[float] = []

    @nb.job("benchmark-batch")
    def batch(io: nb.SyncIO) -> None:
        start = perf_counter()
        io.send_events("send", [("unheard", number) for number in range(_MANY)])
        took.append(perf_counter() - start)

    for _ in range(3):
        batch.run(new=True, tree=False)
    return _MANY / median(took)


def _invoke() -> float:
    took: list[float] = []

    @nb.job("benchmark-child")
    def child(payload: int) -> int:
        return payload

    @nb.job("benchmark-parent")
    def parent() -> None:
        for number in range(_INVOKED):
            start = perf_counter()
            child.invoke_and_wait(["child", number], number)
            took.append(perf_counter() - start)

    parent.run(tree=False)
    return median(took)
