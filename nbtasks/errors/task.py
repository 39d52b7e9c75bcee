"""Errors of tasks that have failed for good."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, cast

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
        headers: Headers of the response, by lower-case name. The `TaskFailed` that a caller of io
            catches has them, too, except for those that are named like secrets.
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


#: The cause as `raise ... from` sets it.
_CAUSE: Any = BaseException.__dict__["__cause__"]
#: Name of the `__getattribute__` of classes mixed with `TaskFailed`.
GET: Final = "get_attribute"
#: Packages that show tracebacks.
_RENDERERS: Final = frozenset(("IPython", "_pytest", "rich", "traceback"))


class TaskFailed(NbtasksError):  # noqa: N818 - the name of the contract
    """Failure of a task after its last attempt.

    If the original exception's class is a builtin, can be imported, or is defined in the notebook,
    the raised object is also an instance of that class, so `except ValueError:` works in the first
    execution and in every replay. It has the name, the text, the arguments and the notes of the
    original, and those of its attributes that are data; reading any other attribute raises an
    `AttributeError` that says so.

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
            io.run_task("read", open, "no-such-file")
        except FileNotFoundError as error:  # the TaskFailed is a FileNotFoundError, too
            assert error.filename == "no-such-file"
            assert error.path == "read"


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
        super().__init__(message)
        self.path = path
        self.type = type
        self.message = message
        self.traceback = traceback
        self.attempts = attempts
        self.run_id = run_id

    def __init_subclass__(cls) -> None:
        # Not passed on: a hook of the original's class does not expect a class of the engine's.
        pass

    def __str__(self) -> str:
        return str(vars(self).get("_text", vars(self)["message"]))

    def __repr__(self) -> str:
        return BaseException.__repr__(self)

    def __reduce__(self) -> tuple[object, ...]:
        # The mixed class has no importable name, so it is made again from the record.
        restore = vars(self).get("_restore")
        if restore is not None:
            return restore, (vars(self)["_record"], vars(self)["_task"], self.run_id)
        names = ("path", "type", "message", "traceback", "attempts", "run_id")
        return _rebuild, tuple(vars(self)[name] for name in names)

    # A failure that a parent passes on is that of its subtask once more: the same frames, and more
    # above them. If it showed as a cause, Python and Jupyter would repeat them for each level.
    @property
    def __cause__(self) -> BaseException | None:
        """The subtask's failure that this one passes on, or what `raise ... from` set.

        Code that shows tracebacks gets None in the first case.
        """
        cause: BaseException | None = _CAUSE.__get__(self)
        passed_on = vars(self).get("_passed_on")
        if cause is not None or passed_on is None:
            return cause
        frame = sys._getframe(1)  # noqa: SLF001 - documented
        if frame.f_code.co_name == GET and frame.f_back is not None:
            frame = frame.f_back
        renders = str(frame.f_globals.get("__name__")).partition(".")[0] in _RENDERERS
        return None if renders else cast("TaskFailed", passed_on)

    @__cause__.setter
    def __cause__(self, cause: BaseException | None) -> None:
        _CAUSE.__set__(self, cause)

    if not TYPE_CHECKING:  # so that a type checker reports a misspelled name

        def __getattr__(self, name: str) -> Any:
            """Explain which attributes are there, or ask the original's class for it."""
            fields = vars(self)
            lost = fields.get("_lost", {})
            hook = getattr(super(), "__getattr__", None)
            if name not in lost and not name.startswith("_") and hook is not None:
                try:
                    return hook(name)
                except Exception:  # noqa: BLE001, S110 - what it relies on is not kept
                    pass
            if name.startswith("_") and name not in lost:
                raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")
            raise AttributeError(_explain(fields, name, lost.get(name)))

    @property
    def _render_traceback_(self) -> Any:
        # Pretend that the attribute is missing: IPython then shows the traceback with the user's
        # failing line.
        raise AttributeError("_render_traceback_")


def _explain(fields: dict[str, Any], name: str, reason: str | None) -> str:
    """Return the message for an attribute that a recorded error lacks."""
    why = f"its attribute {name!r} is not kept, since {reason}" if reason else f"it has no {name!r}"
    kept = ", ".join(fields.get("_kept", ("args",)))
    return (
        f"This {fields.get('type')} of task {fields.get('path')!r} of run {fields.get('run_id')} "
        f"is a recorded error, and {why}. A journal keeps what is data; kept are: {kept}. The "
        "original was raised inside the task, and error.traceback shows where: catch it in the "
        "task's function to read more of it."
    )


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
