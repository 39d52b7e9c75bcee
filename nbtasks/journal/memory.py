"""A journal in memory: for tests, and for runs that nobody needs to keep."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Mapping, Sequence
from operator import itemgetter
from typing import Any

from nbtasks.errors import NotFoundError, UnreadableValueError
from nbtasks.journal import busy, fold, instance, query, tables
from nbtasks.journal.port import ANSWER, Change, Claim, Deal, Opened, TaskTuple
from nbtasks.journal.wal import valid
from nbtasks.model import (
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
from nbtasks.values.content import Blob, Content

__all__ = ["MemoryJournal"]

_PATH, _SEQ, _STATUS = (columns("task").index(name) for name in ("path", "seq", "status"))
_answer = itemgetter(*(columns("task").index(name) for name in ANSWER))
_LOG_KEY = slice(4, 7)  # level, message, data


class MemoryJournal:
    """See `nbtasks.journal.port.Journal`. Everything is lost with the object."""

    def __init__(self) -> None:
        self._batch = fold.Batch()
        self._blobs: dict[str, bytes] = {}
        self._claimed: set[str] = set()
        self._asked: set[str] = set()  # to be cancelled
        self._news = 0
        self._lock = threading.RLock()

    def claim(self, claim: Claim) -> Opened:
        """Finds or makes a run and takes it; see the port."""
        with self._lock:
            found = None if claim.new else self._find(claim)
            opened = self._take(found) if found else self._make(claim)
            run = opened.run
            if claim.limit is not None:
                others = self._claimed & {other.run_id for other in self.runs(job=run.job)}
                busy.check_room(run.job, claim.limit, sorted(others))
            run.status, run.finished_us, run.resume_us = Status.RUNNING, None, None
            run.executions += 1
            run.execution_us = claim.make.started_us
            run.segment, run.host, run.pid = "memory", os.uname().nodename, os.getpid()
            run.notebook, run.source = claim.make.notebook, claim.make.source
            run.output = run.output_kind = run.output_bytes = run.blob = run.error = None
            self.put(run)
            self._claimed.add(run.run_id)
            self._asked.discard(run.run_id)
            return opened

    def look(self, claim: Claim) -> Opened | None:
        """What `claim` would find; see the port."""
        with self._lock:
            found = self._find(claim)
            return self._take(found) if found else None

    def _find(self, claim: Claim) -> RunRow | None:
        if claim.run_id:
            if found := self.runs(run_id=claim.run_id):
                return found[0]
            raise NotFoundError(f"There is no run {claim.run_id!r} in this journal.")
        make = claim.make
        matching = [
            run
            for run in self.runs(job=make.job)
            if (run.version, run.key) == (make.version, make.key)
        ]
        return matching[-1] if matching else None

    def _make(self, claim: Claim) -> Opened:
        for row in claim.rows:
            self.put(row)
        tasks = {row.path: values(row) for row in claim.rows}
        return Opened(claim.make, tasks, codes=self._codes(claim.make))

    def _codes(self, run: RunRow) -> dict[str, str]:
        runs, above = [run.run_id], run.parent_run
        while above is not None:  # a fork may be one of a fork
            runs.append(above)
            above = next((row.parent_run for row in self.runs(run_id=above)), None)
        return {row[1]: row[2] for row in self._batch.added["code"] if row[0] in runs}

    def _take(self, run: RunRow) -> Opened:
        self._check_free(run)
        opened = Opened(run, fresh=run.executions == 0, codes=self._codes(run))
        opened.displayed = {row.path for row in self.find("display", run_id=run.run_id)}
        for row in self.tasks(run.run_id):
            if row[_STATUS] == Status.COMPLETED:
                opened.answers[row[_PATH]] = _answer(row)
            else:
                opened.tasks[row[_PATH]] = row
        for row in self._batch.added["log"]:
            if row[0] == run.run_id and row[1] == "":
                opened.logs[row[_LOG_KEY]] = opened.logs.get(row[_LOG_KEY], 0) + 1
        return opened

    def _check_free(self, run: RunRow) -> None:
        if run.run_id in self._claimed:
            raise busy.error(run, own=True)

    def amend(self, run_id: str, change: Change) -> None:
        """Writes rows of a run that nobody executes; see the port."""
        with self._lock:
            found = self.runs(run_id=run_id)
            if not found:
                raise NotFoundError(f"There is no run {run_id!r} in this journal.")
            self._check_free(found[0])
            for row in list(change(found[0], self.tasks(run_id))):
                if isinstance(row, EditRow):
                    row.host, row.pid = os.uname().nodename, os.getpid()
                self.put(row)

    def adopt(self, rows: Sequence[Row]) -> None:
        """Takes runs that were recorded elsewhere; see the port."""
        with self._lock:
            for run_id in busy.run_ids(rows):
                if self.runs(run_id=run_id):
                    raise busy.known(run_id)
            for row in rows:
                self.put(row)

    def transact(self, deal: Deal) -> None:
        """Writes rows on the strength of what is recorded; see the port."""
        with self._lock:
            dealt = list(deal(self.find))
            for row in dealt:
                self.put(row)
            self._news += bool(dealt)

    def news(self) -> int:
        """A number that changes with each `transact`; see the port."""
        return self._news

    def find(
        self, kind: str, /, *, since: tuple[str, int] | None = None, **equal: Any
    ) -> list[Any]:
        """The rows of a kind; see the port."""
        batch = self._batch
        with self._lock:
            if kind in KEYS:
                known: list[Any] = list(batch.latest[kind].values())
            else:
                keyed: dict[str, Any] = {"run": batch.runs, "task": batch.tasks}
                known = list(keyed[kind].values() if kind in keyed else batch.added[kind])
        found = [row_type(kind)(*row) for row in known]
        return [
            row
            for row in found
            if all(getattr(row, name) == value for name, value in equal.items())
            and (since is None or getattr(row, since[0]) >= since[1])
        ]

    def release(self, run: RunRow) -> None:
        """Records the end of an execution; see the port."""
        with self._lock:
            self.put(run)
            self._claimed.discard(run.run_id)
            self._asked.discard(run.run_id)

    def ask_to_cancel(self, run_id: str) -> None:
        """Asks who executes a run to cancel it; see the port."""
        self._asked.add(run_id)

    def asked_to_cancel(self) -> Collection[str]:
        """The runs of which that was asked; see the port."""
        return set(self._asked)

    def put(self, row: Row) -> None:
        """Takes a row; see the port."""
        with self._lock:
            if isinstance(row, ReuseRow):
                self._mark(row)
            else:
                self._batch.add(row.kind, tuple(map(valid, values(row))))

    def _mark(self, reuse: ReuseRow) -> None:
        for key, found in self._batch.tasks.items():
            task = TaskRow(*found)
            answered = any(first <= task.seq <= last for first, last in reuse.ranges)
            if task.run_id == reuse.run_id and answered and task.execution < reuse.execution:
                task.execution, task.reused = reuse.execution, True
                self._batch.tasks[key] = values(task)

    def flush(self) -> None:
        """Nothing to hand over."""

    def sync(self) -> None:
        """Nothing outlives the process."""

    def put_blob(self, content: Content) -> str:
        """Keeps bytes by their content; see the port."""
        data = bytes(content)
        name = Content.of(data).hash()
        self._blobs[name] = data
        return name

    def get_blob(self, name: str) -> Blob:
        """The bytes that `put_blob` named; see the port."""
        try:
            return Blob(name, memoryview(self._blobs[name]), AssertionError)
        except KeyError:
            raise UnreadableValueError(f"A recorded value is missing: {name}.") from None

    def runs(self, *, run_id: str | None = None, job: str | None = None) -> list[RunRow]:
        """The runs, oldest first; see the port."""
        with self._lock:
            rows = [RunRow(*row) for row in self._batch.runs.values()]
            for run in rows:
                if run.status == Status.RUNNING and run.run_id not in self._claimed:
                    run.status = Status.INTERRUPTED
        return [
            run
            for run in sorted(rows, key=lambda run: (run.started_us, run.run_id))
            if run_id in (None, run.run_id) and job in (None, run.job)
        ]

    def tasks(self, run_id: str) -> list[TaskTuple]:
        """The tasks of a run; see the port."""
        with self._lock:
            rows = [row for key, row in self._batch.tasks.items() if key[0] == run_id]
        return sorted(rows, key=lambda row: row[_SEQ])

    def query(self, sql: str, params: Any = None, frames: Mapping[str, Any] | None = None) -> Any:
        """One query over the views; see the port."""
        with self._lock, tables.in_memory() as con:
            fold.write(con, self._batch)
            instance.lock(con)
            return query.table(con, sql, params, frames)

    def close(self) -> None:
        """Nothing to give back."""
