"""Details of the task that a person has opened: what the page shows below its row."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from nbtasks.core import clock
from nbtasks.core.model import SUCCEEDED, UNDER_WAY, RunRow, Status, TaskRow
from nbtasks.core.throttle import Throttle
from nbtasks.engine.staleness import last_diff
from nbtasks.jobs.runtime import runtime
from nbtasks.journal import outputs
from nbtasks.journal.lookup import require_run
from nbtasks.notebook.widgets.preview import preview
from nbtasks.notebook.widgets.tree_widget import TreeWidget
from nbtasks.views.tree.card import Recorded, card, code_for, log_lines
from nbtasks.views.tree.nodes import make_node

__all__ = ["DetailsPane"]

_LARGE = 50_000_000  # bytes; larger outputs are not read for a preview


class DetailsPane:
    """Details of one task at a time, as the page asks for them.

    Args:
        tree: Widget in whose page they are shown.
        run_id: Id of the run.

    Attributes:
        path: Path of the task; None while none is open.
    """

    def __init__(self, tree: TreeWidget, run_id: str) -> None:
        self.path: str | None = None
        self._tree = tree
        self._run_id = run_id
        self._place = ""  # name of the row in the page
        self._throttle = Throttle(20, least=1.0)  # of reads of a task that may still change

    def open(self, path: str, place: str) -> None:
        """Show the details of a task.

        Args:
            path: Path of the task.
            place: Name by which the page knows its row.
        """
        self.path, self._place = path, place
        self.refresh()

    def close(self) -> None:
        """Send no more details."""
        self.path = None
        self._tree.details = {}

    def follow(self) -> None:
        """Refresh the details, if the last read is old enough."""
        if self.path is not None and self._throttle.is_due():
            self.refresh()

    def refresh(self) -> None:
        """Show the current state of the task."""
        path = self.path
        if path is None:
            return
        with self._throttle:
            details = _details(self._run_id, path)
        if path == self.path:
            self._tree.details = {"place": self._place, "path": path, **details}


def _details(run_id: str, path: str) -> dict[str, Any]:
    """Return the details of a task: a card, the lines of its log, the code for its output."""
    journal = runtime.journal
    run = require_run(journal, run_id)
    rows = journal.find("task", run_id=run_id, path=path)
    if not rows:
        return {"html": "<p>It is not recorded yet.</p>", "earlier": 0, "log": [], "code": ""}
    row = rows[0]
    node = make_node(row, run, under_way=run.status in UNDER_WAY)
    attempts = journal.find("attempt", run_id=run_id, path=path) if row.attempts else ()
    source = _source(run_id, row.fingerprint) if row.fingerprint else ""
    recorded = Recorded(attempts, _preview(run, row), source, _diff(row))
    logs = sorted(journal.find("log", run_id=run_id, path=path), key=lambda log: log.logged_us)
    earlier, lines = log_lines(logs)
    code = code_for(run, path) if row.status in SUCCEEDED else ""
    html = card(row, node, recorded, clock.micros())
    return {"html": html, "earlier": earlier, "log": lines, "code": code}


@lru_cache(maxsize=64)
def _source(run_id: str, fingerprint: str) -> str:
    """Return the recorded source of a task's function; empty if there is none."""
    found = runtime.journal.find("code", run_id=run_id, fingerprint=fingerprint)
    if not found:
        return ""
    try:
        name, sources, _ = json.loads(found[0].source)
        return str(sources.get(name, ""))
    except (ValueError, TypeError, AttributeError):  # a damaged journal
        return ""


def _diff(row: TaskRow) -> str:
    """Return the difference that the latest execution here has found; empty if there is none."""
    diff = last_diff(row.run_id, row.path) or ""
    return diff if diff.startswith("---") else ""


def _preview(run: RunRow, row: TaskRow) -> str:
    if row.status != Status.COMPLETED or row.output_kind is None:
        return ""
    if row.hidden:
        return preview(outputs.preview(row.output_kind, row.output))
    if (row.output_bytes or 0) > _LARGE:
        return "<em>It is too large to show here; the code below loads it.</em>"
    try:
        value: Any = runtime.get_run(run.run_id)[row.path]
    except Exception as error:  # noqa: BLE001 - for example, the value's class is gone
        return preview(f"{type(error).__name__}: {error}")
    return preview(value)
