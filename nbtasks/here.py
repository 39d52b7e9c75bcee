"""Where the caller is: its io, and its task."""

from __future__ import annotations

from typing import Any

from nbtasks import keys
from nbtasks.calls import Scope, current
from nbtasks.errors import NoRunError
from nbtasks.io import AsyncIO, SyncIO

__all__ = ["CurrentTask", "current_io", "current_task"]


def current_io() -> SyncIO | AsyncIO:
    """The io of the run that the caller is in, with the face that fits the caller.

    Raises:
        NoRunError: The caller is in no run.

    ```python
    import nbtasks as nb


    def train(n: int) -> int:
        io = nb.current_io()
        return sum(io.run_task(["fold", i], pow, i, 2) for i in range(n))


    @nb.job("current-io-example")
    def body(io: nb.SyncIO) -> int:
        return io.run_task("train", train, 3)


    assert body.run().output == 5
    ```
    """
    scope = current.get()
    if scope is None:
        raise NoRunError(
            "nb.current_io() was called outside of a run. Call it in the body of a job or of a "
            "%%job cell, or in a function that one of its tasks runs. In another process, where "
            "on= may take a function, there is no run: make its subtasks here."
        )
    face: SyncIO | AsyncIO = scope.execution.faces[scope.asynchronous]
    return face


class CurrentTask:
    """The task that the caller is in; see `current_task`.

    Attributes:
        key: The task's key, as text.
        path: Its path.
        run_id: The id of its run.
        attempt: The number of this attempt, from 1.
        idempotency_key: The same over all attempts and executions: for the APIs that take one.
    """

    def __init__(self, scope: Scope) -> None:
        assert scope.row is not None  # noqa: S101 - current_task saw it
        self._scope = scope
        self.path = scope.row.path
        self.key = keys.display(self.path)
        self.run_id = scope.row.run_id
        self.attempt = scope.row.attempt
        self.idempotency_key = keys.token(self.run_id, self.path)

    def log(self, message: str, level: str = "info", **data: Any) -> None:
        """Writes a line to the task's log."""
        self._scope.execution.ledger.log(level, str(message), data, self._scope.row)

    def __repr__(self) -> str:
        return f"<CurrentTask {self.path!r}, attempt {self.attempt}, run {self.run_id}>"


def current_task() -> CurrentTask:
    """The task that the caller is in.

    Raises:
        NoRunError: The caller is in no task.

    ```python
    import nbtasks as nb


    def pay(amount: int) -> str:
        task = nb.current_task()
        task.log("paying", amount=amount)
        return task.idempotency_key


    @nb.job("current-task-example")
    def body(io: nb.SyncIO) -> str:
        return io.run_task("pay", pay, 10)


    assert len(body.run().output) == 32
    ```
    """
    scope = current.get()
    if scope is None or scope.row is None:
        raise NoRunError(
            "nb.current_task() was called outside of a task. Call it in a function that "
            "io.run_task runs. In another process, where on= may take one, there is no task: give "
            "it as arguments what it needs, as its key or its idempotency_key."
        )
    return CurrentTask(scope)
