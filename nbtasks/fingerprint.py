"""The fingerprint of a function: of its code, of the user's code it refers to, of what it reads.

Comments, formatting and docstrings do not count, nor does library code. Numbers, strings,
booleans, None and tuples of these that it reads from globals and closures do, unless it assigns
them itself.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import FunctionType
from typing import Any, NamedTuple, Self

from nbtasks.code import values
from nbtasks.code.references import References
from nbtasks.code.watch import Watch, contents

__all__ = ["Fingerprint", "diff", "dumps", "explain", "fingerprint", "loads"]

_MOST_KNOWN = 4000
_MOST_OF_ONE = 8  # functions that one piece of code made, each with a closure of its own
_MOST_SHOWN = 3
_MOST_LETTERS = 60
_CLASS = re.compile(r"(?:@.*\n)*class ")


@dataclass(frozen=True)
class Fingerprint:
    """What a function is, as far as that counts.

    Attributes:
        name: Its qualified name.
        source: The normalised sources of it, first, and of what it refers to, by qualified name.
        inputs: The constants that it reads, as text, by name.
    """

    name: str
    source: dict[str, str]
    inputs: dict[str, str]

    @functools.cached_property
    def digest(self) -> str:
        """16 hex digits; the same in any process that has the same code."""
        return hashlib.blake2b(dumps(self).encode(), digest_size=8).hexdigest()


def fingerprint(fn: Callable[..., Any]) -> Fingerprint:
    """The fingerprint of anything that can be called.

    >>> fingerprint(str.upper)
    Fingerprint(name='builtins.str.upper', source={}, inputs={})
    """
    if type(fn) is FunctionType:
        for known in _known.get(id(fn.__code__), ()):
            if (found := known.of(fn)) is not None:
                return found
        return _make_known(fn)
    return _of_object(fn)


def dumps(of: Fingerprint) -> str:
    """A fingerprint as JSON."""
    return json.dumps([of.name, of.source, of.inputs], sort_keys=True, separators=(",", ":"))


def loads(text: str) -> Fingerprint:
    """The fingerprint that `dumps` was given."""
    return Fingerprint(*json.loads(text))


# -- what was once found --------------------------------------------------------------------------


class _Known:
    """The fingerprint of a function, and all that has to be as it is for it to hold."""

    __slots__ = ("_code", "_found", "_given", "_globals", "_watch", "_wrapped")

    def __init__(self, fn: FunctionType, found: Fingerprint, watch: Watch) -> None:
        self._code = fn.__code__  # kept, so that its id is its own
        self._found = found
        self._globals = fn.__globals__
        self._wrapped = values.wrapped(fn)
        self._watch = watch if watch.seal() else None
        self._given = [_Given.of(*item, found.inputs) for item in _given(fn)]

    def of(self, fn: FunctionType) -> Fingerprint | None:
        """The fingerprint of a function with the same code, if it is this one or nearly so."""
        if fn.__globals__ is not self._globals or fn.__dict__.get("__wrapped__") is not (
            self._wrapped
        ):
            return None
        inputs = None
        if self._given or fn.__closure__ or fn.__defaults__ or fn.__kwdefaults__:
            given = _given(fn)
            if len(given) != len(self._given):
                return None
            for (_, value), (kept, is_data, name) in zip(given, self._given, strict=True):
                if (type(value) if is_data else value) is kept:
                    continue
                if name is None or (text := values.constant(value)) is None:
                    return None
                inputs = {**(inputs or self._found.inputs), name: text}
        if self._watch is not None and not self._watch.holds():
            return None
        return self._found if inputs is None else replace(self._found, inputs=inputs)


class _Given(NamedTuple):
    """What a function was given when it was made: a variable of its closure, or a default.

    Attributes:
        kept: The value; of data its type.
        is_data: Whether it is data.
        name: The input that it is, if it is one.
    """

    kept: Any
    is_data: bool
    name: str | None

    @classmethod
    def of(cls, name: str, value: Any, inputs: dict[str, str]) -> Self:
        is_data = values.is_data(value)
        # with a quote after it, one of two variables of this name
        is_input = name in inputs and f"{name}'" not in inputs and not is_data
        return cls(type(value) if is_data else value, is_data, name if is_input else None)


def _given(fn: FunctionType) -> list[tuple[str, Any]]:
    code = fn.__code__
    given = list(zip(code.co_freevars, map(contents, fn.__closure__ or ()), strict=True))
    if defaults := fn.__defaults__:
        first = code.co_argcount - len(defaults)
        given += zip(code.co_varnames[first : code.co_argcount], defaults, strict=True)
    if fn.__kwdefaults__:
        given += fn.__kwdefaults__.items()
    return given


_known: dict[int, tuple[_Known, ...]] = {}  # by the id of the code, the latest first


def _make_known(fn: FunctionType) -> Fingerprint:
    found, watch = _find(fn)
    if watch is None:
        return found
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    key = id(fn.__code__)
    _known[key] = (_Known(fn, found, watch), *_known.get(key, ())[: _MOST_OF_ONE - 1])
    return found


_objects: dict[int, tuple[Callable[[], Any], Fingerprint, Watch]] = {}  # by the object's id
#: What is the same for good, besides what is watched: its class is C, and cannot be changed.
_FIXED = (functools.partial, type, type(len), type(str.upper))


def _of_object(value: Any) -> Fingerprint:
    """Of a method, a class, a `functools.partial`, a job, an object with `__call__`."""
    known = _objects.get(id(value))
    if known is not None and known[0]() is value and known[2].holds():
        return known[1]
    found, watch = _find(value)
    if watch is not None and type(value) in _FIXED:
        if len(_objects) >= _MOST_KNOWN:
            _objects.clear()
        watch.seal()
        try:
            held: Callable[[], Any] = weakref.ref(value)
        except TypeError:  # a method of a C class, which is there for good
            held = functools.partial(_same, value)
        _objects[id(value)] = (held, found, watch)
    return found


def _same(value: Any) -> Any:
    return value


def _find(value: Any) -> tuple[Fingerprint, Watch | None]:
    references = References(values.home(value))
    try:
        references.add(value)
    except Exception:  # noqa: BLE001 - some odd object of the user's: no reason to stop a task
        return Fingerprint(values.label(value), {}, {}), None
    found = Fingerprint(references.name(value), references.source, references.inputs)
    return found, references.watch


# -- reasons --------------------------------------------------------------------------------------


def explain(old: Fingerprint, new: Fingerprint) -> str:
    """Why two fingerprints differ, for people; empty if they do not.

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
            known = f"{name} is {_short(text)}"
            yield (
                f"{known}, which it did not read" if was is None else f"{known}, was {_short(was)}"
            )


def _changed(old: dict[str, str], new: dict[str, str]) -> Iterator[tuple[str, Any, Any]]:
    """The names whose texts differ, each with both; None where there is none."""
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield name, old.get(name), new.get(name)


def _short(text: str) -> str:
    return text if len(text) <= _MOST_LETTERS else f"{text[: _MOST_LETTERS - 3]}..."


def diff(old: Fingerprint, new: Fingerprint) -> str:
    """What differs between two fingerprints, as a unified diff of their sources and inputs."""
    parts: list[str] = []
    for name in [new.name, *sorted((old.source.keys() | new.source.keys()) - {new.name})]:
        before = old.source.get(old.name if name == new.name else name, "")
        parts += _diff(name, before, new.source.get(name, ""))
    before, now = (
        "\n".join(f"{name} = {text}" for name, text in sorted(one.inputs.items()))
        for one in (old, new)
    )
    return "\n".join([*parts, *_diff("inputs", before, now)])


def _diff(name: str, before: str, now: str) -> Iterator[str]:
    import difflib  # lazily: most runs compare nothing

    return difflib.unified_diff(
        before.splitlines(), now.splitlines(), f"{name} (recorded)", f"{name} (now)", lineterm=""
    )
