"""Digest of a call's arguments by value: equal arguments give equal digests.

The order of a dict's keys and of a set's members does not count; that of an `OrderedDict` and of a
`Counter` does, and so does the type of a container: a tuple is no list. A function counts by its
fingerprint, an object by its class and all its fields (`canonical`). An object that belongs to a
run counts by its type. A value that came from the journal digests as its
recorded hash, because a pickle's bytes may differ by chance.

The digests of live objects are cached, because every replayed task computes the digest of its
arguments to find out whether it is stale. A guard notices when an object has changed since; for a
frame it need not read the rows (`tables`).

>>> digest(({"a": 1, "b": 2},)) == digest(({"b": 2, "a": 1},))
True
>>> digest(((1, 2),)) == digest(([1, 2],))
False
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Container, Iterator, Mapping
from types import ModuleType
from typing import Any, NamedTuple

import orjson

from nbtasks.engine.fingerprint import introspection, tables
from nbtasks.engine.fingerprint.canonical import CODE, Walk, is_random
from nbtasks.engine.fingerprint.digest_cache import DigestCache, Guard, mark_lazy

__all__ = [
    "CODE",
    "Digest",
    "contents",
    "count_content",
    "digest",
    "examine",
    "fill_lazily",
    "match",
    "plain",
    "recall",
    "remember",
]

_PLAIN = orjson.OPT_SORT_KEYS | (
    orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)
_SCALARS = frozenset([type(None), bool, int, float, str])
_PLAIN_TYPES = _SCALARS | {list, tuple, dict}
#: Key of the keyword arguments, beside the positional ones.
_KEYWORDS = "$keywords"
_MOST_MEMBERS = 1000
_DEEPEST = 3


class Digest(NamedTuple):
    """Digest of arguments.

    Attributes:
        text: 16 hex digits; two such texts if a value may be taken from the journal or from here.
        uncompared: What could not be compared, for people.
        filled: The private fields of the objects among them, by the object's id.
    """

    text: str
    uncompared: tuple[str, ...] = ()
    filled: dict[int, frozenset[str]] = {}  # noqa: RUF012 - never changed


def digest(args: tuple[Any, ...]) -> str:
    """Return the digest of arguments."""
    return examine(args).text


def examine(
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any] | None = None,
    *,
    bound: int = 0,
    ignored: frozenset[str] = frozenset(),
) -> Digest:
    """Return the digest of arguments, and what could not be compared.

    Args:
        args: The arguments.
        kwargs: The keyword arguments; None if there are none.
        bound: The number of those at the beginning that are bound to the function.
        ignored: Fields of the first argument that do not count.
    """
    if (text := plain(args, kwargs)) is not None:
        return Digest(text)
    lookup = _Lookup()
    of_first = (id(args[0]), ignored) if ignored else None
    walk = Walk(lookup, ignored=of_first)
    text = _digest(args, walk, bound, kwargs)
    if lookup.has_content:
        content = _digest(args, Walk(lookup.of_others, ignored=of_first), bound, kwargs)
        text = text if text == content else f"{text} {content}"
    return Digest(text, tuple(dict.fromkeys(walk.uncompared)), walk.filled)


def plain(args: tuple[Any, ...], kwargs: Mapping[str, Any] | None = None) -> str | None:
    """Return the digest of arguments that are plain JSON; None if others are among them."""
    if kwargs:
        args = (*args, {_KEYWORDS: kwargs})
    is_scalar = _SCALARS.issuperset(map(type, args))
    if not is_scalar and not _PLAIN_TYPES.issuperset(map(type, args)):
        return None
    try:
        data = orjson.dumps(args, option=_PLAIN)
    except TypeError:
        return None
    # orjson writes nan as null, too, and a member of an enum or a UUID as its value.
    if b"null" in data:
        return None
    if not is_scalar:
        tuples: list[bool] = []
        if not all(map(_is_plain, args, itertools.repeat(tuples))):
            return None
        if tuples or tuple in set(map(type, args)):  # orjson writes tuples as lists
            data += "".join(_arrays(args)).encode()
    return hashlib.blake2b(data, digest_size=8).hexdigest()  # `tables.hashed`, inlined


def _is_plain(value: Any, tuples: list[bool]) -> bool:
    """Return True if a value, and all that it holds, is what JSON has, or a tuple.

    Args:
        value: The value.
        tuples: List that gets an item if the value holds a tuple.
    """
    kind = type(value)
    if kind in _SCALARS:
        return True
    members = value.values() if kind is dict else value
    kinds = set(map(type, members))
    if kinds <= _SCALARS:
        return True
    if tuple in kinds:
        tuples.append(True)
    return kinds <= _PLAIN_TYPES and all(map(_is_plain, members, itertools.repeat(tuples)))


def _arrays(value: Any) -> Iterator[str]:
    """Yield the kind of each array in the JSON of a plain value, in the order of its text."""
    kind = type(value)
    if kind is dict:
        members = map(value.__getitem__, sorted(value))
    else:
        yield "t" if kind is tuple else "l"
        members = value
    for member in members:
        if type(member) not in _SCALARS:
            yield from _arrays(member)


def _digest(
    args: tuple[Any, ...], walk: Walk, bound: int = 0, kwargs: Mapping[str, Any] | None = None
) -> str:
    try:
        parts = []
        for number, arg in enumerate(args, 1 - bound):
            walk.at = f"argument {number}" if number > 0 else "its function"
            parts.append(walk.canonical(arg))
        if kwargs:
            named = {}
            for name in sorted(kwargs):
                walk.at = f"argument {name}"
                named[name] = walk.canonical(kwargs[name])
            parts.append({_KEYWORDS: named})
        return tables.hashed(tables.dumps(parts))
    except (RecursionError, orjson.JSONEncodeError):  # nested too deeply
        walk.uncompared.append("all that is nested more deeply")
        values = (*args, *(kwargs or {}).values())
        return tables.hashed(tables.dumps([introspection.label(value) for value in values]))


def match(one: str | None, other: str) -> bool:
    """Return True if two texts of digests have one in common."""
    return one is not None and not set(one.split()).isdisjoint(other.split())


def fill_lazily(args: tuple[Any, ...], before: Digest) -> bool:
    """Return True if arguments differ only by private fields that were empty before a call.

    Such a field saves the time to compute it again. It does not count from now on.
    """
    walk = Walk(_Lookup(), before.filled)
    if not match(before.text, _digest(args, walk)):
        return False
    mark_lazy(walk.new)
    return True


# -- digests of live objects ----------------------------------------------------------------------


class _ContentGuard:
    """Guard of any object: the digest of its content.

    Args:
        value: The object.
    """

    __slots__ = ("_digest",)

    def __init__(self, value: Any) -> None:
        self._digest = self._read(value)

    def holds(self, value: Any) -> bool:
        """Return True if the object is unchanged."""
        return self._read(value) == self._digest

    def _read(self, value: Any) -> str:
        return _digest((value,), Walk(_mark))


def _part(value: Any) -> Any:
    return Walk(_content).canonical(value)


_recorded = DigestCache()  # the hash in the journal; a pickle of the value may have other bytes
_contents = DigestCache()  # of frames and arrays, whose content takes long to hash
_marks = DigestCache()  # of tables in objects, to notice a change without reading them
_next_mark = itertools.count().__next__


class _Lookup:
    """Lookup of the hashes of values.

    Attributes:
        has_content: Whether a value was found that counts by its content as well.
    """

    def __init__(self) -> None:
        self.has_content = False

    def __call__(self, value: Any) -> str | None:
        """Return the recorded hash of a value, or that of the content of a table."""
        entry = _recorded.get(value)
        if entry is None:
            return _content(value)
        self.has_content = self.has_content or entry.has_content
        return entry.digest

    def of_others(self, value: Any) -> str | None:
        """Return the hash of a value, of one that counts by its content as well that one."""
        entry = _recorded.get(value)
        if entry is None or entry.has_content:
            return _content(value)
        return entry.digest


def _is_table(value: Any) -> bool:
    return tables.is_pandas(value) or (tables.is_array(value) and not value.dtype.hasobject)


def _mark(value: Any) -> str | None:
    """Return a text that changes with a table; None for other values."""
    if not _is_table(value):
        return None
    if (entry := _marks.get(value)) is not None:
        return entry.digest
    mark = f"mark {_next_mark()}"
    _marks.put(value, mark, _guard(value))
    return mark


def _content(value: Any) -> str | None:
    """Return the hash of the content of a frame or an array; None for other values."""
    if not _is_table(value):
        return None
    if (entry := _contents.get(value)) is not None:
        return entry.digest
    digest = _hash_content(value)
    _contents.put(value, digest, _guard(value))
    return digest


def _hash_content(value: Any) -> str:
    label = introspection.label(value)
    return tables.hashed(tables.dumps([label, tables.content(value, _part)]))


def _guard(value: Any) -> Guard:
    if tables.is_pandas(value):
        return tables.FrameGuard(value, _part)
    if tables.is_array(value) and not value.dtype.hasobject:
        return tables.ArrayGuard(value)
    return _ContentGuard(value)


def remember(value: Any, recorded: str) -> None:
    """Remember the recorded hash of a value, which is its digest from now on.

    The members of a list, a tuple or a dict are remembered, too. A value that digests by its
    content anyway, such as a number or a function, is not remembered. A value that is later changed
    in place digests by its content again.
    """
    _remember(value, recorded, _DEEPEST, [_MOST_MEMBERS])


def contents(value: Any) -> list[str]:
    """Return the digests, by content, of the objects in a value that `recall` can remember."""
    parts = _list_parts(value, _DEEPEST, [_MOST_MEMBERS])
    return [_content(part) or _digest((part,), Walk(_content)) for part in parts]


def recall(value: Any, digests: list[str], given: Container[int] = ()) -> None:
    """Remember the objects in a value by digests of their content, from `contents` of an equal one.

    So a value counts the same whether it comes from the journal or was computed again.

    Args:
        value: The value.
        digests: The digests.
        given: Ids of objects that were there before: they count by their content as well, since a
            process that reads the value from the journal has them, too.
    """
    for part, known in zip(_list_parts(value, _DEEPEST, [_MOST_MEMBERS]), digests, strict=False):
        _put_recorded(part, known)
        if id(part) in given:
            _recorded.count_content(part)


def _list_parts(value: Any, depth: int, budget: list[int]) -> Iterator[Any]:
    """Yield the objects in a value that can be remembered, in the order of its members."""
    kind = type(value)
    budget[0] -= 1
    if budget[0] < 0:
        return
    if kind in (list, tuple, dict):
        for member in (value.values() if kind is dict else value) if depth else ():
            yield from _list_parts(member, depth - 1, budget)
    elif _may_be_remembered(value):
        yield value


def count_content(values: list[Any]) -> None:
    """Let remembered values count by their content as well.

    A task was given them: they are there in a process that has not read them from the journal.
    """
    for value in values:
        _recorded.count_content(value)


def _remember(value: Any, recorded: str, depth: int, budget: list[int]) -> None:
    kind = type(value)
    if kind in (list, tuple, dict):
        for name, member in (value.items() if kind is dict else enumerate(value)) if depth else ():
            budget[0] -= 1
            if budget[0] < 0:
                return
            _remember(member, f"{recorded}/{name}", depth - 1, budget)
    elif _may_be_remembered(value):
        _put_recorded(value, recorded)


def _put_recorded(value: Any, recorded: str) -> None:
    try:
        guard = _guard(value)
    except Exception:  # noqa: BLE001 - an odd object counts by its content
        return
    _recorded.put(value, recorded, guard)


def _may_be_remembered(value: Any) -> bool:
    """Return True for an object that is not known by its content anyway."""
    kind = type(value)
    return bool(
        kind.__weakrefoffset__
        and introspection.constant(value) is None
        and not issubclass(kind, (*CODE, ModuleType, bytes, bytearray, set, frozenset))
        and not is_random(value)
    )
