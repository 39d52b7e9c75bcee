"""Starters of recorded runs: the job or the recorded cell that executes a run again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from nbtasks.errors import NbtasksError

if TYPE_CHECKING:
    from nbtasks.core.model import RunRow
    from nbtasks.jobs.definition.job import Job
    from nbtasks.jobs.run import Run, Starter
    from nbtasks.journal.protocol import Claim

__all__ = ["CellExecutor", "cell_starter", "job_starter"]

#: Function that executes the recorded cell of a claim, with a payload.
CellExecutor: TypeAlias = "Callable[[Claim, Any], None]"


def job_starter(job: Job | None, run: RunRow, payload: Any) -> Starter:
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
    job.validate_payload(payload)
    return lambda claim: job.execute(claim, payload)


def cell_starter(
    execute_cell: CellExecutor | None, run: RunRow, payload: Any, get_run: Callable[[str], Run]
) -> Starter:
    """Return a starter that executes a run by the recorded source of its cell.

    Raises:
        NbtasksError: This process is not a notebook.
    """
    if execute_cell is None:
        raise NbtasksError(
            f"Run {run.run_id} was made by a %%job cell, which only a notebook can execute again: "
            "call this there, after `%load_ext nbtasks`. Or reset tasks with "
            "run.reset(path), and then execute the cell."
        )

    def start(claim: Claim) -> Run:
        execute_cell(claim, payload)
        return get_run(claim.make.run_id)

    return start
