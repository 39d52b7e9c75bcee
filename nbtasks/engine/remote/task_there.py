"""Task of a function in another process, as that function sees it: what it reports, and how.

It goes there by value together with `envelope`, so the same holds for it: it imports nothing but
Python's own library, and refers to nothing of this package.
"""

from __future__ import annotations

import contextlib
import contextvars
import json
import math
import os
import socket
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from numbers import Integral, Real
from typing import Any

__all__ = [
    "TaskThere", "capturing", "current_there", "is_number", "now_us", "progress_parts",
    "reporting", "shared", "to_json_number", "topic_of",
]  # fmt: skip

#: Name of the module that holds, in a worker process, what its runners share.
_SHARED = "_nbtasks_worker"
_MAX_LINES = 1000
_MAX_CHARS = 10_000
#: Time between two reports of a running function, in seconds. One that ends before the first has
#: none: its reply says all.
_PAUSE = 0.05
#: The most characters that a function reports while it runs. The reply has the rest.
_MAX_LIVE = 1 << 20

#: Total of a progress that is recorded as a fraction.
_FRACTION_PARTS = 1_000_000
_MAX_NUMBER = 2**53


def progress_parts(done: Any, total: Any) -> tuple[int, int] | None:
    """Return a progress as whole numbers; None if it is not one."""
    if not all(is_number(number) and 0 <= number < _MAX_NUMBER for number in (done, total)):
        return None
    if done == int(done) and total == int(total):
        return int(done), int(total)
    return round(done / total * _FRACTION_PARTS), _FRACTION_PARTS


def is_number(value: object) -> bool:
    """Return True for a real number; truth values are none."""
    return isinstance(value, Real) and not isinstance(value, bool)


def to_json_number(value: Any) -> float | None:
    """Return the number as JSON writes it; None for infinities and NaN, which JSON lacks."""
    if isinstance(value, Integral):
        return int(value)
    return float(value) if math.isfinite(value) else None


def now_us() -> int:
    """Return the time in microseconds since 1970, by the clock of this machine."""
    return time.time_ns() // 1000  # noqa: TID251 - nothing of nbtasks is there


class TaskThere:
    """The current task, as its function sees it in another process.

    What it reports is in the reply, and on a cluster that can pass messages on, also on its way
    there while the function runs.

    Attributes:
        key: The task's key, as text.
        path: The task's path.
        run_id: The id of its run.
        attempt: The number of this attempt, from 1.
        idempotency_key: A token that stays the same in all attempts and executions.
        call: The name of the call for those who listen to it.
    """

    def __init__(
        self,
        key: str,
        path: str,
        run_id: str,
        attempt: int,
        idempotency_key: str,
        call: str = "",
    ) -> None:
        self.key, self.path, self.run_id = key, path, run_id
        self.attempt, self.idempotency_key, self.call = attempt, idempotency_key, call
        self.began_us, self.where = now_us(), _place()
        self.lines: list[tuple[int, str, str, dict[str, Any]]] = []
        self.metrics: dict[str, Any] = {}
        self.done: tuple[int, int] | None = None
        self.dropped = 0
        self._partial: dict[str, str] = {}
        self._lock = threading.Lock()
        self._reported: tuple[int, int, Any] = (0, 0, None)  # lines, characters, numbers

    def log(self, message: str, level: str = "info", **data: Any) -> None:
        """Write a line to the task's log."""
        with self._lock:
            self._add(level, str(message), json.loads(json.dumps(data, default=repr)))

    def progress(self, done: float, total: float) -> None:
        """Report the task's progress: `done` of `total`."""
        parts = progress_parts(done, total)
        if parts is None:
            raise ValueError(
                f"progress({done!r}, {total!r}) takes the amount done and the total: two numbers "
                "that are not negative."
            )
        self.done = parts

    def metric(self, **numbers: float) -> None:
        """Record metrics of the task by name. The last value of a name counts."""
        for name, value in numbers.items():
            if not is_number(value):
                raise ValueError(f"metric({name}={value!r}): a metric is a number.")
        self.metrics |= {name: to_json_number(value) for name, value in numbers.items()}

    def write(self, text: str, level: str) -> None:
        """Add printed text; complete lines go into the log."""
        with self._lock:
            *lines, partial = (self._partial.get(level, "") + text).split("\n")
            for line in lines:
                self._add(level, line, {})
            self._partial[level] = partial[-_MAX_CHARS:]

    def close(self) -> None:
        """Add what was printed without an end of line."""
        with self._lock:
            for level, partial in self._partial.items():
                if partial:
                    self._add(level, partial, {})
            self._partial.clear()

    def news(self) -> str | None:
        """Return what is to be reported since the last time, as JSON; None for nothing."""
        with self._lock:
            first, chars, before = self._reported
            lines: list[Any] = []
            for line in self.lines[first:]:
                chars += len(line[2]) + len(str(line[3]))
                if chars > _MAX_LIVE:
                    break
                lines.append(line)
            numbers = [self.done, dict(self.metrics)]
            if not lines and numbers == before:
                return None
            self._reported = first + len(lines), chars, numbers
        return json.dumps({
            "call": self.call, "began_us": self.began_us, "now_us": now_us(), "first": first,
            "lines": lines, "progress": numbers[0], "metrics": numbers[1], **self.where,
        })  # fmt: skip

    def _add(self, level: str, line: str, data: dict[str, Any]) -> None:
        if len(self.lines) >= _MAX_LINES:
            self.dropped += 1
            return
        line = line.rstrip("\r").rpartition("\r")[2][:_MAX_CHARS]  # a progress bar's last state
        self.lines.append((now_us(), level, line, data))

    def __repr__(self) -> str:
        return f"<CurrentTask {self.path!r}, attempt {self.attempt}, run {self.run_id}>"


class _Stream:
    """Text stream that passes everything on, and adds what a task prints to its log."""

    def __init__(self, inner: Any, level: str, task: contextvars.ContextVar[Any]) -> None:
        self._inner, self._level, self._task = inner, level, task

    def write(self, text: str) -> int:
        task = self._task.get()
        if task is not None:
            task.write(text, self._level)
        count: int = self._inner.write(text)
        return count

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def current_there() -> Any:
    """Return the task whose function runs in this worker process; None if there is none."""
    shared = sys.modules.get(_SHARED)
    return None if shared is None else shared.task.get()


def shared() -> Any:
    """Return what the runners of this process share."""
    own: Any = types.ModuleType(_SHARED)
    own.task = contextvars.ContextVar("nbtasks_task_there", default=None)
    own.lock, own.users, own.streams = threading.Lock(), 0, {}
    own.reports, own.reporter = {}, None
    own.function = "", None  # the last one that has a name
    return sys.modules.setdefault(_SHARED, own)


@contextlib.contextmanager
def capturing(own: Any) -> Iterator[None]:
    """Add what tasks print to their logs, while the context is open anywhere in the process."""
    with own.lock:
        own.users += 1
        if own.users == 1:
            for name, level in (("stdout", "print"), ("stderr", "stderr")):
                if (inner := getattr(sys, name)) is not None:
                    own.streams[name] = inner, _Stream(inner, level, own.task)
                    setattr(sys, name, own.streams[name][1])
    try:
        yield
    finally:
        with own.lock:
            own.users -= 1
            if not own.users:
                for name, (inner, stream) in own.streams.items():
                    if getattr(sys, name) is stream:  # otherwise somebody has replaced it
                        setattr(sys, name, inner)
                own.streams.clear()


# -- reports --------------------------------------------------------------------------------------


def topic_of(run_id: str) -> str:
    """Return the name under which a cluster passes on what the tasks of a run report."""
    return f"nbtasks-{run_id}"


@contextlib.contextmanager
def reporting(own: Any, task: TaskThere) -> Iterator[None]:
    """Report what a task says while the context is open, if somebody listens."""
    worker = _worker() if task.call else None
    if worker is None:
        yield
        return
    topic = topic_of(task.run_id)

    def report() -> None:
        if now_us() - task.began_us >= _PAUSE * 1e6 and (news := task.news()) is not None:
            worker.log_event(topic, news)

    with own.lock:
        own.reports[task] = report
        if own.reporter is None:
            own.reporter = threading.Thread(target=_report, args=(own,), daemon=True)
            own.reporter.start()
    try:
        yield
    finally:
        with own.lock:
            own.reports.pop(task, None)


def _report(own: Any) -> None:
    """Report now and then what the tasks of this process say, until none is left."""
    while True:
        time.sleep(_PAUSE)  # noqa: TID251 - nothing of nbtasks is there
        with own.lock:
            reports: list[Callable[[], None]] = list(own.reports.values())
            if not reports:
                own.reporter = None
                return
        for report in reports:
            with contextlib.suppress(Exception):  # the reply says it again
                report()


def _worker() -> Any:
    """Return the worker of Dask that this thread works for; None for none."""
    dask = sys.modules.get("distributed.worker")
    if dask is None:
        return None
    try:
        return dask.get_worker()
    except ValueError:
        return None


def _place() -> dict[str, Any]:
    """Return where this is: the host, the process, and the address of the worker."""
    address = getattr(_worker(), "address", None)
    return {"host": socket.gethostname(), "pid": os.getpid(), "worker": address}
