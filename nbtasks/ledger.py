"""The tasks of a run while it is executed: what the journal knew, and what is added to it."""

from __future__ import annotations

import collections
import itertools
import threading
from typing import TYPE_CHECKING, Any

from nbtasks import clock, codec, keys, params
from nbtasks.errors import UnreadableValueError
from nbtasks.journal.port import ANSWER
from nbtasks.model import AttemptRow, LogRow, ReuseRow, RunRow, Status, TaskRow, columns

if TYPE_CHECKING:
    from nbtasks.journal.port import Journal, Opened, TaskTuple

__all__ = ["Ledger"]

_PATH, _SEQ = columns("task").index("path"), columns("task").index("seq")
_ANSWER_SEQ, _KIND, _OUTPUT, _BLOB = (
    ANSWER.index(name) for name in ("seq", "output_kind", "output", "blob")
)


class Ledger:
    """The rows of one execution, each written through to the journal.

    A recorded task stays the tuple that the journal gave until somebody asks for its row: a
    resumed run may have 100,000, of which it needs no more than an answer. The rest of those is
    read when a view wants it.

    Args:
        journal: Where rows go.
        opened: The run, as the journal gave it to this process.

    Attributes:
        revision: Grows with each change; a view looks at it to know whether to draw.
    """

    def __init__(self, journal: Journal, opened: Opened) -> None:
        self.revision = 0
        self._journal = journal
        self._run: RunRow = opened.run
        self._rows: dict[str, TaskRow | TaskTuple] = dict(opened.tasks)
        self._answers = opened.answers
        self._whole: dict[str, TaskTuple] | None = None  # all of each task, when it was asked for
        last = max(_last(opened.tasks, _SEQ), _last(opened.answers, _ANSWER_SEQ))
        self._seq = itertools.count(last + 1)
        self._logged = dict(opened.logs)
        self._answered: set[str] = set()  # paths answered from the journal in this execution
        # Those of them that are not yet recorded as such. Threads add to it while one empties it.
        self._reused: collections.deque[str] = collections.deque()
        self._lock = threading.RLock()
        self._children: dict[str, list[str]] | None = None
        self._closed = False

    # -- reading ------------------------------------------------------------------------------

    def rows(self) -> list[TaskRow]:
        """All tasks of the run, recorded ones and new ones, in no particular order."""
        # Rows that are made here are not kept: a view calls this from its own thread.
        rows: dict[str, Any] = {path: self._recorded(path) for path in list(self._answers)}
        rows.update(list(self._rows.items()))
        return [
            row if type(row) is TaskRow else self._made(path, row) for path, row in rows.items()
        ]

    def knows(self, path: str) -> bool:
        """Whether a task has a row."""
        return path in self._rows or path in self._answers

    def row(self, path: str) -> TaskRow | None:
        """The row of a task, if it has one."""
        row = self._rows.get(path)
        if path in self._answers:
            row = self._recorded(path)
            del self._answers[path]
        if type(row) is tuple:
            row = self._rows[path] = self._made(path, row)
        return row  # type: ignore[return-value]  # no tuple any more

    def _recorded(self, path: str) -> TaskTuple:
        """All that is recorded of a task of which there is an answer."""
        if self._whole is None:
            self._whole = {row[_PATH]: row for row in self._journal.tasks(self._run.run_id)}
        return self._whole[path]

    def _made(self, path: str, values: Any) -> TaskRow:
        row = TaskRow(*values)
        if path in self._answered:
            row.execution, row.reused = self._run.executions, True
        return row

    def completed(self, path: str) -> tuple[str | None, str | None, str | None] | None:
        """The output, as (kind, text, blob), of a task that an earlier execution completed. It
        counts as answered then."""
        answer = self._answers.get(path)
        if answer is None:
            return None
        self._answered.add(path)
        self._reused.append(path)
        self.revision += 1
        return answer[_KIND], answer[_OUTPUT], answer[_BLOB]

    def decode(self, kind: str | None, text: str | None, blob: str | None, path: str) -> Any:
        """The value of an output.

        Raises:
            UnreadableValueError: It cannot be read back here.
        """
        if kind is None:
            return None
        try:
            if blob is None:
                return codec.decode(kind, text)
            return codec.decode_blob(kind, text, self._journal.get_blob(blob))
        except UnreadableValueError as error:
            raise type(error)(
                f"{error} It is the output of task {path!r} of run {self._run.run_id}. "
                "Start a new run (new=True, or --new) to compute it again."
            ) from None

    def under(self, path: str) -> list[str]:
        """The paths of all tasks below a task that no earlier execution completed."""
        found = list(self.children(path))
        for known in found:  # which grows meanwhile
            found += self.children(known)
        return [known for known in found if known not in self._answers]

    def children(self, path: str) -> list[str]:
        """The paths of the tasks right below a task."""
        return self._index().get(path, [])

    def _index(self) -> dict[str, list[str]]:
        """The subtasks of each task that has any."""
        with self._lock:
            if self._children is None:
                # At once, since other threads add tasks while the rest is looked through.
                self._children = {}
                for known in (*self._answers, *list(self._rows)):
                    if "/" in known:
                        self._children.setdefault(keys.parent(known), []).append(known)
            return self._children

    # -- writing ------------------------------------------------------------------------------

    def add(self, path: str, name: str | None) -> TaskRow:
        """A row for a task that is new."""
        run = self._run
        row = TaskRow(run.run_id, path, next(self._seq), name, execution=run.executions)
        row.started_us = clock.micros()
        self._rows[path] = row
        if self._children is not None and "/" in path:
            self._children.setdefault(keys.parent(path), []).append(path)
        return row

    def put(self, row: TaskRow) -> None:
        """Records a task as it stands. After the end of the execution, late results are
        dropped: the run may be in other hands by then."""
        if self._closed:
            return
        if self._reused:
            self._put_reused()
        self._journal.put(row)
        self.revision += 1

    def archive(
        self,
        row: TaskRow,
        status: str,
        finished_us: int | None,
        error: str | None,
        retry_us: int | None,
    ) -> None:
        """Keeps the row's latest attempt, which another one will follow."""
        attempt = AttemptRow(
            row.run_id, row.path, row.attempts, row.attempt, status,
            row.attempt_us, finished_us, error, retry_us,
        )  # fmt: skip
        self._journal.put(attempt)

    def keep(self, row: TaskRow | RunRow, encoded: codec.Encoded) -> None:
        """Puts an output into a row; a large one into a file."""
        row.blob = None if encoded.blob is None else self._journal.put_blob(encoded.blob)
        row.output, row.output_kind, row.output_bytes = encoded.text, encoded.kind, encoded.size

    def log(self, level: str, message: str, data: dict[str, Any], task: TaskRow | None) -> None:
        """Records a line. The body runs again from the top, so there what is recorded already
        is not written twice."""
        text = params.log_data(data)
        if task is None and (left := self._logged.get((level, message, text), 0)):
            self._logged[level, message, text] = left - 1
            return
        path, attempt = (task.path, task.attempt) if task is not None else ("", 0)
        line = LogRow(self._run.run_id, path, attempt, clock.micros(), level, message, text)
        self._journal.put(line)
        self.revision += 1

    def cancel_rest(self) -> None:
        """Records as CANCELED what would not end: threads, and tasks that took no notice."""
        for row in list(self._rows.values()):
            if type(row) is TaskRow and row.status == Status.RUNNING:
                row.status, row.finished_us = Status.CANCELED, clock.micros()
                self.put(row)

    def close(self) -> None:
        """Takes nothing more."""
        if self._reused:
            self._put_reused()
        self._closed = True
        self.revision += 1

    # -- reuse --------------------------------------------------------------------------------

    def reuse(self, row: TaskRow) -> None:
        """Notes that a task was answered from the journal."""
        if row.execution < self._run.executions:
            row.execution, row.reused = self._run.executions, True
            self._answered.add(row.path)
            self._reused.append(row.path)
            self.revision += 1

    def _put_reused(self) -> None:
        """Records which tasks were answered from the journal, with all below them: they are
        drawn with the branch they belong to."""
        seqs = []
        with self._lock:
            children = self._index()
            while self._reused:
                path = self._reused.popleft()
                seqs.append(self._seq_of(path))
                for below in children.get(path, ()):
                    if below not in self._answered:
                        self._answered.add(below)
                        child = self._rows.get(below)
                        if type(child) is TaskRow:
                            child.execution, child.reused = self._run.executions, True
                        self._reused.append(below)
        if seqs:
            ranges = _ranges(sorted(seqs))
            self._journal.put(ReuseRow(self._run.run_id, self._run.executions, ranges))

    def _seq_of(self, path: str) -> int:
        answer = self._answers.get(path)
        if answer is not None:
            return int(answer[_ANSWER_SEQ])
        row = self._rows[path]
        return row.seq if type(row) is TaskRow else row[_SEQ]  # type: ignore[index]  # a tuple


def _last(tasks: dict[str, tuple[Any, ...]], seq: int) -> int:
    """The greatest number among tasks in the order of their numbers; 0 if there are none."""
    return int(next(reversed(tasks.values()))[seq]) if tasks else 0


def _ranges(seqs: list[int]) -> list[tuple[int, int]]:
    """Sorted numbers as closed ranges.

    >>> _ranges([1, 2, 3, 7])
    [(1, 3), (7, 7)]
    """
    if seqs and seqs[-1] - seqs[0] == len(seqs) - 1:
        return [(seqs[0], seqs[-1])]  # by far the most frequent
    ranges: list[tuple[int, int]] = []
    for seq in seqs:
        if ranges and ranges[-1][1] == seq - 1:
            ranges[-1] = (ranges[-1][0], seq)
        else:
            ranges.append((seq, seq))
    return ranges
