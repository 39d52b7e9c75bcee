"""Names that a cell gives to its body, by their types: outside a run they have no value."""

from __future__ import annotations

import ast
import contextlib
import functools
import inspect
import re
import types
from collections.abc import Iterable, Mapping
from typing import Any, Final

from nbtasks.io.base import Logger
from nbtasks.io.integration import Integration
from nbtasks.io.io import AsyncIO, SyncIO
from nbtasks.io.store import AsyncShelf, AsyncStore, Shelf, Store
from nbtasks.jobs.session import Context, JobInfo, RunInfo
from nbtasks.notebook.cell_options import GIVEN
from nbtasks.notebook.completion.code_before import body_start, magics_above

__all__ = ["CELLS", "Given", "given_names"]

#: Cell magics whose bodies are given names.
CELLS: Final = {"job": GIVEN, "task": ("io",)}

#: Attributes that only an instance has, or whose value is computed from a run.
_PARTS: Final[dict[type | None, dict[str, type]]] = {
    SyncIO: {"logger": Logger, "store": Store},
    AsyncIO: {"logger": Logger, "store": AsyncStore},
    Store: dict.fromkeys(("run", "job", "env"), Shelf),
    AsyncStore: dict.fromkeys(("run", "job", "env"), AsyncShelf),
    Context: {"job": JobInfo, "run": RunInfo},
}
#: Public attributes that are not for bodies.
_INTERNAL: Final = frozenset({"bound_to"})
_AWAITS: Final = re.compile(r"\bawait\b|\basync\s+(?:for|with)\b")
_PAYLOAD: Final = re.compile(r"(?<!\S)--payload[ =]\s*(.+?)(?=\s--[A-Za-z]|$)")


def given_names(magics: Iterable[str]) -> tuple[str, ...]:
    """Return the names that a cell with these magics gives to its body.

    >>> given_names(["time", "task"])
    ('io',)
    """
    return next((CELLS[magic] for magic in magics if magic in CELLS), ())


class Given:
    """Types of the given names in one cell.

    Args:
        cell: Text of the cell.
        names: The notebook's variables, which may hold integrations.

    Attributes:
        heads: The names; empty if the cell gives none.
    """

    def __init__(self, cell: str, names: Mapping[str, Any]) -> None:
        self._cell = cell
        self._names = names
        self.heads = given_names(magics_above(cell))

    def find(self, path: str) -> Any:
        """Return an object that stands for a dotted name, for its members and its help.

        Raises:
            AttributeError: There is none.
        """
        head, *attributes = path.split(".")
        found = self._head(head)
        for name in attributes:
            found = self._attribute(found, name)
        return found

    def members(self, path: str) -> list[str]:
        """Return the names of the public attributes of a dotted name.

        Raises:
            AttributeError: There is none.
        """
        found = self.find(path)
        own = {*_PARTS.get(_kind(found), ()), *(name for name in dir(found) if name[0] != "_")}
        return sorted(own.union(self._integrations() if path == "io" else ()) - _INTERNAL)

    def _head(self, name: str) -> Any:
        if name == "io":
            awaits = _AWAITS.search(self._cell, body_start(self._cell))
            return _stand_in(AsyncIO if awaits else SyncIO)
        if name == "ctx":
            return _stand_in(Context)
        if name == "payload":
            return self._payload()
        raise AttributeError(name)

    def _attribute(self, owner: Any, name: str) -> Any:
        kind = _kind(owner)
        if part := _PARTS.get(kind, {}).get(name):
            return _stand_in(part)
        if kind in (SyncIO, AsyncIO) and isinstance(self._names.get(name), Integration):
            return _Client(self._names[name])
        if isinstance(owner, _Client):
            return owner.call(name)
        value = inspect.getattr_static(owner, name)  # runs no code of a property
        return types.MethodType(value, owner) if inspect.isfunction(value) else value

    def _payload(self) -> Any:
        found = _PAYLOAD.search(self._cell[: body_start(self._cell)])
        expression = found[1].strip() if found else ""
        if expression in self._names:
            return self._names[expression]
        try:
            return ast.literal_eval(expression)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            raise AttributeError("payload") from None

    def _integrations(self) -> list[str]:
        names = dict(self._names)  # a thread may add some meanwhile
        return [
            name
            for name, value in names.items()
            if isinstance(value, Integration) and not name.startswith("_")
        ]


class _Client:
    """Integration as `io` shows it: each call of the client takes a key first."""

    def __init__(self, integration: Integration) -> None:
        self._target = integration._client  # noqa: SLF001 - its calls are the integration's

    def __dir__(self) -> list[str]:
        return dir(self._target)

    def call(self, name: str) -> Any:
        """Return a function with the signature and the help of a call."""
        target = inspect.getattr_static(self._target, name)
        if not callable(target):
            return target

        def call(*_: Any, **__: Any) -> None: ...

        bound = getattr(self._target, name)
        key = inspect.Parameter("key", inspect.Parameter.POSITIONAL_ONLY)
        with contextlib.suppress(TypeError, ValueError):  # some builtins have no signature
            rest = inspect.signature(bound).parameters.values()
            call.__signature__ = inspect.Signature([key, *rest])  # type: ignore[attr-defined]  # read by inspect
        call.__name__, call.__doc__ = name, inspect.getdoc(bound)
        return call


@functools.cache
def _stand_in(kind: type) -> Any:
    """Return an object that has the methods of a class, and nothing else."""

    def fail(_: object, name: str) -> None:
        raise AttributeError(name)

    namespace = {
        "__getattr__": fail,
        "__repr__": lambda _: f"<{kind.__name__} of the run>",
        "__doc__": kind.__doc__,
        "__module__": kind.__module__,
    }
    made = type(kind.__name__, (kind,), namespace)
    return object.__new__(made)


def _kind(value: object) -> type | None:
    """Return the class that a stand-in stands for; of any other value its base."""
    return type(value).__base__
