"""The tasks of a run while it is executed: what the journal knew, and what is added to it."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import threading
from typing import TYPE_CHECKING, Any

from nbtasks import (
    clock,
    codec,
    fingerprint,
    inputs,
    kept,
    keys,
    params,
    redaction,
)  # fmt: skip
from nbtasks.displays import Displays
from nbtasks.errors import UnreadableValueError
from nbtasks.journal.port import ANSWER
from nbtasks.model import (
    UNDER_WAY,
    AttemptRow,
    CodeRow,
    LogRow,
    ReuseRow,
    RunRow,
    Status,
    TaskRow,
    columns,
)  # fmt: skip
from nbtasks.ranges import ranges
from nbtasks.replay import is_over
from nbtasks.values.content import content_hash

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbtasks.journal.port import Answer, Journal, Opened, TaskTuple

__all__ = ["Ledger"]

_PATH, _SEQ = columns("task").index("path"), columns("task").index("seq")
_ANSWER_SEQ, _KIND, _OUTPUT, _BLOB, _FINISHED = (
    ANSWER.index(name) for name in ("seq", "output_kind", "output", "blob", "finished_us")
)
#: Values of these kinds digest by their content.
_BY_CONTENT = ("json", "tagged", None)
#: So many functions of a run are recorded with their source. One that reads a loop's variable is
#: another one each time.
_MOST_CODES = 500
#: What a task says of its progress is recorded at most this often.
_NOTE_US = 100_000


class Ledger:
    """The rows of one execution, each written through to the journal.

    A recorded task stays the tuple that the journal gave until somebody asks for its row: a
    resumed run may have 100,000, of which it needs no more than an answer. The rest of those is
    read when a view wants it.

    Args:
        journal: Where rows go.
        opened: The run, as the journal gave it to this process.

    Attributes:
        displays: What its tasks display.
        revision: Grows with each change; a view looks at it to know whether to draw.
        changed: Takes the path of each task that changes, where a view has put something here.
        orphans: Whether some row was taken from an attempt that may still go on.
        secrets: By path, the text that nobody is to see in what the task says.
    """

    def __init__(self, journal: Journal, opened: Opened) -> None:
        self.displays = Displays(journal, opened.run, opened.displayed)
        self.revision = 0
        self.changed: collections.deque[str] | None = None
        self._journal = journal
        self._run: RunRow = opened.run
        self._rows: dict[str, TaskRow | TaskTuple] = dict(opened.tasks)
        self._answers = opened.answers
        self._whole: dict[str, TaskTuple] | None = None  # all of each task, when it was asked for
        last = max(_last(opened.tasks, _SEQ), _last(opened.answers, _ANSWER_SEQ))
        self._seq = itertools.count(last + 1)
        self._logged = dict(opened.logs)
        self._codes = dict(opened.codes)
        self._answered: set[str] = set()  # paths answered from the journal in this execution
        # Those of them that are not yet recorded as such. Threads add to it while one empties it.
        self._reused: collections.deque[str] = collections.deque()
        self._lock = threading.RLock()
        self._children: dict[str, list[str]] | None = None
        self._closed = self._stamped = False
        self.orphans = False
        self.secrets: dict[str, frozenset[str]] = {}
        self._noted: dict[str, int] = {}  # by path, when the task's progress was last recorded

    # -- reading ------------------------------------------------------------------------------

    def rows(self, paths: Iterable[str] | None = None) -> list[TaskRow]:
        """All tasks of the run, recorded ones and new ones, or those at `paths`, in no particular
        order."""
        # Rows that are made here are not kept: a view calls this from its own thread.
        if paths is None:
            paths = dict.fromkeys((*list(self._answers), *list(self._rows)))
        rows = ((path, self._rows.get(path) or self._recorded(path)) for path in paths)
        return [row if type(row) is TaskRow else self._made(path, row) for path, row in rows]

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

    def completed(self, path: str, ttl_us: int | None = None) -> Answer | None:
        """The `ANSWER` of a task that an earlier execution completed, not longer than `ttl_us`
        ago; of those that nobody has asked for more about."""
        answer = self._answers.get(path)
        if answer is None or (ttl_us is not None and is_over(answer[_FINISHED], ttl_us)):
            return None
        return answer

    def answer(self, path: str, answer: Answer) -> Any:
        """The output of a task that `completed` gave. It counts as answered then."""
        if path in self._answers:  # else it was noted when it was looked at more closely
            self._answered.add(path)
            self._reused.append(path)
            self._tell(path)
            if path in self.displays.known:
                self.displays.again(path)
        return self.decode(answer[_KIND], answer[_OUTPUT], answer[_BLOB], path)

    def code(self, digest: str) -> str | None:
        """What is recorded of the function with this fingerprint."""
        return self._codes.get(digest)

    def decode(self, kind: str | None, text: str | None, blob: str | None, path: str) -> Any:
        """The value of an output.

        Raises:
            UnreadableValueError: It cannot be read back here.
        """
        try:
            value = kept.value(self._journal, kind, text, blob)
        except UnreadableValueError as error:
            raise kept.explained(self._journal, error, self._run.run_id, path) from None
        if kind not in _BY_CONTENT:
            _remember(value, text, blob)
        return value

    def under_way(self) -> list[str]:
        """The paths of the tasks that run or wait in this execution."""
        latest = self._run.executions
        return [
            path
            for path, row in list(self._rows.items())
            if type(row) is TaskRow and row.execution == latest and row.status in UNDER_WAY
        ]

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
        """Records a task as it stands. Late results are dropped: of an attempt that was given
        up, and after the end of the execution, when the run may be in other hands."""
        if self._closed or (self.orphans and not self.owns(row)):
            return
        if self._reused:
            self._put_reused()
        self._journal.put(row)
        self._tell(row.path)

    def archive(
        self,
        row: TaskRow,
        status: str,
        finished_us: int | None,
        error: str | None,
        retry_us: int | None,
    ) -> None:
        """Keeps the row's latest attempt, which another one will follow."""
        if self.orphans and not self.owns(row):
            return
        attempt = AttemptRow(
            row.run_id, row.path, row.attempts, row.attempt, status,
            row.attempt_us, finished_us, error, retry_us,
        )  # fmt: skip
        self._journal.put(attempt)

    def keep(self, row: TaskRow | RunRow, encoded: codec.Encoded) -> None:
        """Puts an output into a row; into a file, where it is large, or not for all to see."""
        encoded, row.hidden = codec.hide(encoded), encoded.shown is not None
        row.blob = kept.keep(self._journal, encoded)
        row.output, row.output_kind, row.output_bytes = encoded.text, encoded.kind, encoded.size
        if encoded.kind not in _BY_CONTENT and not self._stamped:
            self._stamped = True
            self._journal.put(kept.stamp(row.run_id))

    def keep_value(self, row: TaskRow, value: Any, redact: redaction.Paths | None = None) -> None:
        """Puts a value into a row, as its output, with the paths of `redact` hidden.

        Raises:
            ValueNotKeptError: It cannot be recorded.
        """
        encoded = codec.encode(value)
        if redact is not None:
            plain = encoded.kind in _BY_CONTENT
            hidden = redaction.redacted(value, redact) if plain else redaction.REDACTED
            encoded = encoded._replace(shown=params.shown(hidden))
        self.keep(row, encoded)
        if row.output_kind not in _BY_CONTENT:
            _remember(value, row.output, row.blob)

    def keep_code(self, code: fingerprint.Fingerprint) -> None:
        """Records what a function is, once in a run."""
        if code.digest not in self._codes and len(self._codes) < _MOST_CODES and not self._closed:
            text = self._codes[code.digest] = fingerprint.dumps(code)
            self._journal.put(CodeRow(self._run.run_id, code.digest, text))

    def note(self, row: TaskRow) -> None:
        """Records what a task says of itself while it runs: now and then, for others to see, and
        in any case with its end."""
        self._tell(row.path)
        now = clock.micros()
        if now - self._noted.get(row.path, -_NOTE_US) >= _NOTE_US and row.status == Status.RUNNING:
            self._noted[row.path] = now
            self.put(row)
            self._journal.flush()

    def show(self, row: TaskRow, value: Any) -> None:
        """Displays a value for a task that runs, and records it."""
        self.displays.show(row, value)

    def owns(self, row: TaskRow) -> bool:
        """Whether the row still stands for its task; else its attempt was given up."""
        return self._rows.get(row.path) is row

    def disown(self, row: TaskRow) -> TaskRow:
        """Takes a task, with all that goes on below it, from an attempt that is given up but may
        not have ended: it keeps rows that nobody looks at. Gives the row that counts from now."""
        self.orphans = True
        mine = self._rows[row.path] = dataclasses.replace(row)
        todo = list(self.children(row.path))
        while todo:
            path = todo.pop()
            todo += self.children(path)
            below = self._rows.get(path)
            if type(below) is TaskRow and below.status in UNDER_WAY:
                ended = None if below.status == Status.WAITING else clock.micros()
                taken = dataclasses.replace(below, status=Status.CANCELED, finished_us=ended)
                self._rows[path] = taken
                self.put(taken)
        return mine

    def log(self, level: str, message: str, data: dict[str, Any], task: TaskRow | None) -> None:
        """Records a line. The body runs again from the top, so there what is recorded already
        is not written twice. What comes late is dropped, as of `put`."""
        if self._closed or (task is not None and self.orphans and not self.owns(task)):
            return
        text = params.log_data(data)
        if task is None and (left := self._logged.get((level, message, text), 0)):
            self._logged[level, message, text] = left - 1
            return
        path, attempt = (task.path, task.attempt) if task is not None else ("", 0)
        secrets = self.secrets.get(path, ())
        message, text = (
            redaction.scrubbed(message, secrets),
            text and redaction.scrubbed(text, secrets),
        )
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

    def _tell(self, path: str) -> None:
        self.revision += 1
        if self.changed is not None:
            self.changed.append(path)

    # -- reuse --------------------------------------------------------------------------------

    def reuse(self, row: TaskRow) -> None:
        """Notes that a task was answered from the journal."""
        if row.execution < self._run.executions:
            row.execution, row.reused = self._run.executions, True
            self._answered.add(row.path)
            self._reused.append(row.path)
            self._tell(row.path)
            if row.path in self.displays.known:
                self.displays.again(row.path)

    def mark_stale(self, path: str, reason: str | None) -> None:
        """Records of a task that is answered from the journal why it is out of date, or that it
        is no more."""
        row = self.row(path)
        assert row is not None  # noqa: S101 - it is answered from what is recorded
        self.reuse(row)
        row.stale = reason
        self.put(row)

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
            run = self._run
            self._journal.put(ReuseRow(run.run_id, run.executions, ranges(sorted(seqs))))

    def _seq_of(self, path: str) -> int:
        answer = self._answers.get(path)
        if answer is not None:
            return int(answer[_ANSWER_SEQ])
        row = self._rows[path]
        return row.seq if type(row) is TaskRow else row[_SEQ]  # type: ignore[index]  # a tuple


def _last(tasks: dict[str, tuple[Any, ...]], seq: int) -> int:
    """The greatest number among tasks in the order of their numbers; 0 if there are none."""
    return int(next(reversed(tasks.values()))[seq]) if tasks else 0


def _remember(value: Any, text: str | None, blob: str | None) -> None:
    """Lets a value digest as it is recorded when it is the argument of another task."""
    inputs.remember(value, blob or content_hash((text or "").encode()))
