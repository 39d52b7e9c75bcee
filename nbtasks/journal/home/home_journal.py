"""Journal of a home folder: segments, the DuckDB file and blobs behind one protocol."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nbtasks.core import text
from nbtasks.core.model import EditRow, Row, RunRow, Status, values
from nbtasks.errors import (
    JournalError,
    JournalLockedError,
    JournalWriteError,
    NotFoundError,
)
from nbtasks.journal import conflicts
from nbtasks.journal.blobs import Blobs
from nbtasks.journal.database import queries as stored
from nbtasks.journal.database.segments import SegmentFolder
from nbtasks.journal.database.store import CHECKPOINT_BYTES, DuckStore
from nbtasks.journal.home.contents import Contents, Snapshot
from nbtasks.journal.home.merges import Merges
from nbtasks.journal.home.recent_runs import RecentRuns
from nbtasks.journal.home.signals import CancelRequests, ChangeCounter
from nbtasks.journal.protocol import (
    UNATTENDED,
    Change,
    Claim,
    ClaimedRun,
    RecordedOutputs,
    TaskTuple,
    Transaction,
)
from nbtasks.journal.wal import Segment
from nbtasks.values.content import LazyBytes, VerifiedBytes

__all__ = ["HomeJournal"]

#: Segments above this size, in bytes, are replaced once they are completely merged.
ROTATE_BYTES = 4 << 20
#: Time to wait, at the end of a run, for other processes that merge. They merge our rows, too.
PATIENCE_SECONDS = 2.0


class HomeJournal:
    """Implementation of `nbtasks.journal.protocol.Journal` for a home folder.

    There is one instance per home and process. It is thread-safe.

    Args:
        home: The folder; it is created when the first run starts.
        durable: Wait for the disk in `sync`.
        notebook: The notebook of this kernel, for error messages in other processes.

    Attributes:
        blobs: The files of large values.
        segments: The segments, of which one is our own.
        store: The DuckDB file.
    """

    def __init__(self, home: Path, *, durable: bool = True, notebook: str | None = None) -> None:
        text.check("The path of the home,", str(home), JournalError)
        self.home = home
        self.blobs = Blobs(home / "blobs", durable=durable)
        self._requests = CancelRequests(home / "cancel")
        self._changes = ChangeCounter(home / "changes")
        self._notebook = notebook
        self._starting = threading.Lock()
        self._claimed: set[str] = set()  # the runs that this process executes now
        self._recent = RecentRuns()
        self._unmerged = False  # an execution has ended that is not in the file yet
        self.segments = SegmentFolder(home, durable=durable, notebook=notebook)
        self.store = DuckStore(home, self.segments, durable=durable)
        self._contents = Contents(self.store, self.segments)
        self._merges = Merges(self.store, self.settle)
        atexit.register(self.close)

    # -- executing ----------------------------------------------------------------------------

    def claim(self, claim: Claim) -> ClaimedRun:
        """Implement `Journal.claim`."""
        self._require_segment()  # first, so that there is a home to lock
        with self.store.exclusive():
            segment = self._current_segment()
            self.store.make()
            new = self._begin(claim)
            claimed = new or self._recall(claim, segment) or self._read(claim, segment)
            run = claimed.run
            conflicts.check_unchanged(run, claim.after)
            run.status, run.finished_us, run.resume_us = Status.RUNNING, None, None
            run.executions += 1
            run.execution_us = claim.make.started_us
            run.segment, run.host, run.pid = segment.name, os.uname().nodename, os.getpid()
            run.notebook, run.source = claim.make.notebook or self._notebook, claim.make.source
            run.output = run.output_kind = run.output_bytes = run.blob = run.error = None
            self.put(run, flush=True)
            if new is None:  # else it is durable with its first task: without any, it runs again
                self.sync()
            self._claimed.add(run.run_id)
            self._requests.remove(run.run_id)
        return claimed

    def _begin(self, claim: Claim) -> ClaimedRun | None:
        """Return the run of a claim that a transaction has made, for its first execution."""
        board = self._contents.board() if claim.run_id else None
        run = board.run(claim.run_id) if board and claim.run_id else None
        if board is None or run is None:
            return None
        conflicts.check_unchanged(run, claim.after)  # here already: it costs next to nothing
        if not board.is_fresh(run.run_id):
            return None
        conflicts.check_limit(run.job, claim.limit, board.running(run.job))
        return ClaimedRun(run, rows={}, shown=RecordedOutputs(rows=[]), fresh=True)

    def _recall(self, claim: Claim, segment: Segment) -> ClaimedRun | None:
        """Return the run of a claim without DuckDB; None if that cannot be."""
        if claim.limit is not None or not self.store.has_all(of_others=True):
            return None
        if claim.new:
            return self._recent.begin(claim, segment, self.store.revision)
        claimed = self._recent.recall(claim, segment, self.store.revision)
        if claimed is not None:
            self._check_free(claimed.run)
        return claimed

    def _read(self, claim: Claim, segment: Segment) -> ClaimedRun:
        """Return the run of a claim, or a new one if there is none."""
        with self.store.reading(tidy=False) as con:
            row = None if claim.new else self._find_run(con, claim)
            claimed = self._open_run(con, row) if row else self._create_run(con, claim)
            if claim.limit is not None:
                conflicts.check_limit(
                    claim.make.job, claim.limit, stored.running(con, claim.make.job)
                )
        if claim.run_id is None and self.store.has_all():
            self._recent.keep(claimed, segment, self.store.revision, is_last=row is None)
        return claimed

    def peek(self, claim: Claim) -> ClaimedRun | None:
        """Implement `Journal.peek`."""
        with self.reading() as con:
            row = self._find_run(con, claim)
            return self._open_run(con, row) if row else None

    def _current_segment(self) -> Segment:
        """Return our segment, or a new one if somebody has removed the home meanwhile."""
        segment = self._require_segment()
        if segment.is_removed and not self._claimed:
            self.segments.close_own()
            self.store.forget()
            segment = self._require_segment()
        return segment

    def _find_run(self, con: Any, claim: Claim) -> tuple[Any, ...] | None:
        row = stored.find_claimed_run(con, claim)
        if claim.run_id and row is None:
            raise NotFoundError(f"There is no run {claim.run_id!r} in {self.home}.")
        return row

    def _create_run(self, con: Any, claim: Claim) -> ClaimedRun:
        claim.make.number = 0  # it has one if the claim was refused before
        stored.place(con, [claim.make])
        for row in claim.rows:  # before the row of the run: until that is written, they are hidden
            self.put(row)
        tasks = {row.path: values(row) for row in claim.rows}
        claimed = ClaimedRun(claim.make, tasks, rows={}, shown=RecordedOutputs(rows=[]))
        if claim.rows:
            stored.add_outputs(con, claimed)
        return claimed

    def _check_free(self, run: RunRow) -> None:
        if run.run_id in self._claimed:
            raise conflicts.run_busy_error(run, own=True)
        own = self.segments.own
        # runs of dead processes are INTERRUPTED by now
        if run.status == Status.RUNNING and (own is None or run.segment != own.name):
            raise conflicts.run_busy_error(run, host=self.segments.other_host(run.segment or ""))

    def _open_run(self, con: Any, row: tuple[Any, ...]) -> ClaimedRun:
        run = RunRow(*row)
        self._check_free(run)
        return stored.claimed_run(con, run)

    def amend(self, run_id: str, change: Change) -> None:
        """Implement `Journal.amend`."""
        with self.store.exclusive():
            with self.store.reading() as con:
                runs = stored.runs(con, run_id=run_id)
                tasks = stored.tasks(con, run_id)
            if not runs:
                raise NotFoundError(f"There is no run {run_id!r} in {self.home}.")
            self._check_free(runs[0])
            changed = list(change(runs[0], tasks))
            for row in changed:
                if isinstance(row, EditRow):
                    row.host, row.pid = os.uname().nodename, os.getpid()
                    row.notebook = self._notebook
            self.segments.write(changed)

    def import_rows(self, rows: Sequence[Row]) -> dict[str, conflicts.Imported]:
        """Implement `Journal.import_rows`."""
        self._require_segment()  # first, so that there is a home to lock
        with self.store.exclusive():
            self._current_segment()
            with self.store.reading() as con:
                recorded = functools.partial(stored.recorded_copy, con, self._check_free)
                needed, results = conflicts.to_import(rows, recorded)
                runs = [row for row in needed if isinstance(row, RunRow)]
                stored.place_imported(con, [run for run in runs if results[run.run_id] == "new"])
            if needed:
                self.segments.write(needed)
        return results

    def transact(self, transaction: Transaction) -> None:
        """Implement `Journal.transact`."""
        self._require_segment()  # first, so that there is a home to lock
        with self.store.exclusive():
            self._current_segment()
            self.store.make()
            with self._contents.now() as contents:
                rows = list(transaction(contents.find))
                if contents.place(rows):
                    self._recent.forget_last()
            for row in rows:
                self.put(row)
            if rows:
                self.sync()
                self._changes.add()
        if rows:
            self._settle_soon()

    def release(self, run: RunRow) -> None:
        """Implement `Journal.release`."""
        try:
            self.put(run)
            self.sync()
        except JournalWriteError:
            self._claimed.discard(run.run_id)
            if not self._claimed:
                self.segments.abandon_own()  # without its lock, others see that the run has ended
            raise
        finally:
            self._claimed.discard(run.run_id)
            self._requests.remove(run.run_id)
        is_large = self._require_segment().size > ROTATE_BYTES
        self._settle_soon()
        if is_large or (run.source is None and run.trigger not in UNATTENDED):
            self.settle()

    def _settle_soon(self) -> None:
        """Merge what was recorded, soon and with what is recorded until then."""
        self._unmerged = True
        self._merges.settle_soon()

    def settle(self) -> None:
        """Implement `Journal.settle`."""
        segment = self.segments.own
        if segment is None or not self._unmerged:
            return
        self._unmerged = False
        is_long = segment.size > ROTATE_BYTES
        if self.store.merge_now(PATIENCE_SECONDS, checkpoint_above=0 if is_long else None):
            self._merges.note(segment.records)
            if is_long:
                self._drop_segment(ROTATE_BYTES)

    def request_cancel(self, run_id: str) -> None:
        """Implement `Journal.request_cancel`."""
        self._requests.add(run_id)

    def cancel_requests(self) -> Collection[str]:
        """Implement `Journal.cancel_requests`: while this process executes runs, it asks often."""
        self.segments.beat()
        return self._requests.all()

    def change_count(self) -> int:
        """Implement `Journal.change_count`."""
        return self._changes.count()

    # -- writing ------------------------------------------------------------------------------

    def put(self, row: Row, *, flush: bool = False) -> None:
        """Implement `Journal.put`."""
        segment = self.segments.current  # `own`, without a call for each row
        if segment is None or segment.is_forked:
            segment = self._require_segment()
        segment.put(row, flush=flush)

    def flush(self) -> None:
        """Implement `Journal.flush`."""
        if (segment := self.segments.own) is not None:
            segment.flush()

    def sync(self) -> None:
        """Implement `Journal.sync`."""
        segment = self.segments.current
        if segment is not None and not segment.is_forked:
            segment.sync()
            self._merges.start_if_many(segment)

    def put_blob(self, content: LazyBytes) -> str:
        """Implement `Journal.put_blob`."""
        return self.blobs.put(content)

    def get_blob(self, name: str) -> VerifiedBytes:
        """Implement `Journal.get_blob`."""
        return self.blobs.get(name)

    # -- reading ------------------------------------------------------------------------------

    def runs(self, *, run_id: str | None = None, job: str | None = None) -> list[RunRow]:
        """Implement `Journal.runs`."""
        if run_id is None:
            with self.reading() as con:
                return stored.runs(con, job=job)
        with self._reading_contents() as contents:
            return [run for run in contents.run(run_id) if job in (None, run.job)]

    def tasks(self, run_id: str) -> list[TaskTuple]:
        """Implement `Journal.tasks`."""
        with self.reading() as con:
            return stored.tasks(con, run_id)

    def find(
        self, kind: str, /, *, since: tuple[str, int] | None = None, **equal: Any
    ) -> list[Any]:
        """Implement `Journal.find`."""
        with self._reading_contents() as contents:
            return contents.find(kind, since=since, **equal)

    def query(self, sql: str, params: Any = None, frames: Mapping[str, Any] | None = None) -> Any:
        """Implement `Journal.query`."""
        with contextlib.suppress(JournalWriteError):
            self.flush()  # a full disk must not hide the rows that are on it
        return self.store.query(sql, params, frames)

    @contextlib.contextmanager
    def reading(self) -> Any:
        """Yield a connection that sees everything put so far."""
        with contextlib.suppress(JournalWriteError):
            self.flush()  # a full disk must not hide the rows that are on it
        with self.store.exclusive(), self.store.reading() as con:
            yield con

    @contextlib.contextmanager
    def _reading_contents(self) -> Iterator[Snapshot]:
        """Yield the contents with everything put so far."""
        with contextlib.suppress(JournalWriteError):
            self.flush()  # as above
        with self.store.exclusive(), self._contents.now() as contents:
            yield contents

    # -- housekeeping -------------------------------------------------------------------------

    def close(self) -> None:
        """Release the lock, and remove our segment if the file itself holds all of it.

        Else the segment stays until the next checkpoint, which would take longer than an exit
        should.
        """
        atexit.unregister(self.close)
        self._merges.stop()
        if (segment := self.segments.own) is None:
            return
        with contextlib.suppress(Exception):  # nobody can react at exit, and nothing is lost
            segment.sync()
            self.store.merge_now(PATIENCE_SECONDS, checkpoint_above=CHECKPOINT_BYTES)
            self._claimed.clear()
            self._drop_segment(0)
        self.segments.close_own()

    def _drop_segment(self, above: int) -> None:
        """Remove our segment if it exceeds `above` bytes and all of it is in the file itself."""
        segment = self.segments.own
        if segment is None or not self.store.has_checkpointed(segment.name, segment.size):
            return
        with contextlib.suppress(JournalLockedError), self.store.exclusive(PATIENCE_SECONDS):
            segment = self.segments.own
            if segment is None or self._claimed:
                return
            if segment.size > above and self.store.has_checkpointed(segment.name, segment.size):
                self.segments.close_own(remove=True)
                self.store.contents.renew()

    def _require_segment(self) -> Segment:
        segment = self.segments.own
        if segment is None:
            with self._starting:
                segment = self.segments.own
                if segment is None:
                    self._claimed.clear()  # after a fork, they are the parent's
                    self._merges.begin()
                    segment = self.segments.start_own()
        return segment
