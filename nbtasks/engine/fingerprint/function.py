"""Fingerprint of a function: its code, the user's code it refers to, the constants it reads.

Comments, formatting and docstrings do not count, nor does library code. Numbers, strings,
booleans, None and tuples of these that the function reads from globals and closures count, unless
it assigns them itself.

Every task needs the fingerprint of its function, also one that is answered from the journal. So
fingerprints are cached, each with the values that have to stay the same for it to hold
(`_CacheEntry`, `Watch`). Comparing those takes about 3 microseconds for a small function;
collecting its references again would take 30, and parsing its source 300.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import re
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import FunctionType
from typing import Any, NamedTuple, Self

from nbtasks.core.parameters import unwrapped
from nbtasks.engine.fingerprint import bytecode, data_attributes, introspection, members
from nbtasks.engine.fingerprint.references import References
from nbtasks.engine.fingerprint.watch import Watch, cell_contents, is_lasting

__all__ = [
    "Fingerprint",
    "diff",
    "dumps",
    "explain",
    "fingerprint",
    "fingerprint_once",
    "forget_closures",
    "is_same",
    "loads",
]

_MOST_KNOWN = 4000
_MOST_OF_ONE = 8  # functions made from one code object, each with its own closure
_MOST_SHOWN = 3
_PLAIN = 1  # no id: data without code
_MOST_LETTERS = 60
_CLASS = re.compile(r"(?:@.*\n)*class ")


@dataclass(frozen=True)
class Fingerprint:
    """Code and inputs of a function, as far as they decide whether a task is stale.

    Attributes:
        name: The qualified name of the function.
        source: The normalized sources by qualified name: first the function's own, then those of
            the functions and classes it refers to.
        inputs: The constants that the function reads, as text, by name.
    """

    name: str
    source: dict[str, str]
    inputs: dict[str, str]

    @functools.cached_property
    def digest(self) -> str:
        """Digest of 16 hex digits, the same in any process that has the same code."""
        return hashlib.blake2b(dumps(self).encode(), digest_size=8).hexdigest()


def fingerprint(fn: Callable[..., Any]) -> Fingerprint:
    """Return the fingerprint of any callable.

    >>> fingerprint(str.upper)
    Fingerprint(name='builtins.str.upper', source={}, inputs={})
    """
    if type(fn) is FunctionType:
        for entry in _cache.get(id(fn.__code__), ()):
            if (cached := entry.of(fn)) is not None:
                return cached
        return _compute_and_cache(fn)
    return _of_object(fn)


def fingerprint_once(fn: FunctionType) -> Fingerprint:
    """Return the fingerprint of a function that was made for this: neither it nor its namespace is
    kept alive."""
    return _compute(fn)[0]


def dumps(of: Fingerprint) -> str:
    """Return a fingerprint as JSON."""
    return json.dumps([of.name, of.source, of.inputs], sort_keys=True, separators=(",", ":"))


def loads(text: str) -> Fingerprint:
    """Return the fingerprint from the JSON of `dumps`."""
    return Fingerprint(*json.loads(text))


def is_same(recorded: Fingerprint, current: Fingerprint) -> bool:
    """Return True if fingerprints differ only in code that another Python has compiled.

    Where there is no source, the compiled code counts, and each version compiles its own way.

    >>> old = Fingerprint("f", {"f": "# bytecode of Python 3.1: ab"}, {})
    >>> is_same(old, Fingerprint("f", {"f": "# bytecode of Python 3.12: cd"}, {}))
    True
    """
    if (recorded.name, recorded.inputs) != (current.name, current.inputs):
        return False
    if recorded.source.keys() != current.source.keys():
        return False
    return all(
        text == current.source[name] or bytecode.is_of_another_version(text)
        for name, text in recorded.source.items()
    )


# -- the cache ------------------------------------------------------------------------------------


class _CacheEntry:
    """Cached fingerprint of a function, with everything that has to stay the same for it to hold.

    It saves the walk through all the code that the function refers to. Every replayed task calls
    `of`, which therefore compares by identity and makes the cheapest checks first.
    """

    __slots__ = (
        "_attributes",
        "_captured",
        "_code",
        "_fingerprint",
        "_globals",
        "_watch",
        "_wrapped",
    )

    def __init__(self, fn: FunctionType, current: Fingerprint, watch: Watch) -> None:
        self._code = fn.__code__  # kept alive, so that its id is not used again
        self._fingerprint = current
        self._globals = fn.__globals__
        self._wrapped = introspection.inner_callable(fn)
        self._watch = watch if watch.seal() else None
        self._attributes = _list_attributes(fn)
        captured = _list_captured(fn, current.name)
        self._captured = [_Captured.of(*item, current.inputs) for item in captured]

    @property
    def is_lasting(self) -> bool:
        """True if the entry keeps no data of the user's alive."""
        return (
            self._wrapped is None
            and (self._watch is None or self._watch.is_lasting)
            and all(each.is_data or is_lasting(each.expected) for each in self._captured)
        )

    def of(self, fn: FunctionType) -> Fingerprint | None:
        """Return the fingerprint of a function with the same code.

        Constants of its closure or defaults that differ are replaced in `inputs`.

        Returns:
            None if anything else differs.
        """
        own = fn.__dict__
        if fn.__globals__ is not self._globals or own.get("__wrapped__") is not self._wrapped:
            return None
        if (own or self._attributes) and _list_attributes(fn) != self._attributes:
            return None
        inputs: dict[str, str] | None = self._fingerprint.inputs
        if self._captured or fn.__closure__ or fn.__defaults__ or fn.__kwdefaults__:
            inputs = self._replace_inputs(fn)
        if inputs is None or (self._watch is not None and not self._watch.holds()):
            return None
        if inputs is self._fingerprint.inputs:
            return self._fingerprint
        return replace(self._fingerprint, inputs=inputs)

    def _replace_inputs(self, fn: FunctionType) -> dict[str, str] | None:
        """Return the inputs with the captured constants of a function; None if others differ."""
        inputs = self._fingerprint.inputs
        captured = _list_captured(fn, self._fingerprint.name)
        if len(captured) != len(self._captured):
            return None
        for (_, value), (expected, is_data, name, held) in zip(
            captured, self._captured, strict=True
        ):
            if (type(value) if is_data else value) is expected and (
                not held or held == id(value) or (held == _PLAIN and members.is_plain(value))
            ):
                continue
            if name is None or (text := introspection.constant(value)) is None:
                return None
            inputs = {**inputs, name: introspection.recorded_input(name, text)}
        return inputs


class _Captured(NamedTuple):
    """Value that a function got when it was created: a closure variable, or a default.

    Attributes:
        expected: The value; the type, if the value is data.
        is_data: True if the value is data.
        name: The name of the input for which the value stands, if any.
        held: The id of data that may hold code; 1 if it holds none, 0 for other values.
    """

    expected: Any
    is_data: bool
    name: str | None
    held: int

    @classmethod
    def of(cls, name: str, value: Any, inputs: dict[str, str]) -> Self:
        is_data = introspection.is_data(value)
        # a name with a quote exists only if two variables share the name: then it is ambiguous
        is_input = name in inputs and f"{name}'" not in inputs and not is_data
        held = 0
        if is_data and members.may_hold_code(value):
            held = _PLAIN if members.is_plain(value) else id(value)
        return cls(type(value) if is_data else value, is_data, name if is_input else None, held)


def _list_attributes(fn: FunctionType) -> list[str]:
    return [name for name, _ in data_attributes.of_function(fn)]


def _list_captured(fn: FunctionType, label: str) -> list[tuple[str, Any]]:
    """Return the values that a function got when it was created, or later as attributes."""
    code = fn.__code__
    captured = list(zip(code.co_freevars, map(cell_contents, fn.__closure__ or ()), strict=True))
    if defaults := fn.__defaults__:
        first = code.co_argcount - len(defaults)
        captured += zip(code.co_varnames[first : code.co_argcount], defaults, strict=True)
    if fn.__kwdefaults__:
        captured += fn.__kwdefaults__.items()
    if fn.__dict__:
        attributes = data_attributes.of_function(fn)
        captured += [(f"{label}.{name}", value) for name, value in attributes]
    return captured


_cache: dict[int, tuple[_CacheEntry, ...]] = {}  # by the id of the code object, latest first
_passing: set[int] = set()  # keys of `_cache` and `_objects` whose entries keep data alive


def _compute_and_cache(fn: FunctionType) -> Fingerprint:
    if (plain := unwrapped(fn)) is not fn:  # all task functions have one code, so none is cached
        return fingerprint(plain)
    computed, watch = _compute(fn)
    if watch is None:
        return computed
    if len(_cache) >= _MOST_KNOWN:
        _cache.clear()
    key = id(fn.__code__)
    entry = _CacheEntry(fn, computed, watch)
    _cache[key] = (entry, *_cache.get(key, ())[: _MOST_OF_ONE - 1])
    if not entry.is_lasting:
        _passing.add(key)
    return computed


def forget_closures() -> None:
    """Drop the cached fingerprints that keep data alive: at the end of an execution.

    The functions that a body defines hold its data, and so do bound methods and decorated
    functions. No later execution has the same ones.
    """
    while _passing:
        with contextlib.suppress(KeyError):  # another execution is ending, too
            key = _passing.pop()
            _cache.pop(key, None)
            _objects.pop(key, None)


_objects: dict[int, tuple[Callable[[], Any], Fingerprint, Watch]] = {}  # by the object's id
#: Types of objects that cannot change except where watched: their classes are written in C.
_FIXED = (functools.partial, type, type(len), type(str.upper))


def _of_object(value: Any) -> Fingerprint:
    """Return the fingerprint of a method, class, partial, job, or object with `__call__`."""
    entry = _objects.get(id(value))
    if entry is not None and entry[0]() is value and entry[2].holds():
        return entry[1]
    computed, watch = _compute(value)
    if watch is not None and type(value) in _FIXED:
        if len(_objects) >= _MOST_KNOWN:
            _objects.clear()
        watch.seal()
        try:
            reference: Callable[[], Any] = weakref.ref(value)
        except TypeError:  # a method of a C class, which is never freed
            reference = functools.partial(_identity, value)
        _objects[id(value)] = (reference, computed, watch)
        if not watch.is_lasting:
            _passing.add(id(value))
    return computed


def _identity(value: Any) -> Any:
    return value


def _compute(value: Any) -> tuple[Fingerprint, Watch | None]:
    references = References(introspection.callee_module(value))
    try:
        references.add(value)
    except Exception:  # noqa: BLE001 - an odd object of the user's must not stop a task
        return Fingerprint(introspection.label(value), {}, {}), None
    computed = Fingerprint(references.name(value), references.source, references.inputs)
    return computed, references.watch


# -- differences ----------------------------------------------------------------------------------


def explain(old: Fingerprint, new: Fingerprint) -> str:
    """Return the reasons why two fingerprints differ, for people; empty if they do not.

    >>> explain(Fingerprint("f", {}, {"RATE": "0.2"}), Fingerprint("f", {}, {"RATE": "0.3"}))
    'RATE is 0.3, was 0.2'
    """
    reasons = list(_reasons(old, new))
    if len(reasons) > _MOST_SHOWN:
        reasons[_MOST_SHOWN:] = [f"and {len(reasons) - _MOST_SHOWN} more"]
    return "; ".join(reasons)


def _reasons(old: Fingerprint, new: Fingerprint) -> Iterator[str]:
    if old.name != new.name:
        yield f"it is {new.name}, was {old.name}"
    else:
        yield from _code_reasons(old, new)
        yield from _input_reasons(old, new)


def _code_reasons(old: Fingerprint, new: Fingerprint) -> Iterator[str]:
    if old.source.get(old.name) != new.source.get(new.name):
        yield "its code changed"
    for name, was, text in _changed(old.source, new.source):
        if was is None:
            yield f"it now refers to {name}"
        elif text is None:
            yield f"it no longer refers to {name}"
        elif name != new.name:
            yield f"{'class' if _CLASS.match(text) else 'helper'} {name} changed"


def _input_reasons(old: Fingerprint, new: Fingerprint) -> Iterator[str]:
    for name, was, text in _changed(old.inputs, new.inputs):
        if text is None:
            yield f"it no longer reads {name}"
        else:
            now = f"{name} is {_short(text)}"
            yield (f"{now}, which it did not read" if was is None else f"{now}, was {_short(was)}")


def _changed(old: dict[str, str], new: dict[str, str]) -> Iterator[tuple[str, Any, Any]]:
    """Yield the names whose texts differ, with both texts; None stands for a missing one."""
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield name, old.get(name), new.get(name)


def _short(text: str) -> str:
    return text if len(text) <= _MOST_LETTERS else f"{text[: _MOST_LETTERS - 3]}..."


def diff(old: Fingerprint, new: Fingerprint) -> str:
    """Return a unified diff of the sources and inputs of two fingerprints."""
    parts: list[str] = []
    for name in [new.name, *sorted((old.source.keys() | new.source.keys()) - {new.name})]:
        before = old.source.get(old.name if name == new.name else name, "")
        parts += _diff(name, before, new.source.get(name, ""))
    before, now = (
        "\n".join(f"{name} = {text}" for name, text in sorted(each.inputs.items()))
        for each in (old, new)
    )
    return "\n".join([*parts, *_diff("inputs", before, now)])


def _diff(name: str, before: str, now: str) -> Iterator[str]:
    import difflib  # lazily: most runs compare nothing

    return difflib.unified_diff(
        before.splitlines(), now.splitlines(), f"{name} (recorded)", f"{name} (now)", lineterm=""
    )
