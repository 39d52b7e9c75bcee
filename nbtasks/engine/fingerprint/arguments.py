"""Digest of a call's arguments by value: equal arguments give equal digests.

The order of a dict's keys and of a set's members does not count; a tuple counts as a list, and an
enum's member as its value. A function counts by its fingerprint. An object that belongs to a run
or cannot be recorded, such as a client, counts by its type only. A value that came from the
journal digests as its recorded hash, because a pickle's bytes may differ by chance.

The digests of live objects are cached (`_DigestCache`), because every replayed task computes the
digest of its arguments to find out whether it is stale. For a large frame the cache replaces a
hash of all rows with one of a sample, milliseconds with some hundred microseconds.

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

from nbtasks.engine.fingerprint import introspection
from nbtasks.engine.fingerprint.function import fingerprint

__all__ = ["digest", "remember"]

_PLAIN = orjson.OPT_SORT_KEYS | (
    orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)
_CODE = (FunctionType, MethodType, type, type(len), type(str.upper), functools.partial)
_OF_A_RUN = ("nbtasks.io.io", "nbtasks.jobs.session", "nbtasks.jobs.run")
_Part = Callable[[Any], Any]
_MOST_MEMBERS = 1000
_DEEPEST = 3
_SAMPLE = 4096


def digest(args: tuple[Any, ...]) -> str:
    """Return the digest of arguments, 16 hex digits."""
    try:
        data = orjson.dumps(args, option=_PLAIN)
        if b"null" not in data:  # orjson writes nan as null, too
            return _hash(data)
    except TypeError:
        pass
    try:
        return _hash(_dumps(_canonical(args)))
    except (RecursionError, orjson.JSONEncodeError):  # nested too deeply
        return _hash(_dumps([introspection.label(arg) for arg in args]))


def _hash(data: Any) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def _dumps(canonical: Any) -> bytes:
    return orjson.dumps(canonical, option=orjson.OPT_SORT_KEYS)


# -- digests of live objects ----------------------------------------------------------------------


class _DigestCache:
    """Cache of the digests of live objects, by identity.

    It pays for itself on replay: a task that is answered from the journal compares the digest of
    its arguments, which are often the outputs of other tasks, or the same frame for many tasks. An
    entry ends with its object, and counts no longer once the object's stamp has changed.
    """

    def __init__(self) -> None:
        self._digests: dict[int, tuple[weakref.ref[Any], str, int]] = {}

    def put(self, value: Any, digest: str) -> None:
        key = id(value)
        try:
            reference = weakref.ref(value, lambda gone: self._forget(key, gone))
        except TypeError:
            return
        self._digests[key] = (reference, digest, _stamp(value))

    def get(self, value: Any) -> str | None:
        entry = self._digests.get(id(value))
        if entry is None or entry[0]() is not value or entry[2] != _stamp(value):
            return None
        return entry[1]

    def _forget(self, key: int, reference: weakref.ref[Any]) -> None:
        if (entry := self._digests.get(key)) is not None and entry[0] is reference:
            del self._digests[key]


_recorded = _DigestCache()  # the hash in the journal; a pickle of the value may have other bytes
_contents = _DigestCache()  # of frames: hashing one is slow, and the next task may get the same one


def remember(value: Any, recorded: str) -> None:
    """Remember the recorded hash of a value, which is its digest from now on.

    The members of a list, a tuple or a dict are remembered, too. A value that digests by its
    content anyway, such as a number or a function, is not remembered. A DataFrame or an array that
    is later changed in place digests by its content again, if the change is detected (in a large
    one, by a sample). Changes in place of other objects are not detected.
    """
    _remember(value, recorded, _DEEPEST, [_MOST_MEMBERS])


def _remember(value: Any, recorded: str, depth: int, budget: list[int]) -> None:
    kind = type(value)
    if kind in (list, tuple, dict):
        for name, member in (value.items() if kind is dict else enumerate(value)) if depth else ():
            budget[0] -= 1
            if budget[0] < 0:
                return
            _remember(member, f"{recorded}/{name}", depth - 1, budget)
    elif introspection.constant(value) is None and not issubclass(kind, (*_CODE, ModuleType)):
        _recorded.put(value, recorded)


# -- any value as JSON ----------------------------------------------------------------------------


class _UnknownError(Exception):
    """Signal that a part of an object has no digest, and so neither has the object."""


def _canonical(value: Any, within: frozenset[int] = frozenset(), *, inside: bool = False) -> Any:
    """Return JSON that is equal for equal values.

    Args:
        value: The value.
        within: The ids of the containers and objects around the value.
        inside: True for a part of an object; that object counts by its type if the part has no
            digest.

    Raises:
        _UnknownError: A part of an object has no digest.
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
    """Return the JSON of a callable, or of an object of a run; None for other values."""
    kind = type(value)
    if issubclass(kind, functools.partial):
        return {"$partial": [part(value.func), part(value.args), part(value.keywords)]}
    if kind is MethodType:
        return {"$method": [fingerprint(value).digest, part(value.__self__)]}
    if issubclass(kind, _CODE) or kind.__module__ == "nbtasks.jobs.job":
        return {"$code": fingerprint(value).digest}
    if issubclass(kind, ModuleType):
        return {"$module": value.__name__}
    is_ours = kind.__module__.startswith("nbtasks.")
    if is_ours and (kind.__module__ in _OF_A_RUN or not dataclasses.is_dataclass(kind)):
        return {"$type": introspection.label(value)}
    return None


def _data(value: Any, part: _Part) -> Any:
    """Return the JSON of a frame, an array or a number of a library; None for other values."""
    text = _content(value, part) or introspection.constant(value)
    return None if text is None else {f"${introspection.label(value)}": text}


def _whole(value: Any, within: frozenset[int], *, inside: bool) -> Any:
    """Return the JSON of an object: its type and state, or its type alone."""
    part = functools.partial(_canonical, within=within | {id(value)}, inside=True)
    try:
        return {f"${introspection.label(value)}": _state(value, part)}
    except Exception as error:
        if inside:
            raise _UnknownError from error
        return {"$type": introspection.label(value)}


def _state(value: Any, part: _Part) -> Any:
    if dataclasses.is_dataclass(value):
        names = {field.name for field in dataclasses.fields(value)} | {
            *introspection.attributes(value)
        }
        return {name: part(getattr(value, name, None)) for name in names}
    if isinstance(value, bytes | bytearray):
        return _hash(value)
    reduced = value.__reduce_ex__(4)
    if isinstance(reduced, str):
        return reduced
    fn, args, *extras = reduced
    extras += [None] * (4 - len(extras))
    state, items, pairs = extras[0], list(extras[1] or ()), dict(extras[2] or ())
    # A class among the arguments only says what to rebuild: its name counts, its code does not.
    arguments = [
        introspection.label(arg) if issubclass(type(arg), type) else part(arg) for arg in args
    ]
    return [introspection.label(fn), arguments, part(state), part(items), part(pairs)]


# -- frames and arrays ----------------------------------------------------------------------------


def _content(value: Any, part: _Part) -> str | None:
    """Return the digest of the content of a DataFrame or an array; None for other values."""
    if (pandas := _pandas(value)) is not None:
        if (digest := _contents.get(value)) is None:
            digest = _hash(_dumps(_of_pandas(value, pandas, part)))
            _contents.put(value, digest)
        return digest
    if not _is_array(value):
        return None
    objects = value.dtype.hasobject
    content = part(value.tolist()) if objects else _hash(value.tobytes())
    return _hash(_dumps([str(value.dtype), list(value.shape), content]))


def _pandas(value: Any) -> Any:
    # If pandas is not loaded, no value can be one of its objects; do not load it to ask.
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
    """Return the hashes of the rows, as bytes."""
    hash_rows = pandas.util.hash_pandas_object
    try:
        hashes = hash_rows(value)
    except (TypeError, UnicodeEncodeError):  # lists or arrays, a lone surrogate
        if isinstance(value, pandas.Index):
            hashes = hash_rows(_spell(value, pandas))
        else:
            values = value.astype(object).map(ascii).set_axis(_spell(value.index, pandas), axis=0)
            hashes = hash_rows(values)
    content: bytes = hashes.to_numpy().tobytes()
    return content


def _spell(index: Any, pandas: Any) -> Any:
    """Return an index in which each label is spelt in ASCII."""
    return pandas.Index([ascii(label) for label in index], dtype=object)


def _stamp(value: Any) -> int:
    """Return a checksum that changes with the content; of a large object, that of a sample."""
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
