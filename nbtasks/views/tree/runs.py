"""Runs of a home, newest first: as the rows of a tree, and as a table for a file or a terminal."""

from __future__ import annotations

import collections
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from nbtasks.core import clock, keys
from nbtasks.core.durations import format_exact, format_local, format_when
from nbtasks.core.model import SUCCEEDED, UNDER_WAY, RunRow, TaskRow
from nbtasks.views.tree.labels import clean, plural, title_of
from nbtasks.views.tree.nodes import TaskNode, Tree, build, empty_tree
from nbtasks.views.tree.progress import run_progress
from nbtasks.views.tree.snapshot import Cells, TreeSnapshot
from nbtasks.views.tree.words import SHAPES, head_of

if TYPE_CHECKING:
    from nbtasks.journal.protocol import Journal
    from nbtasks.views.tree.feed import Rows

__all__ = ["NAMES", "RunLine", "RunsFeed", "RunsSnapshot", "RunsTable", "run_lines", "sparkline"]

_MOST = 1_000  # latest runs
_FOLLOWED = 10  # latest runs under way that show how far they are
_BARS = "▁▂▃▄▅▆▇█"
_DRAWN = 20  # latest runs of a job whose durations are drawn
_LABEL = 80  # characters
#: Columns of the table; what tells a run from others of its job, and the bars, need no name.
NAMES = ("state", "job", "", "started", "took", "error", "", "run")


class RunsFeed:
    """Runs of a home as the rows of one tree, in the order in which they began.

    Args:
        journal: Journal that holds the runs.
        job: Id of the only job to show; None for all.

    Attributes:
        runs: Ids of the runs, by the paths of their rows.
    """

    min_interval = 1.0
    blocking = False
    is_final = False
    own = False

    def __init__(self, journal: Journal, job: str | None) -> None:
        self._journal = journal
        self._job = job
        self._seen: Rows | None = None
        self.runs: dict[str, str] = {}

    def all(self) -> Rows:
        """Implement `Feed.all`."""
        runs = self._journal.runs(job=self._job)[-_MOST:]
        bars = _bars_of(runs)
        trees = _trees_under_way(self._journal, runs)
        rows = [
            _row(run, seq, bars.get(run.run_id, ""), trees.get(run.run_id))
            for seq, run in enumerate(runs)
        ]
        self.runs = {row.path: row.run_id for row in rows}
        first = runs[0].started_us if runs else 0
        name = runs[-1].name if runs and self._job else ""
        head = RunRow("", self._job or "all runs", name, "", "", started_us=first)
        self._seen = head, rows
        return self._seen

    def changed(self) -> Rows | None:
        """Implement `Feed.changed`."""
        before = self._seen
        return None if self.all() == before else self._seen


class RunsSnapshot(TreeSnapshot):
    """Runs as last sent to the widget."""

    def __init__(self, run: RunRow, rows: Iterable[TaskRow]) -> None:
        super().__init__(run, rows, noun="run")

    def _cells_of(self, node: TaskNode) -> Cells:
        extra = {**(node.properties or {})}
        *cells, more = super()._cells_of(node)
        if more and "error" in more:
            extra["error"] = more["error"]
        return [*cells, extra]


def _bars_of(runs: Sequence[RunRow]) -> dict[str, str]:
    """Return for the latest run of each job the course of the durations of its latest runs."""
    seconds: dict[str, list[float]] = collections.defaultdict(list)
    latest: dict[str, str] = {}
    for run in runs:
        latest[run.job] = run.run_id
        if run.finished_us is not None:
            began_us = run.execution_us or run.started_us
            seconds[run.job].append((run.finished_us - began_us) / 1e6)
    bars = {run_id: sparkline(seconds[job][-_DRAWN:]) for job, run_id in latest.items()}
    return {run_id: text for run_id, text in bars.items() if text}


def sparkline(numbers: Sequence[float]) -> str:
    """Return a bar of text for each number, as high as its part of the largest.

    Returns:
        The bars; an empty text for fewer than two numbers, which show no course.

    >>> sparkline([1, 2, 8, 4])
    '▁▂█▄'
    """
    if len(numbers) < 2:  # noqa: PLR2004 - see above
        return ""
    largest = max(numbers) or 1.0
    return "".join(_BARS[max(0, math.ceil(len(_BARS) * n / largest) - 1)] for n in numbers)


def _trees_under_way(journal: Journal, runs: Sequence[RunRow]) -> dict[str, Tree]:
    """Return the trees of the latest runs that are under way, by the ids of the runs."""
    under_way = [run for run in runs if run.status in UNDER_WAY][-_FOLLOWED:]
    return {
        run.run_id: build(run, [TaskRow(*task) for task in journal.tasks(run.run_id)])
        for run in under_way
    }


def _row(run: RunRow, seq: int, bars: str, tree: Tree | None) -> TaskRow:
    """Return the row of a run; the progress of one under way counts its tasks, if all are known."""
    title, beside = title_of(run)
    done = total = None
    before = 0
    if tree is not None and (progress := run_progress(tree)).total is not None:
        done, total = progress.done, progress.total
        kept = [node for node in tree.nodes if node.reused or not node.reached]
        before = sum([node.status in SUCCEEDED for node in kept])
    shown = {"job": run.job, "label": clean(title, _LABEL), "beside": clean(beside, _LABEL)}
    return TaskRow(
        run.run_id,
        keys.join("", run.run_id),
        seq,
        status=run.status,
        attempts=run.executions,
        started_us=run.started_us,
        attempt_us=run.execution_us or run.started_us,
        finished_us=run.finished_us,
        due_us=run.resume_us,
        done=done,
        total=total,
        done_before=before,
        error=run.error,
        properties=json.dumps(shown | {"bars": bars} if bars else shown),
    )


# -- as a table -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run in a table.

    Attributes:
        state: Status in lower case.
        progress: Number of tasks done, and of all if it is known.
        title: Name of the job, or its id.
        beside: What tells the run from others of the job.
        started: When the latest execution began, in words.
        started_us: The same as an instant.
        took: How long it took, or has been running.
        error: Why the run failed, or when it resumes.
        bars: Durations of the latest runs of the job.
        run_id: Id of the run.
    """

    state: str
    progress: str
    title: str
    beside: str
    started: str
    started_us: int
    took: str
    error: str
    bars: str
    run_id: str

    def texts(self) -> tuple[str, ...]:
        """Return the cells, in the order of `NAMES`."""
        return (
            " · ".join(filter(None, [f"{SHAPES[self.state]} {self.state}", self.progress])),
            self.title,
            self.beside,
            self.started,
            self.took,
            self.error,
            self.bars,
            self.run_id,
        )


def run_lines(
    journal: Journal, runs: Sequence[RunRow], most: int, now_us: int, *, relative: bool = False
) -> list[RunLine]:
    """Return the lines of the latest runs, the latest first.

    Args:
        journal: Journal that holds the runs.
        runs: All runs, in the order in which they began.
        most: Number of lines.
        now_us: Current instant.
        relative: Whether near instants are relative: not in what is saved and read later.
    """
    bars = _bars_of(runs)
    latest = runs[: -most - 1 : -1]
    trees = _trees_under_way(journal, latest[::-1])
    lines = []
    for run in latest:
        head = head_of(trees.get(run.run_id) or empty_tree(run), now_us, relative=relative)
        began_us = run.execution_us or run.started_us
        lines.append(
            RunLine(
                head.state,
                head.progress,
                clean(head.title, _LABEL),
                clean(head.beside, _LABEL),
                format_when(began_us, now_us) if relative else format_local(began_us),
                began_us,
                head.took,
                clean(" ".join(head.remarks), _LABEL),
                bars.get(run.run_id, ""),
                run.run_id,
            )
        )
    return lines


class RunsTable:
    """Table of the latest runs as a file or a terminal holds it, with its time.

    Args:
        journal: Journal that holds the runs.
        job: Id of the only job to list; None for all.
        most: Number of runs.
    """

    def __init__(self, journal: Journal, job: str | None, most: int) -> None:
        runs = journal.runs(job=job)
        self.now_us = clock.micros()
        self._count = len(runs)
        self._shows = f"nb.watch({job!r})" if job else "nb.watch()"
        self._lines = run_lines(journal, runs, most, self.now_us)

    def __str__(self) -> str:
        table = [NAMES, *(line.texts() for line in self._lines)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in table
        ]
        return "\n".join([self._note(), *(lines if self._lines else [])])

    def _repr_html_(self) -> str:
        note = f'<p title="{format_exact(self.now_us)}">{escape(self._note())}</p>'
        head = "".join(f"<th>{name}</th>" for name in NAMES)
        rows = "".join(map(_html_row, self._lines))
        return f"{note}<table><tr>{head}</tr>{rows}</table>" if rows else note

    def _repr_mimebundle_(self) -> dict[str, str]:
        return {"text/plain": str(self), "text/html": self._repr_html_()}

    def _note(self) -> str:
        zone = f"{clock.at(self.now_us).astimezone():%z}"
        offset = f"UTC{zone[:3]}:{zone[3:]}" if int(zone) else "UTC"
        shown = f", the latest {len(self._lines):,}" if len(self._lines) < self._count else ""
        return (
            f"{plural(self._count, 'run')}{shown}, as of {format_local(self.now_us)} ({offset}); "
            f"{self._shows} shows them now."
        )


def _html_row(line: RunLine) -> str:
    state, title, beside, started, *rest = (escape(text) for text in line.texts())
    when = f'<td title="{format_exact(line.started_us)}">{started}</td>'
    cells = "".join(f"<td>{text}</td>" for text in (state, title, beside))
    return f"<tr>{cells}{when}{''.join(f'<td>{text}</td>' for text in rest)}</tr>"
