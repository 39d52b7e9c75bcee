"""References of a function: the user's functions and classes, and the constants it reads."""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Callable
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from nbtasks.engine.fingerprint import (
    bytecode,
    data_attributes,
    introspection,
    members,
    source,
    user_code,
)
from nbtasks.engine.fingerprint.data_attributes import Place
from nbtasks.engine.fingerprint.watch import MISSING, Watch, cell_contents

__all__ = ["References", "list_assigned"]

_MOST_CODES = 4000
_MAIN = "__main__"
_DEEPEST = 4  # data within data

Names = dict[str, Any]


class References:
    """Collector of a function's references, direct and indirect.

    Args:
        home: The module whose names are written without their module's name.

    Attributes:
        source: The normalized sources by qualified name.
        watch: The values that must stay the same for the collected references to hold.
    """

    def __init__(self, home: str) -> None:
        self.source: dict[str, str] = {}
        self.watch = Watch()
        self._home = home
        self._inputs: dict[str, tuple[Place, str]] = {}
        self._stored: set[Place] = set()
        self._stored_by_class: set[tuple[type, str]] = set()
        self._names: dict[int, str] = {}  # of functions, by id
        self._seen: dict[int, Any] = {}  # by id; kept alive, so that no id is used twice

    @property
    def inputs(self) -> dict[str, str]:
        """Constants that are read and never assigned, as text by name."""
        return {
            name: text
            for name, (place, text) in sorted(self._inputs.items())
            if place not in self._stored and not self._is_stored_by_class(*place)
        }

    def _is_stored_by_class(self, holder: int, name: str) -> bool:
        return any(
            name == stored and data_attributes.is_related(self._seen.get(holder), owner)
            for owner, stored in self._stored_by_class
        )

    def add(self, value: Any) -> None:
        """Collect the references of a function or another callable."""
        if introspection.is_users_function(value):
            self._add_function(value, is_watched=False)
        else:
            self._add_reference(value)

    def name(self, value: Any) -> str:
        """Return the qualified name of the final callee, without the module if it is home."""
        name = self._shorten_name(introspection.label(introspection.final_callee(value)))
        return name if name in self.source else next(iter(self.source), introspection.label(value))

    # -- functions ----------------------------------------------------------------------------

    def _add_function(
        self, fn: FunctionType, *, own: Any = MISSING, is_watched: bool = True
    ) -> None:
        """Collect a user's function; `own` is the first argument of a bound method."""
        if id(fn) in self._seen:
            return
        self._seen[id(fn)] = fn
        code = _analyse_code(fn)
        name = _free_name(self._shorten_name(introspection.label(fn)), self.source)
        prefix = f"{name}." if self.source else ""
        self.source[name] = code.text
        self._names[id(fn)] = name
        if is_watched:
            self.watch.function(fn)
        self._add_reads(fn, code.reads, prefix, is_watched=is_watched)
        self._add_defaults(fn, prefix)
        self._add_attributes(fn, name, is_watched=is_watched)
        if own is not MISSING:
            self._add_own(own, code.reads)
        if (inner := introspection.inner_callable(fn)) is not None:
            self._add_reference(inner)

    def _add_reads(
        self, fn: FunctionType, reads: bytecode.Reads, prefix: str, *, is_watched: bool
    ) -> None:
        for chain in reads.names:
            self._add_chain(fn.__globals__, chain, introspection.module(fn))
        cells = dict(zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True))
        # closure variables without a load of their name: `super()` reads the class this way
        implicit = cells.keys() - {name for name, *_ in reads.free}
        for name, *attributes in (*reads.free, *((name,) for name in sorted(implicit))):
            cell = cells[name]
            value = cell_contents(cell)
            if is_watched:
                self.watch.cell(cell, value, is_data=introspection.is_data(value))
            self._add_value(value, tuple(attributes), f"{prefix}{name}", (id(cell), ""))
            if is_watched:
                self._watch_data(value, functools.partial(cell_contents, cell))
        self._stored |= {
            data_attributes.find_place(kind, chain, fn.__globals__, cells)
            for kind, chain in reads.stored
            if kind != "own"
        }

    def _add_defaults(self, fn: FunctionType, prefix: str) -> None:
        """Collect the defaults of its parameters."""
        code = fn.__code__
        defaults = fn.__defaults__ or ()
        names = code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount]
        for name, value in (*zip(names, defaults, strict=True), *(fn.__kwdefaults__ or {}).items()):
            self._add_value(value, (), f"{prefix}{name}", (id(fn), name))

    def _add_attributes(self, fn: FunctionType, name: str, *, is_watched: bool = True) -> None:
        """Collect what was set on a function."""
        for attribute, value in data_attributes.of_function(fn):
            self._add_value(value, (), f"{name}.{attribute}", (id(fn), attribute))
            if is_watched:
                self._watch_name(fn.__dict__, attribute)

    def _add_own(self, own: Any, reads: bytecode.Reads) -> None:
        """Collect the constants and other methods that a method reads from its object."""
        cls = own if issubclass(type(own), type) else type(own)
        attributes = {} if own is cls else introspection.attributes(own)
        self._stored |= {(id(own), chain[0]) for kind, chain in reads.stored if kind == "own"}
        for name in sorted({chain[0] for chain in reads.own if chain}):
            value = attributes[name] if name in attributes else introspection.member(cls, name)
            if name not in attributes and introspection.is_users_function(
                fn := introspection.method(value)
            ):
                self._add_function(fn, own=own)
            else:
                self._add_value(value, (), f"self.{name}", (id(own), name))

    # -- values -------------------------------------------------------------------------------

    def _add_chain(self, names: Names, chain: bytecode.Chain, module: str) -> None:
        name, *attributes = chain
        value = names.get(name, MISSING)
        label = name if module in (self._home, _MAIN) else f"{module}.{name}"
        self._add_value(value, tuple(attributes), label, (id(names), name))
        self._watch_name(names, name)

    def _watch_name(self, names: Names, name: str) -> None:
        value = names.get(name, MISSING)
        self.watch.name(
            names, name, None if value is MISSING else value, is_data=introspection.is_data(value)
        )
        self._watch_data(value, functools.partial(names.get, name))

    def _watch_data(self, value: Any, get: Callable[[], Any]) -> None:
        if members.may_hold_code(value):
            has_code = id(value) in self._seen
            self.watch.members(members.Holder(get, value, has_code=has_code))

    def _add_value(self, value: Any, attributes: bytecode.Chain, label: str, place: Place) -> None:
        value = self.watch.plain(value)
        attributes = () if attributes[:1] == ("__dict__",) else attributes
        if (text := introspection.constant(value)) is None:
            text = introspection.library_name(value)
        if text is not None:
            self._add_input(text, label, place)
        elif attributes and issubclass(type(value), ModuleType):
            if user_code.is_users_module(value):
                self._add_chain(vars(value), attributes, value.__name__)
        else:
            self._add_reference(value, attributes, label)
            if members.may_hold_code(value):
                text = self._describe_members(value, _DEEPEST)
                if text is not None:
                    self._add_input(text, label, place)

    def _add_input(self, text: str, label: str, place: Place) -> None:
        text = introspection.recorded_input(label, text)
        while label in self._inputs and self._inputs[label][0] != place:
            label += "'"  # another variable of the same name, as in two closures
        self._inputs[label] = (place, text)

    # -- functions in data --------------------------------------------------------------------

    def _describe_members(self, value: Any, depth: int) -> str | None:
        """Collect the code that data holds, and return as text what it holds under which name.

        Returns:
            None if it holds no code: then the rest of it does not count.
        """
        if id(value) in self._seen or not depth:
            return None
        self._seen[id(value)] = value
        found, has_code = [], callable(value) and user_code.is_users_class(type(value))
        counted = _counted_fields(value)
        for name, member in members.of(value):
            if counted is not None and name not in counted:
                continue
            text, is_code = self._describe(member, depth)
            has_code = has_code or is_code
            if text is not None:
                found.append(f"{name}: {text}" if name else text)
        if not has_code:
            del self._seen[id(value)]  # do not keep data alive
            return None
        self.watch.members(members.Snapshot(value))
        return f"{{{', '.join(found)}}}"

    def _describe(self, member: Any, depth: int) -> tuple[str | None, bool]:
        """Collect a member of data; return it as text, and whether it is code."""
        member = self.watch.plain(member)
        if (text := introspection.constant(member)) is not None:
            return text, False
        if (text := introspection.library_name(member)) is not None:
            return text, not isinstance(member, type)  # a class may be data: errors in a list
        if issubclass(type(member), ModuleType):
            return None, False
        is_code = members.is_code(member) or introspection.inner_callable(member) is not None
        if is_code:
            self._add_value(member, (), "member", (id(member), ""))
            name = introspection.label(introspection.final_callee(member))
            return self._names.get(id(member), self._shorten_name(name)), True
        if members.may_hold_code(member):
            inner = self._describe_members(member, depth - 1)
            if inner is not None and user_code.is_users_class(type(member)):
                self._add_class(type(member))
            return inner, inner is not None
        return None, False

    def _add_reference(self, value: Any, attributes: bytecode.Chain = (), label: str = "") -> None:
        """Collect a value that is no constant: a function, a class, a wrapper, or data.

        `attributes` are the attributes that are read from it in turn, and `label` is its name.
        """
        kind = type(value)
        if kind is FunctionType:
            if user_code.is_users_function(value):
                self._add_function(value)
            else:
                self._add_object(value, attributes)
        elif issubclass(kind, type):
            self._add_class(value)
        elif kind is MethodType:
            self._add_method(value.__func__, value.__self__)
        elif issubclass(kind, functools.partial):
            self._add_reference(value.func)
            for name, item in (*enumerate(value.args), *value.keywords.items()):
                self._add_value(item, (), f"{label}({name})", (id(value), str(name)))
        elif value is not MISSING:
            self._add_object(value, attributes)

    def _add_object(self, value: Any, attributes: bytecode.Chain) -> None:
        """Collect an object: a job's function, the object in a wrapper, the methods of data, and
        what a module defines."""
        for name in data_attributes.of_module(value):
            self._add_chain(vars(value), (name,), value.__name__)
        inner = introspection.inner_callable(value)
        if inner is not None:
            self._add_reference(inner)
        cls = type(value)
        if not attributes:
            self._add_class(cls)
        elif user_code.is_users_class(cls):
            self._add_method(introspection.method(introspection.member(cls, attributes[0])), cls)

    def _add_method(self, fn: Any, own: Any) -> None:
        if introspection.is_users_function(fn := self.watch.plain(fn)):
            self._add_function(fn, own=own)

    # -- classes ------------------------------------------------------------------------------

    def _add_class(self, cls: type) -> None:
        if id(cls) in self._seen or not user_code.is_users_class(cls):
            return
        self._seen[id(cls)] = cls
        methods, others = introspection.methods(cls)
        codes = [fn.__code__ for fn in methods]
        names = methods[0].__globals__ if methods else vars(sys.modules.get(cls.__module__, cls))
        text = source.of_class(cls, codes, functools.partial(_is_ours, dict(names)))
        name = self._shorten_name(introspection.label(cls))
        self.source[_free_name(name, self.source)] = text or data_attributes.outline(
            cls, [(fn.__name__, _analyse_code(fn).text) for fn in methods]
        )
        self.watch.attributes(cls, introspection.is_data)
        for member, value in data_attributes.of_class(cls, text):
            self._add_value(value, (), f"{name}.{member}", (id(cls), member))
            self._watch_data(value, functools.partial(vars(cls).get, member))
        for fn in methods:
            self._seen[id(fn)] = fn
            self.watch.function(fn)
            reads = _analyse_code(fn).reads
            self._add_reads(fn, reads, f"{name}.", is_watched=True)
            self._add_attributes(fn, f"{name}.{fn.__name__}")
            assigned = data_attributes.list_assigned_to_class(cls, fn, reads)
            self._stored_by_class |= {(cls, attribute) for attribute in assigned}
        for other in (*others, *cls.__mro__[1:], type(cls)):
            self._add_reference(other)

    def _shorten_name(self, full: str) -> str:
        """Return a qualified name, without the module if that is home or the notebook."""
        for module in (self._home, _MAIN):
            if full.startswith(f"{module}."):
                return full[len(module) + 1 :]
        return full


def _free_name(name: str, taken: Names) -> str:
    """Return the name, with a number if it is taken: several lambdas have the same name."""
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name}#{number}"
    return free


# -- code objects ---------------------------------------------------------------------------------


class _Code(NamedTuple):
    """Parts of a code object that never change, cached since parsing its source is slow."""

    code: CodeType  # kept alive, so that its id is not used again
    text: str
    reads: bytecode.Reads


_codes: dict[int, _Code] = {}


def _analyse_code(fn: FunctionType) -> _Code:
    code = fn.__code__
    entry = _codes.get(id(code))
    if entry is None:
        if len(_codes) >= _MOST_CODES:
            _codes.clear()
        names = fn.__globals__
        text = source.of_code(code, names, functools.partial(_is_ours, names))
        entry = _Code(code, text or bytecode.outline(code), bytecode.analyse_reads(code))
        _codes[id(code)] = entry
    return entry


def _counted_fields(value: Any) -> frozenset[str] | None:
    """Return the fields of an object that count: not those that its methods assign later.

    Returns:
        None for other data, all of whose members count.
    """
    cls = type(value)
    if cls is FunctionType or not introspection.attributes(value):
        return None
    if not user_code.is_users_class(cls):  # constants of a library's object may be its own affair
        own = introspection.attributes(value)
        return frozenset(name for name in own if introspection.constant(own[name]) is None)
    assigned = list_assigned(introspection.member(cls, "__call__"), cls)
    return frozenset(introspection.attributes(value)) - assigned


def list_assigned(method: Any, cls: type) -> frozenset[str]:
    """Return the fields of its object that a method assigns, itself or by methods that it calls."""
    todo, seen = [method], set()
    assigned: set[str] = set()
    while todo:
        fn = todo.pop()
        if not introspection.is_users_function(fn) or fn in seen:
            continue
        seen.add(fn)
        reads = _analyse_code(fn).reads
        assigned |= {chain[0] for kind, chain in reads.stored if kind == "own"}
        called = {chain[0] for chain in reads.own if chain}
        todo += [introspection.method(introspection.member(cls, name)) for name in called]
    return frozenset(assigned)


def _is_ours(names: Names, decorator: ast.expr) -> bool:
    """Return True for a decorator of nbtasks: `@nb.task(retry=3)` does not change the code."""
    node = decorator.func if isinstance(decorator, ast.Call) else decorator
    while isinstance(node, ast.Attribute):
        node = node.value
    value = names.get(node.id) if isinstance(node, ast.Name) else None
    name = vars(value).get("__name__") if isinstance(value, ModuleType) else None
    module = name or getattr(value, "__module__", None)
    return isinstance(module, str) and module.partition(".")[0] == "nbtasks"
