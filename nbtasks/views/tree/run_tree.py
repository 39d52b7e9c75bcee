"""Display object for a run's tree: in a cell, in a terminal, on a page of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from nbtasks.core import clock, front_end
from nbtasks.core.model import AttemptRow, RunRow, TaskRow

if TYPE_CHECKING:
    from nbtasks.journal.protocol import Journal
    from nbtasks.views.tree.nodes import Tree
    from nbtasks.views.tree.words import Head

__all__ = ["RunTree", "TreeDisplay", "draw_run"]


class TreeDisplay(Protocol):
    """Part of the front end that shows recorded trees."""

    def live_view(self, tree: RunTree) -> dict[str, Any] | None:
        """Return the live view of a recorded run as MIME data; None where no page can show it."""


class RunTree:
    """Snapshot of a tree at `now_us`, for `display`, `print` and the last line of a cell.

    Args:
        tree: The tree to draw.
        now_us: Instant that ages and countdowns refer to.
        limit: Most tasks to draw, failed ones first; the rest are counted.
        live_view: Returns the live view a notebook shows instead; None where there is none.
        attempts: Returns the attempts that were followed by another.
        note: Sentence to show with the head of the tree.
    """

    def __init__(
        self,
        tree: Tree,
        now_us: int,
        *,
        limit: int = 500,
        live_view: Callable[[RunTree], dict[str, Any] | None] | None = None,
        attempts: Callable[[], Iterable[AttemptRow]] = tuple,
        note: str = "",
    ) -> None:
        self._live_view = live_view
        self._attempts = attempts
        self.tree = tree
        self.now_us = now_us
        self.limit = limit
        self.note = note

    def to_html(self, file: str | Path) -> None:
        """Write the tree as a page of its own: one self-contained file without scripts.

        All tasks are drawn, up to 10,000.

        ```python
        import nbtasks as nb


        @nb.job("page-example")
        def body(io: nb.SyncIO) -> None:
            io.run_task("load", list)


        body.run().tree().to_html("delays.html")
        ```
        """
        from nbtasks.views.tree.render import (
            page,  # lazily, here and below: an import draws nothing
        )

        Path(file).write_text(page(self.tree, self.now_us), "utf-8")

    def to_trace(self, file: str | Path) -> None:
        """Write the timing of tasks and attempts as JSON in the Trace Event Format.

        Perfetto and Chrome's `about:tracing` open it.

        ```python
        import json
        from pathlib import Path

        import nbtasks as nb


        @nb.job("trace-example")
        def body(io: nb.SyncIO) -> None:
            io.run_task("load", list)


        body.run().tree().to_trace("delays.json")
        events = json.loads(Path("delays.json").read_text())["traceEvents"]
        assert [event["name"] for event in events if event["ph"] == "X"] == ["load"]
        ```
        """
        import json

        from nbtasks.views.tree.trace import trace

        events = trace(self.tree, self._attempts(), self.now_us)
        Path(file).write_text(json.dumps(events), "utf-8")

    def __str__(self) -> str:
        return self._text()

    def _text(self, head: Head | None = None) -> str:
        from nbtasks.views.tree.render import text

        limit = min(200, self.limit)
        return text(self.tree, self.now_us, limit=limit, note=self.note, head=head)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self._html()

    def _html(self, head: Head | None = None) -> str:
        from nbtasks.views.tree.render import html

        return html(self.tree, self.now_us, limit=self.limit, note=self.note, head=head)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        """Return text and HTML, always: a saved notebook does not know where it will be shown."""
        del include, exclude  # the protocol lets an object ignore them
        live_view = self._live_view(self) if self._live_view is not None else None
        if live_view is not None:
            return live_view
        from nbtasks.views.tree.words import head_of

        head = head_of(self.tree, self.now_us, relative=False)
        return {"text/plain": self._text(head), "text/html": self._html(head)}


def draw_run(journal: Journal, row: RunRow, *, live_view: bool = True) -> RunTree:
    """Return the tree of a run as recorded by now.

    Args:
        journal: Journal that holds the run.
        row: Row of the run.
        live_view: Whether a notebook may show a live view, which always reads the current home.
    """
    from nbtasks.views.tree.nodes import build  # lazily: most runs are never drawn by hand

    display: TreeDisplay = front_end.current()
    tasks = [TaskRow(*values) for values in journal.tasks(row.run_id)]
    return RunTree(
        build(row, tasks),
        clock.micros(),
        live_view=display.live_view if live_view else None,
        attempts=lambda: journal.find("attempt", run_id=row.run_id),
    )
