"""Executions that end after each task and resume from the journal, to show that a job replays."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import dataclasses
import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any, Self, TypeVar, cast, overload

from nbtasks.core import clock, tracebacks
from nbtasks.core.model import ANSWERED, ReuseRow, Row, RunRow, Status, TaskRow
from nbtasks.errors import StaleTaskWarning
from nbtasks.jobs.definition.job import Job
from nbtasks.jobs.run import Run
from nbtasks.jobs.runtime import Runtime
from nbtasks.journal.protocol import Claim, ClaimedRun, Journal
from nbtasks.testing.journals import CrashableJournal
from nbtasks.testing.replay_history import History, ReplayError

__all__ = ["always_replay"]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

_LIMIT = 1000


@overload
def always_replay(test: F, /) -> F: ...
@overload
def always_replay(*, limit: int = ...) -> _AlwaysReplay: ...
def always_replay(test: Any = None, /, *, limit: int = _LIMIT) -> Any:
    """Restart each run from the journal after every task that newly ends in it, inside the block.

    Each execution of a job ends when a task has newly ended, as if its process had died there, and
    the run is resumed from the journal, until it comes to its end. A test that passes in the block
    shows that the job replays.

    `job.run` and `job.arun` return the run, or raise, only at that end. Tasks in flight beside the
    task that ended are called again, as after a real crash. `always_replay` is also a decorator of
    tests, both `def` and `async def`.

    Args:
        test: A test to decorate.
        limit: Maximum number of restarts of a run. Each task takes one.

    Raises:
        ReplayError: Raised by `job.run`: an execution did not reach a task that had ended in an
            earlier one, or gave it other arguments; or the run never finishes.

    ```python
    import nbtasks as nb
    from nbtasks.testing import always_replay

    calls = []


    def load() -> list[int]:
        calls.append("load")
        return [1, 2, 3]


    @nb.job("always-replay-example")
    def body(io: nb.SyncIO) -> int:
        rows = io.run_task("load", load)
        return io.run_task("sum", sum, rows)


    with always_replay():
        run = body.run()
    assert (run.output, run.executions) == (6, 3)
    assert calls == ["load"]
    ```
    """
    block = _AlwaysReplay(limit)
    return block if test is None else block(test)


class _AlwaysReplay:
    """Context manager of `always_replay`. Blocks may nest, and threads may share one: the outermost
    block's limit applies."""

    _lock = threading.Lock()
    _depth = 0

    def __init__(self, limit: int) -> None:
        self._limit = limit

    def __enter__(self) -> Self:
        with self._lock:
            if _AlwaysReplay._depth == 0:
                _put_in_force(self._limit)
            _AlwaysReplay._depth += 1
        return self

    def __exit__(self, kind: object, error: BaseException | None, tb: object) -> None:
        with self._lock:
            _AlwaysReplay._depth -= 1
            if _AlwaysReplay._depth == 0:
                Job.run, Job.arun = _run, _arun  # type: ignore[method-assign]  # as they were

    def __call__(self, test: F) -> F:
        if inspect.iscoroutinefunction(test):

            @functools.wraps(test)
            async def awaited(*args: Any, **named: Any) -> Any:
                with self:
                    return await test(*args, **named)

            return cast("F", awaited)

        @functools.wraps(test)
        def blocking(*args: Any, **named: Any) -> Any:
            with self:
                return test(*args, **named)

        return cast("F", blocking)


_run, _arun = Job.run, Job.arun


def _put_in_force(limit: int) -> None:
    """Make all jobs restart, by patching `Job`, so that jobs need no code for it."""

    @functools.wraps(_run)
    def run(self: Job, payload: Any = None, **named: Any) -> Run:
        if _is_attempt(self):
            return _run(self, payload, **named)
        attempts = _Attempts(self, (payload,), named, limit)
        try:
            while True:
                with attempts:
                    return attempts.last(_run(attempts.job(), *attempts.args(), **attempts.named()))
        except BaseException as error:
            error.__traceback__ = tracebacks.own_frames(error.__traceback__)
            raise

    @functools.wraps(_arun)
    async def arun(self: Job, payload: Any = None, **named: Any) -> Run:
        if _is_attempt(self):
            return await _arun(self, payload, **named)
        attempts = _Attempts(self, (payload,), named, limit)
        while True:
            with attempts:
                return attempts.last(
                    await _arun(attempts.job(), *attempts.args(), **attempts.named())
                )

    Job.run, Job.arun = run, arun  # type: ignore[method-assign]  # until the block ends


def _is_attempt(job: Job) -> bool:
    """Return True if the job is already in an attempt: `run` and `arun` call each other."""
    return isinstance(_runtime(job).own_journal, _Attempt)


def _runtime(job: Job) -> Runtime:
    return cast("Runtime", job._runtime)  # noqa: SLF001 - the runtime that job.run uses


class _Attempts:
    """Executions of one call of `job.run`, each in a `with` block.

    The block swallows the crash that ends an execution; it passes on any other error, which ends
    the call.

    Args:
        job: The job.
        args: Positional arguments of the call.
        named: Arguments of the call by name: options, and fields of the payload.
        limit: Maximum number of restarts.
    """

    def __init__(self, job: Job, args: tuple[Any, ...], named: dict[str, Any], limit: int) -> None:
        self._job = job
        self._args = args
        self._named = named
        self._history = History(limit)
        self._attempt: _Attempt | None = None

    def job(self) -> Job:
        """Return the job, set up for its next attempt."""
        runtime = copy.copy(_runtime(self._job))
        runtime.own_journal = self._attempt = _Attempt(runtime.journal, self._history)
        return self._job.with_runtime(runtime)

    def args(self) -> tuple[Any, ...]:
        """Return a copy of the positional arguments."""
        return _copied(self._args)

    def named(self) -> dict[str, Any]:
        """Return a copy of the arguments by name."""
        return _copied(self._named)

    def last(self, run: Run) -> Run:
        """Check a run that came to its end, and return it as the job would."""
        self._check_end(run.id)
        return _runtime(self._job).get_run(run.id)

    def _check_end(self, run_id: str) -> None:
        assert self._attempt is not None  # noqa: S101 - an attempt has ended
        (row,) = self._attempt.runs(run_id=run_id)
        if row.status == Status.COMPLETED:
            tasks = {values[1]: TaskRow(*values) for values in self._attempt.tasks(run_id)}
            self._history.check_end(row, tasks)

    def __enter__(self) -> None:
        self._attempt = None

    def __exit__(self, kind: object, error: BaseException | None, tb: object) -> bool:
        if error is None:
            return False
        if self._attempt is None or not self._attempt.crashed or _stops(error):
            if isinstance(error, StaleTaskWarning):
                self._check_end(
                    self._history.run_id
                )  # with warnings as errors, it preempts this check
            if not isinstance(error, ReplayError):
                self._history.note(error)
            return False
        self._history.check()
        return True


def _copied(arguments: T) -> T:
    """Return a copy of arguments, as a new process would have; the original if it cannot be
    copied."""
    try:
        return copy.deepcopy(arguments)
    except Exception:  # noqa: BLE001 - its classes may raise anything
        return arguments


def _stops(error: BaseException) -> bool:
    """Return True if the error is a Stop or a cancellation from outside, which ends the call."""
    if isinstance(error, asyncio.CancelledError):
        with contextlib.suppress(RuntimeError):  # no loop runs here
            task = asyncio.current_task()
            return task is not None and task.cancelling() > 0
    return isinstance(error, KeyboardInterrupt)


class _Attempt(CrashableJournal):
    """Journal of one execution, which crashes when a task has newly ended.

    Unlike a dead process, it releases the run, so that this process's other runs can continue.
    """

    def __init__(self, inner: Journal, history: History) -> None:
        super().__init__(inner)
        self._history = history
        self._run: RunRow | None = None

    def _crash_message(self) -> str:
        return f"always_replay: the run restarts, since task {self._history.after!r} has ended."

    def claim(self, claim: Claim) -> ClaimedRun:
        """Implement `Journal.claim`; after the first execution, claim the same run again."""
        if run_id := self._history.run_id:
            claim = dataclasses.replace(claim, run_id=run_id, new=False)
        claimed = super().claim(claim)
        self._run = dataclasses.replace(claimed.run)
        self._history.begin(self._run)
        return claimed

    def put(self, row: Row, *, flush: bool = False) -> None:
        """Implement `Journal.put`, and crash if the row newly ends a task.

        After the crash, ignore rows of tasks that the crash itself canceled.
        """
        with self._lock:
            if self.crashed and isinstance(row, TaskRow) and row.status == Status.CANCELED:
                return
            super().put(row, flush=flush)
            if isinstance(row, ReuseRow):
                self._history.mark_reused(row)
            elif isinstance(row, TaskRow):
                self._history.mark_reached(row)
                if row.status in ANSWERED and not row.reused and not row.fatal:
                    self._history.end(row)
                    self._die()

    def sync(self) -> None:
        """Implement `Journal.sync`; do nothing after the crash."""
        if not self.crashed:
            super().sync()

    def _die(self) -> None:
        assert self._run is not None  # noqa: S101 - claimed before any task ends
        self.crashed = True
        self._run.status, self._run.finished_us = Status.INTERRUPTED, clock.micros()
        self._inner.release(self._run)
        self._check()
