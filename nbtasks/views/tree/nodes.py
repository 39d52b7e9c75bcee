"""Tree of a run's tasks: the model behind every view, live or read back from a journal.

>>> run = RunRow("r1", "delays", "delays", "1.0.0", "2013", executions=1)
>>> tree = build(run, [TaskRow("r1", "fit", 1), TaskRow("r1", "fit/AA", 2)])
>>> [(node.depth, node.key, node.state) for node in tree.walk()]
[(0, 'fit', 'running'), (1, 'AA', 'running')]
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any

from nbtasks.core import keys
from nbtasks.core.model import UNDER_WAY, Failure, RunRow, Status, TaskRow

__all__ = [
    "FEW",
    "NOT_REACHED",
    "REUSED",
    "URGENT",
    "OutlineRow",
    "TaskNode",
    "Tree",
    "build",
    "empty_tree",
    "failed_path",
    "make_node",
    "outline",
    "read_failure",
]

#: Two states that a task's status alone does not show.
REUSED = "reused"
NOT_REACHED = "not reached"

#: States that need attention, the most urgent first.
URGENT = ("failed", "running", "waiting", "interrupted", "canceled")
#: States of the tasks that stay in sight while a run is under way.
_ACTIVE = frozenset({"failed", "running", "waiting", "interrupted"})
#: A tree of at most this many tasks folds nothing. The widget's `outline.js` has the same numbers.
FEW = 10
_FAN, _FIRST = 40, 20  # of more than 40 siblings 20 are drawn

_STATUSES = {status.value: status for status in Status}
_STATES = {status: status.lower() for status in Status}
_FAILURE = frozenset(item.name for item in fields(Failure))
_PREVIEW = 80  # characters


@dataclass(slots=True)
class TaskNode:
    """One task with its subtasks.

    Attributes:
        key: The last key of the path, as the user wrote it.
        name: Display name; None if the task has none.
        status: The recorded status, but INTERRUPTED if the record says RUNNING and nobody runs it.
        attempts: Number of attempts over all executions.
        attempt: Number of the latest attempt within its retry budget.
        reused: Whether the latest execution answered the task, or a task above it, from the
            journal.
        reached: Whether the latest execution reached the task. All tasks below a reused one count
            as reached.
        output: Beginning of the output as recorded; empty if the record is not readable text.
        done: Progress in units of `total`, if the task reports any.
        stale: Why the output may be out of date; empty if nothing is known against it.
        depth: Levels below the top of this tree.
        icon: Name of an icon, or an emoji, to show beside the task.
        properties: Further values shown with the task, by name.
        metrics: Numbers that the task recorded, by name.
        progress: Progress from 0 to 1; None if unknown.
    """

    path: str
    key: str
    name: str | None
    status: Status
    attempts: int
    attempt: int
    started_us: int | None
    finished_us: int | None
    attempt_us: int | None
    due_us: int | None
    reused: bool
    reached: bool
    failure: Failure | None
    output: str
    done: int | None = None
    total: int | None = None
    stale: str = ""
    depth: int = 0
    children: Sequence[TaskNode] = ()
    icon: str | None = None
    properties: Mapping[str, Any] | None = None
    metrics: Mapping[str, Any] | None = None
    progress: float | None = None

    @property
    def since_us(self) -> int | None:
        """Start of the latest attempt: the first one may lie days and a dead kernel back."""
        return self.started_us if self.attempt_us is None else self.attempt_us

    @property
    def state(self) -> str:
        """State in one word: `reused` if completed in an earlier execution, else the status."""
        if self.reused and self.status == Status.COMPLETED:
            return REUSED
        return _STATES[self.status]


@dataclass(slots=True)
class Tree:
    """A run and its tasks.

    Attributes:
        failure: Why the run ended, if it failed.
        roots: The tasks at the top, in the order in which they first started; so are children.
        counts: Number of tasks in each state; a task that was not reached counts only as that.
    """

    run: RunRow
    status: Status
    failure: Failure | None = None
    roots: Sequence[TaskNode] = ()
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def under_way(self) -> bool:
        """True while the run may still change by itself."""
        return self.status in UNDER_WAY

    def walk(self) -> Iterator[TaskNode]:
        """Yield every task from top to bottom, each before its subtasks."""
        return _walk(self.roots)


@dataclass(frozen=True, slots=True)
class OutlineRow:
    """One line of a drawn tree: a task, or a count of siblings left out.

    Attributes:
        node: The task; None if the line stands for siblings that are not drawn.
        folded: Number of these siblings and of all tasks below them, by state.
    """

    depth: int
    node: TaskNode | None
    folded: Counter[str] = field(default_factory=Counter)


def build(run: RunRow, tasks: Iterable[TaskRow]) -> Tree:
    """Return the tree of a run from its rows, which may come in any order.

    A task whose parent has no row hangs from its nearest ancestor that has one. Of two rows
    for one path the later one counts.
    """
    latest = {row.path: row for row in tasks}
    tree = empty_tree(run)
    nodes = {
        row.path: make_node(row, run, under_way=tree.under_way)
        for row in sorted(latest.values(), key=attrgetter("seq"))
    }
    below: dict[str, list[TaskNode]] = {}
    for path, node in nodes.items():
        above = keys.parent(path)
        while above and above not in nodes:
            above = keys.parent(above)
        below.setdefault(above, []).append(node)
    tree.roots = below.pop("", ())
    for path, children in below.items():
        nodes[path].children = children
    _propagate(tree)
    return tree


def empty_tree(run: RunRow) -> Tree:
    """Return the tree of a run without its tasks."""
    return Tree(run, Status(run.status), read_failure(run.error))


def failed_path(tree: Tree) -> str:
    """Return the path of the first task that failed by itself; empty if none did.

    >>> run = RunRow("r1", "delays", "delays", "1.0.0", "2013", status="FAILED", executions=1)
    >>> failed_path(build(run, [TaskRow("r1", p, n, status="FAILED") for n, p in enumerate("ab")]))
    'a'
    """
    for node in tree.walk():
        below = any(child.status is Status.FAILED for child in node.children)
        if node.reached and node.status is Status.FAILED and not below:
            return node.path
    return ""


def outline(tree: Tree, limit: int, *, fans: bool = False) -> list[OutlineRow]:
    """Return the lines to draw, from top to bottom: at most `limit` tasks, and counts of the rest.

    Of many siblings the first are drawn. While a run of more than a few tasks is under way, the
    branches that have ended are counted, so that what runs, waits or failed is in sight.

    Args:
        tree: The tree.
        limit: Most tasks to draw.
        fans: Whether to draw only the first of many siblings, and those that failed.
    """
    chosen = _choose(tree, limit) if tree.counts.total() > limit else None
    active = _active(tree) if tree.under_way and tree.counts.total() > FEW else None
    rows: list[OutlineRow] = []
    stack: list[OutlineRow] = []

    def push(depth: int, nodes: Sequence[TaskNode]) -> None:
        visible = nodes if chosen is None else [node for node in nodes if node.path in chosen]
        if active is not None:
            visible = _without_ended(visible, active)
        if fans and len(visible) > _FAN:
            visible = _first(visible)
        lines = [OutlineRow(depth, node) for node in visible]
        if len(visible) < len(nodes):
            drawn = {node.path for node in visible}
            hidden = _walk(node for node in nodes if node.path not in drawn)
            summary = OutlineRow(depth, None, Counter(map(_display_state, hidden)))
            lines.insert(0 if tree.under_way else len(lines), summary)
        stack.extend(reversed(lines))

    push(0, tree.roots)
    while stack:
        row = stack.pop()
        rows.append(row)
        if row.node is not None and row.node.children:
            push(row.depth + 1, row.node.children)
    return rows


def _active(tree: Tree) -> set[str]:
    """Return the paths of the tasks that run, wait or failed, and of those above them."""
    paths: set[str] = set()
    line: list[str] = []
    for node in tree.walk():
        del line[node.depth :]
        line.append(node.path)
        if node.reached and node.state in _ACTIVE:
            paths.update(line)
    return paths


def _without_ended(nodes: Sequence[TaskNode], active: set[str]) -> Sequence[TaskNode]:
    """Return the active siblings; a single one that has ended takes no more room than a count."""
    busy = [node for node in nodes if node.path in active]
    return nodes if len(nodes) - len(busy) == 1 else busy


def _first(nodes: Sequence[TaskNode]) -> list[TaskNode]:
    """Return the first of many siblings; those that failed count first, in their places."""
    failed = [node.path for node in nodes if node.status is Status.FAILED]
    others = [node.path for node in nodes if node.status is not Status.FAILED]
    drawn = set((failed + others)[:_FIRST])
    return [node for node in nodes if node.path in drawn]


def _choose(tree: Tree, limit: int) -> set[str]:
    """Return the paths of the tasks to draw, each with all the tasks above it.

    Tasks that need attention come first, but leave a quarter of the room, so that the outline of
    the run stays in sight. The rest is filled level by level, with at most a tenth of the room
    for the subtasks of one task.
    """
    paths: set[str] = set()
    for line in _urgent(tree, limit):
        missing = [path for path in line if path not in paths]
        if len(paths) + len(missing) <= limit - limit // 4:
            paths.update(missing)
    level = [tree.roots]
    while level and len(paths) < limit:
        for nodes in level:
            new = [node.path for node in nodes if node.path not in paths]
            room = min(-(-limit // 10), limit - len(paths))
            paths.update(new[:room])
        level = [node.children for nodes in level for node in nodes if node.path in paths]
    return paths


def _urgent(tree: Tree, limit: int) -> Iterator[list[str]]:
    """Yield the path list from the top to each task that needs attention, most urgent first."""
    by_state: dict[str, list[list[str]]] = {state: [] for state in URGENT}
    line: list[str] = []
    for node in tree.walk():
        del line[node.depth :]
        line.append(node.path)
        lines = by_state.get(_display_state(node))
        if lines is not None and len(lines) < limit:
            lines.append(line.copy())
    for lines in by_state.values():
        yield from lines


def _display_state(node: TaskNode) -> str:
    return node.state if node.reached else NOT_REACHED


def _walk(nodes: Iterable[TaskNode]) -> Iterator[TaskNode]:
    """Yield all nodes depth first, without recursion: nesting has no limit."""
    stack = list(nodes)[::-1]
    while stack:
        node = stack.pop()
        yield node
        if node.children:
            stack.extend(reversed(node.children))


def _propagate(tree: Tree) -> None:
    """Set all that depends on the tasks above: depth, reuse of a whole branch, counts."""
    counts = tree.counts
    for node in tree.walk():
        below, reused = node.depth + 1, node.reused
        for child in node.children:
            child.depth = below
            if reused:
                child.reused = child.reached = True
        counts[_display_state(node)] += 1


def make_node(row: TaskRow, run: RunRow, *, under_way: bool) -> TaskNode:
    """Return one task by itself, without what depends on other tasks, such as its depth.

    Args:
        row: Row of the task.
        run: Row of its run.
        under_way: Whether the run may still change by itself.
    """
    reached = row.execution >= run.executions
    status = _STATUSES[row.status]
    if status is Status.RUNNING and not (under_way and reached):
        status = Status.INTERRUPTED  # its process died: nobody was left to record it
    return TaskNode(
        row.path,
        keys.display(row.path),
        row.name,
        status,
        row.attempts,
        row.attempt,
        row.started_us,
        row.finished_us,
        row.attempt_us,
        row.due_us,
        row.reused and reached,
        reached,
        read_failure(row.error),
        _preview(row),
        stale=(row.stale or "") if reached else "",
        done=row.done,
        total=row.total,
        icon=row.icon,
        properties=_mapping(row.properties),
        metrics=_mapping(row.metrics),
        progress=min(1.0, (row.done or 0) / row.total) if row.total else None,
    )


def _mapping(text: str | None) -> Mapping[str, Any] | None:
    """Return a JSON object as a dict; None for anything else, as in a damaged journal."""
    if not text:
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def read_failure(text: str | None) -> Failure | None:
    """Return the recorded failure; None if `text` is empty.

    An unreadable record becomes the message of a plain `Error`: the view of a damaged journal must
    still come up.
    """
    if not text:
        return None
    try:
        record = json.loads(text)
        return Failure(**{name: record[name] for name in record if name in _FAILURE})
    except (ValueError, TypeError):
        return Failure("Error", "", text)


def _preview(row: TaskRow) -> str:
    """Return the beginning of an output; nothing for a pickle (a signature and base64)."""
    if row.output is None or row.output_kind not in ("json", "tagged", "hidden"):
        return ""
    text = row.output
    return text if len(text) <= _PREVIEW else text[: _PREVIEW - 1] + "…"
