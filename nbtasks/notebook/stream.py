"""What keeps a page current: a thread that looks whether rows have changed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from time import perf_counter

from nbtasks.feed import Feed
from nbtasks.model import UNDER_WAY, RunRow
from nbtasks.notebook.view import Careful
from nbtasks.notebook.widget import TreeWidget

__all__ = ["Stream"]

_SHARE = 20  # a look that took t is followed by a rest of at least this many t
_PATIENCE = 5.0  # seconds that its end waits for a look in progress


class Stream(Careful):
    """Tells a tree in the page of each change of its rows.

    Args:
        feed: Where they come from.
        tree: The tree, which has been sent the rows as they are now.
        run: The run as it is now.
        looked: Called after each look with the run, also if nothing has changed.

    Attributes:
        feed: As given.
        run: The run as it was last seen.
    """

    def __init__(
        self, feed: Feed, tree: TreeWidget, run: RunRow, looked: Callable[[RunRow], None]
    ) -> None:
        self.feed = feed
        self._tree = tree
        self._looked = looked
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.run = run

    def send(self) -> None:
        """Reads and sends all of it."""
        self.run, rows = self.feed.all()
        with self._tree.lock:
            self._tree.picture.load(self.run, rows)
            self._tree.send_state("snap")
        self._looked(self.run)

    def start(self) -> None:
        """Keeps it current from here on, if there is anything to come."""
        if self.feed.ends and self.run.status not in UNDER_WAY:
            return
        self._thread = threading.Thread(
            target=copy_context().run,
            args=(self.guarded, self._follow),
            name="nbtasks-stream",
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> None:
        """Until nothing is sent any more."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_PATIENCE)

    def _follow(self) -> None:
        rest = self.feed.rest
        while not self._stop.wait(rest):
            began = perf_counter()
            changed = self.feed.changed()
            if changed is not None:
                self.run, rows = changed
                with self._tree.lock:
                    patch = self._tree.picture.change(self.run, rows)
                    if patch is not None:
                        self._tree.send(patch)
            rest = max(self.feed.rest, _SHARE * (perf_counter() - began))
            self._looked(self.run)
            if self.feed.ends and self.run.status not in UNDER_WAY:
                return
