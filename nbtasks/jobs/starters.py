"""Starters of recorded runs: the job or the recorded cell that executes a run again."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from nbtasks.core import event_loop
from nbtasks.core.model import RunRow
from nbtasks.errors import NbtasksError, Suspended
from nbtasks.jobs.definition.job import Job
from nbtasks.jobs.run import Run
from nbtasks.journal.protocol import Claim

if TYPE_CHECKING:
    from nbtasks.engine.waiting.budget import TimeBudget

__all__ = ["CellExecutor", "CellStarter", "JobStarter"]

#: Function that executes the recorded cell of a claim, with a payload. Of a cell that awaits it
#: returns the coroutine.
CellExecutor: TypeAlias = Callable[[Claim, Any], Coroutine[Any, Any, None] | None]


class JobStarter:
    """Starter that executes a run by the job that this process defines under its job id.

    Args:
        job: The job; None if this process defines none.
        run: The run.
        payload: The payload.

    Raises:
        NbtasksError: The job is not defined here, has another version, or is not enabled.
        InvalidPayloadError: The payload is invalid for the job.
    """

    def __init__(self, job: Job | None, run: RunRow, payload: Any) -> None:
        if job is None:
            notebook = f" The run was last executed in {run.notebook}." if run.notebook else ""
            raise NbtasksError(
                f"Job {run.job!r} of run {run.run_id} is not defined in this process, so it cannot "
                "be executed here. Run the cell, or import the module, that defines it with "
                f"@nb.job({run.job!r}, version={run.version!r}); then try again.{notebook}"
            )
        if job.version != run.version:
            raise NbtasksError(
                f"Run {run.run_id} was made by version {run.version} of job {run.job!r}, but this "
                f"process defines version {job.version}. Define version {run.version} to execute "
                f"the run again, or start a run of version {job.version} with job.run(payload)."
            )
        job.validate_payload(payload)
        self._job = job
        self._payload = payload

    def start(self, claim: Claim) -> Run:
        """Implement `Starter.start`."""
        return self._job.execute(claim, self._payload)

    async def astart(self, claim: Claim) -> Run:
        """Implement `Starter.astart`."""
        return await self._job.aexecute(claim, self._payload)

    def prepare(self, claim: Claim, budget: TimeBudget | None) -> Callable[[], Run]:
        """Return a function that executes a claim in any thread, on the current journal."""
        return self._job.prepare(claim, self._payload, budget)


class CellStarter:
    """Starter that executes a run by the recorded source of its cell.

    Args:
        execute_cell: Function that executes the cell; None where no notebook can.
        run: The run.
        payload: The payload.
        get_run: Function that returns the run with an id.

    Raises:
        NbtasksError: This process is not a notebook.
    """

    def __init__(
        self,
        execute_cell: CellExecutor | None,
        run: RunRow,
        payload: Any,
        get_run: Callable[[str], Run],
    ) -> None:
        if execute_cell is None:
            raise NbtasksError(
                f"Run {run.run_id} was made by a %%job cell, which only a notebook can execute "
                "again: call this there, after `%load_ext nbtasks`. Or reset tasks with "
                "run.reset(path), and then execute the cell."
            )
        self._execute = execute_cell
        self._payload = payload
        self._get_run = get_run

    def start(self, claim: Claim) -> Run:
        """Implement `Starter.start`."""
        with _until_suspended(claim):
            pending = self._execute(claim, self._payload)
            if pending is not None:
                event_loop.run_awaitable(pending)
        return self._get_run(claim.make.run_id)

    async def astart(self, claim: Claim) -> Run:
        """Implement `Starter.astart`."""
        with _until_suspended(claim):
            pending = self._execute(claim, self._payload)
            if pending is not None:
                await pending
        return self._get_run(claim.make.run_id)


@contextmanager
def _until_suspended(claim: Claim) -> Iterator[None]:
    """Suppress the `Suspended` of the claimed run: the returned run is WAITING instead."""
    try:
        yield
    except Suspended as suspended:
        if suspended.run_id != claim.make.run_id:
            raise
