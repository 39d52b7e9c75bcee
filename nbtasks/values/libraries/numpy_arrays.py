"""Codec of NumPy's arrays, as `.npy` files, and scalars, as tags."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nbtasks.values.content import LazyBytes, NotTaggable

if TYPE_CHECKING:
    import numpy as np

__all__ = ["read_array", "read_scalar", "write"]

_MAX_INT = 1 << 53


def write(value: Any) -> dict[str, Any]:
    """Return the tag of an array or a scalar.

    Raises:
        NotTaggable: The value is neither, or it contains objects.
    """
    import numpy as np

    if type(value) is np.ndarray:
        # The bytes of objects are a pickle, and a .npy file lacks the metadata of a dtype.
        if value.dtype.hasobject or value.dtype.metadata is not None:
            raise NotTaggable(value.dtype)
        return {"$npy": LazyBytes(value.nbytes, lambda file: _save(file, value))}
    if isinstance(value, np.generic) and type(value) is value.dtype.type:
        return {"$scalar": [value.dtype.str, _scalar(value)]}
    raise NotTaggable(type(value))


def read_array(part: memoryview) -> np.ndarray[Any, Any]:
    """Return the array of a `.npy` file, never loading a pickle.

    Raises:
        ValueError: The file is damaged, or contains objects.
    """
    import numpy as np

    source, formats = _Source(part), np.lib.format
    version = formats.read_magic(source)
    if version in ((1, 0), (2, 0)):
        read = formats.read_array_header_1_0 if version == (1, 0) else formats.read_array_header_2_0
        shape, is_fortran, dtype = read(source)
        if not dtype.hasobject and dtype.itemsize and (count := math.prod(shape)):
            data = np.frombuffer(part, dtype, count, source.at)
            if part.readonly:
                data = data.copy()
            return data.reshape(shape, order="F" if is_fortran else "C")
    array: np.ndarray[Any, Any] = formats.read_array(_Source(part), allow_pickle=False)
    return array


def read_scalar(content: list[Any]) -> Any:
    """Return the scalar of a tag.

    Raises:
        ValueError: The tag has an unknown dtype.
    """
    import numpy as np

    dtype = np.dtype(content[0])
    kind, value = dtype.kind, content[1]
    if kind not in _SCALARS:
        raise ValueError(f"{content[0]!r} is not a scalar type")
    if kind in "mM":
        return np.array(int(value), "i8").view(dtype)[()]
    if kind == "c":
        return np.array(complex(float(value[0]), float(value[1])), dtype)[()]
    if kind == "S":
        return np.array(base64.b64decode(value), dtype)[()]
    if kind in "iuf":
        value = float(value) if kind == "f" else int(value)
    return np.array(value, dtype)[()]


def _save(file: Any, array: np.ndarray[Any, Any]) -> None:
    import numpy as np

    header = _header(array) if array.flags.c_contiguous and array.dtype.itemsize else b""
    if header and array.size:
        file.write(header)
        file.write(array.reshape(-1).view(np.uint8).data)  # without a copy
    else:
        np.lib.format.write_array(file, array, allow_pickle=False)


def _header(array: np.ndarray[Any, Any]) -> bytes:
    """Return the header of a `.npy` file of version 1.0; none if the array needs a later one."""
    import numpy as np

    header = io.BytesIO()
    try:
        facts = np.lib.format.header_data_from_array_1_0(array)
        np.lib.format.write_array_header_1_0(header, facts)
    except ValueError:
        return b""
    return header.getvalue()


def _scalar(value: Any) -> Any:
    kind, size = value.dtype.kind, value.dtype.itemsize
    if kind not in _SCALARS or size > _SCALARS[kind][0]:
        raise NotTaggable(value.dtype)
    return _SCALARS[kind][1](value)


def _integer(value: Any) -> int | str:
    # JSON readers other than Python's keep integers up to 2**53 only
    return int(value) if abs(int(value)) <= _MAX_INT else str(value)


def _float(value: Any) -> float | str:
    number = float(value)
    return number if number - number == 0 else repr(number)


def _text(value: Any) -> str:
    if "\0" in value:  # NumPy cuts off trailing zero characters
        raise NotTaggable(value.dtype)
    return str(value)


#: By the kind of a dtype: the largest item size in bytes that has an exact text, and its writer.
_SCALARS: dict[str, tuple[float, Callable[[Any], Any]]] = {
    "b": (1, bool),
    "i": (8, _integer),
    "u": (8, _integer),
    "f": (8, _float),
    "c": (16, lambda value: [_float(value.real), _float(value.imag)]),
    "m": (8, lambda value: str(int(value.view("i8")))),
    "M": (8, lambda value: str(int(value.view("i8")))),
    "U": (float("inf"), _text),
    "S": (float("inf"), lambda value: base64.b64encode(bytes(value)).decode()),
}


class _Source:
    """File over a memoryview, to read it without copying all of it."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self.at = 0

    def read(self, size: int = -1, /) -> bytes:
        end = None if size < 0 else self.at + size
        piece = self._data[self.at : end]
        self.at += len(piece)
        return bytes(piece)
