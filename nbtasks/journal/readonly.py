"""Read-only journal for an execution with `replay="only"`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from nbtasks.core.model import Row, RunRow, Status
from nbtasks.errors import NotRecordedError
from nbtasks.journal.protocol import Change, Claim, ClaimedRun, Journal, JournalWrapper, Transaction
from nbtasks.values.content import LazyBytes, VerifiedBytes

__all__ = ["Reader"]


class Reader(JournalWrapper):
    """Read-only implementation of `nbtasks.journal.protocol.Journal` over another journal.

    There is one instance per execution. A claim writes nothing, and rows that are put are dropped:
    the run stays as it is recorded, and a read-only home is enough. The output of an execution that
    completes is known to this object only. Edits, imports and requests to cancel reach the other
    journal: a person makes them, not the execution.

    Args:
        inner: The journal to read.
    """

    def __init__(self, inner: Journal) -> None:
        super().__init__(inner)
        self._recorded: RunRow | None = None
        self._ended: RunRow | None = None
        self._blobs: dict[str, bytes] = {}

    def claim(self, claim: Claim) -> ClaimedRun:
        """Find a run, as it is recorded.

        Raises:
            NotRecordedError: There is no such run.
            RunBusyError: The run is being executed, in this process or another one.
        """
        claimed = self._inner.peek(claim)
        if claimed is None:
            make = claim.make
            raise NotRecordedError(
                f"Job {make.job!r}, version {make.version}, has no run with the key {make.key!r} "
                'in this home, and replay="only" starts no new run. Execute it once without '
                'replay="only"; or choose the home that has the run, with nb.configure(home=...) '
                f"or NBTASKS_HOME. nb.runs({make.job!r}) lists the runs of this home."
            )
        self._recorded = replace(claimed.run)
        claimed.only = True
        claimed.run.executions += 1  # the replay's own number, distinct from the recorded ones
        return claimed

    def release(self, run: RunRow) -> None:
        """Keep the output of an execution that completed."""
        if run.status == Status.COMPLETED and self._recorded is not None:
            self._ended = replace(
                self._recorded,
                status=run.status,
                output=run.output,
                output_kind=run.output_kind,
                output_bytes=run.output_bytes,
                blob=run.blob,
                error=None,
            )

    def amend(self, run_id: str, change: Change) -> None:
        """Delegate to the inner journal; `runs` then returns the run as it is recorded."""
        self._inner.amend(run_id, change)
        self._ended = None

    def cancel_requests(self) -> Collection[str]:
        """Return no runs: nobody can cancel an execution that other processes do not see."""
        return ()

    def transact(self, transaction: Transaction) -> None:
        """Do nothing: without writing there is no reason to read."""

    def put(self, row: Row, *, flush: bool = False) -> None:
        """Drop the row."""

    def flush(self) -> None:
        """Do nothing: all rows were dropped."""

    def sync(self) -> None:
        """Do nothing: all rows were dropped."""

    def put_blob(self, content: LazyBytes) -> str:
        """Keep bytes in memory for as long as this object lives."""
        data = bytes(content)
        name = LazyBytes.of(data).hash()
        self._blobs[name] = data
        return name

    def get_blob(self, name: str) -> VerifiedBytes:
        """Return bytes that were kept here, or are recorded."""
        if name in self._blobs:
            return VerifiedBytes(name, memoryview(self._blobs[name]), AssertionError)
        return self._inner.get_blob(name)

    def runs(self, *, run_id: str | None = None, job: str | None = None) -> list[RunRow]:
        """Return the recorded runs; the run of this execution with its new output."""
        ended = self._ended
        return [
            ended if ended is not None and row.run_id == ended.run_id else row
            for row in self._inner.runs(run_id=run_id, job=job)
        ]

    def close(self) -> None:
        """Do nothing: there is nothing to release."""
