"""Execution of a job in memory, with tasks whose values the test defines."""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import functools
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from nbtasks.core import clock as clocks
from nbtasks.core import event_loop, keys
from nbtasks.engine.drivers.drive import is_async
from nbtasks.engine.effects import Call, CallContext, Effects, Wait
from nbtasks.engine.execution import Execution
from nbtasks.engine.waiting.waits import Waits
from nbtasks.errors import NbtasksError, NotFoundError, ValueNotKeptError
from nbtasks.jobs.definition.job import Job
from nbtasks.jobs.definition.run_options import NONE, given
from nbtasks.jobs.run import Run
from nbtasks.jobs.runtime import Runtime, runtime
from nbtasks.jobs.session import Session
from nbtasks.journal import edits
from nbtasks.journal.memory import MemoryJournal
from nbtasks.journal.protocol import Claim, ClaimedRun, Journal
from nbtasks.testing.clock import FakeClock
from nbtasks.testing.journals import use_journal
from nbtasks.values import codec

__all__ = ["run_job"]

#: A type variable, so that both a dict of strings and a dict of tuples match.
Path = TypeVar("Path", bound=keys.KeyPath)


def run_job(
    job: Job, payload: Any = None, tasks: Mapping[Path, Any] | None = NONE, **fields: Any
) -> Run:
    """Run a job in memory, in isolation: nothing is written to a home, waits take no time, and each
    call starts a new run. The call blocks; in an `async def` test the job has its own event loop.

    Args:
        job: The job, `def` or `async def`.
        payload: Payload of the run.
        tasks: Values of tasks whose functions are not called, by path: a string like `"fit/AA"`, or
            the tuple of the keys. If the value is an exception, the task fails with it and is
            retried according to its `retry`. A wait that is named ends at once.
        **fields: Fields of the payload, as in `job.run`.

    Returns:
        The run, which remains readable afterwards. Its times are those of the `FakeClock` in force,
        or else of a new one.

    Raises:
        Exception: Any exception that the job raised.
        InvalidPayloadError: The payload is invalid.
        NotFoundError: The run never reached a task that `tasks` names.
        ValueNotKeptError: A value in `tasks` cannot be the value of a task.

    ```python
    import nbtasks as nb
    from nbtasks.testing import run_job


    def fetch(url: str) -> bytes: ...  # no test should come here


    @nb.job("run-job-example")
    def sizes(urls: list[str], io: nb.SyncIO) -> list[int]:
        pages = io.map("fetch", fetch, urls, key_of=str, max_failures=1)
        return [len(page or b"") for page in pages]


    pages = {("fetch", "a.org"): b"<html>", ("fetch", "b.org"): TimeoutError("too slow")}
    run = run_job(sizes, urls=["a.org", "b.org"], tasks=pages)
    assert run.output == [6, 0]
    assert run.tasks().status.tolist() == ["COMPLETED", "COMPLETED", "FAILED"]
    ```
    """
    if not isinstance(job, Job):
        raise TypeError(f"run_job takes a job made by nb.job, not {job!r}.")
    options, names = given({"tasks": tasks})
    payload = job.merge_payload(payload, fields, names, "run_job({job}, {given})")
    stage = _Stage(MemoryJournal(), _by_path(options["tasks"] or {}))
    with contextlib.ExitStack() as stack:
        if not isinstance(clocks.current(), FakeClock):
            stack.enter_context(FakeClock())
        stack.enter_context(use_journal(stage.journal))  # for other runs and queries of its body
        try:
            run = _outside_loop(lambda: job.with_runtime(stage).run(payload, tree=False))
        except BaseException as error:
            if missed := stage.missed():
                error.add_note(f"The run had not reached these of tasks=: {_format(missed)}.")
            raise
    if missed := stage.missed():
        raise NotFoundError(_never_reached(run, missed))
    return run


def _outside_loop(run: Callable[[], Run]) -> Run:
    """Call `run`, in another thread if an event loop is running in this one.

    To re-enter the running loop, `job.run` would have to patch asyncio for all other tests, too.
    """
    if event_loop.running() is None:
        return run()
    with ThreadPoolExecutor(1, "nbtasks-run-job") as pool:
        return pool.submit(contextvars.copy_context().run, run).result()


def _by_path(tasks: Mapping[Path, Any]) -> dict[str, Callable[[], Any]]:
    """Return, by path, functions that return a new copy of the task's value or raise its error."""
    values: dict[str, Callable[[], Any]] = {}
    for key, value in tasks.items():
        path = keys.path_of(key)
        if isinstance(value, BaseException):
            values[path] = functools.partial(_raise, value)
            continue
        try:
            encoded = codec.encode(value)
        except ValueNotKeptError as error:
            raise ValueNotKeptError(f"tasks={{{path!r}: ...}}: {error}") from None
        values[path] = functools.partial(_decode, encoded)
    return values


def _raise(error: BaseException) -> None:
    raise error


def _decode(encoded: codec.Encoded) -> Any:
    if encoded.blob is None:
        return codec.decode(encoded.kind, encoded.text)
    return codec.decode_blob(encoded.kind, encoded.text, bytes(encoded.blob))


class _Stage(Runtime):
    """Runtime of one run, with its own journal and predefined tasks.

    Args:
        journal: Journal that records the run.
        values: Functions that return the value of each task that is not called, by path.
    """

    def __init__(self, journal: Journal, values: dict[str, Callable[[], Any]]) -> None:
        super().__init__()
        self.jobs = runtime.jobs
        self.own_journal = journal
        self._values = values
        self._reached: set[str] = set()

    def session(self, claim: Claim, **how: Any) -> Session:
        """Return a session whose execution uses the predefined tasks."""
        session = super().session(claim, **how)
        session.execute = functools.partial(_Rehearsal, self._values, self._reached)
        return session

    def missed(self) -> list[str]:
        """Return the paths of predefined tasks that no execution has reached."""
        return [path for path in self._values if path not in self._reached]


class _Rehearsal(Execution):
    """Execution in which some tasks do not call their functions.

    Otherwise they are tasks like any other: their arguments are recorded, they are retried, and
    after a restart the journal answers them.

    Args:
        values: Functions that return the value of each such task, by path.
        reached: Set that receives the paths of such tasks once they are called.
        journal: Journal that records the run.
        claimed: Claimed run.
    """

    def __init__(
        self,
        values: dict[str, Callable[[], Any]],
        reached: set[str],
        journal: Journal,
        claimed: ClaimedRun,
    ) -> None:
        super().__init__(journal, claimed)
        self._values = values
        self._reached = reached
        self.waits = _RehearsedWaits(self, values, reached)

    def task(self, call: Call, context: CallContext) -> Effects:
        """Yield the effects of a task; a predefined task calls a stand-in for its function."""
        path = keys.join(context.path, call.key)
        if path in self._values:
            self._reached.add(path)
            call.checked_as = call.checked_as or (call.fn, call.args, call.kwargs)
            # A task function that is not awaited blocks even on the loop.
            blocks = call.function is not None and not is_async(call.fn)
            asynchronous = context.asynchronous and not blocks
            stand_in = _stand_in(self._values[path], asynchronous=asynchronous)
            stand_in.__wrapped__ = call.fn  # type: ignore[attr-defined]  # names its parameters
            call.fn = stand_in
            # Without the task's executor: the stand-in has to run in this process.
            options = dataclasses.replace(call.policy.options, on=None)
            call.policy = dataclasses.replace(call.policy, options=options)
        return (yield from super().task(call, context))


class _RehearsedWaits(Waits):
    """Waits of such an execution: a predefined wait ends at once.

    Args:
        execution: The execution.
        values: Functions of the predefined tasks, by path.
        reached: Set that receives the paths of predefined waits once they are called.
    """

    def __init__(
        self, execution: Execution, values: dict[str, Callable[[], Any]], reached: set[str]
    ) -> None:
        super().__init__(execution)
        self._values = values
        self._reached = reached

    def wait(self, wait: Wait, context: CallContext) -> Effects:
        """Yield the effects of a wait; a predefined wait is due now."""
        path = keys.join(context.path, wait.key)
        if path in self._values:
            self._reached.add(path)
            if self._values[path]() is not None:
                raise NbtasksError(
                    f"tasks={{{path!r}: ...}}: that is a wait, which returns nothing. Give it None."
                )
            wait.due = clocks.micros
        return (yield from super().wait(wait, context))


def _stand_in(value: Callable[[], Any], *, asynchronous: bool) -> Callable[..., Any]:
    """Return the function to call in the task's place: on the loop if any, since it is quick."""

    def blocking(*_: Any, **__: Any) -> Any:
        return value()

    async def awaited(*_: Any, **__: Any) -> Any:
        return value()

    return awaited if asynchronous else blocking


def _never_reached(run: Run, missed: list[str]) -> str:
    paths = run.tasks().path.tolist()
    near = edits.nearest_paths(missed[0], paths)
    hint = f"The nearest to {missed[0]!r}: {_format(near)}." if near else "It has no tasks at all."
    return (
        f"The run of job {run.job!r} never reached {_format(missed)}, for which tasks= has a "
        f"value. {hint} A path is the keys from the top, as in run.tasks().path; tasks below a "
        "task with a value of its own are not reached."
    )


def _format(paths: list[str]) -> str:
    return ", ".join(map(repr, paths))
