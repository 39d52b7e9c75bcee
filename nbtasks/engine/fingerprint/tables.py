"""Frames and arrays: their whole content as JSON, and guards that notice when it changes.

A guard is exact. It keeps a shallow copy of a frame: as pandas copies on write, the memory of a
frame stays the same until the frame is changed, so that no row has to be read to know that it was
not. Where that does not hold, in an array for example, the guard reads the content again.
"""

from __future__ import annotations

import hashlib
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import orjson

__all__ = ["ArrayGuard", "FrameGuard", "content", "dumps", "hashed", "is_array", "is_pandas"]

Part = Callable[[Any], Any]
#: Kinds of objects in a column that cannot be changed in place, as `infer_dtype` names them.
_IMMUTABLE = ("string", "bytes", "integer", "floating", "boolean", "decimal", "date", "time",
              "datetime", "timedelta", "period", "interval", "empty")  # fmt: skip
#: Attributes in which the arrays of pandas keep their memory.
_MEMORIES = ("_ndarray", "_data", "_mask", "_pa_array", "_left", "_right", "_sparse_values")
_OF_PANDAS = ("_mgr", "_attrs", "_flags", "_item_cache", "_cache", "_name", "_id", "_typ")


def hashed(data: Any) -> str:
    """Return the hash of bytes, 16 hex digits."""
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def dumps(canonical: Any) -> bytes:
    """Return JSON as bytes, the keys in order."""
    return orjson.dumps(canonical, option=orjson.OPT_SORT_KEYS)


def is_pandas(value: Any) -> bool:
    """Return True for a DataFrame, a Series or an Index."""
    # If pandas is not loaded, no value can be one of its objects; do not load it to ask. Another
    # thread may be loading it just now.
    pandas = sys.modules.get("pandas")
    if pandas is None or not hasattr(pandas, "DataFrame"):
        return False
    return issubclass(type(value), (pandas.DataFrame, pandas.Series, pandas.Index))


def is_array(value: Any) -> bool:
    """Return True for a NumPy array; not for a subclass, which may hold more."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and type(value) is numpy.ndarray


def content(value: Any, part: Part) -> Any:
    """Return the JSON of everything that a frame or an array holds."""
    if not is_array(value):
        pandas = sys.modules["pandas"]
        columns = [_values(column, part, pandas) for column in _columns(value)]
        return [_about(value, part, pandas), _labels(value, part, pandas), columns]
    about = [str(value.dtype.descr if value.dtype.names else value.dtype), list(value.shape)]
    return [about, part(value.tolist()) if value.dtype.hasobject else hashed(_bytes(value))]


def _bytes(array: Any) -> Any:
    """Return the content of an array in the order of its elements."""
    return array.reshape(-1).view("u1") if array.flags.c_contiguous else array.tobytes()


def _columns(value: Any) -> Iterator[Any]:
    """Yield the arrays of a frame's columns, of a series, or of the levels of an index."""
    if hasattr(value, "columns"):
        for place in range(value.shape[1]):
            yield value.iloc[:, place].array
    elif hasattr(value, "get_level_values") and value.nlevels > 1:
        for level in range(value.nlevels):
            yield value.get_level_values(level).array
    else:
        yield value.array


def _labels(value: Any, part: Part, pandas: Any) -> Any:
    if not hasattr(value, "index"):
        return None
    index = value.index
    return [
        [_kind(index.dtype, part), getattr(index, "freqstr", None)],
        [_values(labels, part, pandas) for labels in _columns(index)],
    ]


def _about(value: Any, part: Part, pandas: Any) -> Any:
    """Return the JSON of what is small: names, types, categories, frequencies and `attrs`."""
    axes = _axes(value)
    names = [part([*axis.names, getattr(axis, "freqstr", None)]) for axis in axes]
    if hasattr(value, "columns"):
        names.append(part(list(value.columns)))
        kinds = [_kind(kind, part) for kind in value.dtypes]
    else:
        names.append(part(None if isinstance(value, pandas.MultiIndex) else value.name))
        kinds = [_kind(value.dtype, part), getattr(value, "freqstr", None)]
    more = {name: getattr(value, name, None) for name in getattr(value, "_metadata", ())}
    is_index = isinstance(value, pandas.Index)  # it has private fields that pandas fills
    more |= {
        name: own
        for name, own in vars(value).items()
        if not (name in _OF_PANDAS or (is_index and name[0] == "_"))
    }
    more.pop("name", None)
    more.pop("_name", None)
    return [names, kinds, part(dict(getattr(value, "attrs", {}))), part(more)]


def _axes(value: Any) -> list[Any]:
    return list(value.axes) if hasattr(value, "axes") else [value]


def _kind(dtype: Any, part: Part) -> Any:
    """Return a type of values as JSON; the order of categories counts if they are ordered."""
    categories = getattr(dtype, "categories", None)
    if categories is None:
        return str(dtype)
    return [str(categories.dtype), part(list(categories)), bool(dtype.ordered)]


def _values(values: Any, part: Part, pandas: Any) -> Any:
    """Return the values of a column as JSON: a hash, or all of them where pandas has none."""
    if _may_change(values, pandas):
        return part(list(values))
    plain = values.to_numpy() if type(values).__name__ == "NumpyExtensionArray" else values
    try:
        hashes = pandas.util.hash_array(plain)
    except (TypeError, ValueError, NotImplementedError):  # of lists, for example
        return part(values.tolist() if hasattr(values, "tolist") else list(values))
    missing = pandas.isna(values)  # has the hash of the text "nan"
    return [hashed(hashes.tobytes()), hashed(missing.tobytes()) if missing.any() else None]


def _may_change(values: Any, pandas: Any) -> bool:
    """Return True for a column of objects that may change in place, or have no hash."""
    if str(values.dtype) != "object":
        return False
    return pandas.api.types.infer_dtype(values, skipna=False) not in _IMMUTABLE


# -- guards ---------------------------------------------------------------------------------------


class ArrayGuard:
    """Guard of an array without objects: a checksum of all of it.

    Args:
        value: The array.
    """

    __slots__ = ("_sum",)

    def __init__(self, value: Any) -> None:
        self._sum = self._check(value)

    def holds(self, value: Any) -> bool:
        """Return True if the array is unchanged."""
        return self._check(value) == self._sum

    def _check(self, value: Any) -> tuple[Any, ...]:
        return zlib.crc32(_bytes(value)), value.shape, value.dtype


class FrameGuard:
    """Guard of a DataFrame, a Series or an Index.

    Args:
        value: The frame.
        part: Function that returns the JSON of any value.
    """

    __slots__ = ("_about", "_copy", "_memory", "_objects", "_part", "_places")

    def __init__(self, value: Any, part: Part) -> None:
        pandas = sys.modules["pandas"]
        self._part = part
        self._about = _about(value, part, pandas)
        self._memory = _memory(value) if _copies_on_write(pandas) else None
        # As long as this copy lives, a change of the frame moves the frame to other memory. Of an
        # index only the names can change.
        may_move = self._memory is not None and hasattr(value, "index")
        self._copy = value.copy(deep=False) if may_move else None
        kinds = value.dtypes if hasattr(value, "columns") else [value.dtype]
        self._places = {
            place
            for place, (kind, column) in enumerate(zip(kinds, _columns(value), strict=False))
            if str(kind) == "object" and _may_change(column, pandas)
        }
        self._objects = self._read(value)

    def holds(self, value: Any) -> bool:
        """Return True if the frame is unchanged."""
        if self._copy is not None and (
            _memory(value) != self._memory
            or not all(map(_same_labels, _axes(value), _axes(self._copy)))
        ):
            return False
        about = _about(value, self._part, sys.modules["pandas"])
        return bool(about == self._about and self._read(value) == self._objects)

    def _read(self, value: Any) -> str | None:
        """Return the hash of what may change where it is; None if there is nothing."""
        if self._memory is None:
            return hashed(dumps(content(value, self._part)))
        if not self._places:
            return None
        pandas = sys.modules["pandas"]
        columns = [
            _values(column, self._part, pandas)
            for place, column in enumerate(_columns(value))
            if place in self._places
        ]
        return hashed(dumps(columns))


def _copies_on_write(pandas: Any) -> bool:
    return int(pandas.__version__.partition(".")[0]) >= 3  # noqa: PLR2004 - since pandas 3


def _same_labels(one: Any, other: Any) -> bool:
    return bool(one.is_(other))


def _memory(value: Any) -> tuple[Any, ...] | None:
    """Return where the memory of a frame is; None if it is not known."""
    manager = getattr(value, "_mgr", None)
    if manager is None:
        return ()  # an index, which never changes
    found: list[Any] = []
    for block in manager.blocks:
        arrays = [block.values] if hasattr(block.values, "__array_interface__") else []
        own = getattr(block.values, "__dict__", {})
        arrays = arrays or [own[name] for name in _MEMORIES if name in own]
        arrays = arrays or [
            memory
            for name in _MEMORIES
            if (memory := getattr(block.values, name, None)) is not None
        ]
        if not arrays:
            return None
        found.append(tuple(block.mgr_locs.as_array.tolist()))
        for array in arrays:
            place = getattr(array, "__array_interface__", None)
            found.append(
                id(array) if place is None else (place["data"], place["strides"], array.shape)
            )
    return tuple(found)
