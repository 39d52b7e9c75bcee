"""The journal of a home folder: segments, the DuckDB file, and blobs, as one port."""

from __future__ import annotations

import atexit
import collections
import contextlib
import functools
import os
import threading
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from nbtasks.errors import (
    JournalLockedError,
    JournalWriteError,
    NotFoundError,
)
from nbtasks.journal import busy
from nbtasks.journal import rows as stored
from nbtasks.journal.blobs import Blobs
from nbtasks.journal.duck import SETTLE_BYTES, DuckStore
from nbtasks.journal.news import News
from nbtasks.journal.port import ANSWER, Change, Claim, Deal, Opened, TaskTuple
from nbtasks.journal.requests import CancelRequests
from nbtasks.journal.wal import Segment, SegmentReader, is_alive
from nbtasks.model import EditRow, Row, RunRow, Status, columns, values
from nbtasks.values.content import Blob, Content

__all__ = ["HomeJournal"]

#: A fold in mid-run starts after this many rows, so that the end of a long run stays short.
FOLD_ROWS = 50_000
#: A segment above this many bytes is replaced once all of it is folded.
ROTATE_BYTES = 4 << 20
#: At the end of a run, how long to wait for others who fold. They fold our rows, too.
PATIENCE_SECONDS = 2.0

_PATH, _ANSWER_PATH = columns("task").index("path"), ANSWER.index("path")


class HomeJournal:
    """See `nbtasks.journal.port.Journal`. One instance per home and process; thread-safe.

    Args:
        home: The folder; it is made when the first run starts.
        durable: Whether `sync` waits for the disk.
        notebook: The notebook of this kernel, for the messages of others.

    Attributes:
        blobs: The files of large values.
        duck: The DuckDB side.
    """

    def __init__(self, home: Path, *, durable: bool = True, notebook: str | None = None) -> None:
        self.home = home
        self._wal = home / "wal"
        self.blobs = Blobs(home / "blobs", durable=durable)
        self._requests = CancelRequests(home / "cancel")
        self._news = News(home / "news")
        self._durable = durable
        self._notebook = notebook
        self._segment: Segment | None = None
        self._starting = threading.Lock()
        self._claimed: set[str] = set()  # the runs that this process executes now
        self._folded_rows = 0
        self._folding: threading.Thread | None = None
        self.duck = DuckStore(home, durable=durable, segments=self._readers)
        atexit.register(self.close)

    # -- executing ----------------------------------------------------------------------------

    def claim(self, claim: Claim) -> Opened:
        """Finds or makes a run and takes it; see the port."""
        self._own()  # first, so that there is a home to hold
        with self.duck.exclusive():
            segment = self._present()
            self.duck.make()
            with self.duck.reading(tidy=False) as con:
                found = None if claim.new else self._find(con, claim)
                opened = self._take(con, found) if found else self._make(claim)
                if claim.limit is not None:
                    busy.check_room(
                        claim.make.job, claim.limit, stored.running(con, claim.make.job)
                    )
                if found or claim.rows:
                    opened.codes = stored.codes(con, opened.run)
            run = opened.run
            run.status, run.finished_us, run.resume_us = Status.RUNNING, None, None
            run.executions += 1
            run.execution_us = claim.make.started_us
            run.segment, run.host, run.pid = segment.name, os.uname().nodename, os.getpid()
            run.notebook, run.source = claim.make.notebook or self._notebook, claim.make.source
            run.output = run.output_kind = run.output_bytes = run.blob = run.error = None
            self.put(run)
            self.sync()
            self._claimed.add(run.run_id)
            self._requests.remove(run.run_id)
        return opened

    def look(self, claim: Claim) -> Opened | None:
        """What `claim` would find; see the port."""
        with self.reading() as con:
            if (found := self._find(con, claim)) is None:
                return None
            opened = self._take(con, found)
            opened.codes = stored.codes(con, opened.run)
            return opened

    def _present(self) -> Segment:
        """Our segment; a new one if somebody removed the home under this process."""
        segment = self._own()
        if segment.gone and not self._claimed:
            segment.close()
            self._segment = None
            self.duck.forget()
            segment = self._own()
        return segment

    def _find(self, con: Any, claim: Claim) -> tuple[Any, ...] | None:
        found = stored.claimed(con, claim)
        if claim.run_id and found is None:
            raise NotFoundError(f"There is no run {claim.run_id!r} in {self.home}.")
        return found

    def _make(self, claim: Claim) -> Opened:
        for row in claim.rows:  # before the row of the run: without that, nobody sees them
            self.put(row)
        return Opened(claim.make, {row.path: values(row) for row in claim.rows})

    def _check_free(self, run: RunRow) -> None:
        if run.run_id in self._claimed:
            raise busy.error(run, own=True)
        if run.status == Status.RUNNING and run.segment != self._name():
            raise busy.error(run, own=False)  # what the dead left is INTERRUPTED by now

    def _take(self, con: Any, found: tuple[Any, ...]) -> Opened:
        run = RunRow(*found)
        self._check_free(run)
        logged = con.execute(
            "select level, message, data from log where run_id = $1 and path = ''", [run.run_id]
        ).fetchall()
        tasks = stored.tasks(con, run.run_id, "status <> 'COMPLETED'")
        answers = con.execute(
            f"select {', '.join(ANSWER)} from task where run_id = $1 and status = 'COMPLETED' "  # noqa: S608 - fixed names
            "order by seq",
            [run.run_id],
        ).fetchall()
        return Opened(
            run,
            {row[_PATH]: row for row in tasks},
            {row[_ANSWER_PATH]: row for row in answers},
            dict(collections.Counter(logged)),
            fresh=run.executions == 0,
            displayed=stored.displayed(con, run.run_id),
        )

    def amend(self, run_id: str, change: Change) -> None:
        """Writes rows of a run that nobody executes; see the port."""
        with self.duck.exclusive():
            with self.duck.reading() as con:
                found = stored.runs(con, run_id=run_id)
                tasks = stored.tasks(con, run_id)
            if not found:
                raise NotFoundError(f"There is no run {run_id!r} in {self.home}.")
            self._check_free(found[0])
            changed = list(change(found[0], tasks))
            for row in changed:
                if isinstance(row, EditRow):
                    row.host, row.pid = os.uname().nodename, os.getpid()
                    row.notebook = self._notebook
            self._put_apart(changed)

    def adopt(self, rows: Sequence[Row]) -> None:
        """Takes runs that were recorded elsewhere; see the port."""
        self._own()  # first, so that there is a home to hold
        with self.duck.exclusive():
            self._present()
            with self.duck.reading() as con:
                for run_id in busy.run_ids(rows):
                    if stored.runs(con, run_id=run_id):
                        raise busy.known(run_id)
            self._put_apart(rows)

    def _put_apart(self, rows: Sequence[Row]) -> None:
        # A segment for them alone. It appears when it is whole, and its name comes after all there
        # are, so that of two segments that hold a task the edit is in the later one.
        Segment(self._wal, durable=self._durable, notebook=self._notebook, rows=rows).close()

    def transact(self, deal: Deal) -> None:
        """Writes rows on the strength of what is recorded; see the port."""
        self._own()  # first, so that there is a home to hold
        with self.duck.exclusive():
            self._present()
            self.duck.make()
            with self.duck.reading(tidy=False) as con:
                dealt = list(deal(functools.partial(stored.found, con)))
            for row in dealt:
                self.put(row)
            if dealt:
                self.sync()
                self._news.add()

    def release(self, run: RunRow) -> None:
        """Records the end of an execution; see the port."""
        try:
            self.put(run)
            self.sync()
        except JournalWriteError:
            self._claimed.discard(run.run_id)
            if not self._claimed and self._segment is not None:
                self._segment.abandon()  # without its lock, others see that the run has stopped
                self._segment = None
            raise
        finally:
            self._claimed.discard(run.run_id)
            self._requests.remove(run.run_id)
        segment = self._own()
        long = segment.size > ROTATE_BYTES
        if self.duck.fold_now(PATIENCE_SECONDS, settle_above=0 if long else None):
            self._folded_rows = segment.records
            if long:
                self._give_up(ROTATE_BYTES)

    def ask_to_cancel(self, run_id: str) -> None:
        """Asks who executes a run to cancel it; see the port."""
        self._requests.add(run_id)

    def asked_to_cancel(self) -> Collection[str]:
        """The runs of which that was asked; see the port."""
        return self._requests.all()

    def news(self) -> int:
        """A number that changes with each `transact`; see the port."""
        return self._news.count()

    # -- writing ------------------------------------------------------------------------------

    def put(self, row: Row) -> None:
        """Takes a row; see the port."""
        segment = self._segment
        if segment is None or segment.foreign:
            segment = self._own()
        segment.put(row)

    def flush(self) -> None:
        """Hands what was put to the system; see the port."""
        segment = self._segment
        if segment is not None and not segment.foreign:
            segment.flush()

    def sync(self) -> None:
        """Makes what was put durable; see the port."""
        segment = self._segment
        if segment is not None and not segment.foreign:
            segment.sync()
            if segment.records - self._folded_rows > FOLD_ROWS:
                self._fold_aside(segment)

    def put_blob(self, content: Content) -> str:
        """Keeps bytes by their content; see the port."""
        return self.blobs.put(content)

    def get_blob(self, name: str) -> Blob:
        """The bytes that `put_blob` named; see the port."""
        return self.blobs.get(name)

    # -- reading ------------------------------------------------------------------------------

    def runs(self, *, run_id: str | None = None, job: str | None = None) -> list[RunRow]:
        """The runs of the home, oldest first; see the port."""
        with self.reading() as con:
            return stored.runs(con, run_id=run_id, job=job)

    def tasks(self, run_id: str) -> list[TaskTuple]:
        """The tasks of a run; see the port."""
        with self.reading() as con:
            return stored.tasks(con, run_id)

    def find(
        self, kind: str, /, *, since: tuple[str, int] | None = None, **equal: Any
    ) -> list[Any]:
        """The rows of a kind; see the port."""
        with self.reading() as con:
            return stored.found(con, kind, since=since, **equal)

    def query(self, sql: str, params: Any = None, frames: Mapping[str, Any] | None = None) -> Any:
        """One query over the views; see the port."""
        with contextlib.suppress(JournalWriteError):
            self.flush()  # a full disk must not hide what is on it
        return self.duck.query(sql, params, frames)

    @contextlib.contextmanager
    def reading(self) -> Any:
        """A connection that sees everything."""
        with contextlib.suppress(JournalWriteError):
            self.flush()  # a full disk must not hide what is on it
        with self.duck.exclusive(), self.duck.reading() as con:
            yield con

    # -- keeping house ------------------------------------------------------------------------

    def close(self) -> None:
        """Gives the lock back. A segment of which all is in the file goes; else it stays until
        that is brought up to date, which would take longer than an exit should."""
        atexit.unregister(self.close)
        segment = self._segment
        if segment is None or segment.foreign:
            return
        with contextlib.suppress(Exception):  # at exit nobody can mend it, and nothing is lost
            segment.sync()
            self.duck.fold_now(PATIENCE_SECONDS, settle_above=SETTLE_BYTES)
            self._claimed.clear()
            self._give_up(0)
        if self._segment is not None:
            segment.close()
            self._segment = None

    def _give_up(self, above: int) -> None:
        """Removes our segment if it is longer than that, and the file itself holds all of it."""
        segment = self._segment
        if segment is None or not self.duck.holds(segment.name, segment.size):
            return
        with contextlib.suppress(JournalLockedError), self.duck.exclusive(PATIENCE_SECONDS):
            segment = self._segment
            if segment is None or self._claimed:
                return
            if segment.size > above and self.duck.holds(segment.name, segment.size):
                self._segment = None
                segment.close(remove=True)

    def _own(self) -> Segment:
        segment = self._segment
        if segment is None or segment.foreign:
            with self._starting:
                if self._segment is None or self._segment.foreign:
                    self._claimed.clear()
                    self._folded_rows = 0
                    self._segment = self._start()
                segment = self._segment
        return segment

    def _start(self) -> Segment:
        try:
            self._wal.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise JournalWriteError(
                f"The home {self.home} cannot be made: {error.strerror}. Choose another with "
                "nb.configure(home=...) or NBTASKS_HOME."
            ) from error
        return Segment(self._wal, durable=self._durable, notebook=self._notebook)

    def _name(self) -> str | None:
        segment = self._segment
        return segment.name if segment is not None and not segment.foreign else None

    def _readers(self) -> tuple[list[SegmentReader], list[str]]:
        """All segments, oldest first, and the names of those whose owners live."""
        readers, alive = [], []
        for path in sorted(self._wal.glob("*.log")):
            reader = SegmentReader(path)
            reader.read_header()
            if path.stem == self._name() or is_alive(path, reader.header):
                alive.append(path.stem)
            readers.append(reader)
        return readers, alive

    def _fold_aside(self, segment: Segment) -> None:
        if self._folding is not None and self._folding.is_alive():
            return
        self._folded_rows = segment.records
        self._folding = threading.Thread(
            target=self.duck.fold_now, args=(0.0,), name="nbtasks-fold", daemon=True
        )
        self._folding.start()
