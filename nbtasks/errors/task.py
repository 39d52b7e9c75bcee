"""Errors of tasks that have failed for good."""

from __future__ import annotations

from typing import Any

from nbtasks.errors.base import NbtasksError

__all__ = ["FetchError", "PortTakenError", "TaskFailed", "WaitTimeout"]


class FetchError(NbtasksError, OSError):
    """Error for an HTTP response whose status is not 200 to 299.

    ```python
    import nbtasks as nb

    assert issubclass(nb.FetchError, OSError)
    ```

    Attributes:
        status: Status code of the response.
        headers: Headers of the response, by lower-case name. A caller of io catches a
            `TaskFailed`, which has neither attribute but names the status in its message.
    """

    status: int | None = None
    headers: dict[str, str] | None = None


class PortTakenError(NbtasksError, OSError):
    """Error for a run that waits for a request at a port that another program now uses.

    ```python
    import nbtasks as nb


    @nb.job("port-taken-example")
    def body(io: nb.SyncIO) -> str:
        try:
            return io.wait_for_request("approval", print, timeout=0.1)
        except nb.PortTakenError:
            return "in use"  # run.reset("approval") gives it a new address
        except nb.WaitTimeout:
            return "nobody asked"


    assert body.run().output == "nobody asked"
    ```
    """


class WaitTimeout(NbtasksError, TimeoutError):  # noqa: N818 - the name of the contract
    """Error for a wait that timed out before the awaited event, request or answer arrived.

    The caller catches a `TaskFailed` that is an instance of this class, too.

    ```python
    import nbtasks as nb

    assert issubclass(nb.WaitTimeout, TimeoutError)
    ```
    """


class TaskFailed(NbtasksError):  # noqa: N818 - the name of the contract
    """Failure of a task after its last attempt.

    If the original exception's class is a builtin or can be imported, the raised object is an
    instance of that class, too, so `except ValueError:` works in the first execution and in every
    replay.

    Attributes:
        path: Path of the innermost task that failed.
        type: Name of the original exception's class.
        message: Original message.
        traceback: Original traceback as text, without the engine's frames.
        attempts: Number of attempts of the innermost task.
        run_id: Id of the run.

    ```python
    import nbtasks as nb


    @nb.job("failing-example")
    def failing(io: nb.SyncIO) -> None:
        try:
            io.run_task("parse", int, "twelve")
        except ValueError as error:  # the TaskFailed is a ValueError, too
            assert error.path == "parse"


    failing.run()
    ```
    """

    def __init__(
        self,
        path: str,
        *,
        type: str,  # noqa: A002 - the names of the contract
        message: str,
        traceback: str = "",
        attempts: int = 1,
        run_id: str = "",
    ) -> None:
        # Bypasses the original class's own __init__, whose arguments are unknown here.
        Exception.__init__(self, message)
        self.path = path
        self.type = type
        self.message = message
        self.traceback = traceback
        self.attempts = attempts
        self.run_id = run_id

    def __str__(self) -> str:
        times = f" after {self.attempts} attempts" if self.attempts > 1 else ""
        return f"{self.type}: {self.message} (task {self.path!r}{times}, run {self.run_id})"

    def __repr__(self) -> str:
        return f"TaskFailed({str(self)!r})"

    def __reduce__(self) -> tuple[object, ...]:
        # The mixed-in class has no importable name, so a copy in another process is plain.
        return _rebuild, (
            self.path,
            self.type,
            self.message,
            self.traceback,
            self.attempts,
            self.run_id,
        )

    @property
    def _render_traceback_(self) -> Any:
        # Pretend that the attribute is missing: IPython then shows the traceback with the user's
        # failing line.
        raise AttributeError("_render_traceback_")


def _rebuild(*fields: object) -> TaskFailed:
    path, type_, message, traceback, attempts, run_id = fields
    return TaskFailed(
        str(path),
        type=str(type_),
        message=str(message),
        traceback=str(traceback),
        attempts=int(str(attempts)),
        run_id=str(run_id),
    )
