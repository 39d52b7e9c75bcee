"""The current task, as its function sees it."""

from __future__ import annotations

import json
import math
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from nbtasks.core import keys
from nbtasks.errors import InvalidOptionError

if TYPE_CHECKING:
    from nbtasks.engine.effects import CallContext

__all__ = ["CurrentTask"]

_FRACTION_PARTS = 1_000_000  # total of a progress that is recorded as a fraction
_MAX_NUMBER = 2**53


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
        if not all(_is_number(number) and 0 <= number < _MAX_NUMBER for number in (done, total)):
            raise InvalidOptionError(
                f"progress({done!r}, {total!r}) takes the amount done and the total: two numbers "
                "that are not negative."
            )
        if done == int(done) and total == int(total):
            row.done, row.total = int(done), int(total)
        else:
            row.done, row.total = round(done / total * _FRACTION_PARTS), _FRACTION_PARTS
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
            if not _is_number(value):
                raise InvalidOptionError(f"metric({name}={value!r}): a metric is a number.")
        metrics = json.loads(row.metrics) if row.metrics else {}
        metrics |= {name: _to_json_number(value) for name, value in numbers.items()}
        row.metrics = json.dumps(metrics, ensure_ascii=False)
        self._context.execution.run_state.record_progress(row)

    def display(self, value: Any) -> None:
        """Display a value as a notebook does (a DataFrame as a table, a figure as a picture), or
        as text outside a notebook.

        The display is recorded. When the task is reused, the displays of its latest attempt appear
        again, with the date of their recording.
        """
        row = self._context.row
        assert row is not None  # noqa: S101 - __init__ has checked it
        self._context.execution.run_state.show(row, value)

    def __repr__(self) -> str:
        return f"<CurrentTask {self.path!r}, attempt {self.attempt}, run {self.run_id}>"


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _to_json_number(value: Any) -> float | None:
    """Return the number as JSON writes it; None for infinities and NaN, which JSON lacks."""
    if isinstance(value, Integral):
        return int(value)
    return float(value) if math.isfinite(value) else None
