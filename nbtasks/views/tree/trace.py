"""Timing of a run's tasks in the Trace Event Format of Chrome and Perfetto.

>>> from nbtasks.core.model import RunRow, TaskRow
>>> from nbtasks.views.tree.nodes import build
>>> run = RunRow("r1", "delays", "delays", "1.0.0", "2013", executions=1)
>>> row = TaskRow("r1", "fit", 1, status="COMPLETED", started_us=5, finished_us=9)
>>> _, event = trace(build(run, [row]), [], 9)["traceEvents"]
>>> event["name"], event["ts"], event["dur"]
('fit', 5, 4)
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from typing import Any

from nbtasks.core import keys
from nbtasks.core.model import AttemptRow
from nbtasks.views.tree.labels import title_of
from nbtasks.views.tree.nodes import TaskNode, Tree

__all__ = ["trace"]

#: Start and end in microseconds, path, event.
Span = tuple[int, int, str, dict[str, Any]]


def trace(tree: Tree, attempts: Iterable[AttemptRow], now_us: int) -> dict[str, Any]:
    """Return all that ran as complete events ("ph": "X"), in lanes ("tid") in which they nest.

    Args:
        tree: The tasks.
        attempts: Attempts that were followed by another; each becomes an event below its task's.
        now_us: End of the events that still run.
    """
    earlier: dict[str, list[AttemptRow]] = {}
    for row in attempts:
        if row.started_us is not None:
            earlier.setdefault(row.path, []).append(row)
    spans: list[Span] = []
    for node in tree.walk():
        spans.extend(_spans(node, earlier.get(node.path, []), now_us))
    spans.sort(key=lambda span: (span[0], -span[1], len(span[2])))
    named = {"name": "process_name", "ph": "M", "pid": 1, "args": {"name": _title(tree)}}
    return {"traceEvents": [named, *_in_lanes(spans)], "displayTimeUnit": "ms"}


def _title(tree: Tree) -> str:
    title, beside = title_of(tree.run)
    return f"{' '.join(filter(None, (title, beside)))} ({tree.run.run_id})"


def _spans(node: TaskNode, earlier: list[AttemptRow], now_us: int) -> list[Span]:
    latest = node.since_us
    if latest is None:
        return []
    end = node.finished_us or now_us
    args = {"path": node.path, "state": node.state, "attempts": node.attempts}
    if not earlier:
        return [_span(latest, end, node.path, node.key, node.state, args)]
    attempts = [
        (row.started_us or 0, row.finished_us or row.started_us or 0, row.status.lower())
        for row in sorted(earlier, key=lambda row: row.number)
    ]
    attempts.append((latest, end, node.state))
    first = min(map(itemgetter(0), attempts))
    return [
        _span(first, end, node.path, node.key, node.state, args),
        *(
            _span(start, stop, node.path, f"{node.key}, attempt {number}", state, args)
            for number, (start, stop, state) in enumerate(attempts, 1)
        ),
    ]


def _span(begin: int, end: int, path: str, name: str, state: str, args: dict[str, Any]) -> Span:
    event = {
        "name": name, "cat": state, "ph": "X", "ts": begin, "dur": max(0, end - begin),
        "pid": 1, "args": args,
    }  # fmt: skip
    return begin, max(begin, end), path, event


def _in_lanes(spans: list[Span]) -> list[dict[str, Any]]:
    """Return the events with a lane each: inside the enclosing event, else in a free lane."""
    lanes: list[list[Span]] = []
    events = []
    for span in spans:
        index = _lane(lanes, span)
        if index == len(lanes):
            lanes.append([])
        lanes[index].append(span)
        events.append({**span[3], "tid": index + 1})
    return events


def _lane(lanes: list[list[Span]], span: Span) -> int:
    begin, end, path, _ = span
    free = len(lanes)
    for index, lane in enumerate(lanes):
        while lane and lane[-1][1] <= begin:
            lane.pop()
        if not lane:
            free = min(free, index)
        elif _within(path, lane[-1][2]) and end <= lane[-1][1]:
            return index
    return free


def _within(path: str, above: str) -> bool:
    return path == above or above in keys.parents(path)
