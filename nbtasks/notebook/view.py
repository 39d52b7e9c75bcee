"""The live tree: one display per execution, redrawn in place while its tasks run.

Knows rows and how to draw them; nothing of engines or journals.
"""

from __future__ import annotations

import re
import sys
import threading
import warnings
from collections.abc import Callable
from contextvars import Context, copy_context
from time import perf_counter
from typing import TYPE_CHECKING, Any

from nbtasks import clock
from nbtasks.drawing import RunTree
from nbtasks.model import RunRow, TaskRow
from nbtasks.tree import build

if TYPE_CHECKING:
    from IPython.display import DisplayHandle

__all__ = [
    "Careful",
    "LiveTree",
    "Revision",
    "Snapshot",
    "display_tree",
    "in_browser",
    "live",
    "show",
]

#: Gives the rows as they are now.
Snapshot = Callable[[], tuple[RunRow, list[TaskRow]]]
#: Gives a number that grows with each change.
Revision = Callable[[], int]

_REST = 0.2  # seconds between two looks, at least
_TICK = 1.0  # seconds after which ages and countdowns are drawn anew
_PATIENCE = 5.0  # seconds that the end of a run waits for a drawing in progress
_SHARE = 10  # a drawing that took t is followed by a rest of at least this many t
_ROWS = 100  # tasks drawn while it is live; the last drawing has more
_ROW_COST = 20e-6  # seconds, a guess to begin with: what a recorded task adds to a drawing
_FEW = 2_000  # recorded tasks that are drawn before the first one runs

#: Message ids of clients written in Python: session, process, number. Browsers send UUIDs.
_PYTHON_CLIENT = re.compile(r".+_\d+_\d+")


def live(snapshot: Snapshot, revision: Revision) -> LiveTree | None:
    """A live tree for the cell that runs now; None where no IPython shell is."""
    shell = _shell()
    return None if shell is None else LiveTree(snapshot, revision, updatable=_updatable(shell))


def in_browser() -> bool:
    """Whether the cell that runs now was sent by a page, which may show widgets."""
    shell = _shell()
    if getattr(shell, "kernel", None) is None:
        return False
    return not _PYTHON_CLIENT.fullmatch(shell.get_parent().get("header", {}).get("msg_id", "_0_0"))


def display_tree(run_tree: RunTree) -> None:
    """Shows a finished drawing; prints it where no IPython shell is."""
    if _shell() is None:
        print(run_tree)  # noqa: T201 - what was asked for
        return
    show(run_tree._repr_mimebundle_())


class Careful:
    """A view that cannot break the job.

    Nothing that goes wrong in it reaches the job: it is told by one warning, and the
    rest of the run goes undrawn. (A test that turns warnings into errors sees it fail.)
    """

    _broken = False

    def guarded(self, step: Callable[[], None]) -> None:
        """Does something of the view's."""
        try:
            step()
        except Exception as error:  # noqa: BLE001 - a broken view must not break the job
            if self._broken:
                return
            self._broken = True
            warnings.warn(
                f"The tree could not be drawn ({type(error).__name__}: {error}). The run is not "
                "affected, and nb.tree() draws it from the journal.",
                RuntimeWarning,
                stacklevel=3,
            )


class LiveTree(Careful):
    """Draws a run from `start` to `finish`.

    A front end that can update a display gets one at once, which a thread then keeps current:
    at most 5 times a second, and for at most a tenth of the time, however large the tree.
    A terminal gets the final tree, once.

    Args:
        snapshot: Gives the rows as they are now.
        revision: Gives a number that grows with each change.
        updatable: Whether the front end replaces a display in place.
    """

    def __init__(self, snapshot: Snapshot, revision: Revision, *, updatable: bool) -> None:
        self._snapshot = snapshot
        self._revision = revision
        self._updatable = updatable
        self._context: Context | None = None
        self._handle: DisplayHandle | None = None
        self._shown: dict[str, str] = {}
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def start(self) -> None:
        """Shows the tree in the cell that runs now, and keeps it current from there on."""
        if self._context is not None:
            return
        # Output goes to the cell whose context it comes from, whatever runs there later.
        self._context = copy_context()
        if self._updatable:
            self.guarded(self._begin)

    def finish(self) -> None:
        """Shows the last state before it returns, so that a saved notebook has it."""
        if self._context is None or self._stop.is_set():
            return
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_PATIENCE)
        self._context.run(self.guarded, lambda: self._publish(self._draw()))

    def _begin(self) -> None:
        run, tasks = self._snapshot()
        # A long history would hold up its own continuation: then the title goes first.
        few = tasks if len(tasks) <= _FEW else []
        self._publish(RunTree(build(run, few), clock.micros(), limit=_ROWS))
        rest = max(_REST, _SHARE * _ROW_COST * len(tasks))
        self._thread = threading.Thread(
            target=copy_context().run,
            args=(self.guarded, lambda: self._follow(rest)),
            name="nbtasks-tree",
            daemon=True,
        )
        self._thread.start()

    def _follow(self, rest: float) -> None:
        """The thread: looks whether something changed, draws it, rests."""
        drawn, under_way, since = -1, True, 0.0
        while not self._stop.wait(rest):
            since, rest = since + rest, _REST
            revision = self._revision()
            if revision == drawn and not (under_way and since >= _TICK):
                continue
            began = perf_counter()  # its own cost, which is real whatever clock tells the time
            picture = self._draw(limit=_ROWS)
            if self._stop.is_set():
                return
            self._publish(picture)
            drawn, under_way, since = revision, picture.tree.under_way, 0.0
            rest = max(_REST, _SHARE * (perf_counter() - began))

    def _draw(self, limit: int = 500) -> RunTree:
        return RunTree(build(*self._snapshot()), clock.micros(), limit=limit)

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
    """Displays what each kind of front end can show; gives what to update it by."""
    from IPython.display import display

    handle: DisplayHandle | None = display(bundle, raw=True, display_id=updatable or None)
    return handle


def _shell() -> Any:
    """The IPython shell. Where IPython is not loaded there is none, and loading it is slow."""
    module = sys.modules.get("IPython")
    return None if module is None else module.get_ipython()


def _updatable(shell: Any) -> bool:
    """Whether the front end replaces displays in place: a kernel's does, except the consoles.

    Those ignore updates and do not say so. They give themselves away as clients in Python
    that could ask the user something; nbclient and papermill cannot.
    """
    if getattr(shell, "kernel", None) is None:
        return False
    request = shell.get_parent()
    asks = request.get("content", {}).get("allow_stdin", False)
    sender = request.get("header", {}).get("msg_id", "")
    return not (asks and _PYTHON_CLIENT.fullmatch(sender))
