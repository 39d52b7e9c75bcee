"""Live view of a run: its tree, and the actions on it.

The output of a cell is the static tree, which needs no kernel and is redrawn every few seconds. In
a page whose kernel lives, the panel draws itself in the static tree's place.
"""

from __future__ import annotations

import collections
import contextlib
import hashlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import ipywidgets

from nbtasks.core import clock, front_end
from nbtasks.core.model import RunRow
from nbtasks.errors import MapFailed, NbtasksError, TaskFailed
from nbtasks.jobs import claims
from nbtasks.jobs.runtime import FrontEnd, runtime
from nbtasks.journal.lookup import require_run
from nbtasks.notebook.widgets.cell_output import CellOutput
from nbtasks.notebook.widgets.details_pane import DetailsPane
from nbtasks.notebook.widgets.saved import SavedTree
from nbtasks.notebook.widgets.toolbar import Toolbar
from nbtasks.notebook.widgets.tree_widget import TreeWidget
from nbtasks.notebook.widgets.updates import TreeUpdates
from nbtasks.views.tree.feed import Feed
from nbtasks.views.tree.run_tree import RunTree
from nbtasks.views.tree.snapshot import TreeSnapshot
from nbtasks.views.tree.words import AGAIN, kept_note

__all__ = ["Panel", "panel_of"]

_ROWS = 100  # tasks in the static tree while the run is under way
_MOST = 20  # live panels at once; of older ones the static trees remain
_FINAL_ROWS = 500  # tasks in the static tree of a run that has ended
_ELSEWHERE = "run its cell or its job again to resume"

#: The panel whose button action is running: executions that it starts are shown there.
_asking: ContextVar[Panel | None] = ContextVar("nbtasks_panel", default=None)
_panels: collections.deque[Panel] = collections.deque()
#: View state (opened and chosen rows) by run id, which the run's next panel takes over.
_view_states: dict[str, dict[str, Any]] = {}


def panel_of(run_id: str) -> Panel | None:
    """Return the panel whose button started this execution of the run; None if none did."""
    panel = _asking.get()
    return panel if panel is not None and panel.run_id == run_id else None


def _place_of(run: RunRow, cell: tuple[str, str] | None) -> str:
    """Return the name of the places where a panel draws.

    It is the same in every kernel, so that executing a cell again changes little of a file.
    """
    name = f"{run.run_id}-{run.executions}"
    return f"{name}-{hashlib.sha256(cell[0].encode()).hexdigest()[:8]}" if cell else name


class Panel:
    """View of a run from `start` to `finish`, and of later executions that its buttons start.

    Args:
        feed: Source of the run's rows.
        run_id: Id of the run.
        cell: Path and text of the `%%task` cell that it shows; None if it shows the whole run.
    """

    def __init__(self, feed: Feed, run_id: str, cell: tuple[str, str] | None = None) -> None:
        self.run_id = run_id
        self._cell = cell
        self.box = ipywidgets.VBox()
        self.box.add_class("nbtasks-panel")
        run, rows = feed.all()
        self.tree = TreeWidget(
            TreeSnapshot(run, rows),
            self._hear,
            kept=_view_states.get(run_id, {}),
            panel=self.box.model_id,
            place=_place_of(run, cell),
            own=feed.own,
        )
        self.tree.observe(self._keep, "kept")
        self.bar = Toolbar(self.tree, cancel=self._cancel, resume=self._resume, again=self._again)
        self.pane = DetailsPane(self.tree, run_id)
        self.output = CellOutput(self.tree, self.bar)
        self._updates = TreeUpdates(feed, self.tree, run, self._looked)
        self.saved = SavedTree(self._static, self.tree)
        self.box.children = [self.bar.box, self.tree, self.output.widget]
        self._looked(run)
        _panels.append(self)
        while len(_panels) > _MOST:
            _panels.popleft().close()

    # -- display --------------------------------------------------------------------------------

    def start(self) -> None:
        """Keep the page current, if the run may still change."""
        self._updates.start()

    def finish(self) -> None:
        """Show the final state in the page."""
        self._updates.stop()
        self._updates.send()
        self.bar.show(self._updates.run.status, blocking=False)
        self.pane.refresh()
        self.saved.refresh()

    def show_execution(self, feed: Feed) -> None:
        """Show the next execution of the run in this panel."""
        self._updates.stop()
        self._updates = TreeUpdates(feed, self.tree, self._updates.run, self._looked)
        self._updates.send()
        self._updates.start()

    def close(self) -> None:
        """Remove the panel from the page; the static tree stays."""
        self._updates.stop()
        own = (self.output.widget, self.tree, self.box)
        for widget in (*self.bar.widgets, *own):
            widget.close()

    def _static(self) -> RunTree:
        with self.tree.lock:
            tree, now_us = self.tree.snapshot.tree(self._updates.run), clock.micros()
        limit = _ROWS if tree.under_way else _FINAL_ROWS
        note = kept_note(tree, now_us, AGAIN if self._updates.feed.own else _ELSEWHERE)
        return RunTree(tree, now_us, limit=limit, note=note)

    def _looked(self, run: RunRow) -> None:
        self.bar.show(run.status, blocking=self._updates.feed.blocking)
        self.pane.follow()
        self.saved.refresh_if_due()

    # -- actions of a person --------------------------------------------------------------------

    def _hear(self, message: dict[str, Any]) -> None:
        task = message.get("task")
        if message.get("type") == "hello":
            SavedTree.heard = True
        elif message.get("type") == "attempts":
            self.tree.send({"type": "attempts", "attempts": self._attempts()})
        elif message.get("type") == "static":
            self.tree.send({"type": "static", "data": self.saved.bundle()})
        elif message.get("type") == "ended":
            self.output.hear(message.get("adopted"))
        elif message.get("type") == "close":
            self.pane.close()
        elif message.get("type") == "act":
            self._act_on_task(message.get("act"))
        elif isinstance(task, int) and 0 <= task < len(self.tree.snapshot.paths):
            self.pane.open(self.tree.snapshot.paths[task], str(message.get("place")))

    def _act_on_task(self, act: object) -> None:
        """Carry out what a person has chosen in the details of a task."""
        actions = {"from": self._rerun_from, "reset": self._reset}
        if self.pane.path is not None and isinstance(act, str) and act in actions:
            actions[act](self.pane.path)
            self.pane.refresh()

    def _keep(self, change: dict[str, Any]) -> None:
        _view_states[self.run_id] = change["new"]

    def _attempts(self) -> list[Any]:
        """Return the earlier attempts (all but the latest) of each task that has any."""
        bars: dict[int, list[Any]] = {}
        ms = self.tree.snapshot.ms
        rows = runtime.journal.find("attempt", run_id=self.run_id)
        for row in sorted(rows, key=lambda row: row.number):
            task = self.tree.snapshot.index(row.path)
            if task is not None and row.started_us is not None:
                ended = row.started_us if row.finished_us is None else row.finished_us
                bar = [ms(row.started_us), ms(ended), row.status.lower(), ms(row.retry_us)]
                bars.setdefault(task, []).append(bar)
        return list(bars.items())

    @contextlib.contextmanager
    def _act(self) -> Iterator[None]:
        """Disable the buttons during an action, and show its errors.

        An error in the user's code shows its traceback in the output; a refused action shows one
        line."""
        token = _asking.set(self)
        self.bar.show_message("")
        self.bar.show(self._updates.run.status, blocking=True)
        try:
            with self.output.widget:
                try:
                    yield
                except NbtasksError as error:
                    if isinstance(error, TaskFailed | MapFailed):
                        raise
                    self.bar.show_message(f"{type(error).__name__}: {error}")
        finally:
            _asking.reset(token)
            self.bar.show(self._updates.run.status, blocking=False)

    def _cancel(self, _: object) -> None:
        try:
            runtime.get_run(self.run_id).cancel()
        except Exception as error:  # noqa: BLE001 - the person who clicked must see any error
            self.bar.show_message(f"{type(error).__name__}: {error}")

    def _resume(self, _: object) -> None:
        self._execute(runtime.get_run(self.run_id).resume if self._cell is None else self._run_cell)

    def _again(self, _: object) -> None:
        if self._cell is None:
            self._execute(runtime.get_run(self.run_id).rerun)
        else:
            self._rerun_from(self._cell[0])

    def _rerun_from(self, path: str) -> None:
        run = runtime.get_run(self.run_id)
        if self._cell is None:
            self._execute(lambda: run.rerun(from_=path))
        else:  # the tasks after it may be other cells
            self._execute(lambda: self._run_cell(path))

    def _run_cell(self, reset: str | None = None) -> None:
        """Execute the cell again, in its run; reset a task of it before."""
        assert self._cell is not None  # noqa: S101 - the callers have checked it
        if reset is not None:
            runtime.get_run(self.run_id).reset(reset)
        run = require_run(runtime.journal, self.run_id)
        claim = claims.rerun_claim(replace(run, source=self._cell[1]))
        cells: FrontEnd = front_end.current()
        if cells.execute_cell is not None:
            cells.execute_cell(claim, None)

    def _execute(self, start: Callable[[], Any]) -> None:
        whole = self._cell is not None or self._updates.run.source is not None
        self.output.begin(whole=whole)
        run: Any = None
        with self._act():
            run = start()
        out = run.output if self._cell is None and whole and run is not None else None
        self.output.end(self._updates.run, out, whole=whole)

    def _reset(self, path: str) -> None:
        with self._act():
            runtime.get_run(self.run_id).reset(path)
            self.bar.show_message(f"{path} runs again at the next execution.")
