"""Details card of one task, as HTML without scripts, and what a page draws beside it.

Everything is escaped, except previews, which this process renders from values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from nbtasks.core.clock import at
from nbtasks.core.durations import format_countdown, format_duration, format_exact, format_local
from nbtasks.core.model import UNDER_WAY, AttemptRow, Failure, LogRow, RunRow, Status, TaskRow
from nbtasks.views.tree.labels import clean, plural
from nbtasks.views.tree.last_frame import last_frame
from nbtasks.views.tree.nodes import TaskNode, read_failure
from nbtasks.views.tree.words import due_label

__all__ = ["Recorded", "card", "code_for", "log_lines"]

_LONG = 4_000  # characters of an input or a message
_LINES = 1_000  # latest lines of the log
_LABEL = 300
_DIFF = 200  # lines
#: A value that its preview represents by kind and size, as in `<DataFrame 336,776 x 19>`.
_KIND = re.compile(r"<(?:function )?[\w.<>]+(?: of [\d,]+| [\d,]+(?: x [\d,]+)*)?>")


@dataclass(frozen=True, slots=True)
class Recorded:
    """Parts of the record of a task beside its row.

    Attributes:
        attempts: The attempts before the latest one.
        preview: Its output as HTML; empty for none.
        code: The recorded source of its function; empty if there is none.
        diff: How the present code and inputs differ from it, as a unified diff; empty if that is
            not known.
    """

    attempts: Sequence[AttemptRow] = ()
    preview: str = ""
    code: str = ""
    diff: str = ""


def code_for(run: RunRow, path: str) -> str:
    """Return the line of Python that yields the recorded output of a task."""
    return f"nb.get_run({run.run_id!r})[{path!r}]"


def card(row: TaskRow, node: TaskNode, recorded: Recorded, now_us: int) -> str:
    """Return the details card of a task.

    Args:
        row: Row of the task.
        node: Node of the task in the tree.
        recorded: What else is recorded of it.
        now_us: Instant at which it is drawn.
    """
    preview = recorded.preview
    parts = [
        _facts(row, node, now_us),
        _failure(node.failure),
        _stale(node, recorded.diff),
        _inputs(row.params),
        _attempts(row, node, recorded.attempts, now_us),
        f"<h5>Output{_size(row)}</h5>{preview}" if preview else "",
        _pairs("Properties", node.properties),
        _pairs("Metrics", node.metrics),
        _code(recorded.code),
    ]
    return "".join(f"<div>{part}</div>" for part in parts if part)


def log_lines(logs: Sequence[LogRow]) -> tuple[int, list[list[Any]]]:
    """Return the number of earlier lines, and time, level and text of the latest ones.

    The time is in milliseconds since the epoch; the page writes it in its own zone.
    """
    latest = logs[-_LINES:]
    return len(logs) - len(latest), [
        [
            line.logged_us // 1000,
            clean(line.level, _LABEL),
            clean(line.message, _LABEL) + (f"  {clean(line.data, _LABEL)}" if line.data else ""),
        ]
        for line in latest
    ]


# -- facts ----------------------------------------------------------------------------------------


def _facts(row: TaskRow, node: TaskNode, now_us: int) -> str:
    facts = []
    if row.started_us is not None:
        facts.append(f"started {_instant(row.started_us)}")
    if node.status in UNDER_WAY:
        facts.append(_so_far(node, now_us))
    elif row.finished_us is not None:
        facts.append(f"finished {_instant(row.finished_us)}")
        if node.since_us is not None:
            facts.append(f"took {format_duration(row.finished_us - node.since_us)}")
    if row.attempts > 1:
        facts.append(plural(row.attempts, "attempt"))
    if row.host:
        facts.append(_place(row))
    if node.reused:
        facts.append("its recorded output was reused")
    return f'<p class="nbt-facts">{" · ".join(filter(None, facts))}</p>' if facts else ""


def _place(row: TaskRow) -> str:
    """Return where the latest attempt was called, in another process than that of the run."""
    at = f" (worker {_text(row.worker, _LABEL)})" if row.worker else ""
    return f"on {_text(row.host or '', _LABEL)}, process {row.pid}{at}"


def _so_far(node: TaskNode, now_us: int) -> str:
    """Return how long a task has been running, or still has to wait."""
    if node.status == Status.WAITING and node.due_us is not None:
        return due_label(node.due_us, now_us)
    if node.since_us is None:
        return ""
    return f"{node.status.lower()} for {format_countdown(now_us - node.since_us)}"


def _instant(us: int) -> str:
    """Return an instant that the page writes in its own zone; a tooltip has the exact one."""
    return (
        f'<time data-nbt-ms="{us // 1000}" title="{format_exact(us)}">'
        f"{format_local(us)}:{at(us).second:02}</time>"
    )


def _failure(failure: Failure | None) -> str:
    if failure is None:
        return ""
    trace = _block(failure.traceback)
    frame = last_frame(failure.traceback)
    where = "" if frame is None else f"<p>{escape(frame.where)}</p>{_block(frame.code)}"
    more = f"<details><summary>Traceback</summary>{trace}</details>" if trace else ""
    return f'<p class="nbt-failed">{_text(_message_of(failure), _LONG)}</p>{where}{more}'


def _stale(node: TaskNode, diff: str) -> str:
    """Return why the output may be out of date, the difference in the code, and what to do."""
    if not node.stale:
        return ""
    lines = diff.splitlines()
    shown = "".join(_diff_line(line) for line in lines[:_DIFF])
    if len(lines) > _DIFF:
        shown += f"<span>… {len(lines) - _DIFF:,} more lines</span>"
    how = f'<pre class="nbt-diff">{shown}</pre>' if shown else ""
    return (
        f"<h5>Stale</h5><p>{_text(node.stale, _LONG)}. The recorded output is in use: "
        f"<b>Run again from here</b> makes a new one.</p>{how}"
    )


def _diff_line(line: str) -> str:
    element = {"+": "ins", "-": "del"}.get(line[:1], "span")
    if line.startswith(("--- ", "+++ ", "@@")):
        element = "b"
    return f"<{element}>{_text(line, _LABEL)}</{element}>"


# -- inputs, attempts and the rest ----------------------------------------------------------------


def _inputs(text: str | None) -> str:
    """Return the inputs by name: small data as it is, other values by kind and size."""
    if not text:
        return ""
    try:
        values = json.loads(text)
    except ValueError:
        values = None
    if not isinstance(values, dict):
        return f"<h5>Inputs</h5>{_block(text)}"
    rows = "".join(
        f"<tr><th><code>{_text(name, _LABEL)}</code></th>"
        f"<td>{_text(_input(value), _LONG)}</td></tr>"
        for name, value in values.items()
    )
    return f"<h5>Inputs</h5><table>{rows}</table>" if rows else ""


def _input(value: object) -> str:
    if isinstance(value, str) and _KIND.fullmatch(value):
        return value[1:-1]
    return json.dumps(value, ensure_ascii=False)


def _attempts(row: TaskRow, node: TaskNode, earlier: Iterable[AttemptRow], now_us: int) -> str:
    """Return all attempts, also the latest one, if there are several."""
    rows: dict[int, list[str]] = {}
    for attempt in sorted(earlier, key=lambda attempt: attempt.number):
        took, again = "", ""
        if attempt.started_us is not None and attempt.finished_us is not None:
            took = format_duration(attempt.finished_us - attempt.started_us)
        if attempt.retry_us is not None:
            again = _instant(attempt.retry_us)
        error = _message_of(read_failure(attempt.error))
        rows[attempt.number] = [attempt.status.lower(), took, _text(error, _LABEL), again]
    if row.attempts and row.attempts not in rows:
        error = "" if node.status in UNDER_WAY else _message_of(node.failure)
        took = _so_far(node, now_us).removeprefix("running for ")
        if node.status not in UNDER_WAY and row.finished_us is not None:
            took = format_duration(row.finished_us - (node.since_us or row.finished_us))
        rows[row.attempts] = [node.status.lower(), took, _text(error, _LABEL), ""]
    elif node.status == Status.WAITING and row.attempts:
        rows[row.attempts + 1] = ["waiting", _so_far(node, now_us), "", ""]
    if len(rows) < 2:  # noqa: PLR2004 - of a single one the facts say it all
        return ""
    head = "".join(f"<th>{name}</th>" for name in ("", "status", "took", "error", "retried at"))
    body = "".join(
        f"<tr><th>{number}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
        for number, cells in rows.items()
    )
    return f"<h5>Attempts</h5><table><tr>{head}</tr>{body}</table>"


def _message_of(failure: Failure | None) -> str:
    """Return type and message of a failure; empty without one."""
    if failure is None:
        return ""
    return f"{failure.type}: {failure.message}" if failure.message else failure.type


def _pairs(title: str, mapping: Mapping[str, Any] | None) -> str:
    if not mapping:
        return ""
    rows = "".join(
        f"<tr><th>{_text(name, _LABEL)}</th>"
        f"<td>{_text(value if isinstance(value, str) else json.dumps(value), _LABEL)}</td></tr>"
        for name, value in mapping.items()
    )
    return f"<h5>{title}</h5><table>{rows}</table>"


def _code(source: str) -> str:
    if not source:
        return ""
    return f"<details><summary>Code as recorded</summary>{_block(source, copied=True)}</details>"


def _block(text: str, *, copied: bool = False) -> str:
    if not text:
        return ""
    cut = text if len(text) <= _LONG else text[:_LONG] + "\n…"
    return f"<pre{' data-nbt-copy' if copied else ''}>{escape(cut)}</pre>"


def _size(row: TaskRow) -> str:
    size = row.output_bytes
    return "" if size is None else f" <small>{plural(size, 'byte')}</small>"


def _text(value: object, limit: int) -> str:
    return escape(clean(value, limit))
