"""Positions of what moves on when it is used: iterators, generators, and files that are read.

A cell that uses one leaves it further on. A position is JSON, so it is recorded in place of the
object, which often cannot be recorded; a reused cell moves the living object there.
"""

from __future__ import annotations

import dis
import inspect
import io
import itertools
import operator
from collections import deque
from collections.abc import Callable, Mapping
from types import GeneratorType
from typing import Any, Final

__all__ = ["Position", "describe", "move", "read", "read_all"]

#: Kind of a position, and what it consists of.
Position = list[Any]
#: Iterators that tell how many items are left.
_EMPTY: Final[tuple[Any, ...]] = (
    (), range(0), range(1 << 70), "", "\xe4", b"", bytearray(), {0}, {}, {}.values(), {}.items(),
)  # fmt: skip
_REVERSIBLE: Final[tuple[Any, ...]] = ([], {}, {}.values(), {}.items())
_COUNTING: Final = (*map(type, map(iter, _EMPTY)), *map(type, map(reversed, _REVERSIBLE)))
_OF_OTHERS: Final[tuple[Any, ...]] = (filter, map, zip)
_FARTHEST: Final = 1_000_000  # steps to take one by one


def describe(value: Any) -> str | None:
    """Return a text that changes when an iterator moves on; None for other objects."""
    return str(read(value)) if type(value) in _READERS else None


def read_all(values: Mapping[str, Any]) -> dict[str, Position]:
    """Return the positions of those among some values that tell them."""
    return {name: at for name, value in values.items() if (at := read(value)) is not None}


def read(value: Any) -> Position | None:
    """Return the position of an object; None if it does not tell it, or none can be set."""
    try:
        reader = _reader(value)
        return None if reader is None else reader(value)
    except (OSError, ValueError, TypeError):
        return None


def move(value: Any, position: Position) -> bool:
    """Move an object on to a position; return False if it cannot get there."""
    if read(value) == position:
        return True
    try:
        return _move(value, position)
    except (OSError, ValueError, TypeError, LookupError, StopIteration):
        return False


def _move(value: Any, position: Position) -> bool:
    kind, *parts = position
    if isinstance(value, GeneratorType):
        return _move_generator(value, position)
    if isinstance(value, io.IOBase):
        value.close() if kind == "closed" else value.seek(int(parts[0]))
    elif kind == "index":
        value.__setstate__(parts[0])
    elif kind == "end":
        deque(value, 0)
    elif kind == "within":
        return all(map(move, value.__reduce__()[1][-len(parts) :], parts))
    else:
        for _ in range(_FARTHEST):
            if read(value) == position:
                break
            next(value)
    return read(value) == position


def _move_generator(value: Any, position: Position) -> bool:
    if position == ["end"]:
        value.close()
        return True
    is_new = inspect.getgeneratorstate(value) == inspect.GEN_CREATED
    return is_new and move(value.gi_frame.f_locals[".0"], position[1])


# -- kinds ----------------------------------------------------------------------------------------


def _reader(value: Any) -> Callable[[Any], Position | None] | None:
    kind = type(value)
    if isinstance(value, io.IOBase) and not isinstance(value, io.BytesIO | io.StringIO):
        return _of_file
    return _READERS.get(kind)


def _of_file(file: Any) -> Position | None:
    if file.closed:
        return ["closed"]
    return ["at", str(file.tell())] if file.seekable() and not file.writable() else None


def _of_list(iterator: Any) -> Position:
    _, _, *index = iterator.__reduce__()
    return ["index", *index] if index else ["end"]


def _of_count(count: Any) -> Position:
    return ["count", repr(count)]


def _of_others(iterator: Any) -> Position | None:
    args = iterator.__reduce__()[1]
    inner = [read(part) for part in (args if isinstance(iterator, zip) else args[1:])]
    return None if None in inner else ["within", *inner]


def _of_enumeration(value: Any) -> Position | None:
    inner, number = value.__reduce__()[1]
    return None if read(inner) is None else ["number", number]


def _of_generator(value: Any) -> Position | None:
    """Return the position of a generator expression with one loop, or of one that has ended."""
    if value.gi_frame is None:
        return ["end"]
    loops = [each for each in dis.get_instructions(value.gi_code) if each.opname == "FOR_ITER"]
    if value.gi_code.co_name != "<genexpr>" or len(loops) != 1:
        return None
    inner = read(value.gi_frame.f_locals[".0"])
    return None if inner is None else ["loop", inner]


_READERS: Final[dict[type, Callable[[Any], Position | None]]] = {
    **dict.fromkeys(_COUNTING, lambda iterator: ["left", operator.length_hint(iterator)]),
    type(iter([])): _of_list,
    **dict.fromkeys(_OF_OTHERS, _of_others),
    enumerate: _of_enumeration,
    itertools.count: _of_count,
    GeneratorType: _of_generator,
}
