"""Recorder of what code displays in an IPython shell, by `display`, `plt.show` and others."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from nbtasks.engine import capture
from nbtasks.notebook.output import figures

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["capturing", "draw"]

_lock = threading.Lock()
#: Publishers that report what they publish, by id.
_reporting: dict[int, _Reporting] = {}


@contextlib.contextmanager
def capturing(shell: InteractiveShell) -> Iterator[None]:
    """Report each display of a shell, and each cleared output, while the context is open."""
    publisher: Any = shell.display_pub
    with _lock:
        reporting = _reporting.get(id(publisher))
        if reporting is None:
            reporting = _reporting[id(publisher)] = _Reporting(publisher)
        reporting.users += 1
    try:
        with figures.attributed():
            yield
    finally:
        with _lock:
            reporting.users -= 1
            if not reporting.users:
                del _reporting[id(publisher)]
                reporting.restore()


class _Reporting:
    """Methods of a publisher that also report what they do.

    Attributes:
        users: Number of executions that it reports to.
    """

    def __init__(self, publisher: Any) -> None:
        self.users = 0
        self._publisher = publisher
        self._before = {
            name: vars(publisher).get(name) for name in ("publish", "clear_output")
        }  # somebody else may have replaced them
        self._publish, self._clear_output = publisher.publish, publisher.clear_output
        self._ours = {"publish": self.publish, "clear_output": self.clear_output}
        for name, method in self._ours.items():
            setattr(publisher, name, method)

    def restore(self) -> None:
        """Restore the methods, except those that other code has replaced meanwhile."""
        for name, before in self._before.items():
            if vars(self._publisher).get(name) is not self._ours[name]:
                continue
            if before is None:
                delattr(self._publisher, name)
            else:
                setattr(self._publisher, name, before)

    def publish(
        self, data: Any, metadata: Any = None, *rest: Any, update: bool = False, **kwargs: Any
    ) -> Any:
        token = capture.displaying.set(True)  # a terminal prints what it displays
        try:
            result = self._publish(data, metadata, *rest, update=update, **kwargs)
        finally:
            capture.displaying.reset(token)
        name = (kwargs.get("transient") or {}).get("display_id")
        capture.record_display((data, metadata or {}), name, update=update)
        return result

    def clear_output(self, wait: bool = False) -> Any:  # noqa: FBT001, FBT002 - IPython's own
        token = capture.displaying.set(True)  # a terminal clears its line by printing
        try:
            result = self._clear_output(wait)
        finally:
            capture.displaying.reset(token)
        capture.record_clear(wait=wait)
        return result


def draw(shell: InteractiveShell, value: object) -> tuple[dict[str, Any], dict[str, Any]]:
    """Display a value, and return its recordable output."""
    from IPython.display import display, publish_display_data

    formatter: Any = shell.display_formatter
    data, metadata = formatter.format(value)
    if data:
        publish_display_data(data, metadata)
        return data, metadata
    if not hasattr(value, "_ipython_display_"):  # otherwise it has displayed itself
        display(value)
    return {"text/plain": repr(value)}, {}
