"""What executes a recorded run again: its job as it is defined here, or its recorded cell."""

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

#: Executes a claim to a recorded run, or to a fork of it.
Starter: TypeAlias = Callable[[Claim], Run]
#: Executes the recorded cell of a claim, with a payload.
Cells: TypeAlias = Callable[[Claim, Any], None]


def by_job(job: Job | None, run: RunRow, payload: Any) -> Starter:
    """Executes it by the job that is defined here under the id of the run's.

    Raises:
        NbtasksError: There is none, it has another version, or it is not enabled.
        InvalidPayloadError: It does not take the payload.
    """
    if job is None:
        raise NbtasksError(
            f"Job {run.job!r} of run {run.run_id} is not defined in this process, so it cannot be "
            "executed here. Run the cell, or import the module, that defines it with "
            f"@nb.job({run.job!r}, version={run.version!r}); then try again."
        )
    if job.version != run.version:
        raise NbtasksError(
            f"Run {run.run_id} was made by version {run.version} of job {run.job!r}, and what is "
            f"defined here is version {job.version}. Define version {run.version} to execute it "
            "again; the present one begins a run of its own, with job.run(payload)."
        )
    job.check(payload)
    return lambda claim: job.execute(claim, payload)


def by_cell(cells: Cells | None, run: RunRow, payload: Any, hold: Callable[[str], Run]) -> Starter:
    """Executes it by what is recorded of its cell.

    Raises:
        NbtasksError: No notebook is here to do so.
    """
    if cells is None:
        raise NbtasksError(
            f"Run {run.run_id} was made by a %%job cell, which only a notebook can execute again: "
            "call this there, after `%load_ext nbtasks`. Or let tasks run again with "
            "run.reset(path), and then execute the cell."
        )

    def start(claim: Claim) -> Run:
        cells(claim, payload)
        return hold(claim.make.run_id)

    return start
