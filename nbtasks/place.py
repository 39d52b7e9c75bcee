"""The task that a function runs in, as the function sees it."""

from __future__ import annotations

import json
import math
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from nbtasks import keys
from nbtasks.errors import InvalidOptionError

if TYPE_CHECKING:
    from nbtasks.calls import Scope

__all__ = ["CurrentTask"]

_PARTS = 1_000_000  # what a progress in fractions is kept in
_MOST = 2**53


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

    def progress(self, done: float, total: float) -> None:
        """Says how far the task is: `done` of `total`.

        It shows in the tree at once. It is recorded some ten times a second at the most, and with
        the end of the task, so it can be called in a tight loop.

        Raises:
            InvalidOptionError: They are no such numbers.
        """
        row = self._scope.row
        assert row is not None  # noqa: S101 - as __init__ saw
        if not all(_is_number(number) and 0 <= number < _MOST for number in (done, total)):
            raise InvalidOptionError(
                f"progress({done!r}, {total!r}) takes how much is done, and of how much: two "
                "numbers from 0 on."
            )
        if done == int(done) and total == int(total):
            row.done, row.total = int(done), int(total)
        else:
            row.done, row.total = round(done / total * _PARTS), _PARTS
        self._scope.execution.ledger.note(row)

    def metric(self, **numbers: float) -> None:
        """Records numbers that tell how it went, by name. The last one of a name holds.

        They are recorded as `progress` is.

        Raises:
            InvalidOptionError: A value is no number.
        """
        row = self._scope.row
        assert row is not None  # noqa: S101 - as __init__ saw
        for name, value in numbers.items():
            if not _is_number(value):
                raise InvalidOptionError(f"metric({name}={value!r}): a metric is a number.")
        known = json.loads(row.metrics) if row.metrics else {}
        known |= {name: _plain(value) for name, value in numbers.items()}
        row.metrics = json.dumps(known, ensure_ascii=False)
        self._scope.execution.ledger.note(row)

    def display(self, value: Any) -> None:
        """Displays a value, as a notebook does: a DataFrame as a table, a figure as a picture; or
        else as text. It is recorded: where the task is reused, what its latest attempt displayed
        shows again, with the date that it was recorded at.
        """
        row = self._scope.row
        assert row is not None  # noqa: S101 - as __init__ saw
        self._scope.execution.ledger.show(row, value)

    def __repr__(self) -> str:
        return f"<CurrentTask {self.path!r}, attempt {self.attempt}, run {self.run_id}>"


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _plain(value: Any) -> float | None:
    """The number as JSON has it; None for one that JSON has not."""
    if isinstance(value, Integral):
        return int(value)
    return float(value) if math.isfinite(value) else None
