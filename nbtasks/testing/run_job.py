"""A job in memory, with tasks that have the value that the test says."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import dataclasses
import functools
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from nbtasks.core import clock as clocks
from nbtasks.core import keys
from nbtasks.engine.effects import Call, CallContext, Effects, Wait
from nbtasks.engine.execution import Execution
from nbtasks.engine.waits import Waits
from nbtasks.errors import NbtasksError, NotFoundError, ValueNotKeptError
from nbtasks.jobs.job import Job
from nbtasks.jobs.run import Run
from nbtasks.jobs.runtime import Kit, kit
from nbtasks.jobs.session import Session
from nbtasks.journal import edits
from nbtasks.journal.memory import MemoryJournal
from nbtasks.journal.protocol import Claim, Journal, Opened
from nbtasks.testing.clock import FakeClock
from nbtasks.testing.journals import use_journal
from nbtasks.values import codec

__all__ = ["run_job"]

#: A variable, so that a dict of strings fits as well as one of tuples.
Path = TypeVar("Path", bound=keys.KeyPath)


def run_job(job: Job, payload: Any = None, tasks: Mapping[Path, Any] | None = None) -> Run:
    """Runs a job in memory, by itself: nothing is written to a home, waits take no time, and
    each call begins a new run. It blocks; in an `async def` test the job has a loop of its own.

    Args:
        job: The job; a `def` or an `async def` one.
        payload: Its payload.
        tasks: The tasks whose functions are not called, by path: a string like `"fit/AA"`, or the
            tuple of the keys. Each has the value that is given; where that is an exception, the
            task fails with it, and is tried again as its `retry` says. A wait that is named is
            over at once.

    Returns:
        The run, to be looked at also afterwards. Unless a `FakeClock` is in force already, its
        times are those of a new one.

    Raises:
        Exception: What the job raised.
        NotFoundError: The run never came to a task that `tasks` names.
        ValueNotKeptError: No task could have such a value.

    ```python
    import nbtasks as nb
    from nbtasks.testing import run_job


    def fetch(url: str) -> bytes: ...  # no test should come here


    @nb.job("run-job-example")
    def sizes(payload: list[str], io: nb.SyncIO) -> list[int]:
        pages = io.map("fetch", fetch, payload, key_of=str, max_failures=1)
        return [len(page or b"") for page in pages]


    pages = {("fetch", "a.org"): b"<html>", ("fetch", "b.org"): TimeoutError("too slow")}
    run = run_job(sizes, ["a.org", "b.org"], tasks=pages)
    assert run.output == [6, 0]
    assert run.tasks().status.tolist() == ["COMPLETED", "COMPLETED", "FAILED"]
    ```
    """
    if not isinstance(job, Job):
        raise TypeError(f"run_job takes a job that nb.job has made, not {job!r}.")
    stage = _Stage(MemoryJournal(), {} if tasks is None else _by_path(tasks))
    with contextlib.ExitStack() as stack:
        if not isinstance(clocks.current(), FakeClock):
            stack.enter_context(FakeClock())
        stack.enter_context(use_journal(stage.journal))  # for what else its body may run or ask
        try:
            run = _apart(lambda: job.at(stage).run(payload, tree=False))
        except BaseException as error:
            if missed := stage.missed():
                error.add_note(f"It had not come to these of tasks=: {_listed(missed)}.")
            raise
    if missed := stage.missed():
        raise NotFoundError(_never(run, missed))
    return run


def _apart(run: Callable[[], Run]) -> Run:
    """Calls in another thread where a loop runs in this one: to enter that again, `job.run` would
    have to patch asyncio for all the other tests as well."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return run()
    with ThreadPoolExecutor(1, "nbtasks-run-job") as pool:
        return pool.submit(contextvars.copy_context().run, run).result()


def _by_path(tasks: Mapping[Path, Any]) -> dict[str, Callable[[], Any]]:
    """What gives the value of each task, anew each time, or raises its error."""
    givers: dict[str, Callable[[], Any]] = {}
    for key, value in tasks.items():
        path = keys.path_of(key)
        if isinstance(value, BaseException):
            givers[path] = functools.partial(_raise, value)
            continue
        try:
            encoded = codec.encode(value)
        except ValueNotKeptError as error:
            raise ValueNotKeptError(f"tasks={{{path!r}: ...}}: {error}") from None
        givers[path] = functools.partial(_decode, encoded)
    return givers


def _raise(error: BaseException) -> None:
    raise error


def _decode(encoded: codec.Encoded) -> Any:
    if encoded.blob is None:
        return codec.decode(encoded.kind, encoded.text)
    return codec.decode_blob(encoded.kind, encoded.text, bytes(encoded.blob))


class _Stage(Kit):
    """The kit of one run: its own journal, and tasks that are given.

    Args:
        journal: Where the run is recorded.
        given: What gives the value of each task that is not to be called; by path.
    """

    def __init__(self, journal: Journal, given: dict[str, Callable[[], Any]]) -> None:
        super().__init__()
        self.jobs = kit.jobs
        self.given = journal
        self._values = given
        self._reached: set[str] = set()

    def session(self, claim: Claim, **how: Any) -> Session:
        """As the kit's."""
        session = super().session(claim, **how)
        session.execute = functools.partial(_Rehearsal, self._values, self._reached)
        return session

    def missed(self) -> list[str]:
        """The paths of tasks that are given, and that no execution has come to."""
        return [path for path in self._values if path not in self._reached]


class _Rehearsal(Execution):
    """An execution in which some tasks do not call their functions.

    They are tasks like any other in all else: their arguments are recorded, they are retried, and
    after a restart the journal answers for them.

    Args:
        given: What gives the value of each of them, by path.
        reached: Takes the paths of those that were called.
        journal: As of an execution.
        opened: As of an execution.
    """

    def __init__(
        self,
        given: dict[str, Callable[[], Any]],
        reached: set[str],
        journal: Journal,
        opened: Opened,
    ) -> None:
        super().__init__(journal, opened)
        self._given = given
        self._reached = reached
        self.waits = _RehearsedWaits(self, given, reached)

    def task(self, call: Call, context: CallContext) -> Effects:
        """As of an execution."""
        call.key = context.numbered(call.key)
        path = keys.join(context.path, call.key)
        if path in self._given:
            self._reached.add(path)
            call.checked_as = call.checked_as or (call.fn, call.args)
            call.fn = _stand_in(self._given[path], asynchronous=context.asynchronous)
            options = dataclasses.replace(call.policy.options, on=None)  # it is here, not there
            call.policy = dataclasses.replace(call.policy, options=options)
        return (yield from super().task(call, context))


class _RehearsedWaits(Waits):
    """The waits of such an execution: one that is given is over at once.

    Args:
        execution: It.
        given: As of it.
        reached: As of it.
    """

    def __init__(
        self, execution: Execution, given: dict[str, Callable[[], Any]], reached: set[str]
    ) -> None:
        super().__init__(execution)
        self._given = given
        self._reached = reached

    def wait(self, wait: Wait, context: CallContext) -> Effects:
        """As of the waits of an execution."""
        path = keys.join(context.path, wait.key)
        if path in self._given:
            self._reached.add(path)
            if self._given[path]() is not None:
                raise NbtasksError(
                    f"tasks={{{path!r}: ...}}: that is a wait, which gives nothing. Give it None."
                )
            wait.due = clocks.micros
        return (yield from super().wait(wait, context))


def _stand_in(give: Callable[[], Any], *, asynchronous: bool) -> Callable[..., Any]:
    """The function that is called instead: on the loop if there is one, since it is quick."""

    def blocking(*_: Any) -> Any:
        return give()

    async def awaited(*_: Any) -> Any:
        return give()

    return awaited if asynchronous else blocking


def _never(run: Run, missed: list[str]) -> str:
    known = run.tasks().path.tolist()
    near = edits.nearest(missed[0], known)
    there = f"The nearest to {missed[0]!r}: {_listed(near)}." if near else "It has no tasks at all."
    return (
        f"The run of job {run.job!r} never came to {_listed(missed)}, to which tasks= gives a "
        f"value. {there} A path is the keys from the top, as run.tasks().path has it; what is "
        "below a task with a value of its own is not reached."
    )


def _listed(paths: list[str]) -> str:
    return ", ".join(map(repr, paths))
