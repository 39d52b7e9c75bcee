"""The current task, as its function sees it."""

from __future__ import annotations

import json
import threading
import weakref
from typing import TYPE_CHECKING, Any

from nbtasks.core import keys
from nbtasks.core.model import Status
from nbtasks.engine import capture
from nbtasks.engine.remote.task_there import is_number, progress_parts, to_json_number
from nbtasks.errors import InvalidOptionError, NoRunError

if TYPE_CHECKING:
    from nbtasks.engine.effects import CallContext, Running

__all__ = ["CurrentTask", "claim_for_body"]


class CurrentTask:
    """The caller's task; see `current_task`.

    Attributes:
        key: The task's key, as text.
        path: The task's path.
        run_id: The id of its run.
        attempt: The number of this attempt, from 1.
        idempotency_key: A token for APIs that accept one. It stays the same in all attempts and
            executions.
    """

    def __init__(self, context: CallContext) -> None:
        assert context.row is not None  # noqa: S101 - current_task has checked it
        self._context = context
        self.path = context.row.path
        self.key = keys.display(self.path)
        self.run_id = context.row.run_id
        self.attempt = context.row.attempt
        self.idempotency_key = keys.token(self.run_id, self.path)

    def log(self, message: str, level: str = "info", **data: Any) -> None:
        """Write a line to the task's log."""
        self._context.execution.run_state.log(level, str(message), data, self._context.row)

    def progress(self, done: float, total: float) -> None:
        """Report the task's progress: `done` of `total`.

        The tree shows it at once. It is recorded at most about ten times a second, and at the end
        of the task, so `progress` can be called in a tight loop.

        Raises:
            InvalidOptionError: `done` or `total` is not a number, or is negative or too large.
        """
        row = self._context.row
        assert row is not None  # noqa: S101 - __init__ has checked it
        parts = progress_parts(done, total)
        if parts is None:
            raise InvalidOptionError(
                f"progress({done!r}, {total!r}) takes the amount done and the total: two numbers "
                "that are not negative."
            )
        is_first = row.done is None
        row.done, row.total = parts
        if is_first and row.attempts > 1:
            row.done_before = row.done
        self._context.execution.run_state.record_progress(row)

    def metric(self, **numbers: float) -> None:
        """Record metrics of the task by name. The last value of a name counts.

        Metrics are recorded as often as `progress` is.

        Raises:
            InvalidOptionError: A value is not a number.
        """
        row = self._context.row
        assert row is not None  # noqa: S101 - __init__ has checked it
        for name, value in numbers.items():
            if not is_number(value):
                raise InvalidOptionError(f"metric({name}={value!r}): a metric is a number.")
        metrics = json.loads(row.metrics) if row.metrics else {}
        metrics |= {name: to_json_number(value) for name, value in numbers.items()}
        row.metrics = json.dumps(metrics, ensure_ascii=False)
        self._context.execution.run_state.record_progress(row)

    def display(self, value: Any) -> None:
        """Display a value as a notebook does (a DataFrame as a table, a figure as a picture), or
        as text outside a notebook.

        The display is recorded, as what the task prints and displays otherwise is. When the task
        is reused, the outputs of its latest attempt appear again, with the date of their recording.
        """
        capture.show(self._context, value)

    def __repr__(self) -> str:
        return f"<CurrentTask {self.path!r}, attempt {self.attempt}, run {self.run_id}>"


class _PlainCalls:
    """Calls that threads without a context have made with the io of a body.

    Attributes:
        lock: Lock of the other attributes.
        paths: Paths of the tasks that these calls have started.
        running: Tasks of the body that may be running; the others have ended.
        seen: Number of tasks of the body that have been looked at.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.paths: set[str] = set()
        self.running: list[str] = []
        self.seen = 0


_plain_calls: weakref.WeakKeyDictionary[Running, _PlainCalls] = weakref.WeakKeyDictionary()


def claim_for_body(execution: Running, root: CallContext, key: keys.Key) -> CallContext:
    """Return the context of a body for a call with its io from a thread that has no context.

    Such a thread may have been started by the body, or by a task that is running: nothing tells.
    So the call is the body's only while it has no task running but those of such threads.

    Raises:
        NoRunError: A task is running.
    """
    calls = _plain_calls.setdefault(execution, _PlainCalls())
    with calls.lock:
        visited = root.visited or {}
        new = list(visited)[calls.seen :] if len(visited) > calls.seen else []
        calls.seen += len(new)
        state = execution.run_state
        calls.running = [
            path
            for path in (*calls.running, *new)
            if not state.has(path) or state.paths_in_flight([path])
        ]
        rows = state.rows(path for path in calls.running if state.has(path))
        for row in rows:
            if row.status == Status.RUNNING and row.path not in calls.paths:
                raise NoRunError(
                    f"io was used for {key!r} in a thread that does not know its task, while "
                    f"task {row.path!r} of run {execution.run.run_id} is running: the thread may "
                    "belong to that task or to the body. Call `io = nb.current_io()` where the "
                    "thread is started, and use that io in it; or start its function with "
                    "contextvars.copy_context().run."
                )
        calls.paths.add(keys.join("", key))
    return root
