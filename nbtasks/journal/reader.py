"""A journal that is only read: what an execution with `replay="only"` has in place of its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from nbtasks.errors import NotRecordedError
from nbtasks.journal.port import Change, Claim, Deal, Journal, Opened, TaskTuple
from nbtasks.model import Row, RunRow, Status
from nbtasks.values.content import Blob, Content

__all__ = ["Reader"]


class Reader:
    """See `nbtasks.journal.port.Journal`. One for each execution.

    A claim takes nothing, and what is put is dropped: the run stays as it is recorded, and a home
    that cannot be written will do. Only of the end of an execution that came to its end it is
    known here, and nowhere else, what its output was.

    Args:
        inner: The journal that is read.
    """

    def __init__(self, inner: Journal) -> None:
        self._inner = inner
        self._recorded: RunRow | None = None
        self._ended: RunRow | None = None
        self._blobs: dict[str, bytes] = {}

    def claim(self, claim: Claim) -> Opened:
        """Finds a run, as it is recorded.

        Raises:
            NotRecordedError: There is none.
            RunBusyError: It is being executed, here or elsewhere.
        """
        opened = self._inner.look(claim)
        if opened is None:
            make = claim.make
            raise NotRecordedError(
                f"Job {make.job!r}, version {make.version}, has no run with the key {make.key!r} "
                'in this home, and with replay="only" none is begun. Execute it without that '
                "once; or choose the home that has the run, with nb.configure(home=...) or "
                f"NBTASKS_HOME. nb.runs({make.job!r}) lists what there is."
            )
        self._recorded = replace(opened.run)
        opened.only = True
        opened.run.executions += 1  # of the one that reads: what it is told from the recorded by
        return opened

    def look(self, claim: Claim) -> Opened | None:
        """As of the journal that is read."""
        return self._inner.look(claim)

    def release(self, run: RunRow) -> None:
        """Keeps the output, if it came to one."""
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
        """As of the journal that is read: it is a person who asks for it, and no execution."""
        self._inner.amend(run_id, change)
        self._ended = None

    def adopt(self, rows: Sequence[Row]) -> None:
        """As of the journal that is read: it is a person who asks for it."""
        self._inner.adopt(rows)

    def ask_to_cancel(self, run_id: str) -> None:
        """As of the journal that is read: it is a person who asks for it."""
        self._inner.ask_to_cancel(run_id)

    def asked_to_cancel(self) -> Collection[str]:
        """Nobody asks that of an execution that others do not see."""
        return ()

    def transact(self, deal: Deal) -> None:
        """Writes nothing, and so reads nothing."""

    def news(self) -> int:
        """As of the journal that is read."""
        return self._inner.news()

    def find(
        self, kind: str, /, *, since: tuple[str, int] | None = None, **equal: Any
    ) -> list[Any]:
        """As of the journal that is read."""
        return self._inner.find(kind, since=since, **equal)

    def put(self, row: Row) -> None:
        """Drops the row."""

    def flush(self) -> None:
        """Nothing to hand over."""

    def sync(self) -> None:
        """Nothing to make durable."""

    def put_blob(self, content: Content) -> str:
        """Keeps bytes as long as itself."""
        data = bytes(content)
        name = Content.of(data).hash()
        self._blobs[name] = data
        return name

    def get_blob(self, name: str) -> Blob:
        """The bytes that were kept here, or are recorded."""
        if name in self._blobs:
            return Blob(name, memoryview(self._blobs[name]), AssertionError)
        return self._inner.get_blob(name)

    def runs(self, *, run_id: str | None = None, job: str | None = None) -> list[RunRow]:
        """The runs that are recorded; that of the execution with what it came to."""
        ended = self._ended
        return [
            ended if ended is not None and row.run_id == ended.run_id else row
            for row in self._inner.runs(run_id=run_id, job=job)
        ]

    def tasks(self, run_id: str) -> list[TaskTuple]:
        """As of the journal that is read."""
        return self._inner.tasks(run_id)

    def query(self, sql: str, params: Any = None, frames: Mapping[str, Any] | None = None) -> Any:
        """As of the journal that is read."""
        return self._inner.query(sql, params, frames)

    def close(self) -> None:
        """Nothing to give back."""
