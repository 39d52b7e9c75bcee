"""State of a run's tasks during an execution: recorded rows and new ones."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import threading
from typing import TYPE_CHECKING, Any

from nbtasks.core import clock, keys
from nbtasks.core.model import (
    UNDER_WAY,
    AttemptRow,
    CodeRow,
    LogRow,
    ReuseRow,
    RunRow,
    Status,
    TaskRow,
    columns,
)
from nbtasks.engine.fingerprint import arguments, function
from nbtasks.engine.options import Policy
from nbtasks.engine.replay import is_expired, ranges
from nbtasks.errors import UnreadableValueError
from nbtasks.journal import edits, outputs
from nbtasks.journal.protocol import ANSWER
from nbtasks.journal.wal import escape_invalid
from nbtasks.values import codec, preview, redaction
from nbtasks.values.content import content_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nbtasks.core.model import Row
    from nbtasks.journal.protocol import Answer, ClaimedRun, Journal, TaskTuple

__all__ = ["RunState"]

_PATH, _SEQ = columns("task").index("path"), columns("task").index("seq")
_ANSWER_SEQ, _KIND, _OUTPUT, _BLOB, _FINISHED = (
    ANSWER.index(name) for name in ("seq", "output_kind", "output", "blob", "finished_us")
)
_BY_CONTENT = ("json", "tagged", None)  # kinds of values that are digested by their content
#: The most functions to record in a run. One that reads a loop variable is new in each iteration.
_MAX_CODES = 500
#: The least time between two records of a task's progress and metrics.
_NOTE_US = 100_000


class RunState:
    """Rows of one execution, each written through to the journal.

    A recorded task stays a tuple until its row is needed: of 100,000 tasks of a resumed run, most
    only need their answer. Their other fields are read once a view asks for them.

    Args:
        journal: The journal that takes the rows.
        claimed: The run as claimed from the journal.

    Attributes:
        shown: What the tasks have printed and displayed in earlier executions.
        echo: Receives the path of each reused task, if a view has put a function here.
        revision: Grows with each change; tells a view whether to draw again.
        changed: Receives the path of each changed task, if a view has put a deque here.
        has_detached: Whether a row was taken from an abandoned attempt that may still be running.
        secrets: The texts to hide in a task's logs, displays and errors, by path.
    """

    def __init__(self, journal: Journal, claimed: ClaimedRun) -> None:
        self.shown = claimed.shown
        self.echo: Callable[[str], None] | None = None
        self.revision = 0
        self.changed: collections.deque[str] | None = None
        self._journal = journal
        self._run: RunRow = claimed.run
        self._rows: dict[str, TaskRow | TaskTuple] = dict(claimed.tasks)
        self._answers = claimed.answers
        self._full_rows = claimed.rows  # else read once they are needed
        last = max(_last_seq(claimed.tasks, _SEQ), _last_seq(claimed.answers, _ANSWER_SEQ))
        self._seq = itertools.count(last + 1)
        self._logged_counts = dict(claimed.logs)
        self.codes: dict[str, str] = dict(claimed.codes)
        self._reused_paths: set[str] = set()  # answered from the journal in this execution
        # those whose reuse is not recorded yet: threads append while another one drains it
        self._pending_reuse: collections.deque[str] = collections.deque()
        self._lock = threading.RLock()
        self._children: dict[str, list[str]] | None = None
        self._closed = self._stamped = self.has_detached = False
        self.secrets: dict[str, frozenset[str]] = {}
        self._noted: dict[str, int] = {}  # last record of a task's progress, by path

    # -- reading ------------------------------------------------------------------------------

    def rows(self, paths: Iterable[str] | None = None, *, open_: bool = False) -> list[TaskRow]:
        """Return the rows at `paths`, or all (`open_`: without answers) rows, in no order."""
        if paths is None:  # rows built here are not stored: a view calls this from its own thread
            paths = dict.fromkeys((*(() if open_ else list(self._answers)), *list(self._rows)))
        rows = ((path, self._rows.get(path) or self._full_row(path)) for path in paths)
        return [row if type(row) is TaskRow else self._to_row(path, row) for path, row in rows]

    def has(self, path: str = "") -> bool:
        """Return True if the task is recorded or has begun; without a path, if any task is."""
        return any(path in known if path else known for known in (self._rows, self._answers))

    def row(self, path: str) -> TaskRow | None:
        """Return the row of a task; None if it has none."""
        row = self._rows.get(path)
        if path in self._answers:
            row = self._full_row(path)
            del self._answers[path]
        if type(row) is tuple:
            row = self._rows[path] = self._to_row(path, row)
        return row  # type: ignore[return-value]  # a TaskRow by now

    def _full_row(self, path: str) -> TaskTuple:
        """Return all recorded fields of a task that has an answer."""
        if self._full_rows is None:
            self._full_rows = {row[_PATH]: row for row in self._journal.tasks(self._run.run_id)}
        return self._full_rows[path]

    def _to_row(self, path: str, values: Any) -> TaskRow:
        row = TaskRow(*values)
        if path in self._reused_paths:
            row.execution, row.reused = self._run.executions, True
        return row

    def completed(self, path: str, ttl_us: int | None = None) -> Answer | None:
        """Return the `ANSWER` of a task that an earlier execution completed, at most `ttl_us` ago.
        None, too, if its row has been read since."""
        answer = self._answers.get(path)
        if answer is None or (ttl_us is not None and is_expired(answer[_FINISHED], ttl_us)):
            return None
        return answer

    def answer(self, path: str, answer: Answer) -> Any:
        """Return the output in an answer from `completed`, and mark the task as reused."""
        if path in self._answers:  # else `mark_stale` has read its row and marked it
            self._mark_reused(path)
        return self.decode(answer[_KIND], answer[_OUTPUT], answer[_BLOB], path)

    def decode(self, kind: str | None, text: str | None, blob: str | None, path: str) -> Any:
        """Return the value of an output.

        Raises:
            UnreadableValueError: The output cannot be read back in this process.
        """
        try:
            value = outputs.load(self._journal, kind, text, blob)
        except UnreadableValueError as error:
            raise outputs.explain(self._journal, error, self._run.run_id, path) from None
        if kind not in _BY_CONTENT:
            arguments.remember(value, blob or content_hash((text or "").encode()))
        return value

    def paths_in_flight(self, among: Iterable[str] | None = None) -> list[str]:
        """Return the paths of the tasks, by default of all, that run or wait in this execution."""
        latest, rows = self._run.executions, self._rows
        return [
            path
            for path in (list(rows) if among is None else among)
            if type(row := rows.get(path)) is TaskRow
            and row.execution == latest
            and row.status in UNDER_WAY
        ]

    def open_descendants(self, path: str) -> list[str]:
        """Return the paths of all descendants, except those that an earlier execution completed."""
        return [below for below in self._subtree(path)[1:] if below not in self._answers]

    def _subtree(self, path: str) -> list[str]:
        """Return the path of a task and those of all its descendants."""
        paths = [path]
        for subpath in paths:  # the list grows meanwhile
            paths += self.children(subpath)
        return paths

    def children(self, path: str) -> list[str]:
        """Return the paths of a task's direct subtasks."""
        return self._child_index().get(path, [])

    def _child_index(self) -> dict[str, list[str]]:
        """Return the direct subtasks of each task, by path."""
        with self._lock:
            if self._children is None:
                # Assigned before it is filled, so that tasks added meanwhile are not missed.
                self._children = {}
                for path in (*self._answers, *list(self._rows)):
                    if "/" in path:
                        self._children.setdefault(keys.parent(path), []).append(path)
            return self._children

    # -- writing ------------------------------------------------------------------------------

    def add_new(self, path: str, name: str | None) -> TaskRow | None:
        """Return the row of a new task; None if the path has a row or an answer already."""
        if path in self._rows or path in self._answers:
            return None
        return self.add(path, name)

    def add(self, path: str, name: str | None) -> TaskRow:
        """Return the row of a new task."""
        run = self._run
        row = TaskRow(run.run_id, path, next(self._seq), name, execution=run.executions)
        row.started_us = clock.micros()
        self._rows[path] = row
        if self._children is not None and "/" in path:
            self._children.setdefault(keys.parent(path), []).append(path)
        return row

    def reset(self, path: str) -> None:
        """Reset a task and its subtasks."""
        tasks = {each: row for each in self._subtree(path) if (row := self.row(each))}
        for new in edits.reset_rows(tasks, tasks):
            self._journal.put(new)
            if isinstance(new, TaskRow):
                self._rows[new.path] = new

    def put(self, row: TaskRow, *, flush: bool = False) -> None:
        """Record a task's current row, unless it is late: from an abandoned attempt, or after the
        end of the execution, when another process may own the run."""
        if self._closed or (self.has_detached and not self.is_current(row)):
            return
        if self._pending_reuse:
            self._put_reused()
        self._journal.put(row, flush=flush)
        self.mark_changed(row.path)

    def archive(
        self,
        row: TaskRow,
        status: str,
        finished_us: int | None,
        error: str | None,
        retry_us: int | None,
    ) -> None:
        """Record the row's latest attempt on its own, before the next attempt overwrites it."""
        self.put_beside(row, AttemptRow(
            row.run_id, row.path, row.attempts, row.attempt, status,
            row.attempt_us, finished_us, error, retry_us, row.host, row.pid, row.worker,
        ))  # fmt: skip

    def keep(self, row: TaskRow | RunRow, encoded: codec.Encoded) -> None:
        """Store an output in a row, or in a blob if it is large or partly hidden."""
        row.hidden = encoded.preview is not None
        if row.hidden:
            encoded = codec.hide(encoded)
        row.blob = None if encoded.blob is None else outputs.store(self._journal, encoded)
        row.output, row.output_kind, row.output_bytes = encoded.text, encoded.kind, encoded.size
        if encoded.kind not in _BY_CONTENT and not self._stamped:
            self._stamped = True
            self._journal.put(outputs.environment_row(row.run_id))

    def complete(self, row: TaskRow, value: Any, policy: Policy = Policy()) -> None:  # noqa: B008 - it never changes
        """Record a task's output, with the paths of `redact` hidden, and that it completed.

        Raises:
            ValueNotKeptError: The value cannot be recorded.
        """
        ttl_us = policy.ttl_us
        self.keep(row, codec.encode_redacted(value, policy.redact, self._journal.put_blob))
        if row.output_kind not in _BY_CONTENT:
            arguments.remember(value, row.blob or content_hash((row.output or "").encode()))
        row.status, row.error, row.finished_us = Status.COMPLETED, None, clock.micros()
        row.expires_us = None if ttl_us is None else row.finished_us + ttl_us
        self.put(row)

    def keep_code(self, code: function.Fingerprint) -> None:
        """Record a function and its source, once per run."""
        if code.digest not in self.codes and len(self.codes) < _MAX_CODES and not self._closed:
            text = self.codes[code.digest] = function.dumps(code)
            self._journal.put(CodeRow(self._run.run_id, code.digest, text))

    def record_progress(self, row: TaskRow) -> None:
        """Record a running task's progress and metrics, now and then. Its end records them, too."""
        self.mark_changed(row.path)
        now = clock.micros()
        if now - self._noted.get(row.path, -_NOTE_US) >= _NOTE_US and row.status == Status.RUNNING:
            self._noted[row.path] = now
            self.put(row, flush=True)

    def put_beside(self, task: TaskRow, row: Row) -> None:
        """Record a row that belongs to a task, unless it is late, as in `put`."""
        if not (self._closed or (self.has_detached and not self.is_current(task))):
            self._journal.put(row)

    def is_current(self, row: TaskRow) -> bool:
        """Return True if the row is its task's current one; else its attempt was abandoned."""
        return self._rows.get(row.path) is row

    def detach(self, row: TaskRow) -> TaskRow:
        """Detach a task and its running subtasks from an abandoned attempt that may not have ended:
        the attempt keeps the old rows, which are ignored. Return the new current row."""
        self.has_detached = True
        current = self._rows[row.path] = dataclasses.replace(row)
        for path in self._subtree(row.path)[1:]:
            subtask = self._rows.get(path)
            if type(subtask) is TaskRow and subtask.status in UNDER_WAY:
                end_us = None if subtask.status == Status.WAITING else clock.micros()
                canceled = dataclasses.replace(subtask, status=Status.CANCELED, finished_us=end_us)
                self._rows[path] = canceled
                self.put(canceled)
        return current

    def log(self, level: str, line: str, data: Any, task: TaskRow | None, at_us: int = 0) -> None:
        """Record a log line, unless it is late, or an earlier execution has recorded it."""
        if self._closed or (task is not None and self.has_detached and not self.is_current(task)):
            return
        message, text = escape_invalid(line), escape_invalid(preview.log_data(data))
        if task is None and (remaining := self._logged_counts.get((level, message, text), 0)):
            self._logged_counts[level, message, text] = remaining - 1
            return
        path, attempt = (task.path, task.attempt) if task is not None else ("", 0)
        secrets = self.secrets.get(path, ())
        message = redaction.scrub(message, secrets)
        text = text and redaction.scrub(text, secrets)
        at_us = at_us or clock.micros()
        self._journal.put(LogRow(self._run.run_id, path, attempt, at_us, level, message, text))
        self.revision += 1

    def cancel_rest(self) -> list[TaskRow]:
        """Record as CANCELED the tasks that are still running, in threads for example."""
        rows = [row for row in list(self._rows.values()) if type(row) is TaskRow]
        for row in (left := [row for row in rows if row.status == Status.RUNNING]):
            row.status, row.finished_us = Status.CANCELED, clock.micros()
            self.put(row)
        return left

    def close(self) -> None:
        """Record the remaining reuse, and drop all rows from now on."""
        if self._pending_reuse:
            self._put_reused()
        self._closed = True
        self.revision += 1
        function.forget_closures()

    def mark_changed(self, path: str) -> None:
        """Let views draw a task again."""
        self.revision += 1
        if self.changed is not None:
            self.changed.append(path)

    # -- reuse --------------------------------------------------------------------------------

    # A replay may answer 100,000 tasks in seconds, so it does not write a row for each. Paths are
    # queued, and the next `put` (or `close`) records all of them as one ReuseRow with ranges of
    # `seq`. The journal applies it to rows of earlier executions only, so it cannot undo a newer
    # row. Appending needs no lock (a deque's append is atomic); draining does, since worker threads
    # call `put`, too. A crash may lose the queue: then the next execution reuses the same tasks.

    def reuse(self, row: TaskRow) -> None:
        """Mark a task as answered from the journal."""
        if row.execution < self._run.executions:
            row.execution, row.reused = self._run.executions, True
            self._mark_reused(row.path)

    def _mark_reused(self, path: str) -> None:
        self._reused_paths.add(path)
        self._pending_reuse.append(path)
        self.mark_changed(path)
        if self.echo is not None:
            self.echo(path)

    def mark_stale(self, path: str, reason: str | None) -> None:
        """Record why a reused task is stale; with None, that it is not stale any more."""
        row = self.row(path)
        assert row is not None  # noqa: S101 - a reused task is recorded
        self.reuse(row)
        row.stale = reason
        self.put(row)

    def _put_reused(self) -> None:
        """Record the queued tasks as reused, with all descendants: views draw whole branches."""
        seqs = []
        with self._lock:
            children = self._child_index()
            while self._pending_reuse:
                path = self._pending_reuse.popleft()
                answer = self._answers.get(path)
                seqs.append(self._seq_of(path) if answer is None else answer[_ANSWER_SEQ])
                for subpath in children.get(path, ()):
                    if subpath not in self._reused_paths:  # else queued by its own call
                        self._reused_paths.add(subpath)
                        child = self._rows.get(subpath)
                        if type(child) is TaskRow:  # `_to_row` does it for a tuple
                            child.execution, child.reused = self._run.executions, True
                        self._pending_reuse.append(subpath)
        if seqs:
            reuse = ReuseRow(self._run.run_id, self._run.executions, ranges(sorted(seqs)))
            self._journal.put(reuse)

    def _seq_of(self, path: str) -> int:
        row = self._rows[path]
        return row.seq if type(row) is TaskRow else row[_SEQ]  # type: ignore[index]  # a tuple


def _last_seq(tasks: dict[str, tuple[Any, ...]], seq: int) -> int:
    """Return the last `seq` of tasks in the order of `seq`; 0 if there are none."""
    return int(next(reversed(tasks.values()))[seq]) if tasks else 0
