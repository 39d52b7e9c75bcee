"""Execution of a run as a `with` block around the body of a job or a cell.

Entering the block claims the run; leaving it records the end, however the block ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
from contextvars import Token
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, Self

from nbtasks.core import clock, tracebacks
from nbtasks.core.model import Status
from nbtasks.engine import capture, effects
from nbtasks.engine.cancellation import uninterrupted
from nbtasks.engine.drivers.not_awaited import take_not_awaited
from nbtasks.errors import (
    Interrupt,
    NbtasksError,
    Suspended,
    TaskFailed,
    ValueNotKeptError,
)
from nbtasks.io import io
from nbtasks.io.io import AsyncIO, SyncIO
from nbtasks.jobs import active_runs
from nbtasks.values import codec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from nbtasks.engine.execution import Execution
    from nbtasks.engine.options import Policy
    from nbtasks.engine.waiting.budget import TimeBudget
    from nbtasks.io.dispatcher import Dispatcher
    from nbtasks.journal.protocol import Claim, ClaimedRun, Journal

__all__ = ["Context", "JobInfo", "RunInfo", "Session", "Watcher"]

#: Seconds between two wake-ups of the event loop: ipykernel's Stop does not wake an idle loop.
TICK_SECONDS = 0.1
#: Seconds that the end of a run waits for tasks that ignore their cancellation.
LINGER_SECONDS = 5.0


class Watcher(Protocol):
    """View of an execution while it runs."""

    def start(self) -> None:
        """Show that the execution has begun."""

    def finish(self) -> None:
        """Show that it has ended; its end is recorded."""


@dataclass(frozen=True, slots=True)
class JobInfo:
    """Identity of the job that is executing."""

    id: str
    name: str
    version: str


@dataclass(frozen=True, slots=True)
class RunInfo:
    """Identity of the run that is executing.

    Attributes:
        id: Id of the run.
        key: Key of the run.
        execution: Number of this execution, from 1.
        started_at: Start of the first execution.
        is_new: True in the first execution.
    """

    id: str
    key: str
    execution: int
    started_at: datetime
    is_new: bool


@dataclass(frozen=True, slots=True)
class Context:
    """Description of the current job and run, passed to a body as `ctx`.

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
    """Context manager that executes a run around the block of its body.

    Args:
        journal: Journal that records the run.
        claim: Claim to the run.
        home: Home of the journal, if it is kept in one.
        policy: Defaults for tasks that set no option of their own.
        log_level: Lowest level of the log lines to record.
        watch: Factory of the watcher that shows the execution; it may return None.
        keep_output: If True, an output that cannot be recorded ends the run FAILED. False for a
            cell, whose last expression may have any value.
        budget: Time budget of the execution.
        dispatcher: Dispatcher that starts other runs and finds them again.

    Attributes:
        value: Output of the body; the owner of the body sets it before the block ends.
        ctx: Context of the execution.
        home: Home of the journal, if it is kept in one.
        ended: True once the end is recorded.
        integrations: Integrations of the job, by name.
        execute: Factory of the execution; tests may replace it.
    """

    ctx: Context
    execution: Execution
    _ios: io.RunIO

    def __init__(  # noqa: PLR0913 - what an execution is made of
        self,
        journal: Journal,
        claim: Claim,
        *,
        home: Path | None = None,
        policy: Policy,
        log_level: str = "info",
        watch: Callable[[Execution], Watcher | None] | None = None,
        keep_output: bool = True,
        budget: TimeBudget | None = None,
        dispatcher: Dispatcher | None = None,
    ) -> None:
        self.value: Any = None
        self.home = home
        self.ended = False
        self._recording = False  # the end is being recorded, and must not be recorded twice
        self.integrations: Mapping[str, Any] = {}
        self.execute: Callable[[Journal, ClaimedRun], Execution] = _new_execution
        self._journal = journal
        self._claim = claim
        self._policy = policy
        self._log_level = log_level
        self.watch = watch
        self._keep_output = keep_output
        self._budget = budget
        self._dispatcher = dispatcher
        self._watcher: Watcher | None = None
        self._token: Token[Any] | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._cancel_stack = contextlib.ExitStack()
        self._capture_stack = contextlib.ExitStack()

    @property
    def job(self) -> str:
        """The id of the job."""
        return self._claim.make.job

    def postpone(self) -> None:
        """Move the start of the run to now, after a wait for the concurrency limit."""
        self._claim.make.started_us = clock.micros()

    @property
    def io(self) -> SyncIO | AsyncIO:
        """The io of the body: synchronous or asynchronous, like the body."""
        return self._ios.of(self.execution.root)

    # -- a body that blocks -------------------------------------------------------------------

    def __enter__(self) -> Self:
        try:
            self._begin(asynchronous=False)
            self._cancel_stack.enter_context(self.execution.cancellation.blocking())
            return self  # noqa: TRY300 - a Stop may come on any line up to here
        except BaseException as stopped:
            self.release(stopped)
            raise

    def __exit__(self, kind: object, error: BaseException | None, tb: object) -> None:
        try:
            forgotten = take_not_awaited(self.execution.root)
            self._end(forgotten if error is None else error)
        except BaseException as stopped:
            self.release(stopped)
            raise
        if error is None and forgotten is not None:
            raise forgotten

    # -- a body that awaits -------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        try:
            self._begin(asynchronous=True)
            self._cancel_stack.enter_context(self.execution.cancellation.awaiting())
            self._ticker = asyncio.create_task(self._tick())
            return self  # noqa: TRY300 - as above
        except BaseException as stopped:
            self.release(stopped)
            raise

    async def __aexit__(self, kind: object, error: BaseException | None, tb: object) -> None:
        try:
            self.execution.cancellation.end_body()
            forgotten = take_not_awaited(self.execution.root)
            error = forgotten if error is None else error
            self.execution.given_up.body_failed = error is not None
            try:
                await self._cancel_unawaited()
            finally:
                self._end(error)
        except BaseException as stopped:
            self.release(stopped)
            raise
        if forgotten is not None and error is forgotten:
            raise forgotten

    async def _cancel_unawaited(self) -> None:
        """Cancel the asyncio tasks that the body started and did not await."""
        unawaited = self.execution.active - {asyncio.current_task()}
        for task in unawaited:
            task.cancel()
        if unawaited:
            await asyncio.wait(unawaited, timeout=LINGER_SECONDS)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            with contextlib.suppress(NbtasksError):  # the next task's commit raises it again
                self._journal.flush()

    # -- both ---------------------------------------------------------------------------------

    def _begin(self, *, asynchronous: bool) -> None:
        self._capture_stack.enter_context(capture.capturing())
        try:
            with uninterrupted():
                claimed = self._journal.claim(self._claim)
                execution = self.execution = self.execute(self._journal, claimed)
                execution.waits.begin(self._budget)
                active_runs.add(execution)
            self._prepare(claimed, asynchronous=asynchronous)
        except BaseException as error:  # for instance Stop, while the tree is drawn
            self.release(error)
            self._capture_stack.close()
            raise

    def _prepare(self, claimed: ClaimedRun, *, asynchronous: bool) -> None:
        execution = self.execution
        execution.root.asynchronous = asynchronous
        self._ios = io.open_run(
            execution, self._policy, self._log_level, self._dispatcher, self.integrations
        )
        run = execution.run
        self.ctx = Context(
            JobInfo(run.job, run.name, run.version),
            RunInfo(run.run_id, run.key, run.executions, clock.at(run.started_us), claimed.fresh),
        )
        self._token = effects.current.set(execution.root)
        self._watcher = self.watch(execution) if self.watch else None
        if self._watcher is not None:
            self._watcher.start()

    def release(self, stopped: BaseException) -> None:
        """Record the end of a run that nothing has recorded yet: a Stop came before the body began,
        or before its end could be recorded. Else it would be taken as long as this process lives.
        """
        if hasattr(self, "execution") and not self._recording:
            self._end(stopped)

    def _end(self, error: BaseException | None) -> None:
        try:
            self._leave()
            self._record_end(error)
        except BaseException as stopped:
            if isinstance(stopped, Exception) or self._recording:
                raise
            # A (further) Stop interrupted the lines above. Record the end anyway: a run that is
            # not released stays claimed for as long as this process lives.
            self._leave()
            self._conclude(_status_for(stopped), stopped, None)
            raise

    def _leave(self) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
        self._cancel_stack.close()
        self._capture_stack.close()
        active_runs.discard(self.execution)
        io.close(self.execution)
        if self._token is not None:
            # Suppressed: a stopped cell leaves from another context, and a second `_leave` finds
            # the token used.
            with contextlib.suppress(ValueError, RuntimeError):
                effects.current.reset(self._token)

    def _record_end(self, error: BaseException | None) -> None:
        cause = self._find_cause(error)
        encoded = None
        if error is None:
            try:
                encoded = codec.encode(self.value, put=self.execution.journal.put_blob)
            except Exception as encoding_error:
                if self._keep_output or not isinstance(encoding_error, ValueNotKeptError):
                    self._conclude(_status_for(encoding_error), encoding_error, None)
                    raise
        if error is not None:
            _trim_traceback(error)
        self._conclude(_status_for(cause or error), cause or error, encoded)
        if cause is not None and cause is not error:
            raise cause from cause.__cause__

    def _find_cause(self, error: BaseException | None) -> BaseException | None:
        """Return the interrupt that ended the body or should have, or the replay error that the
        body suppressed; None if the body ended by itself.

        An interrupt is not lost if the body swallowed it, or turned it into an error of its own:
        that one becomes its `__cause__`. The replay error is raised for a task without a recorded
        outcome.
        """
        if error is None and (only := self.execution.replay_only) is not None and only.refused:
            return only.refused  # the body has caught it
        cancellation = self.execution.cancellation
        cause, ended_by_itself = cancellation.cause, error is None or isinstance(error, Exception)
        if cause is None and ended_by_itself:
            cause = cancellation.swallowed
        if ended_by_itself:
            if cause is not None and error is not None:
                cause = copy.copy(cause)  # it is likely to be in the chain of `error`
                cause.__cause__ = error
            return cause
        early = isinstance(error, asyncio.CancelledError | Interrupt | BaseExceptionGroup)
        return cause if early and isinstance(cause, Interrupt) else None

    def _conclude(
        self, status: Status, error: BaseException | None, encoded: codec.Encoded | None
    ) -> None:
        try:
            with uninterrupted(stopped=status == Status.CANCELED):
                self._recording = True
                self.execution.conclude(status, error, encoded)
                self.ended = True
        finally:
            if self._watcher is not None and self._recording:
                self._watcher.finish()
        self.execution.staleness.warn()


def _status_for(error: BaseException | None) -> Status:
    if error is None or isinstance(error, Suspended):
        return Status.COMPLETED if error is None else Status.WAITING
    return Status.FAILED if isinstance(error, Exception) else Status.CANCELED


def _trim_traceback(error: BaseException) -> None:
    """Reduce the traceback to the user's own frames before the cell shows it."""
    link: BaseException | None = error
    while link is not None:
        link.__traceback__ = tracebacks.own_frames(link.__traceback__)
        if isinstance(link, NbtasksError) and not isinstance(link, TaskFailed):
            link.__context__ = None
        link = link.__cause__


def _new_execution(journal: Journal, claimed: ClaimedRun) -> Execution:
    """Return a new execution of the engine. The engine is imported here to keep `import` fast."""
    from nbtasks.engine.execution import Execution

    return Execution(journal, claimed)
