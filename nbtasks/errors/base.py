"""Base class of all errors, and the interrupts, which are no errors."""

from __future__ import annotations

from datetime import datetime

__all__ = [
    "Cancelled",
    "Interrupt",
    "NbtasksError",
    "Suspended",
]


#: `nbtasks explain` and docs/errors.md explain the errors of modules with this prefix.
_EXPLAINED = "nbtasks.errors."


class NbtasksError(Exception):
    """Base class of all errors of nbtasks.

    ```python
    import nbtasks as nb

    try:
        nb.get_run("no such run")
    except nb.NbtasksError as error:
        assert "no such run" in str(error)
    ```
    """

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython shows instead of a traceback.

        A user's mistake is one line, which ends with the command that explains the error.
        """
        name = type(self).__name__
        explained = type(self).__module__.startswith(_EXPLAINED)
        return [f"{name}: {self} (nbtasks explain {name})" if explained else f"{name}: {self}"]


class Interrupt(BaseException):
    """Base class of the exceptions that end an execution early; not an error.

    It derives from `BaseException` so that `except Exception` in a body never swallows it.
    Do not write a bare `except:` around io calls; write `except Exception:`.

    ```python
    import nbtasks as nb

    assert issubclass(nb.Interrupt, BaseException)
    assert not issubclass(nb.Interrupt, Exception)
    ```

    Attributes:
        run_id: Id of the run whose execution ends.
    """

    def __init__(self, message: str = "", *, run_id: str = "") -> None:
        super().__init__(message)
        self.run_id = run_id

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class Cancelled(Interrupt):
    """Interrupt by a cancellation: `run.cancel()`, `nb.cancel(run)`, or the tree's button.

    The run is recorded as CANCELED. Executing it again continues it. The name is spelled like
    asyncio's `CancelledError`; the status, like all other words of nbtasks, is American English.

    ```python
    import nbtasks as nb


    @nb.job("cancelled-example")
    def body(payload: None, io: nb.SyncIO, ctx: nb.Context) -> int:
        if ctx.run.is_new:
            nb.cancel(ctx.run.id)  # from anywhere: another cell, a thread, another process
        return io.run_task("answer", int, "42")


    try:
        body.run()
    except nb.Cancelled as ended:
        run = nb.get_run(ended.run_id)
    assert run.status == "CANCELED"
    assert body.run().output == 42
    ```
    """


class Suspended(Interrupt):
    """Interrupt by a suspension: the run waits, and is WAITING until it can be resumed.

    `job.run` returns the run instead of raising this. A `%%job` cell raises it, so that "Run All"
    stops there.

    Attributes:
        resume_at: Instant at which the run can be resumed, in UTC.

    ```python
    import nbtasks as nb


    @nb.job("suspended-example")
    def body(io: nb.SyncIO) -> None:
        io.wait("until tomorrow", 24 * 3600)


    run = body.run(suspend_after=60)
    assert run.status == "WAITING"
    assert issubclass(nb.Suspended, nb.Interrupt)  # so `except Exception` lets it pass
    ```
    """

    def __init__(
        self, message: str = "", *, run_id: str = "", resume_at: datetime | None = None
    ) -> None:
        super().__init__(message, run_id=run_id)
        self.resume_at = resume_at
