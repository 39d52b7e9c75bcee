"""What a function refers to: the user's functions and classes, and the constants it reads."""

from __future__ import annotations

import ast
import functools
import hashlib
import re
import sys
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from nbtasks.code import bytecode, library, sources, values
from nbtasks.code.watch import MISSING, Watch, contents

__all__ = ["References"]

_MOST_CODES = 4000
_MAIN = "__main__"
#: What such a name stands for is compared, and neither recorded nor shown.
_SECRET = re.compile(r"(?i)(?:api|access|secret|private|auth)_?key|token|secret|passw|credential")

Names = dict[str, Any]
#: What tells a variable from any other: what holds it, and its name there.
Place = tuple[int, str]


class References:
    """All that a function refers to, directly and through what it refers to.

    Args:
        home: The module whose names need not be told by their module's name.

    Attributes:
        source: The normalised sources by qualified name.
        watch: What has to be as it is for all this to hold.
    """

    def __init__(self, home: str) -> None:
        self.source: dict[str, str] = {}
        self.watch = Watch()
        self._home = home
        self._inputs: dict[str, tuple[Place, str]] = {}
        self._stored: set[Place] = set()
        self._seen: dict[int, Any] = {}  # by id; kept, so that no id is used twice

    @property
    def inputs(self) -> dict[str, str]:
        """The constants that are read, and not assigned as well, by name."""
        return {
            name: text
            for name, (place, text) in sorted(self._inputs.items())
            if place not in self._stored
        }

    def add(self, value: Any) -> None:
        """The function, or whatever else can be called, that is asked about."""
        if values.is_users(value):
            self._function(value, is_watched=False)
        else:
            self._refer(value)

    def name(self, value: Any) -> str:
        """The qualified name of what is called in the end, without the module if it is home."""
        named = self._name(values.label(values.unwrapped(value)))
        return named if named in self.source else next(iter(self.source), values.label(value))

    # -- functions ----------------------------------------------------------------------------

    def _function(self, fn: FunctionType, *, own: Any = MISSING, is_watched: bool = True) -> None:
        """A function of the user's; `own` is its first argument, if it is a bound method."""
        if id(fn) in self._seen:
            return
        self._seen[id(fn)] = fn
        known = _known(fn)
        name = _free_name(self._name(values.label(fn)), self.source)
        prefix = f"{name}." if self.source else ""
        self.source[name] = known.text
        if is_watched:
            self.watch.function(fn)
        self._reads(fn, known.reads, prefix, is_watched=is_watched)
        self._given(fn, prefix)
        if own is not MISSING:
            self._own(own, known.reads)
        if (inside := values.wrapped(fn)) is not None:
            self._refer(inside)

    def _reads(
        self, fn: FunctionType, reads: bytecode.Reads, prefix: str, *, is_watched: bool
    ) -> None:
        for chain in reads.names:
            self._chain(fn.__globals__, chain, values.module(fn))
        cells = dict(zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True))
        # `super()` needs the class, and does not say so
        unsaid = cells.keys() - {name for name, *_ in reads.free}
        for name, *rest in (*reads.free, *((name,) for name in sorted(unsaid))):
            cell = cells[name]
            value = contents(cell)
            if is_watched:
                self.watch.cell(cell, value, is_data=values.is_data(value))
            self._value(value, tuple(rest), f"{prefix}{name}", (id(cell), ""))
        self._stored |= {
            _place(kind, chain, fn.__globals__, cells)
            for kind, chain in reads.stored
            if kind != "own"
        }

    def _given(self, fn: FunctionType, prefix: str) -> None:
        """The defaults of its parameters."""
        code = fn.__code__
        defaults = fn.__defaults__ or ()
        names = code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount]
        for name, value in (*zip(names, defaults, strict=True), *(fn.__kwdefaults__ or {}).items()):
            self._value(value, (), f"{prefix}{name}", (id(fn), name))

    def _own(self, own: Any, reads: bytecode.Reads) -> None:
        """What a method reads from its object: constants, and other methods."""
        cls = own if issubclass(type(own), type) else type(own)
        held = {} if own is cls else values.attributes(own)
        self._stored |= {(id(own), chain[0]) for kind, chain in reads.stored if kind == "own"}
        for name in sorted({chain[0] for chain in reads.own if chain}):
            value = held[name] if name in held else values.member(cls, name)
            if name not in held and values.is_users(fn := values.method(value)):
                self._function(fn, own=own)
            else:
                self._value(value, (), f"self.{name}", (id(own), name))

    # -- what is read -------------------------------------------------------------------------

    def _chain(self, names: Names, chain: bytecode.Chain, module: str) -> None:
        name, *rest = chain
        value = names.get(name, MISSING)
        self.watch.name(
            names, name, None if value is MISSING else value, is_data=values.is_data(value)
        )
        shown = name if module in (self._home, _MAIN) else f"{module}.{name}"
        self._value(value, tuple(rest), shown, (id(names), name))

    def _value(self, value: Any, rest: bytecode.Chain, shown: str, place: Place) -> None:
        if (text := values.constant(value)) is not None:
            if _SECRET.search(shown):
                text = f"<hidden, {hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}>"
            while shown in self._inputs and self._inputs[shown][0] != place:
                shown += "'"  # two variables of one name, as those of two closures
            self._inputs[shown] = (place, text)
        elif issubclass(type(value), ModuleType):
            if rest and library.is_users_module(value):
                self._chain(vars(value), rest, value.__name__)
        else:
            self._refer(value, rest, shown)

    def _refer(self, value: Any, rest: bytecode.Chain = (), shown: str = "") -> None:
        """Something that is no constant: a function, a class, what wraps one, or data. `rest`
        are the attributes that are read from it, and `shown` is its name."""
        kind = type(value)
        if kind is FunctionType:
            if library.is_users_function(value):
                self._function(value)
            else:
                self._object(value, rest)
        elif issubclass(kind, type):
            self._class(value)
        elif kind is MethodType:
            self._method(value.__func__, value.__self__)
        elif issubclass(kind, functools.partial):
            self._refer(value.func)
            for name, item in (*enumerate(value.args), *value.keywords.items()):
                self._value(item, (), f"{shown}({name})", (id(value), str(name)))
        elif value is not MISSING:
            self._object(value, rest)

    def _object(self, value: Any, rest: bytecode.Chain) -> None:
        """An object: of a job its function, of a wrapper what it wraps, of data its methods."""
        inside = values.wrapped(value)
        if inside is not None:
            self._refer(inside)
        cls = type(value)
        if not rest:
            self._class(cls)
        elif library.is_users_class(cls):
            self._method(values.method(values.member(cls, rest[0])), cls)

    def _method(self, fn: Any, own: Any) -> None:
        if values.is_users(fn):
            self._function(fn, own=own)

    # -- classes ------------------------------------------------------------------------------

    def _class(self, cls: type) -> None:
        if id(cls) in self._seen or not library.is_users_class(cls):
            return
        self._seen[id(cls)] = cls
        methods, others = values.methods(cls)
        codes = [fn.__code__ for fn in methods]
        names = methods[0].__globals__ if methods else vars(sys.modules.get(cls.__module__, cls))
        text = sources.of_class(cls, codes, functools.partial(_is_ours, dict(names)))
        name = self._name(values.label(cls))
        self.source[_free_name(name, self.source)] = text or _outline(cls, methods)
        for fn in methods:
            self._seen[id(fn)] = fn
            self.watch.function(fn)
            self._reads(fn, _known(fn).reads, f"{name}.", is_watched=True)
        for other in (*others, *cls.__mro__[1:]):
            self._refer(other)

    def _name(self, full: str) -> str:
        """A qualified name without the module, where that is clear."""
        for module in (self._home, _MAIN):
            if full.startswith(f"{module}."):
                return full[len(module) + 1 :]
        return full


def _free_name(name: str, taken: Names) -> str:
    """The name, with a number if it is taken: several lambdas have one name."""
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name}#{number}"
    return free


# -- what never changes of a code object ----------------------------------------------------------


class _Code(NamedTuple):
    code: CodeType  # kept, so that its id is its own
    text: str
    reads: bytecode.Reads


_codes: dict[int, _Code] = {}


def _known(fn: FunctionType) -> _Code:
    code = fn.__code__
    known = _codes.get(id(code))
    if known is None:
        if len(_codes) >= _MOST_CODES:
            _codes.clear()
        names = fn.__globals__
        text = sources.of_code(code, names, functools.partial(_is_ours, names))
        known = _Code(code, text or f"# bytecode {bytecode.digest(code)}", bytecode.reads(code))
        _codes[id(code)] = known
    return known


def _is_ours(names: Names, decorator: ast.expr) -> bool:
    """Whether a decorator is one of nbtasks: `@nb.task(retry=3)` is no part of what it does."""
    node = decorator.func if isinstance(decorator, ast.Call) else decorator
    while isinstance(node, ast.Attribute):
        node = node.value
    value = names.get(node.id) if isinstance(node, ast.Name) else None
    name = vars(value).get("__name__") if isinstance(value, ModuleType) else None
    module = name or getattr(value, "__module__", None)
    return isinstance(module, str) and module.partition(".")[0] == "nbtasks"


def _outline(cls: type, methods: list[FunctionType]) -> str:
    """A class whose source is not to be had."""
    bases = ", ".join(base.__qualname__ for base in cls.__bases__)
    lines = [f"class {cls.__qualname__}({bases}):"]
    lines += [f"    {name}: {kind}" for name, kind in vars(cls).get("__annotations__", {}).items()]
    for name, value in vars(cls).items():
        if not name.startswith("__") and (text := values.constant(value)) is not None:
            lines.append(f"    {name} = {text}")
    lines += [f"    # {fn.__name__}: {_known(fn).text}" for fn in methods]
    return "\n".join(lines)


def _place(kind: str, chain: bytecode.Chain, names: Names, cells: dict[str, CellType]) -> Place:
    """Where an assignment goes: to a name, or to an attribute of a module."""
    if kind == "free":
        return id(cells.get(chain[0])), ""
    for name in chain[:-1]:
        module = names.get(name)
        if not isinstance(module, ModuleType):
            return 0, ""
        names = vars(module)
    return id(names), chain[-1]
