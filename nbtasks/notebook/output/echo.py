"""Echo of reused tasks in the running cell: what they printed and displayed when they ran."""

from __future__ import annotations

import threading
from contextvars import copy_context
from html import escape
from typing import TYPE_CHECKING, Any, Final

from nbtasks.core import clock, keys
from nbtasks.core.throttle import Throttle
from nbtasks.notebook import live_tree
from nbtasks.views.echo import Echo, recorded
from nbtasks.views.tree.labels import plural

if TYPE_CHECKING:
    from contextvars import Context

    from IPython.display import DisplayHandle

    from nbtasks.engine.execution import Execution
    from nbtasks.values.displays import Display

__all__ = ["EchoView"]

_REST: Final = 0.5  # minimum seconds between two drawings
#: Most displays that stand below the block.
_MAX_APART: Final = 20


class EchoView(live_tree.SafeView):
    """View that shows one block for all reused tasks of an execution.

    A front end that can update a display gets the block at the first reused task with outputs, so
    that it stands above what the body shows from then on. Other front ends get it at the end.

    Args:
        execution: The execution.
        unfolded: True to show all of it at once.
        updatable: True if the front end replaces a display in place.
        in_shell: False to print the block, since there is no shell.
    """

    shows = "What reused tasks showed", "the journal has it: nb.logs() has the lines"

    def __init__(
        self, execution: Execution, *, unfolded: bool, updatable: bool, in_shell: bool
    ) -> None:
        self._execution = execution
        self._unfolded = unfolded
        self._updatable = updatable
        self._in_shell = in_shell
        shown = execution.run_state.shown.paths
        self._echoing = {above for path in shown for above in (path, *keys.parents(path))}
        self._reused: list[str] = []
        self._drawn = 0
        self._context: Context = copy_context()
        self._handle: DisplayHandle | None = None
        self._throttle = Throttle(10, least=_REST)
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()
        self._is_finished = False

    def start(self) -> None:
        """Take note of the reused tasks from now on."""
        # Output goes to the cell whose context it is written in, whichever cell runs by then.
        self._context = copy_context()
        self._execution.run_state.echo = self._add

    def finish(self) -> None:
        """Show the block of all reused tasks."""
        self._execution.run_state.echo = None
        with self._lock:
            self._is_finished = True
            if self._timer is not None:
                self._timer.cancel()
        if self._reused:
            self._context.copy().run(self.guarded, self._draw_last)

    def _add(self, path: str) -> None:
        if path not in self._echoing:
            return
        self._reused.append(path)
        if self._updatable and self._timer is None:
            self._draw_and_rest()

    def _draw_and_rest(self) -> None:
        """Draw the block, and once more after a pause if more was reused by then."""
        with self._lock:
            self._timer = None
            if self._is_finished or self._drawn == len(self._reused):
                return
            with self._throttle:
                self._context.copy().run(self.guarded, self._draw)
            self._timer = threading.Timer(self._throttle.pause, self._draw_and_rest)
            self._timer.daemon = True
            self._timer.start()

    def _draw(self) -> None:
        if echo := self._echo():
            self._publish(echo.bundle())

    def _draw_last(self) -> None:
        echo = self._echo()
        if echo is None:
            return
        if not self._in_shell:
            print(echo.text())  # noqa: T201 - a terminal's display
            return
        self._publish(echo.bundle())
        for title, display in echo.apart[:_MAX_APART]:
            _show_apart(title, display)
        if (left_out := len(echo.apart) - _MAX_APART) > 0:
            live_tree.show({"text/plain": f"… and {plural(left_out, 'more display')}"})

    def _echo(self) -> Echo | None:
        """Return the block; None if the reused tasks have cleared all that they showed."""
        execution, state = self._execution, self._execution.run_state
        self._drawn = len(self._reused)
        reused = set(self._reused)
        outputs = recorded(execution.journal, execution.run, state.shown, reused, state.rows)
        if not outputs:
            return None
        now_us = clock.micros()
        return Echo(
            execution.journal, execution.run.run_id, outputs, now_us, unfolded=self._unfolded
        )

    def _publish(self, bundle: dict[str, Any]) -> None:
        if self._handle is not None:
            self._handle.update(bundle, raw=True)
        else:
            self._handle = live_tree.show(bundle, updatable=self._updatable)


def _show_apart(title: str, display: Display) -> None:
    from IPython.display import publish_display_data

    html = f'<small class="nbtasks-echo-title">{escape(title)}</small>'
    live_tree.show({"text/plain": title, "text/html": html})
    publish_display_data(display.data, display.metadata)
