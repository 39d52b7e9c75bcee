"""Conversion of DuckDB's results to DataFrames. The types of a view do not depend on its rows.

DuckDB's own conversion to pandas creates a Python object for each text, turns an integer column
with a gap into floats, and warns with pandas 3. Arrow passes text on without a copy: a frame of a
million tasks takes a third of the time.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbtasks.views.frames.dataframe import DataFrame

__all__ = ["NULLABLE", "framed"]

#: Integer columns of the views that may have gaps: always `Int64`, with rows or without.
NULLABLE = ("output_bytes", "pid")

_DAY_US = 86_400_000_000
_MONTH_DAYS = 30  # as DuckDB counts when it compares intervals


def framed(table: Any, nullable: Collection[str] = ()) -> DataFrame:
    """Return a pyarrow Table as a DataFrame.

    Text becomes pandas' `str`, an instant with a zone becomes UTC, an interval a Timedelta, an enum
    an ordered category. Integers become `Int64` if one is missing or the column is in `nullable`.
    """
    import pandas as pd

    columns = [
        _column(column, nullable=name in nullable)
        for name, column in zip(table.column_names, table.columns, strict=True)
    ]
    frame = pd.DataFrame(dict(enumerate(columns)), copy=False)
    frame.columns = pd.Index(table.column_names, dtype="str")
    return frame


def _column(column: Any, *, nullable: bool) -> Any:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    kind = column.type
    if pa.types.is_large_string(kind) or pa.types.is_string(kind):
        text = pd.StringDtype("pyarrow", na_value=np.nan)
        return column.to_pandas(types_mapper={kind: text}.get)
    if pa.types.is_dictionary(kind):
        return _ordered(column)
    if pa.types.is_interval(kind):
        return _timedeltas(column)
    if pa.types.is_decimal(kind):
        column = _number(column)
        kind = column.type
    if pa.types.is_integer(kind) and (nullable or column.null_count):
        return column.cast(pa.int64()).to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    if pa.types.is_boolean(kind) and column.null_count:
        return column.to_pandas(types_mapper={pa.bool_(): pd.BooleanDtype()}.get)
    return column.to_pandas(date_as_object=False)


def _ordered(column: Any) -> Any:
    """Return an enum column as a categorical with all its values, in the order of the enum."""
    import pandas as pd
    import pyarrow as pa

    column = column.unify_dictionaries()
    names = (
        column.chunk(0).dictionary if column.num_chunks else pa.array([], column.type.value_type)
    )
    codes = pa.chunked_array([chunk.indices for chunk in column.chunks], column.type.index_type)
    filled = codes.cast(pa.int32()).fill_null(-1).to_numpy()
    return pd.Categorical.from_codes(filled, categories=names.to_pylist(), ordered=True)


def _timedeltas(column: Any) -> Any:
    """Return a column of intervals, stored as months, days and nanoseconds."""
    import numpy as np

    whole = column.combine_chunks()
    parts = np.frombuffer(
        whole.buffers()[1],
        np.dtype([("months", "i4"), ("days", "i4"), ("nanos", "i8")]),
        count=len(whole),
        offset=whole.offset * 16,
    )
    days = parts["months"].astype("int64") * _MONTH_DAYS + parts["days"]
    spans = (days * _DAY_US + parts["nanos"] // 1000).astype("timedelta64[us]")
    spans[np.asarray(whole.is_null())] = np.timedelta64("NaT", "us")
    return spans


def _number(column: Any) -> Any:
    """Return decimals, DuckDB's sums of integers, as integers if all fit, else as floats."""
    import pyarrow as pa

    if column.type.scale == 0:
        try:
            return column.cast(pa.int64())
        except pa.ArrowInvalid:
            pass
    return column.cast(pa.float64())
