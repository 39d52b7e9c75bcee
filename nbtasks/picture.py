"""A run's tree as columns of numbers and short words, and what has changed in it since.

It is what the widget is sent: all of it once, and from then on the tasks that have changed. The
nodes are those of `nbtasks.tree`, so a live run and one that is read back look the same.

>>> run = RunRow("r1", "delays", "delays", "1.0.0", "2013", executions=1)
>>> picture = Picture(run, [TaskRow("r1", "fit", 1)])
>>> patch = picture.change(run, [TaskRow("r1", "fit/AA", 2)])
>>> patch["rev"], [cells[:3] for cells in patch["tasks"]]
(1, [[1, 0, 'AA']])
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any, Final

from nbtasks import clock, keys
from nbtasks.details import clean, details, error_of, facts_of, failure_of, icon_of
from nbtasks.model import UNDER_WAY, RunRow, Status, TaskRow
from nbtasks.render import SHAPES
from nbtasks.tree import TaskNode, make_node, title

__all__ = ["Cells", "Picture"]

#: The words of states, by their code, and the code of each.
_STATES: Final = tuple(SHAPES)
_CODES: Final = {state: code for code, state in enumerate(_STATES)}
#: What of a task the word for its state does not tell.
_REACHED, _REUSED = 1, 2
_LABEL, _MESSAGE = 200, 300  # characters
#: One task: parent, key, name, state, flags, since, end, due, attempts, done, total, extra.
Cells = list[Any]


class Picture:
    """The tree as it was sent last.

    Args:
        run: The run.
        rows: Its tasks.
        noun: What the rows are called: tasks, or runs of many jobs.

    Attributes:
        rev: Grows by one with each patch; who misses one asks for all.
        paths: The tasks' paths, by their index.
    """

    def __init__(self, run: RunRow, rows: Iterable[TaskRow], *, noun: str = "task") -> None:
        self.rev = -1
        self._noun = noun
        self.load(run, rows)

    def load(self, run: RunRow, rows: Iterable[TaskRow]) -> None:
        """Begins anew with these rows."""
        self.rev += 1
        self.paths: list[str] = []
        self._index: dict[str, int] = {}
        self._cells: list[Cells] = []
        self._base_us = run.started_us
        self._head = self._head_of(run)
        self._take(run, rows)

    def change(self, run: RunRow, rows: Iterable[TaskRow]) -> dict[str, Any] | None:
        """Takes rows that may have changed, and gives the patch; None if nothing has.

        A task that comes with this must come after the one above it.
        """
        changed = self._take(run, rows)
        head = self._head_of(run)
        if not changed and head == self._head:
            return None
        patch: dict[str, Any] = {"type": "patch", "rev": self.rev + 1, "tasks": changed}
        if head != self._head:
            self._head = head
            patch["head"] = self._dated(head)
        self.rev += 1
        return patch

    def snapshot(self) -> dict[str, Any]:
        """All of it: a list for each column."""
        return {
            "rev": self.rev,
            "base": self._base_us / 1000,
            "states": _STATES,
            "shapes": tuple(SHAPES.values()),
            "head": self._dated(self._head),
            "columns": list(zip(*self._cells, strict=True)),
        }

    def index(self, path: str) -> int | None:
        """The index of a task."""
        return self._index.get(path)

    def ms(self, us: int | None) -> int | None:
        """An instant as all are sent: in milliseconds since the run began."""
        return None if us is None else round((us - self._base_us) / 1000)

    # -- parts ----------------------------------------------------------------------------------

    def _take(self, run: RunRow, rows: Iterable[TaskRow]) -> list[Cells]:
        under_way = run.status in UNDER_WAY
        changed = []
        for row in sorted(rows, key=attrgetter("seq")):
            cells = self._cells_of(make_node(row, run, under_way=under_way))
            at = self._index.get(row.path)
            if at is None:
                at = self._index[row.path] = len(self.paths)
                self.paths.append(row.path)
                self._cells.append(cells)
            elif self._cells[at] == cells:
                continue
            else:
                self._cells[at] = cells
            changed.append([at, *cells])
        return changed

    def _cells_of(self, node: TaskNode) -> Cells:
        flags = (_REACHED if node.reached else 0) | (_REUSED if node.reused else 0)
        return [
            self._above(node.path),
            clean(node.key, _LABEL),
            clean(node.name, _LABEL) if node.name else None,
            _CODES[node.status.lower()],
            flags,
            self.ms(node.since_us),
            self.ms(node.finished_us),
            self.ms(node.due_us),
            node.attempts,
            node.done,
            node.total,
            _extra(node),
        ]

    def _above(self, path: str) -> int:
        """The index of the nearest task above that has a row; -1 at the top."""
        above = keys.parent(path)
        while above and above not in self._index:
            above = keys.parent(above)
        return self._index[above] if above else -1

    def _head_of(self, run: RunRow) -> dict[str, Any]:
        tree = title(run)
        again = run.execution_us and run.execution_us != run.started_us
        return {
            "job": clean(run.job, _LABEL),
            "version": clean(run.version, _LABEL),
            "status": run.status.lower(),
            "noun": self._noun,
            "facts": facts_of(run),
            "error": failure_of(tree) or None,
            "execution": self.ms(run.execution_us) if again else 0,
            "finished": None if tree.under_way else self.ms(run.finished_us),
            "resume": self.ms(run.resume_us) if run.status == Status.WAITING else None,
        }

    def _dated(self, head: dict[str, Any]) -> dict[str, Any]:
        return {**head, "now": clock.micros() / 1000}


def _extra(node: TaskNode) -> dict[str, Any] | None:
    """What few tasks have."""
    extra: dict[str, Any] = {}
    if node.icon:
        extra["icon"] = icon_of(node)
    if node.stale and node.reused:
        extra["stale"] = clean(node.stale, _MESSAGE)
    if error := error_of(node):
        extra["error"] = error
    if notes := details(node):
        extra["notes"] = notes
    return extra or None
