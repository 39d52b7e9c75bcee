"""Errors of `io.map` and of executors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbtasks.errors.base import NbtasksError
from nbtasks.errors.task import TaskFailed

__all__ = ["ExecutorError", "MapFailed"]


class MapFailed(TaskFailed):
    """Failure of an `io.map` in which more items failed than allowed.

    It is the failure of the map's own task; its `__cause__` is the failure of the first item. A
    body that catches it finds the same results and failures in every later execution.

    Attributes:
        succeeded: Results of the items that succeeded, by index.
        failed: Failures of the items that failed, by index. An item in neither was not started.

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

    _module = __name__  # a record names the class by this module

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
        self._segments = segments  # last path segments of the items, if not their indices

    def __reduce__(self) -> tuple[object, ...]:
        return _again, (self.path, self.__dict__)


def _again(path: str, fields: dict[str, Any]) -> MapFailed:
    error = MapFailed(path, type=fields["type"], message=fields["message"])
    error.__dict__.update(fields)
    return error


class ExecutorError(NbtasksError, RuntimeError):
    """Error of an executor that could not run the function of a task.

    Either the function or an argument cannot be sent to another process, or the executor broke:
    one of its processes died, or it was shut down. The task has not failed: it is CANCELED, and
    runs again when the run is executed again. If a worker was lost, its `retry` tries it again at
    once.

    Attributes:
        is_lost: Whether the function had been sent, and a worker or the executor was lost.

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

    def __init__(self, message: str = "", *, is_lost: bool = False) -> None:
        super().__init__(message)
        self.is_lost = is_lost
