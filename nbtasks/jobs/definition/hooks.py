"""Concurrency limit and completion callbacks of a job."""

from __future__ import annotations

import asyncio
import inspect
import threading
import warnings
from collections.abc import Awaitable, Callable
from contextvars import ContextVar, Token
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any

from nbtasks.core import event_loop
from nbtasks.core.model import Status
from nbtasks.errors import InvalidJobError, JobBusyError
from nbtasks.jobs import active_runs
from nbtasks.jobs.run import Run

if TYPE_CHECKING:
    from nbtasks.jobs.session import Session

__all__ = ["Hook", "Hooks", "LimitedSession", "check_limit"]

#: Callback that gets the run. Its return value is ignored.
Hook = Callable[[Run], Any | Awaitable[Any]]

#: Seconds between two attempts to start a run while its job's concurrency limit is reached. Real
#: time, not the clock's: the run waits for other runs to end, not for an instant.
_POLL_SECONDS = 0.2
#: Ids of the jobs whose runs enclose the caller.
_enclosing_jobs: ContextVar[frozenset[str]] = ContextVar("nbtasks_jobs", default=frozenset())


@dataclass(frozen=True, slots=True)
class Hooks:
    """Completion callbacks of a job, called once the end of an execution is recorded.

    An error in a callback is a RuntimeWarning and leaves the run unchanged.

    Attributes:
        on_success: Callback for a COMPLETED run.
        on_failure: Callback for a FAILED run.
        on_cancel: Callback for a CANCELED run: stopped by the user, or canceled.
    """

    on_success: Hook | None = None
    on_failure: Hook | None = None
    on_cancel: Hook | None = None

    def check(self, job: str) -> None:
        """Check that every callback is callable.

        Raises:
            InvalidJobError: A callback is not callable.
        """
        for field in fields(self):
            hook = getattr(self, field.name)
            if hook is not None and not callable(hook):
                raise InvalidJobError(
                    f"Job {job!r}: {field.name} is a function that takes the run, not {hook!r}."
                )

    def call(self, job: str, status: str, get_run: Callable[[], Run]) -> Awaitable[None] | None:
        """Call the callback of a job for the status of a run, if there is one.

        Returns:
            The rest of an asynchronous callback.
        """
        names: dict[str, str] = {
            Status.COMPLETED: "on_success",
            Status.FAILED: "on_failure",
            Status.CANCELED: "on_cancel",
        }
        hook = getattr(self, names.get(status, ""), None)
        if hook is None:
            return None
        label = f"{names[status]} of job {job!r}"
        try:
            result = hook(get_run())
        except Exception as error:  # noqa: BLE001 - a user's callback may raise anything
            _warn(label, error)
            return None
        return _await_hook(result, label) if inspect.isawaitable(result) else None


class LimitedSession:
    """Session that waits for the job's concurrency limit and calls the completion callbacks.

    Args:
        session: The session to enter.
        hooks: The completion callbacks.
        run_of: Function that returns the run of a session.

    Attributes:
        session: The session to enter.
    """

    def __init__(self, session: Session, hooks: Hooks, run_of: Callable[[Session], Run]) -> None:
        self.session = session
        self._hooks = hooks
        self._run_of = run_of
        self._token: Token[frozenset[str]] | None = None

    @property
    def run_id(self) -> str:
        """The id of the run, once the session has started."""
        return self.session.ctx.run.id

    def cancel(self) -> None:
        """Cancel the execution, if it has started and not ended."""
        if hasattr(self.session, "ctx"):
            active_runs.cancel_here(self.run_id)

    def __enter__(self) -> Session:
        while True:
            try:
                return self._mark_entered(self.session.__enter__())
            except JobBusyError:
                if self.session.job in _enclosing_jobs.get():
                    raise  # the run would wait for its own enclosing run
            except BaseException as stopped:
                self._leave(stopped)
                raise
            threading.Event().wait(_POLL_SECONDS)
            self.session.postpone()

    def __exit__(self, kind: object, error: BaseException | None, tb: object) -> None:
        try:
            self.session.__exit__(kind, error, tb)
        finally:
            pending = self._call_hook()
            if pending is not None:
                event_loop.run_awaitable(pending)

    async def __aenter__(self) -> Session:
        while True:
            try:
                return self._mark_entered(await self.session.__aenter__())
            except JobBusyError:
                if self.session.job in _enclosing_jobs.get():
                    raise  # the run would wait for its own enclosing run
            except BaseException as stopped:
                self._leave(stopped)
                raise
            await asyncio.sleep(_POLL_SECONDS)
            self.session.postpone()

    async def __aexit__(self, kind: object, error: BaseException | None, tb: object) -> None:
        try:
            await self.session.__aexit__(kind, error, tb)
        finally:
            pending = self._call_hook()
            if pending is not None:
                await pending

    def _mark_entered(self, session: Session) -> Session:
        self._token = _enclosing_jobs.set(_enclosing_jobs.get() | {session.job})
        return session

    def _leave(self, stopped: BaseException) -> None:
        """Leave the session before its body has begun."""
        if self._token is not None:
            _enclosing_jobs.reset(self._token)
        self.session.release(stopped)

    def _call_hook(self) -> Awaitable[None] | None:
        """Call the callback for the run's status. Return the rest of an asynchronous callback."""
        if self._token is not None:
            _enclosing_jobs.reset(self._token)
        session = self.session
        if not session.ended:
            return None  # the end could not be recorded
        status, get_run = session.execution.run.status, partial(self._run_of, session)
        return self._hooks.call(session.job, status, get_run)


async def _await_hook(result: Awaitable[Any], label: str) -> None:
    try:
        await result
    except Exception as error:  # noqa: BLE001 - a user's callback may raise anything
        _warn(label, error)


def _warn(label: str, error: Exception) -> None:
    warnings.warn(
        f"{label} raised {type(error).__name__}: {error}. The recorded end of the run stays.",
        RuntimeWarning,
        stacklevel=2,
    )


def check_limit(limit: object, job: str) -> None:
    """Check the `concurrency_limit` of a job.

    Raises:
        InvalidJobError: It is not a positive number.
    """
    if limit is None or (isinstance(limit, int) and not isinstance(limit, bool) and limit > 0):
        return
    raise InvalidJobError(
        f"Job {job!r}: concurrency_limit is the largest number of its runs that execute at once, "
        f"at least 1, not {limit!r}."
    )
