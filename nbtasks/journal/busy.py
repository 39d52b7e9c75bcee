"""What to say when somebody else has the run, or it is here already."""

from __future__ import annotations

from collections.abc import Sequence

from nbtasks import clock
from nbtasks.errors import JobBusyError, JournalError, RunBusyError
from nbtasks.model import Row, RunRow

__all__ = ["check_room", "error", "known", "run_ids"]


def error(run: RunRow, *, own: bool) -> RunBusyError:
    """The error that names who executes `run`, where, and since when."""
    since = clock.at(run.execution_us).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    who = "this very process" if own else f"process {run.pid} on {run.host}"
    where = f", notebook {run.notebook}" if run.notebook else ""
    return RunBusyError(
        f"Run {run.run_id} of job {run.job!r} is being executed by {who}{where}, since {since}. "
        "Wait for it or stop it there, then run the cell again; or give another key, or new=True."
    )


def check_room(job: str, limit: int | None, running: Sequence[str]) -> None:
    """Refuses one more run of a job where as many as may are `running`.

    Raises:
        JobBusyError: There is no room.
    """
    if limit is not None and len(running) >= limit:
        raise JobBusyError(
            f"Job {job!r} has concurrency_limit={limit}, and {', '.join(running[:5])} "
            f"{'is' if len(running) == 1 else 'are'} being executed: run it after that, or raise "
            "the limit."
        )


def run_ids(rows: Sequence[Row]) -> list[str]:
    """The runs among rows."""
    return [row.run_id for row in rows if isinstance(row, RunRow)]


def known(run_id: str) -> JournalError:
    """The error for a run that is to be taken, and is here."""
    return JournalError(f"Run {run_id} is in this home already. Nothing was taken.")
