"""Codec of pandas' columns and indexes: Arrow arrays, with the type details that Arrow lacks.

pyarrow's own conversion of pandas goes by the names of columns, and loses objects, the unit of
timestamps, and unused levels. So each array is converted separately here, by its dtype: a column
comes back exact in type and value, or is refused.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import orjson

from nbtasks.values.content import NotTaggable, Tag, Untag

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["from_arrow", "index_from_arrow", "index_to_arrow", "to_arrow", "zone_of"]


# -- columns ---------------------------------------------------------------------------------------


def to_arrow(values: Any, tag: Tag) -> tuple[dict[str, Any], pa.Array]:
    """Convert a Series or an Index to an Arrow array.

    Returns:
        The details of its type, as JSON, and the array.

    Raises:
        NotTaggable: The values have no exact Arrow array.
    """
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    dtype = values.dtype
    if isinstance(dtype, np.dtype):
        return _write_plain(values.to_numpy(), dtype, tag)
    if isinstance(dtype, pd.CategoricalDtype):
        return _write_categories(values.array, tag)
    if isinstance(dtype, pd.DatetimeTZDtype):
        about = {"zone": zone_of(dtype.tz, dtype.unit), "unit": dtype.unit}
        return about, pa.array(values.array.asi8)
    if isinstance(dtype, pd.PeriodDtype):
        return {"period": _name_dtype(dtype)}, pa.array(values.array.asi8)
    if not hasattr(dtype, "__from_arrow__"):
        raise NotTaggable(dtype)
    return _describe_dtype(dtype), _combine_chunks(values.array.__arrow_array__())


def from_arrow(about: dict[str, Any], array: pa.Array, untag: Untag) -> Any:
    """Return the values from `to_arrow`, as an array of NumPy or pandas."""
    return _READERS[next(iter(about))](about, array, untag)


def _read_plain(about: dict[str, Any], array: pa.Array, _: Untag) -> Any:
    import numpy as np

    return _make_writable(array.to_numpy().astype(np.dtype(about["numpy"]), copy=False))


def _read_times(about: dict[str, Any], array: pa.Array, _: Untag) -> Any:
    return _make_writable(array.to_numpy()).view(about["time"])


def _read_zoned(about: dict[str, Any], array: pa.Array, _: Untag) -> Any:
    import pandas as pd

    dtype: Any = pd.DatetimeTZDtype(about["unit"], about["zone"])
    utc = pd.DatetimeIndex(_make_writable(array.to_numpy()).view(f"M8[{dtype.unit}]")).tz_localize(
        "UTC"
    )
    return utc.tz_convert(dtype.tz).array


def _read_periods(about: dict[str, Any], array: pa.Array, _: Untag) -> Any:
    import pandas as pd

    dtype: Any = pd.api.types.pandas_dtype(about["period"])
    return pd.arrays.PeriodArray(_make_writable(array.to_numpy()), dtype=dtype)


def _read_categories(about: dict[str, Any], array: Any, untag: Untag) -> Any:
    import pandas as pd

    levels, codes = _decode_dictionary(array)
    categories = _build_index(about["categories"], levels, untag)
    dtype = pd.CategoricalDtype(categories, ordered=about["ordered"])
    return pd.Categorical.from_codes(codes, dtype=dtype)


def _decode_dictionary(array: pa.ChunkedArray) -> tuple[pa.ChunkedArray, Any]:
    """Return the values of a dictionary array, and its codes; -1 stands for a missing value."""
    import numpy as np
    import pyarrow as pa

    whole = _combine_chunks(array)
    codes = whole.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return pa.chunked_array([whole.dictionary]), np.array(codes)


def _make_writable(values: Any) -> Any:
    """Return an array that is writable: those that Arrow reads are not."""
    return values if values.flags.writeable else values.copy()


def _read_objects(_about: dict[str, Any], array: pa.Array, _: Untag) -> Any:
    return _build_object_array(array.to_pylist())


def _read_tagged(_: dict[str, Any], array: pa.Array, untag: Untag) -> Any:
    return _build_object_array([untag(orjson.loads(text)) for text in array.to_pylist()])


def _read_by_pandas(about: dict[str, Any], array: Any, _: Untag) -> Any:
    import pandas as pd

    array = _combine_chunks(array)
    if "arrow" in about:
        dtype: Any = pd.ArrowDtype(array.type)
    elif "string" in about:
        dtype = _build_string_dtype(about["string"])
    else:
        dtype = pd.api.types.pandas_dtype(about["dtype"])
    return dtype.__from_arrow__(array)


_READERS: dict[str, Callable[[dict[str, Any], Any, Untag], Any]] = {
    "numpy": _read_plain,
    "time": _read_times,
    "zone": _read_zoned,
    "period": _read_periods,
    "categories": _read_categories,
    "objects": _read_objects,
    "tagged": _read_tagged,
    "arrow": _read_by_pandas,
    "string": _read_by_pandas,
    "dtype": _read_by_pandas,
}


def _describe_dtype(dtype: Any) -> dict[str, Any]:
    """Return the details of a dtype that pandas itself creates from an Arrow array.

    These are Arrow dtypes, strings, nullable dtypes, and intervals.
    """
    import pandas as pd

    if isinstance(dtype, pd.ArrowDtype):
        return {"arrow": str(dtype)}
    return (
        _write_text(dtype) if isinstance(dtype, pd.StringDtype) else {"dtype": _name_dtype(dtype)}
    )


def _write_plain(values: Any, dtype: Any, tag: Tag) -> tuple[dict[str, Any], pa.Array]:
    import pyarrow as pa

    if dtype.kind in "biuf" and dtype.itemsize <= 8:  # noqa: PLR2004 - a long double has no type
        return {"numpy": dtype.str}, pa.array(values, from_pandas=False)
    if dtype.kind in "mM":
        return {"time": dtype.str}, pa.array(values.view("i8"))
    if dtype.kind == "O":
        return _write_objects(values, tag)
    raise NotTaggable(dtype)


_EXACT: tuple[tuple[type, str], ...] = (
    (str, "large_string"), (bytes, "large_binary"), (bool, "bool_"), (dt.date, "date32"),
)  # fmt: skip


def _write_objects(values: Any, tag: Tag) -> tuple[dict[str, Any], pa.Array]:
    """Convert objects: of one type that Arrow has, and None, directly; others as tagged JSON."""
    import pyarrow as pa

    kinds = set(map(type, values)) - {type(None)}
    for kind, name in _EXACT:
        if kinds <= {kind}:
            try:
                return {"objects": name}, pa.array(values, getattr(pa, name)(), from_pandas=False)
            except (UnicodeEncodeError, pa.ArrowInvalid) as error:
                raise NotTaggable(kind) from error
    try:
        texts = [orjson.dumps(tag(value)) for value in values]
    except TypeError as error:  # a tag with bytes: the objects are arrays, for example
        raise NotTaggable(kinds) from error
    return {"tagged": "json"}, pa.array(texts, pa.large_binary())


def _build_object_array(values: list[Any]) -> Any:
    import numpy as np

    array = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):  # one by one: NumPy would turn tuples into arrays
        array[place] = value
    return array


def _write_categories(values: Any, tag: Tag) -> tuple[dict[str, Any], pa.Array]:
    import numpy as np
    import pyarrow as pa

    if values.categories.name is not None:
        raise NotTaggable("a name of categories")
    about, categories = to_arrow(values.categories, tag)
    if isinstance(categories, pa.ExtensionArray):  # intervals, as pd.cut returns them
        raise NotTaggable(categories.type)
    codes = np.asarray(values.codes)
    array = pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), categories)
    return {"categories": _add_freq(values.categories, about), "ordered": values.ordered}, array


def _write_text(dtype: Any) -> dict[str, Any]:
    import pandas as pd

    about = [dtype.storage, "NA" if dtype.na_value is pd.NA else "nan"]
    if not _is_same(_build_string_dtype(about), dtype):
        raise NotTaggable(dtype)
    return {"string": about}


def _build_string_dtype(about: list[str]) -> Any:
    import pandas as pd

    storage, missing = about
    # pandas before 3.0 does not document this keyword
    return pd.StringDtype(storage, na_value=pd.NA if missing == "NA" else float("nan"))


def _name_dtype(dtype: Any) -> str:
    """Return the name by which pandas looks up exactly this dtype."""
    import pandas as pd

    name = str(dtype)
    try:
        if _is_same(pd.api.types.pandas_dtype(name), dtype):
            return name
    except TypeError:
        pass
    raise NotTaggable(dtype)


def _is_same(first: Any, other: Any) -> bool:
    return type(first) is type(other) and first == other


def zone_of(zone: Any, unit: str = "ns") -> str:
    """Return the name by which pandas looks up exactly this time zone."""
    import pandas as pd

    restored = pd.DatetimeTZDtype(cast("Any", unit), str(zone)).tz
    if type(restored) is not type(zone) or str(restored) != str(zone):
        raise NotTaggable(zone)
    return str(zone)


def _combine_chunks(array: Any) -> pa.Array:
    """Return an array that may be chunked as one array."""
    import pyarrow as pa

    if not isinstance(array, pa.ChunkedArray):
        return array
    return pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)


# -- indexes ---------------------------------------------------------------------------------------


def index_to_arrow(index: Any, tag: Tag) -> tuple[dict[str, Any], list[pa.Array]]:
    """Return the details of an index, as JSON, and its arrays, each as long as the index."""
    import pandas as pd

    kind = type(index)
    if kind is pd.RangeIndex:
        about = {"range": [index.start, index.stop, index.step], "name": tag(index.name)}
        return about, []
    if kind is pd.MultiIndex:
        return _write_levels(index, tag)
    if kind not in (
        pd.Index, pd.DatetimeIndex, pd.TimedeltaIndex, pd.PeriodIndex, pd.CategoricalIndex,
        pd.IntervalIndex,
    ):  # fmt: skip
        raise NotTaggable(kind)
    about, array = to_arrow(index, tag)
    return {**_add_freq(index, about), "name": tag(index.name)}, [array]


def index_from_arrow(about: dict[str, Any], arrays: list[Any], untag: Untag) -> Any:
    """Return the index from `index_to_arrow`, removing its arrays from the front of the list."""
    import pandas as pd

    if "range" in about:
        start, stop, step = about["range"]
        return pd.RangeIndex(start, stop, step, name=untag(about["name"]))
    if "levels" not in about:
        return _build_index(about, arrays.pop(0), untag, untag(about["name"]))
    levels, codes = [], []
    for level in about["levels"]:
        array = arrays.pop(0)
        values, numbers = _decode_dictionary(array)
        levels.append(_build_index(level, values, untag))
        codes.append(numbers)
    names = [untag(name) for name in about["names"]]
    return pd.MultiIndex(levels, codes, names=names, verify_integrity=True)


def _write_levels(index: Any, tag: Tag) -> tuple[dict[str, Any], list[pa.Array]]:
    import numpy as np
    import pyarrow as pa

    levels, arrays = [], []
    for level, codes in zip(index.levels, index.codes, strict=True):
        about, array = to_arrow(level, tag)
        if isinstance(array, pa.ExtensionArray | pa.DictionaryArray):
            raise NotTaggable(array.type)
        numbers = np.asarray(codes)
        arrays.append(pa.DictionaryArray.from_arrays(pa.array(numbers, mask=numbers < 0), array))
        levels.append(_add_freq(level, about))
    return {"levels": levels, "names": [tag(name) for name in index.names]}, arrays


def _add_freq(index: Any, about: Any) -> dict[str, Any]:
    import pandas as pd

    freq = getattr(index, "freq", None) if not isinstance(index, pd.PeriodIndex) else None
    if freq is None:
        return {"array": about}
    if pd.tseries.frequencies.to_offset(freq.freqstr) != freq:
        raise NotTaggable(freq)
    return {"array": about, "freq": freq.freqstr}


def _build_index(about: dict[str, Any], array: pa.Array, untag: Untag, name: Any = None) -> Any:
    import pandas as pd

    values = from_arrow(about["array"], array, untag)
    index = pd.Index(values, name=name, dtype=values.dtype)
    if "freq" in about:
        index.freq = about["freq"]  # pandas keeps the frequency beside the timestamps
    return index
