"""Starters of recorded runs: by the job defined in this process, or by the recorded cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from nbtasks.errors import NbtasksError
from nbtasks.journal.port import Claim
from nbtasks.model import RunRow
from nbtasks.run import Run

if TYPE_CHECKING:
    from nbtasks.job import Job

__all__ = ["Cells", "Starter", "by_cell", "by_job"]

#: Function that executes a claim to a recorded run, or to a fork of it.
Starter: TypeAlias = Callable[[Claim], Run]
#: Function that executes the recorded cell of a claim, with a payload.
Cells: TypeAlias = Callable[[Claim, Any], None]


def by_job(job: Job | None, run: RunRow, payload: Any) -> Starter:
    """Return a starter that executes a run by the job that this process defines under its job id.

    Raises:
        NbtasksError: The job is not defined here, has another version, or is not enabled.
        InvalidPayloadError: The payload is invalid for the job.
    """
    if job is None:
        raise NbtasksError(
            f"Job {run.job!r} of run {run.run_id} is not defined in this process, so it cannot be "
            "executed here. Run the cell, or import the module, that defines it with "
            f"@nb.job({run.job!r}, version={run.version!r}); then try again."
        )
    if job.version != run.version:
        raise NbtasksError(
            f"Run {run.run_id} was made by version {run.version} of job {run.job!r}, but this "
            f"process defines version {job.version}. Define version {run.version} to execute the "
            f"run again, or start a run of version {job.version} with job.run(payload)."
        )
    job.check(payload)
    return lambda claim: job.execute(claim, payload)


def by_cell(cells: Cells | None, run: RunRow, payload: Any, hold: Callable[[str], Run]) -> Starter:
    """Return a starter that executes a run by the recorded source of its cell.

    Raises:
        NbtasksError: This process is not a notebook.
    """
    if cells is None:
        raise NbtasksError(
            f"Run {run.run_id} was made by a %%job cell, which only a notebook can execute again: "
            "call this there, after `%load_ext nbtasks`. Or reset tasks with "
            "run.reset(path), and then execute the cell."
        )

    def start(claim: Claim) -> Run:
        cells(claim, payload)
        return hold(claim.make.run_id)

    return start
