"""When the tasks of a run ran, in the Trace Event Format of Chrome and Perfetto.

>>> from nbtasks.model import RunRow, TaskRow
>>> from nbtasks.tree import build
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

from nbtasks import keys
from nbtasks.model import AttemptRow
from nbtasks.tree import TaskNode, Tree

__all__ = ["trace"]

#: A span: begin and end in microseconds, the path, the event.
Span = tuple[int, int, str, dict[str, Any]]


def trace(tree: Tree, attempts: Iterable[AttemptRow], now_us: int) -> dict[str, Any]:
    """All that ran as complete events ("ph": "X"), in lanes ("tid") in which they nest.

    Args:
        tree: The tasks.
        attempts: Those that others followed; each becomes an event below its task's.
        now_us: Where what still runs ends.
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
    return f"{tree.run.job} {tree.run.version} ({tree.run.run_id})"


def _spans(node: TaskNode, earlier: list[AttemptRow], now_us: int) -> list[Span]:
    latest = node.since_us
    if latest is None:
        return []
    end = node.finished_us or now_us
    about = {"path": node.path, "state": node.state, "attempts": node.attempts}
    if not earlier:
        return [_span(latest, end, node.path, node.key, node.state, about)]
    tries = [
        (row.started_us or 0, row.finished_us or row.started_us or 0, row.status.lower())
        for row in sorted(earlier, key=lambda row: row.number)
    ]
    tries.append((latest, end, node.state))
    first = min(map(itemgetter(0), tries))
    return [
        _span(first, end, node.path, node.key, node.state, about),
        *(
            _span(begun, ended, node.path, f"{node.key}, attempt {number}", state, about)
            for number, (begun, ended, state) in enumerate(tries, 1)
        ),
    ]


def _span(begin: int, end: int, path: str, name: str, state: str, about: dict[str, Any]) -> Span:
    event = {
        "name": name, "cat": state, "ph": "X", "ts": begin, "dur": max(0, end - begin),
        "pid": 1, "args": about,
    }  # fmt: skip
    return begin, max(begin, end), path, event


def _in_lanes(spans: list[Span]) -> list[dict[str, Any]]:
    """Each below what it is a part of, or else where nothing runs then."""
    lanes: list[list[Span]] = []
    events = []
    for span in spans:
        number = _lane(lanes, span)
        if number == len(lanes):
            lanes.append([])
        lanes[number].append(span)
        events.append({**span[3], "tid": number + 1})
    return events


def _lane(lanes: list[list[Span]], span: Span) -> int:
    begin, end, path, _ = span
    free = len(lanes)
    for number, lane in enumerate(lanes):
        while lane and lane[-1][1] <= begin:
            lane.pop()
        if not lane:
            free = min(free, number)
        elif _within(path, lane[-1][2]) and end <= lane[-1][1]:
            return number
    return free


def _within(path: str, above: str) -> bool:
    return path == above or above in keys.parents(path)
