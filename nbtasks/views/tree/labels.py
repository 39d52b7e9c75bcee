"""Labels of tasks and runs beside their state: progress, rate, remaining time, waits."""

from __future__ import annotations

import re

import orjson

from nbtasks.core.clock import at
from nbtasks.core.model import Failure, RunRow, Status
from nbtasks.views.tree.nodes import TaskNode, Tree

__all__ = [
    "clean",
    "details",
    "error_of",
    "facts_of",
    "failure_of",
    "icon_of",
    "is_chosen",
    "payload_of",
    "plural",
    "progress_label",
    "title_of",
]

#: Units of time in a rate, the shortest first, with their length in seconds.
_UNITS = (("s", 1), ("min", 60), ("h", 3_600), ("d", 86_400))
_S = 1_000_000  # in microseconds
_TWO_DIGITS = 9.95  # a rate below this gets one decimal


def progress_label(done: int, total: int | None, fresh: int, us: int) -> tuple[str, int | None]:
    """Return the progress label of a running task and its remaining time in microseconds.

    Args:
        done: Units done.
        total: Units to do; None if unknown.
        fresh: Units done in this attempt: those answered from the journal took no time.
        us: Microseconds since this attempt began. In its first second nothing is predicted.

    >>> progress_label(312, 1000, 312, 6_900_000)
    ('312/1000, 45/s', 15215385)
    >>> progress_label(900, 1000, 20, 60_000_000)
    ('900/1000, 20/min', 300000000)
    >>> progress_label(2, 3, 2, 7_000_000_000)
    ('2/3, 1.0/h', 3500000000)
    >>> progress_label(3, None, 3, 100)
    ('3', None)
    """
    label = str(done) if total is None else f"{done}/{total}"
    if fresh <= 0 or us < _S:
        return label, None
    per_second = fresh * _S / us
    unit, seconds = next((u for u in _UNITS if per_second * u[1] >= 1), _UNITS[-1])
    rate = per_second * seconds
    label += f", {rate:.0f}/{unit}" if rate >= _TWO_DIGITS else f", {rate:.1f}/{unit}"
    return label, None if total is None else round(max(0, total - done) / per_second * _S)


def title_of(run: RunRow) -> tuple[str, str]:
    """Return the title of a run, and what stands smaller beside it.

    The title is the name of the job, if it has one; its id is beside it then.

    >>> title_of(RunRow("r1", "delays", "Flight delays", "1.0.0", "2013"))
    ('Flight delays', 'delays 1.0.0')
    >>> title_of(RunRow("r1", "delays", "delays", "1.0.0", "2013"))
    ('delays', '1.0.0')
    """
    if run.name and run.name != run.job:
        return run.name, f"{run.job} {run.version}".strip()
    return run.job, run.version


_ICON, _LONG = 8, 80  # characters
_MESSAGE = 200  # of an error's first line
_DIGEST = re.compile("[0-9a-f]{16}")  # a key made from the payload
_NOTHING = ("null", "{}")
_MOST_PARSED = 2000  # letters of a payload
_DETAILS = 6  # most properties and metrics shown beside a task


def clean(value: object, limit: int) -> str:
    """Return `value` as one printable line of at most `limit` characters.

    Control characters, terminal codes and marks that change the writing direction become visible
    escapes. So does half a surrogate pair, which no file can hold.
    """
    line = str(value)
    if not line.isprintable():
        line = "".join(
            char
            if char.isprintable() or char in "\u200c\u200d"  # scripts and emoji need the joiners
            else char.encode("unicode_escape").decode()
            for char in line
        )
    return line if len(line) <= limit else line[: limit - 1] + "…"


def details(node: TaskNode) -> list[str]:
    """Return the properties and metrics of a task, each as one short label."""
    items = [*(node.properties or {}).items(), *(node.metrics or {}).items()]
    labels = [f"{clean(name, _LONG)} {clean(_rounded(value), _LONG)}" for name, value in items]
    hidden = len(labels) - _DETAILS
    return [*labels[:_DETAILS], f"… {hidden} more"] if hidden > 1 else labels


def _rounded(value: object) -> object:
    """Return a float as text with its six significant digits, anything else unchanged."""
    return f"{value:.6g}" if isinstance(value, float) else value


#: Signs for the icons of io's own tasks; every font has them.
_GLYPHS = {
    "bell": "⚡", "clock": "⌚", "database": "≡", "dice": "⚄", "globe": "⇄", "id": "#",
    "inbox": "✉", "play": "▷", "plug": "⇌", "question": "?", "search": "⌕", "send": "↗",
}  # fmt: skip


def icon_of(node: TaskNode) -> str:
    """Return the icon of a task followed by a space; empty if it has none."""
    return f"{clean(_GLYPHS.get(node.icon, node.icon), _ICON)} " if node.icon else ""


def error_of(node: TaskNode) -> str:
    """Return why the task failed or is retried; empty if neither applies.

    A failure passed on from a subtask is only named here; the subtask shows its message.
    """
    failure = node.failure
    if failure is None or node.status not in (Status.FAILED, Status.WAITING):
        return ""
    if failure.cause and failure.path != node.path:
        return f"{clean(failure.type, _LONG)} in {clean(failure.path or failure.cause, _LONG)}"
    return _first_line(failure)


def failure_of(tree: Tree) -> str:
    """Return why a run failed; empty if it did not."""
    if tree.failure is None or tree.status not in (Status.FAILED, Status.INVALID):
        return ""
    where = f" (in {clean(tree.failure.path, _LONG)})" if tree.failure.path else ""
    return _first_line(tree.failure) + where


def is_chosen(key: str) -> bool:
    """Return True if somebody chose the run's key, False if it is a digest of the payload."""
    return not _DIGEST.fullmatch(key)


def facts_of(run: RunRow) -> str:
    """Return one line with a run's number of executions, its payload, key, id and start."""
    facts = [plural(run.executions, "execution")]
    if payload := payload_of(run):
        facts.append(payload)
    if is_chosen(run.key):
        facts.append(f"key {clean(run.key, _LONG)}")
    facts.append(f"run {clean(run.run_id, _LONG)}")
    if run.started_us:
        facts.append(f"started {at(run.started_us):%Y-%m-%d %H:%M:%S UTC}")
    return " · ".join(facts)


def payload_of(run: RunRow) -> str:
    """Return the payload of a run as it was given, shortened; empty if there is nothing to show.

    >>> payload_of(RunRow("r1", "report", "report", "1", "k", payload='{"month":3,"region":"EU"}'))
    'month=3, region="EU"'
    >>> payload_of(RunRow("r1", "sum", "sum", "1", "k", payload="[1,2]"))
    'payload [1,2]'
    """
    is_plain = run.payload_kind in (None, "json", "tagged")
    text = run.payload_shown or (run.payload if is_plain else None)
    if text is None or text in _NOTHING:
        return ""
    value = orjson.loads(text) if len(text) <= _MOST_PARSED else None
    if isinstance(value, dict) and not any(name.startswith("$") for name in value):
        fields = [f"{name}={_as_text(part)}" for name, part in value.items()]
        return clean(", ".join(fields), _LONG)
    return clean(f"payload {text[:_MOST_PARSED]}", _LONG)


def _as_text(value: object) -> str:
    """Return a value of tagged JSON as text: a date, for example, without its tag."""
    if isinstance(value, dict) and len(value) == 1:
        tag, inner = next(iter(value.items()))
        if tag == "$scalar" and isinstance(inner, list):  # its type, and what it holds
            inner = inner[-1]
        if tag.startswith("$"):
            return inner if isinstance(inner, str) else _as_text(inner)
    return orjson.dumps(value).decode()


def plural(count: int, noun: str) -> str:
    """Return a count with its noun, as in `3 tasks`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _first_line(failure: Failure) -> str:
    lines = str(failure.message).strip().splitlines()
    name = clean(failure.type, _LONG)
    return f"{name}: {clean(lines[0], _MESSAGE)}" if lines else name
