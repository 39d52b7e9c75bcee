"""The living view of a run: its tree, and what a person can ask of it.

While the cell runs it is what the cell displays. At the end the display becomes the static tree,
which needs no kernel; as long as this one lives, the panel draws itself in its place.
"""

from __future__ import annotations

import collections
import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from html import escape
from typing import Any

import ipywidgets

from nbtasks import claims, clock, live
from nbtasks.drawing import RunTree
from nbtasks.errors import MapFailed, NbtasksError, TaskFailed
from nbtasks.feed import Feed
from nbtasks.kit import kit
from nbtasks.model import RunRow
from nbtasks.notebook.bar import Bar
from nbtasks.notebook.fallback import Fallback
from nbtasks.notebook.pane import Pane
from nbtasks.notebook.stream import Stream
from nbtasks.notebook.widget import TreeWidget
from nbtasks.picture import Picture
from nbtasks.tree import build

__all__ = ["Panel", "panel_of", "place"]

_ROWS = 100  # tasks of the static tree while the run is under way
_MOST = 20  # panels that live at once; those before have their static trees
_VIEW = "application/vnd.jupyter.widget-view+json"

#: The panel whose button is being carried out: what it executes is shown there.
_asking: ContextVar[Panel | None] = ContextVar("nbtasks_panel", default=None)
_panels: collections.deque[Panel] = collections.deque()
#: What people opened and chose, by run: it is for the next panel of the run, too.
_kept: dict[str, dict[str, Any]] = {}


def panel_of(run_id: str) -> Panel | None:
    """The panel by whose button this run is being executed."""
    panel = _asking.get()
    return panel if panel is not None and panel.run_id == run_id else None


def place(model_id: str, html: str) -> str:
    """HTML that a widget draws itself over as long as it lives."""
    return f'<div data-nbtasks-panel="{escape(model_id)}">{html}</div>'


class Panel:
    """Shows a run from `start` to `finish`, and what becomes of it from then on by its buttons.

    Args:
        feed: Where its rows come from.
        run_id: The run.
    """

    def __init__(self, feed: Feed, run_id: str) -> None:
        self.run_id = run_id
        self.box = ipywidgets.VBox()
        self.box.add_class("nbtasks-panel")
        run, rows = feed.all()
        self.tree = TreeWidget(
            Picture(run, rows), self._hear, kept=_kept.get(run_id, {}), panel=self.box.model_id
        )
        self.tree.observe(self._keep, "kept")
        self.bar = Bar(self.tree, cancel=self._cancel, resume=self._resume, again=self._again)
        self.pane = Pane(self.tree, run_id, self._rerun_from, self._reset)
        self.output = ipywidgets.Output()
        self._stream = Stream(feed, self.tree, run, self._looked)
        self.fallback = Fallback(lambda: self._static(_ROWS))
        self.box.children = [
            self.bar.box, self.tree, self.fallback.html, self.pane.box, self.output,
        ]  # fmt: skip
        self._looked(run)
        _panels.append(self)
        while len(_panels) > _MOST:
            _panels.popleft().close()

    # -- what is shown --------------------------------------------------------------------------

    def bundle(self) -> dict[str, Any]:
        """While the run is under way: the living view, and the tree as it is now beside it."""
        view = {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id}
        return {_VIEW: view, **self._static(_ROWS)._repr_mimebundle_()}

    def twin(self) -> dict[str, str]:
        """The static tree, which the living one draws itself over."""
        bundle = self._static()._repr_mimebundle_()
        return {**bundle, "text/html": place(self.box.model_id, bundle["text/html"])}

    def start(self) -> None:
        """Keeps the page current, if there is anything to come."""
        self._stream.start()

    def finish(self) -> None:
        """Lets the page show the last state."""
        self._stream.stop()
        self._stream.send()
        self.bar.show(self._stream.run.status, blocking=False)
        self.pane.refresh()
        self.fallback.end()

    def go_on(self, feed: Feed) -> None:
        """Shows the next execution of the run here."""
        self._stream.stop()
        self._stream = Stream(feed, self.tree, self._stream.run, self._looked)
        self._stream.send()
        self._stream.start()

    def close(self) -> None:
        """Takes it out of the page: the static tree stays."""
        self._stream.stop()
        own = (self.fallback.html, self.output, self.tree, self.box)
        for widget in (*self.bar.widgets, *self.pane.widgets, *own):
            widget.close()

    def _static(self, limit: int = 500) -> RunTree:
        return RunTree(build(*self._stream.feed.all()), clock.micros(), limit=limit)

    def _looked(self, run: RunRow) -> None:
        self.bar.show(run.status, blocking=self._stream.feed.blocking)
        self.pane.follow()
        self.fallback.look()

    # -- what a person does ---------------------------------------------------------------------

    def _hear(self, message: dict[str, Any]) -> None:
        task = message.get("task")
        if message.get("type") == "hello":
            self.fallback.hide()
        elif message.get("type") == "attempts":
            self.tree.send({"type": "attempts", "attempts": self._attempts()})
        elif isinstance(task, int) and 0 <= task < len(self.tree.picture.paths):
            self.pane.choose(self.tree.picture.paths[task])

    def _keep(self, change: dict[str, Any]) -> None:
        _kept[self.run_id] = change["new"]

    def _attempts(self) -> list[Any]:
        """Those before the latest one, of each task that has any."""
        found: dict[int, list[Any]] = {}
        ms = self.tree.picture.ms
        rows = kit.journal.find("attempt", run_id=self.run_id)
        for row in sorted(rows, key=lambda row: row.number):
            task = self.tree.picture.index(row.path)
            if task is not None and row.started_us is not None:
                ended = row.started_us if row.finished_us is None else row.finished_us
                bar = [ms(row.started_us), ms(ended), row.status.lower(), ms(row.retry_us)]
                found.setdefault(task, []).append(bar)
        return list(found.items())

    @contextlib.contextmanager
    def _act(self) -> Iterator[None]:
        """While something is done that a button asks for. What fails in the user's code shows its
        traceback in the output; what is refused is one line."""
        token = _asking.set(self)
        self.bar.tell("")
        self.bar.show(self._stream.run.status, blocking=True)
        try:
            with self.output:
                try:
                    yield
                except NbtasksError as error:
                    if isinstance(error, TaskFailed | MapFailed):
                        raise
                    self.bar.tell(f"{type(error).__name__}: {error}")
        finally:
            _asking.reset(token)
            self.bar.show(self._stream.run.status, blocking=False)

    def _cancel(self, _: object) -> None:
        try:
            live.cancel(kit.journal, self.run_id)
        except Exception as error:  # noqa: BLE001 - whatever it is, who clicked has to see it
            self.bar.tell(f"{type(error).__name__}: {error}")

    def _resume(self, _: object) -> None:
        (row,) = kit.journal.runs(run_id=self.run_id)
        self._execute(lambda: kit.starter(row, claims.payload_of(row))(claims.to_rerun(row)))

    def _again(self, _: object) -> None:
        self._execute(kit.hold(self.run_id).rerun)

    def _rerun_from(self, path: str) -> None:
        self._execute(lambda: kit.hold(self.run_id).rerun(from_=path))

    def _execute(self, start: Callable[[], Any]) -> None:
        self.output.clear_output()
        with self._act():
            start()

    def _reset(self, path: str) -> None:
        with self._act():
            kit.hold(self.run_id).reset(path)
            self.bar.tell(f"{path} runs again at the next execution.")
