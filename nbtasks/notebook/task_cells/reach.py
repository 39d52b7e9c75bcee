"""Reach of a cell: what the notebook's functions read, whatever ways lead to them.

A function may stand behind a decorator, a partial, a bound method, a base class, a list or an
object. None of their own code is executed here.
"""

from __future__ import annotations

import ast
import functools
from collections import deque
from collections.abc import Container, Iterable, Iterator, Mapping
from types import CellType, CodeType, FunctionType, GeneratorType, MethodType, ModuleType
from typing import Any, Final

from nbtasks.engine.fingerprint import (
    bytecode,
    canonical,
    introspection,
    members,
    source,
    tables,
    user_code,
)
from nbtasks.engine.fingerprint.watch import MISSING, cell_contents
from nbtasks.notebook.task_cells import texts

__all__ = ["Reach"]

_MOST: Final = 2000  # values to look at
_FIXED: Final = frozenset([type(None), bool, int, float, complex, str, bytes, bytearray, range])
_SHELLS: Final = frozenset({"IPython", "ipykernel"})
#: Fields in which wrappers written in C have what they wrap.
_WRAPPED: Final[dict[type, tuple[str, ...]]] = {
    MethodType: ("__self__", "__func__"),
    type(len): ("__self__",),
    functools.partial: ("func", "args", "keywords"),
    property: ("fget", "fset", "fdel"),
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
}


class Reach:
    """Names and data that the functions among some values read, directly or through one another.

    Args:
        names: Names of the notebook, which have these values.
        namespace: Names of the notebook with their values.

    Attributes:
        read: Names of the notebook that the functions read.
        assigned: Names of the notebook that they bind.
        is_open: Whether they may read any name of the notebook, by a name that is computed.
        held: Data that functions and classes hold themselves, by labels such as `fit.table`: in
            closures, defaults and attributes.
        cells: Cells of their closures, by such labels, whatever is in them.
    """

    def __init__(self, names: Iterable[str], namespace: Mapping[str, Any]) -> None:
        self.read: dict[str, None] = {}
        self.assigned: set[str] = set()
        self.is_open = False
        self.held: dict[str, Any] = {}
        self.cells: dict[str, CellType] = {}
        self._namespace = namespace
        self._todo = deque(namespace.get(name) for name in names)
        self._seen: dict[int, Any] = {}  # with the values, so that no id is used twice
        while self._todo and len(self._seen) < _MOST:
            value = self._todo.popleft()
            if type(value) in _FIXED or id(value) in self._seen:
                continue
            self._seen[id(value)] = value
            self._todo += self._parts(value)

    def _parts(self, value: Any) -> Iterable[Any]:
        """Return the values that a value leads to; note what it reads and holds."""
        kind = type(value)
        is_shell = kind.__module__.partition(".")[0] in _SHELLS  # it leads to all there is
        is_data = tables.is_pandas(value) or tables.is_array(value)
        if is_shell or is_data or issubclass(kind, ModuleType):
            return ()
        if kind is FunctionType:
            return self._of_function(value)
        if issubclass(kind, type):
            return self._of_class(value)
        if kind.__module__.startswith("nbtasks."):
            return (introspection.inner_callable(value),)
        if members.is_container(value) or kind is GeneratorType:
            parts = introspection.parts(value)
            return [member for _, member in members.of(value)] if parts is None else parts
        wrapped = (getattr(value, name, None) for name in _WRAPPED.get(kind, ()))
        fields = {**introspection.attributes(value), **_slots(value)}
        if user_code.is_users_class(kind):
            self._note_caches(kind, fields)
        return kind, *wrapped, *fields.values()

    def _of_function(self, fn: FunctionType) -> Iterator[Any]:
        if introspection.module(fn).startswith("nbtasks."):
            yield introspection.inner_callable(fn)
            return
        code = fn.__code__
        if fn.__globals__ is self._namespace:
            reads = bytecode.analyse_reads(code)
            stored = sorted(chain for kind, chain in reads.stored if kind == "names")
            self.assigned |= {chain[0] for chain in stored if len(chain) == 1}
            for name, *_ in (*reads.names, *(chain for chain in stored if len(chain) > 1)):
                self.read[name] = None
                yield self._namespace.get(name)
            for name in self._in_texts(code):
                self.read[name] = None
                yield self._namespace.get(name)
        cells = map(cell_contents, fn.__closure__ or ())
        defaults = fn.__defaults__ or ()
        names = code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount]
        held = {
            **dict(zip(code.co_freevars, cells, strict=True)),
            **dict(zip(names, defaults, strict=True)),
            **(fn.__kwdefaults__ or {}),
            **vars(fn),
        }
        if user_code.is_users_function(fn):
            label = introspection.qualname(fn)
            self._note_held(label, held)
            for name, cell in zip(code.co_freevars, fn.__closure__ or (), strict=True):
                self.cells[_distinct(f"{label}.{name}", self.cells)] = cell
        yield from held.values()

    def _in_texts(self, code: CodeType) -> Iterable[str]:
        """Return the names that texts of a function name."""
        text = source.of_code(code, {}, lambda _: False)
        if text is None:
            return ()
        found = texts.in_function(ast.parse(text), self._namespace)
        self.is_open = self.is_open or found.is_open
        return sorted(found.names)

    def _of_class(self, cls: type) -> Iterator[Any]:
        for base in cls.__mro__:
            if user_code.is_users_class(base):
                own = dict(vars(base))
                self._note_held(base.__qualname__, own)
                yield type(base)
                yield from own.values()

    def _note_held(self, label: str, parts: dict[str, Any]) -> None:
        for name, value in parts.items():
            if name.isidentifier() and name[:2] != "__" and _is_held(name, value):
                self._hold(f"{label}.{name}", value)

    def _note_caches(self, cls: type, fields: dict[str, Any]) -> None:
        """Note public fields that are called caches, which digests of objects leave out: a cell may
        read them itself."""
        for name, value in fields.items():
            if name[:1] != "_" and canonical.is_cache(name, value):
                self._hold(f"{cls.__qualname__}.{name}", value)

    def _hold(self, label: str, value: Any) -> None:
        self.held[_distinct(label, self.held)] = value


def _is_held(name: str, value: Any) -> bool:
    """Return True for data that counts: no cache, and no descriptor of Python's own."""
    if value is MISSING or not introspection.is_data(value) or canonical.is_cache(name, value):
        return False
    return user_code.is_users_class(type(value)) or not hasattr(type(value), "__get__")


def _slots(value: Any) -> dict[str, Any]:
    if not user_code.is_users_class(type(value)):
        return {}
    state = object.__getstate__(value)
    return (state[1] or {}) if type(state) is tuple else {}


def _distinct(label: str, others: Container[str]) -> str:
    """Return a label that no other function of that name has, as in two closures."""
    label = label.replace("<locals>.", "")
    while label in others:
        label += "'"
    return label
