"""What tasks display: shown at once, recorded, and shown again where they are reused."""

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

#: Whether it is something displayed that is written to stdout: no task has printed that.
displaying: ContextVar[bool] = ContextVar("nbtasks_displaying", default=False)

#: Data by MIME type, and what is said of it beside.
Output = tuple[dict[str, Any], dict[str, Any]]


class Screen(Protocol):
    """Where things are displayed."""

    def draw(self, value: Any) -> Output:
        """Displays a value, and gives what can be recorded of that."""

    def publish(self, output: Output) -> None:
        """Displays what was recorded."""


class _Terminal:
    """Shows everything as text."""

    def draw(self, value: Any) -> Output:
        output: Output = {"text/plain": repr(value)}, {}
        self.publish(output)
        return output

    def publish(self, output: Output) -> None:
        print(output[0].get("text/plain", ""))  # noqa: T201 - as a display does


_screen: Screen = _Terminal()


def use_screen(screen: Screen | None) -> None:
    """Displays there from now on; with None as text."""
    global _screen  # noqa: PLW0603 - a process has one
    _screen = screen or _Terminal()


def use_panels(panels: Callable[[Any], dict[str, Any] | None]) -> None:
    """Has trees of runs displayed by this from now on, where it gives something."""
    global _panels  # noqa: PLW0603 - a process has one
    _panels = panels


def living(tree: Any) -> dict[str, Any] | None:
    """The tree of a run as a notebook shows it, which lives on; None where there is none."""
    return _panels(tree)


def _no_panels(tree: Any) -> dict[str, Any] | None:
    del tree
    return None


_panels: Callable[[Any], dict[str, Any] | None] = _no_panels


class Displays:
    """What the tasks of one run have displayed.

    Args:
        journal: Where it is recorded.
        run: The run.
        paths: The tasks of which something is recorded.

    Attributes:
        known: Those, and the tasks above them: of these there is something to show `again`.
    """

    def __init__(self, journal: Journal, run: RunRow, paths: Collection[str]) -> None:
        self._journal = journal
        self._run = run
        self._recorded: list[DisplayRow] | None = None
        self.known = {above for path in paths for above in (path, *keys.parents(path))}

    def show(self, row: TaskRow, value: Any) -> None:
        """Displays a value for a task that runs."""
        token = displaying.set(True)
        try:
            output = _screen.draw(value)
        finally:
            displaying.reset(token)
        text = orjson.dumps(output, default=repr, option=orjson.OPT_NON_STR_KEYS)
        blob = self._journal.put_blob(Content.of(text)) if len(text) > codec.INLINE_BYTES else None
        shown = None if blob else text.decode()
        now = clock.micros()
        self._journal.put(DisplayRow(row.run_id, row.path, row.attempts, now, shown, blob))

    def again(self, path: str) -> None:
        """Displays again what a task, and those below it, displayed in their latest attempts."""
        token = displaying.set(True)
        try:
            for row in self._latest():
                if row.path == path or row.path.startswith(f"{path}/"):
                    _screen.publish(_caption(row))
                    _screen.publish(self._output(row))
        finally:
            displaying.reset(token)

    def _latest(self) -> list[DisplayRow]:
        """What the latest attempts displayed before this execution, in the order of time."""
        if self._recorded is None:
            found = self._journal.find("display", run_id=self._run.run_id)
            latest: dict[str, int] = {}
            for row in found:
                latest[row.path] = max(row.attempt, latest.get(row.path, 0))
            kept = [row for row in found if row.attempt == latest[row.path]]
            self._recorded = sorted(kept, key=lambda row: row.shown_us)
        return self._recorded

    def _output(self, row: DisplayRow) -> Output:
        text: Any = row.output if row.blob is None else self._journal.get_blob(row.blob).data
        data, about = orjson.loads(text or b"[{}, {}]")
        return data, about


def _caption(row: DisplayRow) -> Output:
    import html  # lazily: most tasks display nothing

    when = clock.at(row.shown_us).astimezone()
    text = f"{keys.display(row.path)}: reused, as recorded {when:%Y-%m-%d %H:%M:%S}"
    return {"text/plain": text, "text/html": f"<small>{html.escape(text)}</small>"}, {}
