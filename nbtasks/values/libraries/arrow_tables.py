"""Codec of tables of pandas, polars and pyarrow, as Arrow streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from nbtasks.values.content import Find, LazyBytes, NotTaggable, Tag, Untag
from nbtasks.values.libraries.pandas_columns import (
    from_arrow,
    index_from_arrow,
    index_to_arrow,
    to_arrow,
    zone_of,
)

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SCALARS", "read_arrow", "read_pandas", "read_polars", "read_scalar", "write"]


def write(value: Any, tag: Tag) -> dict[str, Any]:
    """Return the tag of a table, a column, or a scalar of pandas.

    Raises:
        NotTaggable: The value is none of these, or has no exact tag.
    """
    module = type(value).__module__.partition(".")[0]
    if module == "pandas":
        try:
            return _write_scalar(value) or _write_pandas(value, tag)
        except UnicodeEncodeError as error:  # Arrow's text is UTF-8
            raise NotTaggable(type(value)) from error
    return _write_polars(value) if module == "polars" else _write_arrow(value)


_PIECE_BYTES = 32 << 20
_SAMPLE_BYTES = 1 << 20
#: The scalar tags of pandas; those of NumPy begin with the name of a dtype.
SCALARS = ("missing", "timestamp", "timedelta", "period")


# -- pandas ----------------------------------------------------------------------------------------


def _write_pandas(value: Any, tag: Tag) -> dict[str, Any]:
    import pandas as pd

    kind = type(value)
    if kind is pd.DataFrame:
        about = {"of": "frame", "labels": _write_labels(value.columns, tag)}
        index, series = value.index, [value.iloc[:, place] for place in range(value.shape[1])]
    elif kind is pd.Series:
        about = {"of": "series", "name": tag(value.name)}
        index, series = value.index, [value]
    elif isinstance(value, pd.Index):
        about, index, series = {"of": "index"}, value, []
    else:
        raise NotTaggable(kind)
    about |= _write_attributes(value, tag)
    about["index"], arrays = index_to_arrow(index, tag)
    columns = [to_arrow(column, tag) for column in series]
    about["columns"] = [details for details, _ in columns]
    arrays += [array for _, array in columns]
    names = [f"index {place}" for place in range(len(arrays) - len(series))]
    # names for people who open the file with another tool; nbtasks does not use them
    names += [str(column.name).encode("utf-8", "replace").decode() for column in series]
    about["rows"] = len(value)
    return {"$pandas": [about, _stream(_table(arrays, names))]}


def _write_attributes(value: Any, tag: Tag) -> dict[str, Any]:
    """Return the attributes of a frame or a series besides its data.

    Raises:
        NotTaggable: The value has a flag, or an attribute of the user's, that a tag cannot keep.
    """
    flags = getattr(value, "flags", None)
    if flags is not None and not flags.allows_duplicate_labels:
        raise NotTaggable("a flag")
    if flags is not None and any(name[:1] != "_" for name in vars(value)):
        raise NotTaggable("an attribute")
    attrs = getattr(value, "attrs", None)
    return {"attrs": tag(attrs)} if attrs else {}


def _write_labels(labels: Any, tag: Tag) -> Any:
    """Return the column labels as a separate index; a range of numbers needs no data."""
    about, arrays = index_to_arrow(labels, tag)
    if not arrays:
        return about
    return [about, _stream(_table(arrays, [str(place) for place in range(len(arrays))]))]


def read_pandas(content: list[Any], find: Find, untag: Untag) -> Any:
    """Return a frame, a series, or an index of pandas.

    Raises:
        ValueError: The record is damaged.
    """
    import pandas as pd

    about: Any = content[0]
    arrays = _arrays(find(content[1]))
    if any(len(array) != about["rows"] for array in arrays):
        raise ValueError("its columns do not have the recorded length")
    index = index_from_arrow(about["index"], arrays, untag)
    values = [
        from_arrow(details, array, untag)
        for details, array in zip(about["columns"], arrays, strict=True)
    ]
    if about["of"] == "index":
        return index
    if about["of"] == "series":
        name = untag(about["name"])
        value: Any = _as_series(values[0], index, name)
    else:
        series = {place: _as_series(array, index) for place, array in enumerate(values)}
        value = pd.DataFrame(series, index=index, copy=False)
        details = about["labels"]
        labels, data = details if isinstance(details, list) else (details, None)
        value.columns = index_from_arrow(labels, [] if data is None else _arrays(find(data)), untag)
    if "attrs" in about:
        value.attrs = untag(about["attrs"])
    return value


def _as_series(array: Any, index: Any, name: Any = None) -> Any:
    """Return an array as a series; pandas would infer another type for one of objects."""
    import pandas as pd

    return pd.Series(array, index=index, name=name, dtype=array.dtype, copy=False)


def _write_scalar(value: Any) -> dict[str, Any] | None:
    import pandas as pd

    if value is pd.NaT or value is pd.NA:
        return {"$scalar": ["missing", str(value)]}
    kind = type(value)
    if kind is pd.Timestamp:
        zone = None if value.tz is None else zone_of(value.tz, value.unit)
        return {"$scalar": ["timestamp", str(value.asm8.view("i8")), value.unit, zone]}
    if kind is pd.Timedelta:
        return {"$scalar": ["timedelta", str(value.asm8.view("i8")), value.unit]}
    if kind is pd.Period and pd.Period(ordinal=value.ordinal, freq=value.freqstr) == value:
        return {"$scalar": ["period", str(value.ordinal), value.freqstr]}
    return None


def read_scalar(content: list[Any]) -> Any:
    """Return a timestamp, a duration, a period, or a missing value of pandas."""
    import numpy as np
    import pandas as pd

    kind, value, *more = content
    if kind == "missing":
        return pd.NaT if value == "NaT" else pd.NA
    if kind == "period":
        return pd.Period(ordinal=int(value), freq=more[0])
    if kind == "timedelta":
        return pd.Timedelta(np.timedelta64(int(value), more[0]))
    instant = pd.Timestamp(np.datetime64(int(value), more[0]))
    return instant if more[1] is None else instant.tz_localize("UTC").tz_convert(more[1])


# -- polars and pyarrow ----------------------------------------------------------------------------


def _write_polars(value: Any) -> dict[str, Any]:
    import polars as pl

    if type(value) not in (pl.DataFrame, pl.Series):
        raise NotTaggable(type(value))
    frame = value.to_frame() if type(value) is pl.Series else value
    if any(dtype.base_type() is pl.Object for dtype in frame.dtypes):
        raise NotTaggable(pl.Object)
    content = LazyBytes(
        int(frame.estimated_size()),
        lambda file: frame.write_ipc_stream(cast("Any", file), compression="lz4"),
    )
    return {"$polars": [type(value).__name__, content]}


def read_polars(content: list[Any], find: Find) -> Any:
    """Return a frame or a series of polars.

    Raises:
        ModuleNotFoundError: polars is not installed here.
    """
    import polars as pl

    frame = pl.read_ipc_stream(bytes(find(content[1])))
    return frame if content[0] == "DataFrame" else frame.to_series()


def _write_arrow(value: Any) -> dict[str, Any]:
    import pyarrow as pa

    if type(value) is not pa.Table:
        raise NotTaggable(type(value))
    return {"$arrow": _stream(value)}


def read_arrow(part: memoryview) -> pa.Table:
    """Return a table of pyarrow.

    Raises:
        ValueError: The data is invalid.
    """
    import pyarrow as pa

    table = pa.ipc.open_stream(pa.py_buffer(part)).read_all()
    # Offsets in damaged data may point outside its buffers, and nothing checks them later.
    table.validate(full=True)
    return table


def _table(arrays: list[Any], names: list[str]) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_arrays(arrays, names=names)


def _stream(table: pa.Table) -> LazyBytes:
    import pyarrow as pa

    # LZ4 with several threads takes no longer than writing the bytes that it saves. The table is
    # written in pieces, because each piece is in memory a second time until it is written.
    options = pa.ipc.IpcWriteOptions(compression="lz4" if _is_compressible(table) else None)
    rows = max(1, _PIECE_BYTES * max(1, table.num_rows) // max(1, table.nbytes))

    def write(file: Any) -> None:
        with pa.ipc.new_stream(file, table.schema, options=options) as writer:
            writer.write_table(table, max_chunksize=rows)

    return LazyBytes(table.nbytes, write)


def _is_compressible(table: pa.Table) -> bool:
    """Return True if compression shrinks samples of the table's buffers by over a tenth."""
    import pyarrow as pa

    chunks = [chunk for column in table.columns for chunk in column.chunks]
    buffers = [buffer for chunk in chunks for buffer in chunk.buffers() if buffer is not None]
    each = max(64, _SAMPLE_BYTES // max(1, len(buffers)))
    sample = b"".join(memoryview(buffer)[:each] for buffer in buffers)
    return len(pa.compress(sample, "lz4_raw", asbytes=True)) < len(sample) * 0.9


def _arrays(part: memoryview) -> list[Any]:
    table = read_arrow(part)
    return list(table.columns)
