"""Live tree: one display per execution, redrawn in place while its tasks run.

The module draws rows, and depends on neither the engine nor the journal.
"""

from __future__ import annotations

import re
import sys
import threading
import warnings
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, ClassVar

from nbtasks.core import clock
from nbtasks.core.model import RunRow, TaskRow
from nbtasks.core.throttle import Throttle
from nbtasks.views.tree.nodes import build
from nbtasks.views.tree.run_tree import RunTree
from nbtasks.views.tree.words import kept_note

if TYPE_CHECKING:
    from IPython.display import DisplayHandle

__all__ = [
    "LiveTree",
    "Revision",
    "SafeView",
    "Snapshot",
    "current_shell",
    "in_browser",
    "is_updatable",
    "live",
    "show",
]

#: Callable that returns the current rows.
Snapshot = Callable[[], tuple[RunRow, list[TaskRow]]]
#: Callable that returns a number which grows with each change.
Revision = Callable[[], int]

_REST = 0.2  # minimum seconds between two polls
_TICK = 1.0  # seconds after which ages and countdowns are redrawn
_PATIENCE = 5.0  # seconds that the end of a run waits for a drawing in progress
_ROWS = 100  # tasks drawn while the run is live; the final drawing has more
_ROW_COST = 20e-6  # seconds that a recorded task adds to the first drawing, as an estimate
_FEW = 2_000  # recorded tasks, at most, that are drawn before the first task runs

#: Message ids of clients written in Python: session, process, number. Browsers send UUIDs.
_PYTHON_CLIENT = re.compile(r".+_\d+_\d+")


def live(snapshot: Snapshot, revision: Revision) -> LiveTree | None:
    """Return a live tree for the running cell; None without an IPython shell."""
    shell = current_shell()
    return None if shell is None else LiveTree(snapshot, revision, updatable=is_updatable(shell))


def in_browser() -> bool:
    """Return True if a page sent the running cell, so that it may show widgets."""
    shell = current_shell()
    if getattr(shell, "kernel", None) is None:
        return False
    return not _PYTHON_CLIENT.fullmatch(shell.get_parent().get("header", {}).get("msg_id", "_0_0"))


class SafeView:
    """View that cannot break the job.

    No error of the view reaches the job: one warning reports it, and the rest of the run is not
    drawn. (A test that turns warnings into errors sees it fail.)

    Attributes:
        shows: What the view shows, and what shows it instead.
    """

    shows: ClassVar[tuple[str, str]] = "The tree", "nb.tree() draws it from the journal"
    _broken = False

    def guarded(self, step: Callable[[], None]) -> None:
        """Run a step of the view; warn about its first error and ignore later ones."""
        try:
            step()
        except Exception as error:  # noqa: BLE001 - a broken view must not break the job
            if self._broken:
                return
            self._broken = True
            what, instead = self.shows
            warnings.warn(
                f"{what} could not be drawn ({type(error).__name__}: {error}). The run is not "
                f"affected, and {instead}.",
                RuntimeWarning,
                stacklevel=3,
            )


class LiveTree(SafeView):
    """Tree of a run, drawn from `start` to `finish`.

    A front end that can update a display gets one at once, which a thread then keeps current:
    at most 5 times a second, and for at most a tenth of the time, however large the tree.
    A terminal gets the final tree, once.

    Args:
        snapshot: Callable that returns the current rows.
        revision: Callable that returns a number which grows with each change.
        updatable: True if the front end replaces a display in place.
    """

    def __init__(self, snapshot: Snapshot, revision: Revision, *, updatable: bool) -> None:
        self._snapshot = snapshot
        self._revision = revision
        self._updatable = updatable
        self._throttle = Throttle(10, least=_REST)
        self._context: Context | None = None
        self._handle: DisplayHandle | None = None
        self._shown: dict[str, str] = {}
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def start(self) -> None:
        """Show the tree in the running cell, and keep it current from then on."""
        if self._context is not None:
            return
        # Output goes to the cell whose context it is written in, whichever cell runs by then.
        self._context = copy_context()
        if self._updatable:
            self.guarded(self._begin)

    def finish(self) -> None:
        """Show the final state before returning, so that a saved notebook has it."""
        if self._context is None or self._stop.is_set():
            return
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_PATIENCE)
        self._context.run(self.guarded, lambda: self._publish(self._draw()))

    def _begin(self) -> None:
        run, tasks = self._snapshot()
        # Drawing a long history would delay the run, so only its title is drawn at first.
        few = tasks if len(tasks) <= _FEW else []
        self._publish(self._drawing(run, few, _ROWS))
        pause = self._throttle.pause_after(_ROW_COST * len(tasks))
        self._thread = threading.Thread(
            target=copy_context().run,
            args=(self.guarded, lambda: self._follow(pause)),
            name="nbtasks-tree",
            daemon=True,
        )
        self._thread.start()

    def _follow(self, pause: float) -> None:
        """Poll for changes and draw them, with pauses, until stopped. Runs in the thread."""
        drawn, under_way, since = -1, True, 0.0
        while not self._stop.wait(pause):
            since, pause = since + pause, _REST
            revision = self._revision()
            if revision == drawn and not (under_way and since >= _TICK):
                continue
            with self._throttle:
                picture = self._draw(limit=_ROWS)
                if self._stop.is_set():
                    return
                self._publish(picture)
            drawn, under_way, since = revision, picture.tree.under_way, 0.0
            pause = self._throttle.pause

    def _draw(self, limit: int = 500) -> RunTree:
        return self._drawing(*self._snapshot(), limit)

    def _drawing(self, run: RunRow, tasks: list[TaskRow], limit: int) -> RunTree:
        tree, now_us = build(run, tasks), clock.micros()
        # In a terminal, the reply to a Stop and the error say how the run is resumed.
        note = kept_note(tree, now_us) if self._updatable else ""
        return RunTree(tree, now_us, limit=limit, note=note)

    def _publish(self, picture: RunTree) -> None:
        bundle = picture._repr_mimebundle_()
        if bundle == self._shown:
            return
        if self._handle is not None:
            self._handle.update(bundle, raw=True)
        else:
            self._handle = show(bundle, updatable=self._updatable)
        self._shown = bundle


def show(bundle: dict[str, Any], *, updatable: bool = False) -> DisplayHandle | None:
    """Display a MIME bundle; return the handle to update it by, if it is updatable."""
    from IPython.display import display

    handle: DisplayHandle | None = display(bundle, raw=True, display_id=updatable or None)
    return handle


def current_shell() -> Any:
    """Return the IPython shell; None if IPython is not loaded, since loading it would be slow."""
    module = sys.modules.get("IPython")
    return None if module is None else module.get_ipython()


def is_updatable(shell: Any) -> bool:
    """Return True if the front end replaces displays in place: kernels' do, except consoles.

    Consoles ignore updates silently. They are recognized as clients written in Python that can
    ask the user for input; nbclient and papermill cannot.
    """
    if getattr(shell, "kernel", None) is None:
        return False
    request = shell.get_parent()
    asks = request.get("content", {}).get("allow_stdin", False)
    sender = request.get("header", {}).get("msg_id", "")
    return not (asks and _PYTHON_CLIENT.fullmatch(sender))
