"""Thread that keeps a page current by polling for changed rows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context

from nbtasks.core.model import UNDER_WAY, RunRow
from nbtasks.core.throttle import Throttle
from nbtasks.notebook.live_tree import SafeView
from nbtasks.notebook.widgets.tree_widget import TreeWidget
from nbtasks.views.tree.feed import Feed

__all__ = ["TreeUpdates"]

_PATIENCE = 5.0  # seconds that `stop` waits for a poll in progress
_NEWS = 2.0  # seconds between two signs of life to the page


class TreeUpdates(SafeView):
    """TreeUpdates of row changes to a tree in the page.

    Args:
        feed: Source of the rows.
        tree: Tree that already shows the current rows.
        run: Current row of the run.
        on_poll: Callback after each poll, called with the run even if nothing has changed.

    Attributes:
        feed: Source of the rows.
        run: Row of the run, as last read.
    """

    def __init__(
        self, feed: Feed, tree: TreeWidget, run: RunRow, on_poll: Callable[[RunRow], None]
    ) -> None:
        self.feed = feed
        self._tree = tree
        self._on_poll = on_poll
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.run = run

    def send(self) -> None:
        """Read all rows and send them."""
        self.run, rows = self.feed.all()
        with self._tree.lock:
            self._tree.snapshot.load(self.run, rows)
            self._tree.send_state("snap")
        self._on_poll(self.run)

    def start(self) -> None:
        """Keep the tree current from now on, if the rows may still change."""
        if self.feed.is_final and self.run.status not in UNDER_WAY:
            return
        self._tree.live = True
        self._thread = threading.Thread(
            target=copy_context().run,
            args=(self.guarded, self._follow),
            name="nbtasks-stream",
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread, and wait for a poll in progress so that nothing more is sent."""
        self._stop.set()
        self._tree.live = False
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_PATIENCE)

    def _follow(self) -> None:
        throttle = Throttle(20, least=self.feed.min_interval)
        alive = Throttle(0, least=_NEWS)
        while not self._stop.wait(throttle.pause):
            with throttle:
                self._send_changes()
            if alive.is_due():
                with alive:
                    self._tree.send({"type": "alive"})
            self._on_poll(self.run)
            if self.feed.is_final and self.run.status not in UNDER_WAY:
                self._tree.live = False
                return

    def _send_changes(self) -> None:
        changed = self.feed.changed()
        if changed is not None:
            self.run, rows = changed
            with self._tree.lock:
                patch = self._tree.snapshot.change(self.run, rows)
                if patch is not None:
                    self._tree.send(patch)
