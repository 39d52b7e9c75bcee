"""Current io and current task of the caller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from nbtasks.calls import Running, Scope, current
from nbtasks.errors import NoRunError, RunEndedError
from nbtasks.io import AsyncIO, SyncIO
from nbtasks.place import CurrentTask

if TYPE_CHECKING:
    from nbtasks.desk import Desk
    from nbtasks.engine import Execution
    from nbtasks.options import Policy

__all__ = ["RunIO", "close", "current_io", "current_task", "open_run"]


class RunIO(NamedTuple):
    """Both io objects of one execution."""

    blocking: SyncIO
    awaiting: AsyncIO

    def of(self, scope: Scope) -> SyncIO | AsyncIO:
        """Return the io that fits a caller."""
        return self.awaiting if scope.asynchronous else self.blocking


#: The io of each execution of this process.
_by_execution: dict[Running, RunIO] = {}


def open_run(
    execution: Execution,
    policy: Policy,
    level: str,
    desk: Desk | None,
    integrations: Mapping[str, Any],
) -> RunIO:
    """Make the io objects of an execution, which `current_io` finds until `close`."""
    made = _by_execution[execution] = RunIO(
        SyncIO(execution, policy, level, desk, integrations),
        AsyncIO(execution, policy, level, desk, integrations),
    )
    return made


def close(execution: Execution) -> None:
    """Forget the io objects of an execution that has ended."""
    _by_execution.pop(execution, None)


def current_io() -> SyncIO | AsyncIO:
    """Return the io of the caller's run: a `SyncIO` or an `AsyncIO`, whichever fits the caller.

    Raises:
        NoRunError: The caller is not in a run.
        RunEndedError: The execution of the caller's run has ended.

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
    ios = _by_execution.get(scope.execution)
    if ios is None:
        raise RunEndedError(
            f"nb.current_io() was called after the execution of run {scope.execution.run.run_id} "
            "had ended. Wait for threads and tasks of the body before its end."
        )
    return ios.of(scope)


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
