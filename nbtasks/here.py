"""Current io and current task of the caller."""

from __future__ import annotations

from nbtasks.calls import current
from nbtasks.errors import NoRunError
from nbtasks.io import AsyncIO, SyncIO
from nbtasks.place import CurrentTask

__all__ = ["current_io", "current_task"]


def current_io() -> SyncIO | AsyncIO:
    """Return the io of the caller's run: a `SyncIO` or an `AsyncIO`, whichever fits the caller.

    Raises:
        NoRunError: The caller is not in a run.

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
            "on= may send a function, there is no run: make its subtasks here."
        )
    io: SyncIO | AsyncIO = scope.execution.faces[scope.asynchronous]
    return io


def current_task() -> CurrentTask:
    """Return the task that the caller is in.

    Raises:
        NoRunError: The caller is not in a task.

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
            "io.run_task runs. In another process, where on= may send it, there is no task: pass "
            "what the function needs, such as its key or idempotency_key, as arguments."
        )
    return CurrentTask(scope)
