"""Details card of one task, as HTML without scripts.

Everything is escaped, except previews, which this process renders from values.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from nbtasks.core import keys
from nbtasks.core.clock import at
from nbtasks.core.durations import format_duration, format_exact, format_local
from nbtasks.core.model import AttemptRow, Failure, LogRow, RunRow, TaskRow
from nbtasks.views.tree.labels import clean
from nbtasks.views.tree.last_frame import last_frame
from nbtasks.views.tree.nodes import TaskNode, read_failure

__all__ = ["card", "code_for"]

_LONG = 4_000  # characters of an input or a message
_LINES = 200  # latest lines of the log
_LABEL = 300


def code_for(run: RunRow, path: str) -> str:
    """Return the line of Python that yields the recorded output of a task."""
    return f"nb.get_run({run.run_id!r})[{path!r}]"


def card(
    run: RunRow,
    row: TaskRow,
    node: TaskNode,
    attempts: Sequence[AttemptRow],
    logs: Sequence[LogRow],
    preview: str,
) -> str:
    """Return the details card of a task.

    Args:
        run: Row of its run.
        row: Row of the task.
        node: Node of the task in the tree.
        attempts: The attempts before the latest one.
        logs: Log lines of the task.
        preview: Its output as HTML; empty for none.
    """
    parts = [
        f'<div class="nbt-card"><h4>{_text(keys.display(row.path), _LABEL)}',
        f' <small class="nbt-{node.state.replace(" ", "-")}">{node.state}</small></h4>',
        _facts(row, node),
        _failure(node.failure),
        _table(
            "Attempts",
            ("attempt", "status", "took", "error", "retried at"),
            _attempt_cells(attempts),
        ),
        _block("Inputs", _pretty(row.params)),
        f"<h5>Output{_size(row)}</h5>{preview}" if preview else "",
        _table("Properties", ("name", "value"), _pairs(node.properties)),
        _table("Metrics", ("name", "value"), _pairs(node.metrics)),
        _log(logs),
        f"<h5>Output in Python</h5><pre>{_text(code_for(run, row.path), _LABEL)}</pre></div>",
    ]
    return "".join(parts)


def _facts(row: TaskRow, node: TaskNode) -> str:
    facts: list[tuple[str, str | int]] = [("path", row.path)]
    if node.name:
        facts.append(("name", node.name))
    for name, us in (("started", row.started_us), ("finished", row.finished_us)):
        if us is not None:
            facts.append((name, us))
    if node.since_us is not None and row.finished_us is not None:
        facts.append(("took", format_duration(row.finished_us - node.since_us)))
    if row.due_us is not None and row.finished_us is None:
        facts.append(("due", row.due_us))
    facts.append(("attempts", str(row.attempts)))
    if node.reused:
        facts.append(("reused", "answered from the journal in the latest execution"))
    if node.stale:
        facts.append(("stale", node.stale))
    rows = "".join(f"<tr><th>{name}</th>{_cell(value)}</tr>" for name, value in facts)
    return f"<table>{rows}</table>"


def _cell(value: str | int) -> str:
    """Return a cell with a text, or with an instant that shows the exact one to those who point."""
    if isinstance(value, str):
        return f"<td>{_text(value, _LABEL)}</td>"
    return f'<td title="{format_exact(value)}">{format_local(value)}:{at(value).second:02}</td>'


def _failure(failure: Failure | None) -> str:
    if failure is None:
        return ""
    trace = _block("", failure.traceback)
    frame = last_frame(failure.traceback)
    where = "" if frame is None else f"<p>{escape(frame.where)}</p>{_block('', frame.code)}"
    more = f"<details><summary>Traceback</summary>{trace}</details>" if trace else ""
    return f'<p class="nbt-failed">{_text(_message_of(failure), _LONG)}</p>{where}{more}'


def _clock_time(us: int) -> str:
    return f"{at(us).astimezone():%H:%M:%S}"


def _attempt_cells(attempts: Iterable[AttemptRow]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for attempt in attempts:
        duration = ""
        if attempt.started_us is not None and attempt.finished_us is not None:
            duration = format_duration(attempt.finished_us - attempt.started_us)
        retry_at = "" if attempt.retry_us is None else _clock_time(attempt.retry_us)
        rows.append(
            (
                str(attempt.number),
                attempt.status.lower(),
                duration,
                _message_of(read_failure(attempt.error)),
                retry_at,
            )
        )
    return rows


def _message_of(failure: Failure | None) -> str:
    """Return type and message of a failure; empty without one."""
    if failure is None:
        return ""
    return f"{failure.type}: {failure.message}" if failure.message else failure.type


def _pairs(mapping: Mapping[str, Any] | None) -> list[tuple[str, ...]]:
    return [
        (name, value if isinstance(value, str) else json.dumps(value))
        for name, value in (mapping or {}).items()
    ]


def _pretty(text: str | None) -> str:
    if not text:
        return ""
    try:
        return json.dumps(json.loads(text), indent=1, ensure_ascii=False)
    except ValueError:
        return text


def _table(title: str, names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    head = "".join(f"<th>{name}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{_text(cell, _LABEL)}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<h5>{title}</h5><table><tr>{head}</tr>{body}</table>"


def _block(title: str, text: str) -> str:
    if not text:
        return ""
    cut = text if len(text) <= _LONG else text[:_LONG] + "\n…"
    heading = f"<h5>{title}</h5>" if title else ""
    return f"{heading}<pre>{escape(cut)}</pre>"


def _log(lines: Sequence[LogRow]) -> str:
    if not lines:
        return ""
    latest = lines[-_LINES:]
    rows = [
        f"{_clock_time(line.logged_us)} {line.level:<7} {clean(line.message, _LABEL)}"
        + (f"  {clean(line.data, _LABEL)}" if line.data else "")
        for line in latest
    ]
    cut = f"… {len(lines) - _LINES} earlier lines\n" if len(lines) > _LINES else ""
    return f"<h5>Log</h5><pre>{escape(cut + chr(10).join(rows))}</pre>"


def _size(row: TaskRow) -> str:
    return "" if row.output_bytes is None else f" <small>{row.output_bytes:,} bytes</small>"


def _text(value: object, limit: int) -> str:
    return escape(clean(value, limit))
