"""What surrounds the executions of a job: room to run in, and functions that hear of the end."""

from __future__ import annotations

import asyncio
import inspect
import threading
import warnings
from collections.abc import Awaitable, Callable
from contextvars import ContextVar, Token
from dataclasses import dataclass, fields
from types import TracebackType
from typing import TYPE_CHECKING, Any

from nbtasks import live, loops
from nbtasks.errors import InvalidJobError, JobBusyError
from nbtasks.model import Status
from nbtasks.run import Run

if TYPE_CHECKING:
    from nbtasks.session import Session

__all__ = ["Admitted", "Hook", "Hooks", "check_limit"]

#: Called with the run. What it returns does not count.
Hook = Callable[[Run], Any | Awaitable[Any]]

#: How often a run that waits for room looks whether there is some, in seconds of real time: it
#: waits for others, and not for an instant.
_POLL_SECONDS = 0.2
#: The jobs whose runs are being executed around the caller.
_around: ContextVar[frozenset[str]] = ContextVar("nbtasks_jobs", default=frozenset())


@dataclass(frozen=True, slots=True)
class Hooks:
    """The functions that hear of the end of each execution, once that is recorded.

    An error in one changes nothing: it is a RuntimeWarning.

    Attributes:
        on_success: The run is COMPLETED.
        on_failure: It is FAILED.
        on_cancel: It is CANCELED: stopped, or cancelled.
    """

    on_success: Hook | None = None
    on_failure: Hook | None = None
    on_cancel: Hook | None = None

    def check(self, job: str) -> None:
        """Refuses what is no function.

        Raises:
            InvalidJobError: One is none.
        """
        for field in fields(self):
            hook = getattr(self, field.name)
            if hook is not None and not callable(hook):
                raise InvalidJobError(
                    f"Job {job!r}: {field.name} is a function of the run, not {hook!r}."
                )

    def of(self, status: str) -> tuple[str, Hook | None]:
        """The hook for a status, and its name."""
        names: dict[str, str] = {
            Status.COMPLETED: "on_success",
            Status.FAILED: "on_failure",
            Status.CANCELED: "on_cancel",
        }
        name = names.get(status, "")
        return name, getattr(self, name) if name else None


class Admitted:
    """A session that waits for room before it begins, and whose end hooks hear of.

    Args:
        session: What is executed.
        hooks: Who hears of its end.
        hold: Gives the run with an id.

    Attributes:
        session: The same.
    """

    def __init__(self, session: Session, hooks: Hooks, hold: Callable[[str], Run]) -> None:
        self.session = session
        self._hooks = hooks
        self._hold = hold
        self._token: Token[frozenset[str]] | None = None

    @property
    def run_id(self) -> str:
        """The id of the run, once it has begun."""
        return self.session.ctx.run.id

    def cancel(self) -> None:
        """Cancels the execution, if it has begun and not ended."""
        if hasattr(self.session, "ctx"):
            live.cancel_here(self.run_id)

    def __enter__(self) -> Session:
        while True:
            try:
                return self._entered(self.session.__enter__())
            except JobBusyError:
                if self.session.job in _around.get():
                    raise  # it would wait for itself
            threading.Event().wait(_POLL_SECONDS)
            self.session.postpone()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        try:
            self.session.__exit__(kind, error, tb)
        finally:
            answer = self._tell()
            if answer is not None:
                loops.run(answer)

    async def __aenter__(self) -> Session:
        while True:
            try:
                return self._entered(await self.session.__aenter__())
            except JobBusyError:
                if self.session.job in _around.get():
                    raise  # it would wait for itself
            await asyncio.sleep(_POLL_SECONDS)
            self.session.postpone()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        try:
            await self.session.__aexit__(kind, error, tb)
        finally:
            answer = self._tell()
            if answer is not None:
                await answer

    def _entered(self, session: Session) -> Session:
        self._token = _around.set(_around.get() | {session.job})
        return session

    def _tell(self) -> Awaitable[None] | None:
        """Calls the hook for how the run ended; gives what is still to be awaited."""
        if self._token is not None:
            _around.reset(self._token)
        session = self.session
        if not session.ended:
            return None  # its end could not be recorded
        name, hook = self._hooks.of(session.execution.run.status)
        if hook is None:
            return None
        where = f"{name} of job {session.job!r}"
        try:
            answer = hook(self._hold(session.ctx.run.id))
        except Exception as error:  # noqa: BLE001 - whatever the user's hook raises
            _warn(where, error)
            return None
        return _finish(answer, where) if inspect.isawaitable(answer) else None


async def _finish(answer: Awaitable[Any], where: str) -> None:
    try:
        await answer
    except Exception as error:  # noqa: BLE001 - whatever the user's hook raises
        _warn(where, error)


def _warn(where: str, error: Exception) -> None:
    warnings.warn(
        f"{where} raised {type(error).__name__}: {error}. The run has ended as it is recorded.",
        RuntimeWarning,
        stacklevel=2,
    )


def check_limit(limit: object, job: str) -> None:
    """Refuses a `concurrency_limit` that is none.

    Raises:
        InvalidJobError: It is none.
    """
    if limit is None or (isinstance(limit, int) and not isinstance(limit, bool) and limit > 0):
        return
    raise InvalidJobError(
        f"Job {job!r}: concurrency_limit is how many of its runs may be executed at once, at "
        f"least 1, not {limit!r}."
    )
