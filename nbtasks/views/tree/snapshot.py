"""Snapshot of a run's tree as columns of numbers and short words, and patches to it.

The widget receives the whole snapshot once, and from then on the tasks that have changed. The
nodes come from `nbtasks.views.tree.nodes`, so a live run and a recorded one look the same.

>>> run = RunRow("r1", "delays", "delays", "1.0.0", "2013", executions=1)
>>> snapshot = TreeSnapshot(run, [TaskRow("r1", "fit", 1)])
>>> patch = snapshot.change(run, [TaskRow("r1", "fit/AA", 2)])
>>> patch["rev"], [cells[:3] for cells in patch["tasks"]]
(1, [[1, 0, 'AA']])
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any, Final

from nbtasks.core import clock, keys
from nbtasks.core.model import UNDER_WAY, RunRow, Status, TaskRow
from nbtasks.views.tree.labels import (
    clean,
    details,
    error_of,
    facts_of,
    failure_of,
    icon_of,
    title_of,
)
from nbtasks.views.tree.nodes import TaskNode, Tree, empty_tree, hang, make_node
from nbtasks.views.tree.words import SHAPES, UNREACHED

__all__ = ["Cells", "TreeSnapshot"]

#: The words for states, by their code, and the code of each.
_STATES: Final = tuple(SHAPES)
_CODES: Final = {state: code for code, state in enumerate(_STATES)}
#: Flags of a task beside its state.
_REACHED, _REUSED = 1, 2
_LABEL, _MESSAGE = 200, 300  # characters
_PARENT, _FLAGS = 0, 4  # places of two of them
#: One task: parent, key, name, state, flags, since, end, due, attempts, done, total, extra.
Cells = list[Any]


class TreeSnapshot:
    """The tree as last sent to the widget.

    Args:
        run: Row of the run.
        rows: Rows of its tasks.
        noun: Name of one row: `task`, or `run` where the rows are runs of many jobs.

    Attributes:
        rev: Revision; grows by one with each patch. A widget that misses one asks for a snapshot.
        paths: Paths of the tasks, by their index.
    """

    def __init__(self, run: RunRow, rows: Iterable[TaskRow], *, noun: str = "task") -> None:
        self.rev = -1
        self._noun = noun
        self.load(run, rows)

    def load(self, run: RunRow, rows: Iterable[TaskRow]) -> None:
        """Start again with these rows."""
        self.rev += 1
        self.paths: list[str] = []
        self._index: dict[str, int] = {}
        self._cells: list[Cells] = []
        self._nodes: list[TaskNode] = []
        self._base_us = run.started_us
        self._head = self._head_of(run)
        self._take(run, rows)

    def change(self, run: RunRow, rows: Iterable[TaskRow]) -> dict[str, Any] | None:
        """Merge rows that may have changed and return the patch; None if nothing has changed.

        The row of a new task must come after that of the task above it.
        """
        cells = self._take(run, rows)
        head = self._head_of(run)
        if not cells and head == self._head:
            return None
        patch: dict[str, Any] = {"type": "patch", "rev": self.rev + 1, "tasks": cells}
        if head != self._head:
            self._head = head
            patch["head"] = self._dated(head)
        self.rev += 1
        return patch

    def to_dict(self) -> dict[str, Any]:
        """Return the whole tree: a list for each column."""
        return {
            "rev": self.rev,
            "base": self._base_us / 1000,
            "states": _STATES,
            "shapes": tuple(SHAPES.values()),
            "unreached": UNREACHED,
            "head": self._dated(self._head),
            "columns": list(zip(*self._cells, strict=True)),
        }

    def tree(self, run: RunRow) -> Tree:
        """Return the tree for the views that need no page. The next one shares its nodes.

        Args:
            run: Row of the run, as of the latest change.
        """
        return hang(run, self._nodes.copy(), [cells[_PARENT] for cells in self._cells])

    def index(self, path: str) -> int | None:
        """Return the index of a task; None if it is unknown."""
        return self._index.get(path)

    def ms(self, us: int | None) -> int | None:
        """Return an instant as it is sent: in milliseconds since the run began."""
        return None if us is None else round((us - self._base_us) / 1000)

    # -- parts ----------------------------------------------------------------------------------

    def _take(self, run: RunRow, rows: Iterable[TaskRow]) -> list[Cells]:
        under_way = run.status in UNDER_WAY
        patch = []
        for row in sorted(rows, key=attrgetter("seq")):
            node = make_node(row, run, under_way=under_way)
            cells = self._cells_of(node)
            index = self._index.get(row.path)
            if index is None:
                index = self._index[row.path] = len(self.paths)
                self.paths.append(row.path)
                self._cells.append(cells)
                self._nodes.append(node)
            else:
                was_reused, is_same = self._nodes[index].reused, self._cells[index] == cells
                self._nodes[index], self._cells[index] = node, cells
                if was_reused and not node.reused:
                    self._forget_reuse_above()
                if is_same:
                    continue
            patch.append([index, *cells])
        return patch

    def _forget_reuse_above(self) -> None:
        """Set what the nodes of an earlier tree have from a reused task above them as recorded."""
        for node, cells in zip(self._nodes, self._cells, strict=True):
            flags = cells[_FLAGS]
            node.reached, node.reused = bool(flags & _REACHED), bool(flags & _REUSED)

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
        """Return the index of the nearest task above that has a row; -1 at the top."""
        above = keys.parent(path)
        while above and above not in self._index:
            above = keys.parent(above)
        return self._index[above] if above else -1

    def _head_of(self, run: RunRow) -> dict[str, Any]:
        tree = empty_tree(run)
        title, beside = title_of(run)
        is_repeated = run.execution_us and run.execution_us != run.started_us
        return {
            "title": clean(title, _LABEL),
            "beside": clean(beside, _LABEL),
            "status": run.status.lower(),
            "noun": self._noun,
            "facts": facts_of(run),
            "error": failure_of(tree) or None,
            "execution": self.ms(run.execution_us) if is_repeated else 0,
            "finished": None if tree.under_way else self.ms(run.finished_us),
            "resume": self.ms(run.resume_us) if run.status == Status.WAITING else None,
        }

    def _dated(self, head: dict[str, Any]) -> dict[str, Any]:
        return {**head, "now": clock.micros() / 1000}


def _extra(node: TaskNode) -> dict[str, Any] | None:
    """Return the values that few tasks have; None if there are none."""
    extra: dict[str, Any] = {}
    if node.icon:
        extra["icon"] = icon_of(node)
    if node.done_before and node.status is Status.RUNNING:
        extra["before"] = node.done_before
    if node.stale and node.reused:
        extra["stale"] = clean(node.stale, _MESSAGE)
    if error := error_of(node):
        extra["error"] = error
    if notes := details(node):
        extra["notes"] = notes
    return extra or None
