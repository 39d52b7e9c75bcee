"""What all errors have in common, and what is no error."""

from __future__ import annotations

from datetime import datetime

__all__ = [
    "Cancelled",
    "Interrupt",
    "NbtasksError",
    "Suspended",
]


#: What is defined below this is explained by `nbtasks explain`, and in docs/errors.md.
_EXPLAINED = "nbtasks.errors."


class NbtasksError(Exception):
    """The base of every error of nbtasks.

    ```python
    import nbtasks as nb

    try:
        nb.get_run("no such run")
    except nb.NbtasksError as error:
        assert "no such run" in str(error)
    ```
    """

    def _render_traceback_(self) -> list[str]:
        """IPython shows these lines instead of a traceback: a user's mistake is one line, at whose
        end stands how to know more."""
        name = type(self).__name__
        told = type(self).__module__.startswith(_EXPLAINED)
        return [f"{name}: {self} (nbtasks explain {name})" if told else f"{name}: {self}"]


class Interrupt(BaseException):
    """Leaves an execution early. Not an error.

    It derives from `BaseException` so that `except Exception` in a body never swallows it.
    Do not write a bare `except:` around io calls; write `except Exception:`.

    ```python
    import nbtasks as nb

    assert issubclass(nb.Interrupt, BaseException)
    assert not issubclass(nb.Interrupt, Exception)
    ```

    Attributes:
        run_id: The run that is left.
    """

    def __init__(self, message: str = "", *, run_id: str = "") -> None:
        super().__init__(message)
        self.run_id = run_id

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class Cancelled(Interrupt):
    """The run was cancelled: by `run.cancel()`, by `nb.cancel(run)`, or by the tree's button.

    It is recorded as CANCELED. Executing it again goes on where it was.

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
    """The execution ended early because the run waits for a time; it is WAITING until then.

    `job.run` gives the run instead. A `%%job` cell ends with it, so that "Run All" stops there.

    Attributes:
        resume_at: When it can go on, in UTC.

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
