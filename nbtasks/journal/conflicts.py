"""Errors for runs that are being executed, or are in the home already."""

from __future__ import annotations

from collections.abc import Sequence

from nbtasks.core import clock
from nbtasks.core.model import Row, RunRow
from nbtasks.errors import JobBusyError, JournalError, RunBusyError

__all__ = ["check_limit", "run_busy_error", "run_exists_error", "run_ids"]


def run_busy_error(run: RunRow, *, own: bool) -> RunBusyError:
    """Return the error that says which process executes `run`, where, and since when."""
    since = clock.at(run.execution_us).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    owner = "this very process" if own else f"process {run.pid} on {run.host}"
    where = f", notebook {run.notebook}" if run.notebook else ""
    return RunBusyError(
        f"Run {run.run_id} of job {run.job!r} is being executed by {owner}{where}, since {since}. "
        "Wait for it or stop it there, then run the cell again; or give another key, or new=True."
    )


def check_limit(job: str, limit: int | None, running: Sequence[str]) -> None:
    """Raise if `limit` runs of a job or more are `running`.

    Raises:
        JobBusyError: The limit is reached.
    """
    if limit is not None and len(running) >= limit:
        raise JobBusyError(
            f"Job {job!r} has concurrency_limit={limit}, and {', '.join(running[:5])} "
            f"{'is' if len(running) == 1 else 'are'} being executed: run it after that, or raise "
            "the limit."
        )


def run_ids(rows: Sequence[Row]) -> list[str]:
    """Return the ids of the runs among `rows`."""
    return [row.run_id for row in rows if isinstance(row, RunRow)]


def run_exists_error(run_id: str) -> JournalError:
    """Return the error for importing a run that the home already has."""
    return JournalError(f"Run {run_id} is already in this home. Nothing was imported.")
