"""What `io.map` raises, and what an executor does that is no task's fault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbtasks.errors.base import NbtasksError
from nbtasks.errors.task import TaskFailed

__all__ = ["ExecutorError", "MapFailed"]


class MapFailed(TaskFailed):
    """More items of an `io.map` failed than may.

    It is the failure of the map's own task; its `__cause__` is the first item's. One that the
    body catches holds the same on every later execution.

    Attributes:
        succeeded: What the items returned that succeeded, by their index.
        failed: Why the others failed, by their index. An item in neither was not started.

    ```python
    import nbtasks as nb


    @nb.job("map-failed-example")
    def body(io: nb.SyncIO) -> list[int]:
        try:
            return io.map("parse", int, ["1", "two", "3"], concurrency=1)
        except nb.MapFailed as error:
            assert isinstance(error.failed[1], ValueError)  # the third was not started
            return list(error.succeeded.values())


    assert body.run().output == [1]
    ```
    """

    _module = __name__  # where a record finds the class again

    def __init__(
        self,
        path: str,
        *,
        succeeded: Mapping[int, Any] | None = None,
        failed: Mapping[int, TaskFailed] | None = None,
        segments: list[str] | None = None,
        **fields: Any,
    ) -> None:
        super().__init__(path, **fields)
        self.succeeded: dict[int, Any] = dict(succeeded or {})
        self.failed: dict[int, TaskFailed] = dict(failed or {})
        self._segments = segments  # of the items' paths, where they are not their indices

    def __reduce__(self) -> tuple[object, ...]:
        return _again, (self.path, self.__dict__)


def _again(path: str, fields: dict[str, Any]) -> MapFailed:
    error = MapFailed(path, type=fields["type"], message=fields["message"])
    error.__dict__.update(fields)
    return error


class ExecutorError(NbtasksError, RuntimeError):
    """The executor of a task could not carry out its function.

    Either the function or an argument cannot be sent to another process, or the executor broke:
    one of its processes died, or it was shut down. That is not the task's failure. It counts as
    canceled, and runs again when the run is executed again.

    ```python
    import threading
    from concurrent.futures import ProcessPoolExecutor

    import nbtasks as nb


    @nb.job("executor-error-example")
    def body(io: nb.SyncIO) -> None:
        with ProcessPoolExecutor(1) as pool:
            io.run_task("send", print, threading.Lock(), options=nb.TaskOptions(on=pool))


    try:
        body.run()
    except nb.ExecutorError as error:
        problem = str(error)
    assert "cannot be sent to another process" in problem
    ```
    """
