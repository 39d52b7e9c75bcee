"""Capture of rich output: a task's displays appear at once, are recorded, and appear again when
the task is reused."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from nbtasks import clock, codec, keys
from nbtasks.model import DisplayRow, RunRow, TaskRow
from nbtasks.values.content import Content

if TYPE_CHECKING:
    from nbtasks.journal.port import Journal

__all__ = ["Displays", "Output", "Screen", "displaying", "living", "use_panels", "use_screen"]

#: True while a display writes to stdout: that text must not be recorded as printed by the task.
displaying: ContextVar[bool] = ContextVar("nbtasks_displaying", default=False)

#: Data by MIME type, and metadata.
Output = tuple[dict[str, Any], dict[str, Any]]


class Screen(Protocol):
    """Display device: a notebook's front end or a terminal."""

    def draw(self, value: Any) -> Output:
        """Display a value and return its recordable output."""

    def publish(self, output: Output) -> None:
        """Display a recorded output."""


class _Terminal:
    """Display device that shows everything as text."""

    def draw(self, value: Any) -> Output:
        output: Output = {"text/plain": repr(value)}, {}
        self.publish(output)
        return output

    def publish(self, output: Output) -> None:
        print(output[0].get("text/plain", ""))  # noqa: T201 - a terminal's display


_screen: Screen = _Terminal()


def use_screen(screen: Screen | None) -> None:
    """Display on `screen` from now on; None means as text."""
    global _screen  # noqa: PLW0603 - a process has one
    _screen = screen or _Terminal()


def use_panels(panels: Callable[[Any], dict[str, Any] | None]) -> None:
    """Display run trees through `panels` from now on, unless it returns None for one."""
    global _panels  # noqa: PLW0603 - a process has one
    _panels = panels


def living(tree: Any) -> dict[str, Any] | None:
    """Return a run tree's live view as MIME data; None outside a notebook."""
    return _panels(tree)


def _no_panels(tree: Any) -> dict[str, Any] | None:
    del tree
    return None


_panels: Callable[[Any], dict[str, Any] | None] = _no_panels


class Displays:
    """Displays of one run's tasks.

    Args:
        journal: The journal that records them.
        run: The run.
        paths: The tasks with recorded displays.

    Attributes:
        known: These tasks and their ancestors: `again` has something to show for each.
    """

    def __init__(self, journal: Journal, run: RunRow, paths: Collection[str]) -> None:
        self._journal = journal
        self._run = run
        self._rows: list[DisplayRow] | None = None
        self.known = {above for path in paths for above in (path, *keys.parents(path))}

    def show(self, row: TaskRow, value: Any) -> None:
        """Display a value for a running task, and record it."""
        token = displaying.set(True)
        try:
            output = _screen.draw(value)
        finally:
            displaying.reset(token)
        text = orjson.dumps(output, default=repr, option=orjson.OPT_NON_STR_KEYS)
        blob = self._journal.put_blob(Content.of(text)) if len(text) > codec.INLINE_BYTES else None
        inline = None if blob else text.decode()
        now = clock.micros()
        self._journal.put(DisplayRow(row.run_id, row.path, row.attempts, now, inline, blob))

    def again(self, path: str) -> None:
        """Repeat the displays of a task and its descendants, from their latest attempts."""
        token = displaying.set(True)
        try:
            for row in self._latest():
                if row.path == path or row.path.startswith(f"{path}/"):
                    _screen.publish(_caption(row))
                    _screen.publish(self._output(row))
        finally:
            displaying.reset(token)

    def _latest(self) -> list[DisplayRow]:
        """Return the displays that the latest attempts recorded before this execution, in the
        order of time."""
        if self._rows is None:
            rows = self._journal.find("display", run_id=self._run.run_id)
            latest_attempts: dict[str, int] = {}
            for row in rows:
                latest_attempts[row.path] = max(row.attempt, latest_attempts.get(row.path, 0))
            latest_rows = [row for row in rows if row.attempt == latest_attempts[row.path]]
            self._rows = sorted(latest_rows, key=lambda row: row.shown_us)
        return self._rows

    def _output(self, row: DisplayRow) -> Output:
        text: Any = row.output if row.blob is None else self._journal.get_blob(row.blob).data
        data, metadata = orjson.loads(text or b"[{}, {}]")
        return data, metadata


def _caption(row: DisplayRow) -> Output:
    import html  # lazily: most tasks display nothing

    when = clock.at(row.shown_us).astimezone()
    text = f"{keys.display(row.path)}: reused, as recorded {when:%Y-%m-%d %H:%M:%S}"
    return {"text/plain": text, "text/html": f"<small>{html.escape(text)}</small>"}, {}
