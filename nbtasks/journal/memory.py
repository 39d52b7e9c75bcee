"""Journal in memory: for tests, and for runs that nobody needs to keep."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from nbtasks.core.model import (
    KEYS,
    EditRow,
    ReuseRow,
    Row,
    RunRow,
    Status,
    TaskRow,
    columns,
    row_type,
    values,
)
from nbtasks.errors import NotFoundError, UnreadableValueError
from nbtasks.journal import conflicts
from nbtasks.journal.database import merge, recorded_run, schema, user_query
from nbtasks.journal.lookup import lineage
from nbtasks.journal.protocol import (
    Change,
    Claim,
    ClaimedRun,
    RecordedOutputs,
    TaskTuple,
    Transaction,
)
from nbtasks.journal.wal import escape_invalid
from nbtasks.values.content import LazyBytes, VerifiedBytes

__all__ = ["MemoryJournal"]

_SEQ = columns("task").index("seq")


class MemoryJournal:
    """In-memory implementation of `nbtasks.journal.protocol.Journal`, lost with the object."""

    def __init__(self) -> None:
        self._batch = merge.Batch()
        self._blobs: dict[str, bytes] = {}
        self._claimed: set[str] = set()
        self._asked: set[str] = set()  # runs with a request to cancel
        self._changes = 0
        self._lock = threading.RLock()

    def claim(self, claim: Claim) -> ClaimedRun:
        """Implement `Journal.claim`."""
        with self._lock:
            existing = None if claim.new else self._find_run(claim)
            claimed = self._open_run(existing) if existing else self._create_run(claim)
            run = claimed.run
            conflicts.check_unchanged(run, claim.after)
            if claim.limit is not None:
                others = self._claimed & {other.run_id for other in self.runs(job=run.job)}
                conflicts.check_limit(run.job, claim.limit, sorted(others))
            run.status, run.finished_us, run.resume_us = Status.RUNNING, None, None
            run.executions += 1
            run.execution_us = claim.make.started_us
            run.segment, run.host, run.pid = "memory", os.uname().nodename, os.getpid()
            run.notebook, run.source = claim.make.notebook, claim.make.source
            run.output = run.output_kind = run.output_bytes = run.blob = run.error = None
            self.put(run)
            self._claimed.add(run.run_id)
            self._asked.discard(run.run_id)
            return claimed

    def peek(self, claim: Claim) -> ClaimedRun | None:
        """Implement `Journal.peek`."""
        with self._lock:
            run = self._find_run(claim)
            return self._open_run(run) if run else None

    def _find_run(self, claim: Claim) -> RunRow | None:
        if claim.run_id:
            if runs := self.runs(run_id=claim.run_id):
                return runs[0]
            raise NotFoundError(f"There is no run {claim.run_id!r} in this journal.")
        make = claim.make
        matching = [
            run
            for run in self.runs(job=make.job)
            if (run.version, run.key) == (make.version, make.key)
        ]
        return matching[-1] if matching else None

    def _create_run(self, claim: Claim) -> ClaimedRun:
        self._place(claim.make)
        for row in claim.rows:
            self.put(row)
        claimed = self._read(claim.make)
        claimed.tasks, claimed.answers = {row.path: values(row) for row in claim.rows}, {}
        return claimed

    def _place(self, run: RunRow, before_us: int | None = None) -> None:
        """Give a run its place in the order of the runs: an imported one by its start."""
        others = [row for row in self.runs() if before_us is None or row.started_us <= before_us]
        last = max((row.number for row in others), default=0)
        run.number = last + 1 if before_us is None else last

    def _open_run(self, run: RunRow) -> ClaimedRun:
        self._check_free(run)
        return self._read(run)

    def _read(self, run: RunRow) -> ClaimedRun:
        claimed = ClaimedRun(run, fresh=run.executions == 0, shown=RecordedOutputs(rows=[]))
        recorded_run.update(claimed, self._batch, lineage(self, run))
        return claimed

    def _check_free(self, run: RunRow) -> None:
        if run.run_id in self._claimed:
            raise conflicts.run_busy_error(run, own=True)

    def amend(self, run_id: str, change: Change) -> None:
        """Implement `Journal.amend`."""
        with self._lock:
            runs = self.runs(run_id=run_id)
            if not runs:
                raise NotFoundError(f"There is no run {run_id!r} in this journal.")
            self._check_free(runs[0])
            for row in list(change(runs[0], self.tasks(run_id))):
                if isinstance(row, EditRow):
                    row.host, row.pid = os.uname().nodename, os.getpid()
                self.put(row)

    def import_rows(self, rows: Sequence[Row]) -> dict[str, conflicts.Imported]:
        """Implement `Journal.import_rows`."""
        with self._lock:
            needed, results = conflicts.to_import(rows, self._recorded_copy)
            for row in needed:
                if isinstance(row, RunRow) and results[row.run_id] == "new":
                    self._place(row, before_us=row.started_us)
                self.put(row)
        return results

    def _recorded_copy(self, run_id: str) -> conflicts.RunCopy | None:
        for run in self.runs(run_id=run_id):
            self._check_free(run)
            rows = [row for kind in conflicts.ADDED for row in self.find(kind, run_id=run_id)]
            rows += self.find("entry", scope=f"run:{run_id}")
            recorded = (TaskRow(*values) for values in self.tasks(run_id))
            return conflicts.RunCopy(run, {task.path: task for task in recorded}, rows)
        return None

    def transact(self, transaction: Transaction) -> None:
        """Implement `Journal.transact`."""
        with self._lock:
            rows = list(transaction(self.find))
            for row in rows:
                if isinstance(row, RunRow) and not row.number:
                    self._place(row)
                self.put(row)
            self._changes += bool(rows)

    def change_count(self) -> int:
        """Implement `Journal.change_count`."""
        return self._changes

    def find(
        self, kind: str, /, *, since: tuple[str, int] | None = None, **equal: Any
    ) -> list[Any]:
        """Implement `Journal.find`."""
        batch = self._batch
        with self._lock:
            if kind in KEYS:
                stored: list[Any] = list(batch.latest[kind].values())
            else:
                keyed: dict[str, Any] = {"run": batch.runs, "task": batch.tasks}
                stored = list(keyed[kind].values() if kind in keyed else batch.added[kind])
        rows = [row_type(kind)(*row) for row in stored]
        return [
            row
            for row in rows
            if all(getattr(row, name) == value for name, value in equal.items())
            and (since is None or getattr(row, since[0]) >= since[1])
        ]

    def release(self, run: RunRow) -> None:
        """Implement `Journal.release`."""
        with self._lock:
            self.put(run)
            self._claimed.discard(run.run_id)
            self._asked.discard(run.run_id)

    def settle(self) -> None:
        """Do nothing: there is no file."""

    def request_cancel(self, run_id: str) -> None:
        """Implement `Journal.request_cancel`."""
        self._asked.add(run_id)

    def cancel_requests(self) -> Collection[str]:
        """Implement `Journal.cancel_requests`."""
        return set(self._asked)

    def put(self, row: Row, *, flush: bool = False) -> None:
        """Implement `Journal.put`."""
        del flush  # no row outlives the process
        with self._lock:
            if isinstance(row, ReuseRow):
                self._mark_reused(row)
            else:
                self._batch.add(row.kind, tuple(map(escape_invalid, values(row))))

    def _mark_reused(self, reuse: ReuseRow) -> None:
        for key, row in self._batch.tasks.items():
            task = TaskRow(*row)
            answered = any(first <= task.seq <= last for first, last in reuse.ranges)
            if task.run_id == reuse.run_id and answered and task.execution < reuse.execution:
                task.execution, task.reused = reuse.execution, True
                self._batch.tasks[key] = values(task)

    def flush(self) -> None:
        """Do nothing: there is no system to hand rows to."""

    def sync(self) -> None:
        """Do nothing: no row outlives the process."""

    def put_blob(self, content: LazyBytes) -> str:
        """Implement `Journal.put_blob`."""
        data = bytes(content)
        name = LazyBytes.of(data).hash()
        self._blobs[name] = data
        return name

    def get_blob(self, name: str) -> VerifiedBytes:
        """Implement `Journal.get_blob`."""
        try:
            return VerifiedBytes(name, memoryview(self._blobs[name]), AssertionError)
        except KeyError:
            raise UnreadableValueError(f"A recorded value is missing: {name}.") from None

    def runs(self, *, run_id: str | None = None, job: str | None = None) -> list[RunRow]:
        """Implement `Journal.runs`."""
        with self._lock:
            rows = [RunRow(*row) for row in self._batch.runs.values()]
            for run in rows:
                if run.status == Status.RUNNING and run.run_id not in self._claimed:
                    run.status = Status.INTERRUPTED
        return [
            run
            for run in sorted(rows, key=lambda run: (run.number, run.started_us, run.run_id))
            if run_id in (None, run.run_id) and job in (None, run.job)
        ]

    def tasks(self, run_id: str) -> list[TaskTuple]:
        """Implement `Journal.tasks`."""
        with self._lock:
            rows = [row for key, row in self._batch.tasks.items() if key[0] == run_id]
        return sorted(rows, key=lambda row: row[_SEQ])

    def query(self, sql: str, params: Any = None, frames: Mapping[str, Any] | None = None) -> Any:
        """Implement `Journal.query`."""
        with self._lock, schema.emptied() as con:
            merge.write(con, self._batch)
            return user_query.run_query(con, sql, params, frames)

    def close(self) -> None:
        """Do nothing: there is nothing to release."""
