"""Values of other libraries: which module here knows them. A library is loaded only where there is
a value of it, or one is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nbtasks.values.content import Find, Tag, Untag, Untagged

__all__ = ["READERS", "write"]


def write(value: Any, tag: Tag) -> dict[str, Any]:
    """The tag of a value of such a library.

    Raises:
        Untagged: It is of none, or there is no exact way to keep it.
    """
    module = type(value).__module__.partition(".")[0]
    if module == "numpy":
        from nbtasks.values import arrays

        return arrays.write(value)
    if module in ("pandas", "polars", "pyarrow"):
        from nbtasks.values import tables

        return tables.write(value, tag)
    if module in ("matplotlib", "nbtasks"):
        from nbtasks.values import figures

        return figures.write(value)
    raise Untagged(type(value))


def _read_array(content: Any, find: Find, _: Untag) -> Any:
    from nbtasks.values import arrays

    return arrays.read_array(find(content))


def _read_scalar(content: Any, _find: Find, _: Untag) -> Any:
    from nbtasks.values import arrays, tables

    return (tables if content[0] in tables.SCALARS else arrays).read_scalar(content)


def _read_pandas(content: Any, find: Find, again: Untag) -> Any:
    from nbtasks.values import tables

    return tables.read_pandas(content, find, again)


def _read_polars(content: Any, find: Find, _: Untag) -> Any:
    from nbtasks.values import tables

    return tables.read_polars(content, find)


def _read_arrow(content: Any, find: Find, _: Untag) -> Any:
    from nbtasks.values import tables

    return tables.read_arrow(find(content))


def _read_figure(content: Any, find: Find, _: Untag) -> Any:
    from nbtasks.values import figures

    return figures.read(content, find)


READERS: dict[str, Callable[[Any, Find, Untag], Any]] = {
    "$npy": _read_array,
    "$scalar": _read_scalar,
    "$pandas": _read_pandas,
    "$polars": _read_polars,
    "$arrow": _read_arrow,
    "$figure": _read_figure,
}
