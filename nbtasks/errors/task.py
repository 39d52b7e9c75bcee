"""A task that gave up."""

from __future__ import annotations

from typing import Any

from nbtasks.errors.base import NbtasksError

__all__ = ["FetchError", "PortTakenError", "TaskFailed", "WaitTimeout"]


class FetchError(NbtasksError, OSError):
    """A request was answered, but not with a status of 200 to 299.

    ```python
    import nbtasks as nb

    assert issubclass(nb.FetchError, OSError)
    ```

    Attributes:
        status: The status.
        headers: The answer's headers, by their names in small letters. What a caller of io
            catches is a `TaskFailed`, which has neither, but says the status.
    """

    status: int | None = None
    headers: dict[str, str] | None = None


class PortTakenError(NbtasksError, OSError):
    """A run waits for a request at a port that another program has taken since.

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
    """A wait for something from outside was over before it came.

    What the caller gets is a `TaskFailed` that is an instance of this class, too.

    ```python
    import nbtasks as nb

    assert issubclass(nb.WaitTimeout, TimeoutError)
    ```
    """


class TaskFailed(NbtasksError):  # noqa: N818 - the name of the contract
    """A task gave up.

    Where the original exception's class is a builtin or can be imported, the raised object is
    an instance of that class too, so `except ValueError:` works on the first execution and on
    every replay alike.

    Attributes:
        path: The path of the innermost task that failed.
        type: The name of the original exception's class.
        message: The original message.
        traceback: The original traceback as text, without the engine's frames.
        attempts: How often the innermost task was tried.
        run_id: The run it happened in.

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
        # As if there were none. IPython then shows the traceback: a user wants the failing line.
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
