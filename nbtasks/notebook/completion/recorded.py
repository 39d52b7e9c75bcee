"""Names in the journal that a completion offers: jobs, runs, paths, and columns of its views."""

from __future__ import annotations

import functools
import itertools
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from nbtasks.core.model import columns
from nbtasks.jobs.run import Run
from nbtasks.jobs.runtime import get_run, last_run, runtime

if TYPE_CHECKING:
    from nbtasks.core.model import RunRow

__all__ = ["job_ids", "paths", "run_ids", "run_of", "tables", "values_of"]

_PATH: Final = columns("task").index("path")
#: The most runs that are looked at and offered, the latest first.
_MAX_RUNS: Final = 200
#: Seconds for which what was read is good enough: a person presses Tab several times.
_FRESH: Final = 0.5

_read: list[tuple[float, Any, list[RunRow]]] = []  # at most one reading


def _latest_runs() -> list[RunRow]:
    journal = runtime.journal
    if _read and _read[0][1] is journal and monotonic() - _read[0][0] < _FRESH:
        return _read[0][2]
    rows = list(itertools.islice(reversed(journal.runs()), _MAX_RUNS))
    _read[:] = [(monotonic(), journal, rows)]
    return rows


def job_ids() -> list[str]:
    """Return the ids of jobs: of those that this process defines, and of recorded ones."""
    return list(dict.fromkeys([*runtime.jobs, *(row.job for row in _latest_runs())]))


def run_ids() -> list[str]:
    """Return the ids of the latest runs, the latest first."""
    return [row.run_id for row in _latest_runs()]


def values_of(field: str, job: str) -> list[str]:
    """Return what the latest runs of a job have in a field: its keys or its versions."""
    rows = (row for row in _latest_runs() if row.job == job)
    return list(dict.fromkeys(getattr(row, field) for row in rows))


def paths(run: Run) -> list[str]:
    """Return the paths of the tasks of a run."""
    return [row[_PATH] for row in run.journal.tasks(run.id)]


def run_of(function: str, argument: str | None) -> Run:
    """Return the run that `nb.last_run` or `nb.get_run` would return.

    Raises:
        NbtasksError: There is no such run.
    """
    return get_run(argument or "") if function == "get_run" else last_run(argument)


@functools.cache
def tables() -> dict[str, tuple[str, ...]]:
    """Return the columns of the views that a query may name."""
    from nbtasks.journal.database.schema import view_columns  # lazily: it loads DuckDB

    return view_columns()
