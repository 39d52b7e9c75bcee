"""Inspection of the names that a cell gives to its body: `io.run_task?`, and Shift-Tab."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from nbtasks.notebook.completion.code_before import body_start, magics_above
from nbtasks.notebook.completion.given import CELLS, Given, given_names

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["Inspection"]

#: Given names that are also looked up where the cell is not known.
_ELSEWHERE: Final = ("io", "ctx")

#: Cell that a front end asks about in this context.
_cell: ContextVar[str] = ContextVar("nbtasks_inspected_cell", default="")


class Inspection:
    """Inspection of one shell, which finds the given names, too.

    Args:
        shell: The shell.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell: Any = shell
        self._kernel: Any = getattr(shell, "kernel", None)
        self._find_before = self._shell._object_find  # noqa: SLF001 - IPython has no hook for it
        vars(shell)["_object_find"] = self._object_find
        if self._kernel is not None:
            self._inspect_before = self._kernel.do_inspect
            self._kernel.do_inspect = self._do_inspect

    def close(self) -> None:
        """Restore the inspection of the shell, unless other code has replaced it meanwhile."""
        for owner, name, ours in (
            (self._shell, "_object_find", self._object_find),
            (self._kernel, "do_inspect", self._do_inspect),
        ):
            if owner is not None and vars(owner).get(name) == ours:
                delattr(owner, name)

    def _do_inspect(self, code: str, cursor_pos: int, *args: Any, **named: Any) -> Any:
        """Answer the request of a front end, which tells the whole cell."""
        magics, start = magics_above(code), body_start(code)
        if CELLS.keys().isdisjoint(magics):
            return self._inspect_before(code, cursor_pos, *args, **named)
        if cursor_pos < start:
            magic = next(magic for magic in magics if magic in CELLS)
            return self._inspect_before(f"%%{magic}", len(magic) + 2, *args, **named)
        token = _cell.set(code)
        try:
            # The lines of the magics are no Python, and would confuse the search for the name.
            return self._inspect_before(code[start:], cursor_pos - start, *args, **named)
        finally:
            _cell.reset(token)

    def _object_find(self, oname: str, namespaces: Any = None) -> Any:
        head = oname.strip().partition(".")[0]
        cell = _cell.get()
        is_given = bool(cell) and head in given_names(magics_above(cell))
        found = None if is_given else self._find_before(oname, namespaces)
        if found is not None and (found.found or head not in _ELSEWHERE):
            return found
        try:
            given: Any = Given(cell, self._shell.user_ns).find(oname.strip())
        except Exception:  # noqa: BLE001 - to ask for help must never fail
            return found or self._find_before(oname, namespaces)
        from IPython.core.oinspect import OInfo

        return OInfo(
            ismagic=False,
            isalias=False,
            found=True,
            namespace="the body of the cell",
            parent=None,
            obj=given,
        )
