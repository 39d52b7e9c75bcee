"""An execution as a `with` block: what surrounds the body of a job or of a cell.

Entering claims the run; leaving records how it ended, whatever way it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from contextvars import Token
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from nbtasks import calls, clock, codec, here, live, prints, tracebacks
from nbtasks.ending import SIGNAL
from nbtasks.errors import (
    Interrupt,
    NbtasksError,
    NotRecordedError,
    Suspended,
    TaskFailed,
    ValueNotKeptError,
)
from nbtasks.io import AsyncIO, SyncIO
from nbtasks.model import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from nbtasks.desk import Desk
    from nbtasks.engine import Execution
    from nbtasks.journal.port import Claim, Journal, Opened
    from nbtasks.options import Policy
    from nbtasks.parking import Budget

__all__ = ["Context", "JobInfo", "RunInfo", "Session", "Watcher"]

#: ipykernel's Stop does not wake a loop that waits for nothing else; this does.
TICK_SECONDS = 0.1
#: How long the end of a run waits for tasks that do not heed their cancellation.
LINGER_SECONDS = 5.0
#: How often Stop has to be pressed to end even what should not be interrupted.
_TIMES_TO_INSIST = 3


class Watcher(Protocol):
    """Somebody who shows an execution while it goes on."""

    def start(self) -> None:
        """The execution has begun."""

    def finish(self) -> None:
        """It has ended, and its end is recorded."""


@dataclass(frozen=True, slots=True)
class JobInfo:
    """The job that is executed."""

    id: str
    name: str
    version: str


@dataclass(frozen=True, slots=True)
class RunInfo:
    """The run that is executed.

    Attributes:
        id: Its id.
        key: Its key.
        execution: Which execution of it this is, from 1.
        started_at: When the first one began.
        is_new: Whether this is the first.
    """

    id: str
    key: str
    execution: int
    started_at: datetime
    is_new: bool


@dataclass(frozen=True, slots=True)
class Context:
    """`ctx`: what a body may want to know of itself.

    ```python
    import nbtasks as nb


    @nb.job("context-example", version="1.2.0")
    def body(payload: int, io: nb.SyncIO, ctx: nb.Context) -> str:
        return f"{ctx.job.id} {ctx.job.version}, execution {ctx.run.execution}"


    assert body.run(1, new=True).output == "context-example 1.2.0, execution 1"
    ```
    """

    job: JobInfo
    run: RunInfo


class Session:
    """Executes a run around a block.

    Args:
        journal: Where it is recorded.
        claim: Which run.
        policy: What holds for tasks that say nothing themselves.
        log_level: The least level of lines that are kept.
        watch: Makes what shows the execution, if anything does.
        keep_output: Whether an output that cannot be recorded ends the run FAILED. A cell's
            last expression may be anything, so for a cell it does not.
        budget: How long the execution may take.
        desk: Begins other runs, and finds them again.

    Attributes:
        value: The output; the body's owner sets it before the block ends.
        ctx: The context of the execution.
        ended: Whether its end is recorded.
        integrations: Those of the job, by name.
        execute: Makes the execution; a test may put something else in its place.
    """

    ctx: Context
    execution: Execution
    _ios: here.RunIO

    def __init__(  # noqa: PLR0913 - what an execution is made of
        self,
        journal: Journal,
        claim: Claim,
        *,
        policy: Policy,
        log_level: str = "info",
        watch: Callable[[Execution], Watcher | None] | None = None,
        keep_output: bool = True,
        budget: Budget | None = None,
        desk: Desk | None = None,
    ) -> None:
        self.value: Any = None
        self.ended = False
        self._recording = False  # it is being recorded, and then is not done again
        self.integrations: Mapping[str, Any] = {}
        self.execute: Callable[[Journal, Opened], Execution] = _execution
        self._journal = journal
        self._claim = claim
        self._policy = policy
        self._log_level = log_level
        self._watch = watch
        self._keep_output = keep_output
        self._budget = budget
        self._desk = desk
        self._watcher: Watcher | None = None
        self._token: Token[Any] | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._reached = contextlib.ExitStack()
        self._printing = contextlib.ExitStack()

    @property
    def job(self) -> str:
        """The id of the job."""
        return self._claim.make.job

    def postpone(self) -> None:
        """It begins only now, since it had to wait for room."""
        self._claim.make.started_us = clock.micros()

    @property
    def io(self) -> SyncIO | AsyncIO:
        """The io of the body, with the face that fits it."""
        return self._ios.of(self.execution.root)

    # -- a body that blocks -------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._begin(asynchronous=False)
        self._reached.enter_context(self.execution.ending.blocking())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._end(error)

    # -- a body that awaits -------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._begin(asynchronous=True)
        self._reached.enter_context(self.execution.ending.awaiting())
        self._ticker = asyncio.create_task(self._tick())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        try:
            await self._cancel_rest()
        finally:
            if self._ticker is not None:
                self._ticker.cancel()
            self._end(error)

    async def _cancel_rest(self) -> None:
        """Ends what the body started and did not wait for."""
        rest = self.execution.active - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        if rest:
            await asyncio.wait(rest, timeout=LINGER_SECONDS)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            with contextlib.suppress(NbtasksError):  # the next task's commit will say it
                self._journal.flush()

    # -- both ---------------------------------------------------------------------------------

    def _begin(self, *, asynchronous: bool) -> None:
        execution = None
        self._printing.enter_context(prints.recorded())
        try:
            with _uninterrupted():
                opened = self._journal.claim(self._claim)
                execution = self.execution = self.execute(self._journal, opened)
                execution.waits.begin(self._budget)
                live.add(execution)
            self._prepare(opened, asynchronous=asynchronous)
        except BaseException as error:  # stopped while the tree was drawn, say
            if execution is not None:
                self._end(error)
            self._printing.close()
            raise

    def _prepare(self, opened: Opened, *, asynchronous: bool) -> None:
        execution = self.execution
        execution.root.asynchronous = asynchronous
        self._ios = here.open_run(
            execution, self._policy, self._log_level, self._desk, self.integrations
        )
        run = execution.run
        self.ctx = Context(
            JobInfo(run.job, run.name, run.version),
            RunInfo(run.run_id, run.key, run.executions, clock.at(run.started_us), opened.fresh),
        )
        self._token = calls.current.set(execution.root)
        self._watcher = self._watch(execution) if self._watch else None
        if self._watcher is not None:
            self._watcher.start()

    def _end(self, error: BaseException | None) -> None:
        try:
            self._leave()
            self._record_end(error)
        except BaseException as stopped:
            if isinstance(stopped, Exception) or self._recording:
                raise
            # By Stop, once more or only now: what is not let go is taken as long as this process
            # lives.
            self._leave()
            self._conclude(_status(stopped), stopped, None)
            raise

    def _leave(self) -> None:
        self._reached.close()
        self._printing.close()
        live.discard(self.execution)
        here.close(self.execution)
        if self._token is not None:
            # Left from another context, as a stopped cell is; or left before.
            with contextlib.suppress(ValueError, RuntimeError):
                calls.current.reset(self._token)

    def _record_end(self, error: BaseException | None) -> None:
        cause = self._cause(error)
        encoded = None
        if error is None:
            try:
                encoded = codec.encode(self.value)
            except Exception as refused:
                if self._keep_output or not isinstance(refused, ValueNotKeptError):
                    self._conclude(_status(refused), refused, None)
                    raise
        if error is not None:
            _trim(error)
        self._conclude(_status(cause or error), cause or error, encoded)
        if cause is not None and cause is not error:
            raise cause from None

    def _cause(self, error: BaseException | None) -> Interrupt | NotRecordedError | None:
        """What the body was ended by, if it was and let itself be: it may have come to its end,
        or have failed in its `finally`. Or what it came to its end in spite of, though nothing
        was to be replayed of a task."""
        if error is None and (only := self.execution.only) is not None and only.refused:
            return only.refused  # the body has caught it
        left = isinstance(error, asyncio.CancelledError | Interrupt | BaseExceptionGroup)
        return self.execution.ending.cause if left and not isinstance(error, Exception) else None

    def _conclude(
        self, status: Status, error: BaseException | None, encoded: codec.Encoded | None
    ) -> None:
        try:
            with _uninterrupted(stopped=status == Status.CANCELED):
                self._recording = True
                self.execution.conclude(status, error, encoded)
                self.ended = True
        finally:
            if self._watcher is not None and self._recording:
                self._watcher.finish()
        self.execution.changes.warn()


@contextlib.contextmanager
def _uninterrupted(*, stopped: bool = False) -> Iterator[None]:
    """Holds Stop, Ctrl-C and a cancel of another run back while a run is taken or let go.

    In the middle of that, one would leave the run taken for as long as this process lives. It is
    let through afterwards, unless the run was `stopped` already; the third one goes through at
    once, should this ever hang.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[int] = []
    late: list[int] = []

    def hold_back(number: int, _: object) -> None:
        pressed.append(number)
        if len(pressed) >= _TIMES_TO_INSIST:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, hold_back)
    cancelled = signal.signal(SIGNAL, lambda number, _: late.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        signal.signal(SIGNAL, cancelled or signal.SIG_DFL)  # None: of no Python code
    if late:
        signal.raise_signal(SIGNAL)
    if pressed and not stopped:
        signal.raise_signal(signal.SIGINT)


def _status(error: BaseException | None) -> Status:
    if error is None:
        return Status.COMPLETED
    if isinstance(error, Suspended):
        return Status.WAITING
    return Status.FAILED if isinstance(error, Exception) else Status.CANCELED


def _trim(error: BaseException) -> None:
    """Leaves the user's own frames in what the cell will show."""
    link: BaseException | None = error
    while link is not None:
        link.__traceback__ = tracebacks.own_frames(link.__traceback__)
        if isinstance(link, NbtasksError) and not isinstance(link, TaskFailed):
            link.__context__ = None
        link = link.__cause__


def _execution(journal: Journal, opened: Opened) -> Execution:
    """A new execution of the engine, which is loaded with the first: an import does without."""
    from nbtasks.engine import Execution

    return Execution(journal, opened)
