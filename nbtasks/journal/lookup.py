"""Look-up of runs in a journal, with errors that help to find the right one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nbtasks.core import text
from nbtasks.core.parameters import nearest_name
from nbtasks.core.settings import is_shared
from nbtasks.errors import InvalidOptionError, NotFoundError

if TYPE_CHECKING:
    from nbtasks.core.model import RunRow
    from nbtasks.journal.protocol import AnyRun, JobHandle, Journal

__all__ = ["job_id", "lineage", "no_run_error", "require_last_run", "require_run"]

_COMPARED: Final = 1_000  # latest runs
_LEAST: Final = 4  # characters of a part of an id that says which run is meant
_CLOSE: Final = 0.8  # ids of one day have a ratio of about 0.5


def require_run(journal: Journal, run: AnyRun) -> RunRow:
    """Return the row of a run, given as the run or its id, or as its job or the id of that.

    A job stands for its latest run.

    Raises:
        NotFoundError: The journal has no such run; the message names the nearest one.
    """
    run_id = run if isinstance(run, str) else run.id
    text.check("The id of a run,", run_id, InvalidOptionError)
    rows = journal.runs(run_id=run_id) or journal.runs(job=run_id)[-1:]
    if not rows:
        raise _missing_run_error(journal, run_id)
    return rows[0]


def require_last_run(journal: Journal, job: JobHandle | str | None = None) -> RunRow:
    """Return the row of the run that started last, of all jobs or of one.

    Raises:
        NotFoundError: There is no such run yet.
    """
    rows = journal.runs(job=job_id(job))
    if not rows:
        raise no_run_error(journal, job)
    return rows[-1]


def lineage(journal: Journal, run: RunRow) -> list[str]:
    """Return the ids of a run and of those that it was forked from, where its tasks were recorded.

    A fork may have been made from another fork.
    """
    run_ids, row = [run.run_id], run
    while row.trigger == "fork" and row.parent_run is not None:
        run_ids.append(row.parent_run)
        rows = journal.runs(run_id=row.parent_run)
        if not rows:
            break
        row = rows[0]
    return run_ids


def no_run_error(journal: Journal, job: JobHandle | str | None = None) -> NotFoundError:
    """Return the error for a job, or a journal, without a run."""
    if job is None:
        return NotFoundError(f"There is no run in {_place(journal)} yet.")
    missing = str(job_id(job))
    jobs = dict.fromkeys(run.job for run in journal.runs()[-_COMPARED:])
    nearest = nearest_name(missing, [*jobs])
    hint = f" The nearest: {nearest!r}." if nearest else ""
    return NotFoundError(
        f"There is no run of job {missing!r} in {_place(journal)} yet. {_overview(journal)}{hint}"
    )


def job_id(job: JobHandle | str | None) -> str | None:
    """Return the id of a job, given as the job or as its id.

    Raises:
        InvalidOptionError: It is not valid Unicode.
    """
    text.check("The id of a job,", job, InvalidOptionError)
    return job if job is None or isinstance(job, str) else job.id


def _missing_run_error(journal: Journal, missing: str) -> NotFoundError:
    near = _nearest(missing, journal.runs())
    hint = f" The nearest: {near.run_id!r} of job {near.job!r}." if near else ""
    return NotFoundError(
        f"There is no run {missing!r} in {_place(journal)}. {_overview(journal)}{hint}"
    )


def _place(journal: Journal) -> str:
    home = _home(journal)
    return "this journal" if home is None else str(home)


def _overview(journal: Journal) -> str:
    """Return the sentence that says how to list the runs of a journal."""
    home = _home(journal)
    if home is not None and is_shared(home):
        return f"nb.open({str(home)!r}).runs() lists all runs."
    return "nb.runs() lists all runs, and nb.open(file).runs() those of a shared file."


def _home(journal: Journal) -> Path | None:
    """Return the folder or the shared file that a journal is kept in; None if it has none."""
    return getattr(journal, "home", None)  # not in the protocol: only these messages need it


def _nearest(missing: str, runs: Sequence[RunRow]) -> RunRow | None:
    """Return the run that somebody may have meant, by a part of its id, its job or its key."""
    latest = {run.run_id: run for run in reversed(runs[-_COMPARED:])}
    part = missing.lower()
    for run in latest.values():
        if missing == run.key or (len(part) >= _LEAST and part in run.run_id):
            return run
    by_job = {run.job: run for run in runs[-_COMPARED:]}
    if job := nearest_name(missing, [*by_job]):
        return by_job[job]
    import difflib  # lazily: most look-ups succeed

    close = difflib.get_close_matches(part, latest, n=1, cutoff=_CLOSE)
    return latest[close[0]] if close else None
