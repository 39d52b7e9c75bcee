"""Dispatch of values of other libraries to their codecs.

A codec, with its library, is loaded only when a value of the library is written or read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nbtasks.values.content import Find, NotTaggable, Tag, Untag

__all__ = ["READERS", "write"]


def write(value: Any, tag: Tag) -> dict[str, Any]:
    """Return the tag of a value of another library.

    Raises:
        NotTaggable: The library has no codec, or the value has no exact tag.
    """
    module = type(value).__module__.partition(".")[0]
    if module == "numpy":
        from nbtasks.values.libraries import numpy_arrays

        return numpy_arrays.write(value)
    if module in ("pandas", "polars", "pyarrow"):
        from nbtasks.values.libraries import arrow_tables

        return arrow_tables.write(value, tag)
    if type(value).__module__ == "nbtasks.values.libraries.bindings":
        from nbtasks.values.libraries import bindings

        return bindings.write(value)
    if module in ("matplotlib", "nbtasks"):
        from nbtasks.values.libraries import matplotlib_figures

        return matplotlib_figures.write(value)
    raise NotTaggable(type(value))


def _read_array(content: Any, find: Find, _: Untag) -> Any:
    from nbtasks.values.libraries import numpy_arrays

    return numpy_arrays.read_array(find(content))


def _read_scalar(content: Any, _find: Find, _: Untag) -> Any:
    from nbtasks.values.libraries import arrow_tables, numpy_arrays

    return (arrow_tables if content[0] in arrow_tables.SCALARS else numpy_arrays).read_scalar(
        content
    )


def _read_pandas(content: Any, find: Find, untag: Untag) -> Any:
    from nbtasks.values.libraries import arrow_tables

    return arrow_tables.read_pandas(content, find, untag)


def _read_polars(content: Any, find: Find, _: Untag) -> Any:
    from nbtasks.values.libraries import arrow_tables

    return arrow_tables.read_polars(content, find)


def _read_arrow(content: Any, find: Find, _: Untag) -> Any:
    from nbtasks.values.libraries import arrow_tables

    return arrow_tables.read_arrow(find(content))


def _read_figure(content: Any, find: Find, _: Untag) -> Any:
    from nbtasks.values.libraries import matplotlib_figures

    return matplotlib_figures.read(content, find)


def _read_bindings(content: Any, find: Find, untag: Untag) -> Any:
    from nbtasks.values.libraries import bindings

    return bindings.read(content, find, untag)


def _read_pickle(content: Any, find: Find, untag: Untag) -> Any:
    from nbtasks.values.libraries import bindings

    return bindings.read_pickle(content, find, untag)


READERS: dict[str, Callable[[Any, Find, Untag], Any]] = {
    "$npy": _read_array,
    "$scalar": _read_scalar,
    "$pandas": _read_pandas,
    "$polars": _read_polars,
    "$arrow": _read_arrow,
    "$figure": _read_figure,
    "$bindings": _read_bindings,
    "$pickle": _read_pickle,
}
