"""A digest of a call's arguments: what they are, however they came to be.

The order of a dict's keys and that of a set do not count; a tuple counts as a list, and an
enum's member as its value. A function counts by its fingerprint,
what belongs to a run or cannot be recorded, as a client, by its type only. What came from the
journal digests as the hash it is recorded with: a pickle's bytes may differ by chance.

>>> digest(({"a": 1, "b": 2},)) == digest(({"b": 2, "a": 1},))
True
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
import sys
import weakref
import zlib
from collections.abc import Callable
from types import FunctionType, MethodType, ModuleType
from typing import Any

import orjson

from nbtasks.code import values
from nbtasks.fingerprint import fingerprint

__all__ = ["digest", "remember"]

_PLAIN = orjson.OPT_SORT_KEYS | (
    orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)
_CODE = (FunctionType, MethodType, type, type(len), type(str.upper), functools.partial)
_OF_A_RUN = ("nbtasks.io", "nbtasks.session", "nbtasks.run")
_Part = Callable[[Any], Any]
_MOST_MEMBERS = 1000
_DEEPEST = 3
_SAMPLE = 4096


def digest(args: tuple[Any, ...]) -> str:
    """A digest of arguments, 16 hex digits."""
    try:
        data = orjson.dumps(args, option=_PLAIN)
        if b"null" not in data:  # as which it writes nan, too
            return _hash(data)
    except TypeError:
        pass
    try:
        return _hash(_dumps(_canonical(args)))
    except (RecursionError, orjson.JSONEncodeError):  # too deep for anybody
        return _hash(_dumps([values.label(arg) for arg in args]))


def _hash(data: Any) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def _dumps(canonical: Any) -> bytes:
    return orjson.dumps(canonical, option=orjson.OPT_SORT_KEYS)


# -- what is known of values ----------------------------------------------------------------------


class _Known:
    """Digests of objects that live, as long as they are not seen to be changed."""

    def __init__(self) -> None:
        self._digests: dict[int, tuple[weakref.ref[Any], str, int]] = {}

    def put(self, value: Any, found: str) -> None:
        key = id(value)
        try:
            held = weakref.ref(value, lambda gone: self._forget(key, gone))
        except TypeError:
            return
        self._digests[key] = (held, found, _stamp(value))

    def get(self, value: Any) -> str | None:
        known = self._digests.get(id(value))
        if known is None or known[0]() is not value or known[2] != _stamp(value):
            return None
        return known[1]

    def _forget(self, key: int, gone: weakref.ref[Any]) -> None:
        if (known := self._digests.get(key)) is not None and known[0] is gone:
            del self._digests[key]


_recorded = _Known()  # by their hash in the journal
_contents = _Known()  # of frames: it takes its time, and the next task may be given the same


def remember(value: Any, recorded: str) -> None:
    """Notes that a value is in the journal with a hash, to digest as that from now on.

    The members of a list, a tuple or a dict are noted, too. What digests by its content anyway,
    as a number or a function, is not noted. A DataFrame or an array that is changed in place
    afterwards digests by its content, where that is seen; of another object it is not.
    """
    _remember(value, recorded, _DEEPEST, [_MOST_MEMBERS])


def _remember(value: Any, recorded: str, depth: int, left: list[int]) -> None:
    kind = type(value)
    if kind in (list, tuple, dict):
        for name, member in (value.items() if kind is dict else enumerate(value)) if depth else ():
            left[0] -= 1
            if left[0] < 0:
                return
            _remember(member, f"{recorded}/{name}", depth - 1, left)
    elif values.constant(value) is None and not issubclass(kind, (*_CODE, ModuleType)):
        _recorded.put(value, recorded)


# -- any value as JSON ----------------------------------------------------------------------------


class _UnknownError(Exception):
    """What is inside an object cannot be told, so neither can the object."""


def _canonical(value: Any, within: frozenset[int] = frozenset(), *, inside: bool = False) -> Any:
    """A value as JSON that is equal for equal values.

    Args:
        value: It.
        within: The ids of what it is a part of.
        inside: Whether that is an object, which is then known by its type if this cannot be told.
    """
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return _scalar(value)
    if id(value) in within:
        return {"$again": len(within)}
    part = functools.partial(_canonical, within=within | {id(value)}, inside=inside)
    if kind in _CONTAINERS:
        return _CONTAINERS[kind](value, part)
    if (recorded := _recorded.get(value)) is not None:
        return {"$recorded": recorded}
    return _code(value, part) or _data(value, part) or _whole(value, within, inside=inside)


def _items(value: Any, part: _Part) -> Any:
    return [part(item) for item in value]


def _pairs(value: Any, part: _Part) -> Any:
    return {"$dict": sorted(([part(k), part(v)] for k, v in value.items()), key=_dumps)}


def _members(value: Any, part: _Part) -> Any:
    return {"$set": sorted((part(item) for item in value), key=_dumps)}


_CONTAINERS: dict[type, Callable[[Any, _Part], Any]] = {
    list: _items,
    tuple: _items,
    dict: _pairs,
    set: _members,
    frozenset: _members,
}


def _scalar(value: Any) -> Any:
    if type(value) is float:
        return value if math.isfinite(value) else {"$float": repr(value)}
    try:
        orjson.dumps(value)
    except TypeError:  # an int above 64 bits, a lone surrogate
        return {"$scalar": ascii(value)}
    return value


def _code(value: Any, part: _Part) -> Any:
    """What can be called, and what belongs to a run; None for others."""
    kind = type(value)
    if issubclass(kind, functools.partial):
        return {"$partial": [part(value.func), part(value.args), part(value.keywords)]}
    if kind is MethodType:
        return {"$method": [fingerprint(value).digest, part(value.__self__)]}
    if issubclass(kind, _CODE) or kind.__module__ == "nbtasks.job":
        return {"$code": fingerprint(value).digest}
    if issubclass(kind, ModuleType):
        return {"$module": value.__name__}
    is_ours = kind.__module__.startswith("nbtasks.")
    if is_ours and (kind.__module__ in _OF_A_RUN or not dataclasses.is_dataclass(kind)):
        return {"$type": values.label(value)}
    return None


def _data(value: Any, part: _Part) -> Any:
    """Frames, arrays and the numbers of libraries; None for others."""
    text = _content(value, part) or values.constant(value)
    return None if text is None else {f"${values.label(value)}": text}


def _whole(value: Any, within: frozenset[int], *, inside: bool) -> Any:
    """An object by its type and its state, or by its type alone."""
    part = functools.partial(_canonical, within=within | {id(value)}, inside=True)
    try:
        return {f"${values.label(value)}": _state(value, part)}
    except Exception as error:
        if inside:
            raise _UnknownError from error
        return {"$type": values.label(value)}


def _state(value: Any, part: _Part) -> Any:
    if dataclasses.is_dataclass(value):
        names = {field.name for field in dataclasses.fields(value)} | {*values.attributes(value)}
        return {name: part(getattr(value, name, None)) for name in names}
    if isinstance(value, bytes | bytearray):
        return _hash(value)
    made = value.__reduce_ex__(4)
    if isinstance(made, str):
        return made
    fn, args, *rest = made
    rest += [None] * (4 - len(rest))
    state, items, pairs = rest[0], list(rest[1] or ()), dict(rest[2] or ())
    # A class in there says what to make of the rest: its code is not what was given.
    shown = [values.label(arg) if issubclass(type(arg), type) else part(arg) for arg in args]
    return [values.label(fn), shown, part(state), part(items), part(pairs)]


# -- frames and arrays ----------------------------------------------------------------------------


def _content(value: Any, part: _Part) -> str | None:
    """A digest of what a DataFrame or an array holds; None for anything else."""
    if (pandas := _pandas(value)) is not None:
        if (found := _contents.get(value)) is None:
            found = _hash(_dumps(_of_pandas(value, pandas, part)))
            _contents.put(value, found)
        return found
    if not _is_array(value):
        return None
    objects = value.dtype.hasobject
    held = part(value.tolist()) if objects else _hash(value.tobytes())
    return _hash(_dumps([str(value.dtype), list(value.shape), held]))


def _pandas(value: Any) -> Any:
    # Only where pandas is loaded can there be one; loading it is not worth the question.
    pandas = sys.modules.get("pandas")
    if pandas is None or not issubclass(
        type(value), (pandas.DataFrame, pandas.Series, pandas.Index)
    ):
        return None
    return pandas


def _is_array(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and type(value) is numpy.ndarray


def _of_pandas(value: Any, pandas: Any, part: _Part) -> Any:
    rows = _hash(_rows(value, pandas))
    if hasattr(value, "columns"):
        return [rows, part(list(value.columns)), [str(kind) for kind in value.dtypes]]
    return [rows, part(value.name), str(value.dtype)]


def _rows(value: Any, pandas: Any) -> bytes:
    """A hash of each row."""
    try:
        hashes = pandas.util.hash_pandas_object(value)
    except TypeError:  # lists, say, or arrays in a column
        hashes = pandas.util.hash_pandas_object(value.astype(object).map(repr))
    content: bytes = hashes.to_numpy().tobytes()
    return content


def _stamp(value: Any) -> int:
    """Differs if a DataFrame or an array was changed in place; in a large one a sample tells."""
    if (pandas := _pandas(value)) is not None:
        step = max(1, len(value) // _SAMPLE)
        sample = value.iloc[::step] if hasattr(value, "iloc") else value[::step]
        content = _rows(sample, pandas)
        names = list(value.columns) if hasattr(value, "columns") else value.name
        return zlib.crc32(content, zlib.crc32(repr((value.shape, names)).encode()))
    if _is_array(value) and not value.dtype.hasobject:
        flat = value.ravel(order="K")
        about = repr((value.shape, value.dtype))
        return zlib.crc32(
            flat[:: max(1, flat.size // _SAMPLE)].tobytes(), zlib.crc32(about.encode())
        )
    return 0
