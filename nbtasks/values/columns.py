"""pandas' columns and indexes as Arrow arrays, each with what Arrow does not say of its type.

pyarrow's own way from pandas and back goes by the names of columns, and loses what is an object,
the unit of an instant, a level that is not used. So here each array goes by itself, by its dtype:
what stands in a column comes back in type and value, or is refused.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import orjson

from nbtasks.values.content import Tag, Untag, Untagged

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["from_arrow", "read_index", "to_arrow", "write_index", "zone_of"]


# -- columns ---------------------------------------------------------------------------------------


def to_arrow(values: Any, tag: Tag) -> tuple[dict[str, Any], pa.Array]:
    """The array of a Series or an Index: what is said of its type, as JSON, and it."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    dtype = values.dtype
    if isinstance(dtype, np.dtype):
        return _plain(values.to_numpy(), dtype, tag)
    if isinstance(dtype, pd.CategoricalDtype):
        return _categories(values.array, tag)
    if isinstance(dtype, pd.DatetimeTZDtype):
        about = {"zone": zone_of(dtype.tz, dtype.unit), "unit": dtype.unit}
        return about, pa.array(values.array.asi8)
    if isinstance(dtype, pd.PeriodDtype):
        return {"period": _named(dtype)}, pa.array(values.array.asi8)
    if not hasattr(dtype, "__from_arrow__"):
        raise Untagged(dtype)
    return _said(dtype), _whole(values.array.__arrow_array__())


def from_arrow(about: dict[str, Any], array: pa.Array, untag: Untag) -> Any:
    """What `to_arrow` was given, as an array of numpy's or pandas'."""
    return _READERS[next(iter(about))](about, array, untag)


def _read_plain(about: dict[str, Any], array: pa.Array, _: Untag) -> Any:
    import numpy as np

    return _writable(array.to_numpy().astype(np.dtype(about["numpy"]), copy=False))


def _read_times(about: dict[str, Any], array: pa.Array, _: Untag) -> Any:
    return _writable(array.to_numpy()).view(about["time"])


def _read_zoned(about: dict[str, Any], array: pa.Array, _: Untag) -> Any:
    import pandas as pd

    dtype: Any = pd.DatetimeTZDtype(about["unit"], about["zone"])
    utc = pd.DatetimeIndex(_writable(array.to_numpy()).view(f"M8[{dtype.unit}]")).tz_localize("UTC")
    return utc.tz_convert(dtype.tz).array


def _read_periods(about: dict[str, Any], array: pa.Array, _: Untag) -> Any:
    import pandas as pd

    dtype: Any = pd.api.types.pandas_dtype(about["period"])
    return pd.arrays.PeriodArray(_writable(array.to_numpy()), dtype=dtype)


def _read_categories(about: dict[str, Any], array: Any, untag: Untag) -> Any:
    import pandas as pd

    levels, codes = _coded(array)
    categories = _index_of(about["categories"], levels, untag)
    dtype = pd.CategoricalDtype(categories, ordered=about["ordered"])
    return pd.Categorical.from_codes(codes, dtype=dtype)


def _coded(array: pa.ChunkedArray) -> tuple[pa.ChunkedArray, Any]:
    """The values of a dictionary, and the codes of where they stand."""
    import numpy as np
    import pyarrow as pa

    whole = _whole(array)
    codes = whole.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return pa.chunked_array([whole.dictionary]), np.array(codes)


def _writable(values: Any) -> Any:
    """An array that can be written to: what Arrow has read cannot."""
    return values if values.flags.writeable else values.copy()


def _read_objects(_about: dict[str, Any], array: pa.Array, _: Untag) -> Any:
    return _object(array.to_pylist())


def _read_tagged(_: dict[str, Any], array: pa.Array, untag: Untag) -> Any:
    return _object([untag(orjson.loads(text)) for text in array.to_pylist()])


def _read_by_pandas(about: dict[str, Any], array: Any, _: Untag) -> Any:
    import pandas as pd

    array = _whole(array)
    if "arrow" in about:
        dtype: Any = pd.ArrowDtype(array.type)
    elif "string" in about:
        dtype = _string_dtype(about["string"])
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


def _said(dtype: Any) -> dict[str, Any]:
    """What is said of a type that pandas makes of an Arrow array by itself: of an Arrow type, of
    text, of what may be missing, of intervals."""
    import pandas as pd

    if isinstance(dtype, pd.ArrowDtype):
        return {"arrow": str(dtype)}
    return _string(dtype) if isinstance(dtype, pd.StringDtype) else {"dtype": _named(dtype)}


def _plain(values: Any, dtype: Any, tag: Tag) -> tuple[dict[str, Any], pa.Array]:
    import pyarrow as pa

    if dtype.kind in "biuf" and dtype.itemsize <= 8:  # noqa: PLR2004 - a long double has no type
        return {"numpy": dtype.str}, pa.array(values, from_pandas=False)
    if dtype.kind in "mM":
        return {"time": dtype.str}, pa.array(values.view("i8"))
    if dtype.kind == "O":
        return _objects(values, tag)
    raise Untagged(dtype)


_EXACT: tuple[tuple[type, str], ...] = (
    (str, "large_string"), (bytes, "large_binary"), (bool, "bool_"), (dt.date, "date32"),
)  # fmt: skip


def _objects(values: Any, tag: Tag) -> tuple[dict[str, Any], pa.Array]:
    """A column of any objects: of one type that Arrow has, and None; else as tagged JSON."""
    import pyarrow as pa

    kinds = set(map(type, values)) - {type(None)}
    for kind, name in _EXACT:
        if kinds <= {kind}:
            try:
                return {"objects": name}, pa.array(values, getattr(pa, name)(), from_pandas=False)
            except (UnicodeEncodeError, pa.ArrowInvalid) as error:
                raise Untagged(kind) from error
    try:
        texts = [orjson.dumps(tag(value)) for value in values]
    except TypeError as error:  # a content: they are arrays, say
        raise Untagged(kinds) from error
    return {"tagged": "json"}, pa.array(texts, pa.large_binary())


def _object(values: list[Any]) -> Any:
    import numpy as np

    array = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):  # one by one: a tuple is not an array of its own
        array[place] = value
    return array


def _categories(values: Any, tag: Tag) -> tuple[dict[str, Any], pa.Array]:
    import numpy as np
    import pyarrow as pa

    if values.categories.name is not None:
        raise Untagged("a name of categories")
    about, categories = to_arrow(values.categories, tag)
    if isinstance(categories, pa.ExtensionArray):  # intervals, as of pd.cut
        raise Untagged(categories.type)
    codes = np.asarray(values.codes)
    array = pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), categories)
    return {"categories": _kept(values.categories, about), "ordered": values.ordered}, array


def _string(dtype: Any) -> dict[str, Any]:
    import pandas as pd

    about = [dtype.storage, "NA" if dtype.na_value is pd.NA else "nan"]
    if not _same(_string_dtype(about), dtype):
        raise Untagged(dtype)
    return {"string": about}


def _string_dtype(about: list[str]) -> Any:
    import pandas as pd

    storage, missing = about
    # by keywords that pandas before 3.0 does not publish
    return pd.StringDtype(storage, na_value=pd.NA if missing == "NA" else float("nan"))


def _named(dtype: Any) -> str:
    """A dtype's name, by which it is found again."""
    import pandas as pd

    name = str(dtype)
    try:
        if _same(pd.api.types.pandas_dtype(name), dtype):
            return name
    except TypeError:
        pass
    raise Untagged(dtype)


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one == other


def zone_of(zone: Any, unit: str = "ns") -> str:
    """The name by which pandas finds a time zone again."""
    import pandas as pd

    found = pd.DatetimeTZDtype(cast("Any", unit), str(zone)).tz
    if type(found) is not type(zone) or str(found) != str(zone):
        raise Untagged(zone)
    return str(zone)


def _whole(array: Any) -> pa.Array:
    """One array of what may stand in pieces."""
    import pyarrow as pa

    if not isinstance(array, pa.ChunkedArray):
        return array
    return pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)


# -- indexes ---------------------------------------------------------------------------------------


def write_index(index: Any, tag: Tag) -> tuple[dict[str, Any], list[pa.Array]]:
    """An index: what is said of it, as JSON, and its arrays, each as long as it is."""
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
        raise Untagged(kind)
    about, array = to_arrow(index, tag)
    return {**_kept(index, about), "name": tag(index.name)}, [array]


def read_index(about: dict[str, Any], arrays: list[Any], untag: Untag) -> Any:
    """What `write_index` was given. It takes its arrays from the front of the list."""
    import pandas as pd

    if "range" in about:
        start, stop, step = about["range"]
        return pd.RangeIndex(start, stop, step, name=untag(about["name"]))
    if "levels" not in about:
        return _index_of(about, arrays.pop(0), untag, untag(about["name"]))
    levels, codes = [], []
    for level in about["levels"]:
        array = arrays.pop(0)
        values, numbers = _coded(array)
        levels.append(_index_of(level, values, untag))
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
            raise Untagged(array.type)
        numbers = np.asarray(codes)
        arrays.append(pa.DictionaryArray.from_arrays(pa.array(numbers, mask=numbers < 0), array))
        levels.append(_kept(level, about))
    return {"levels": levels, "names": [tag(name) for name in index.names]}, arrays


def _kept(index: Any, about: Any) -> dict[str, Any]:
    import pandas as pd

    freq = getattr(index, "freq", None) if not isinstance(index, pd.PeriodIndex) else None
    if freq is None:
        return {"array": about}
    if pd.tseries.frequencies.to_offset(freq.freqstr) != freq:
        raise Untagged(freq)
    return {"array": about, "freq": freq.freqstr}


def _index_of(about: dict[str, Any], array: pa.Array, untag: Untag, name: Any = None) -> Any:
    import pandas as pd

    values = from_arrow(about["array"], array, untag)
    index = pd.Index(values, name=name, dtype=values.dtype)
    if "freq" in about:
        index.freq = about["freq"]  # of instants, as it was
    return index
