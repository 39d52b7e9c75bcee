"""Each kind of value comes back as it went in: equal in type and value, however it is nested."""

from __future__ import annotations

import datetime as dt
import threading
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import nbtasks as nb
from nbtasks.values import codec
from tests.kinds import DOCS, KINDS, Fit, flights, frame, in_docs, same
from tests.thorough import only_thorough


def again(value: object) -> Any:
    """The value as a later execution gets it, from the row or from the file beside it."""
    encoded = codec.encode(value)
    if encoded.blob is not None:
        data = memoryview(bytes(encoded.blob))
        return codec.decode_blob(encoded.kind, encoded.text, data)
    return codec.decode(encoded.kind, encoded.text)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.what)
class TestEachKind:
    @pytest.mark.slow
    def test_is_recorded_as_the_docs_say(self, kind):
        assert codec.encode(kind.make()).kind == kind.kind

    def test_comes_back_from_a_row(self, kind):
        same(again(kind.make()), kind.make())

    def test_comes_back_from_a_file(self, kind, monkeypatch):
        monkeypatch.setattr(codec, "INLINE_BYTES", 10)
        same(again(kind.make()), kind.make())

    @pytest.mark.slow
    def test_comes_back_from_inside_of_others(self, kind):
        nested: Any = {"a": [kind.make(), (kind.make(), None)], "fit": Fit("b", kind.make())}
        result = again(nested)
        same(result["a"], nested["a"])
        same(result["fit"].score, nested["fit"].score)

    @pytest.mark.slow
    def test_is_the_same_in_the_first_execution_and_in_later_ones(self, kind):
        given: list[Any] = []

        @nb.job("kinds")
        def body(io: nb.SyncIO) -> None:
            given.append(io.run_task("make", kind.make))

        body.run()
        body.run()
        same(*given)


@pytest.mark.parametrize(
    # the bytes of a pickle may differ by chance
    "kind",
    [kind for kind in KINDS if not kind.trust],
    ids=lambda kind: kind.what,
)
def test_a_value_has_the_same_bytes_each_time(kind):
    assert codec.to_sorted_json(kind.make()) == codec.to_sorted_json(kind.make())
    assert codec.to_sorted_json(kind.make()) == codec.to_sorted_json(again(kind.make()))


def test_the_docs_have_this_table():
    assert in_docs(DOCS.read_text()) == DOCS.read_text(), "run: python -m tests.kinds"


# -- frames made at random -------------------------------------------------------------------------

ZONES = st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns"])
UNITS = st.sampled_from(["s", "ms", "us", "ns"])
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
NUMBERS = st.sampled_from(
    ["int8", "int64", "uint16", "uint64", "float16", "float32", "float64", "bool"]
)
ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), WORDS, st.binary(max_size=3), st.dates(),
    st.decimals(allow_nan=False), st.tuples(st.integers(), WORDS),
)  # fmt: skip


def of_dtype(draw: Any, size: int) -> Any:
    """A column's values, of any dtype."""
    kind = draw(st.sampled_from(
        ["number", "words", "objects", "one type", "zoned", "naive", "delta", "category", "masked",
         "string", "period", "arrow"]
    ))  # fmt: skip
    if kind == "number":
        return draw(npst.arrays(draw(NUMBERS), size))
    integers = draw(st.lists(st.integers(-(2**31), 2**31), min_size=size, max_size=size))
    missing = draw(st.lists(st.booleans(), min_size=size, max_size=size))
    words = draw(st.lists(st.none() | WORDS, min_size=size, max_size=size))
    if kind in ("objects", "one type"):
        one = draw(st.sampled_from([WORDS, st.binary(), st.dates(), st.booleans(), st.integers()]))
        part = ANYTHING if kind == "objects" else st.none() | one
        values = draw(st.lists(part, min_size=size, max_size=size))
        column = np.empty(size, dtype=object)
        column[:] = values
        return column
    if kind == "words":
        return pd.array(words, dtype="str")
    if kind == "string":
        return pd.array(words, dtype=draw(st.sampled_from(["string[python]", "string[pyarrow]"])))
    if kind == "category":
        return pd.Categorical(words, ordered=draw(st.booleans()))
    if kind == "period":
        months = [pd.Period(ordinal=n % 9999, freq="M") for n in integers]
        return pd.PeriodIndex(months, dtype="period[M]").array
    if kind == "masked":
        return pd.arrays.IntegerArray(np.array(integers, "int64"), np.array(missing, bool))
    if kind == "arrow":
        return pd.array(words, dtype=pd.ArrowDtype(pa.string()))
    unit = draw(UNITS)
    times = np.where(missing, np.iinfo("i8").min, np.array(integers, "i8")).astype("i8")
    if kind == "delta":
        return times.view(f"m8[{unit}]")
    index = pd.DatetimeIndex(times.view(f"M8[{unit}]"))
    return index.tz_localize("UTC").tz_convert(draw(ZONES)).array if kind == "zoned" else index


@st.composite
def frames(draw: Any) -> pd.DataFrame:
    size = draw(st.integers(0, 4))
    names = draw(st.lists(WORDS | st.integers(0, 9) | st.tuples(WORDS), max_size=4))
    columns = {place: of_dtype(draw, size) for place in range(len(names))}
    index: Any = draw(st.sampled_from(["range", "one", "many"]))
    if index == "range":
        start = draw(st.integers(-3, 3))
        labels: Any = pd.RangeIndex(start, start + size, name=draw(st.none() | WORDS))
    elif index == "one":
        labels = pd.Index(of_dtype(draw, size), name=draw(st.none() | WORDS))
    else:
        labels = pd.MultiIndex.from_arrays(
            [draw(npst.arrays("int64", size)), pd.array(["a"] * size, dtype="str")],
            names=[draw(WORDS), None],
        )
    # as series: pandas would infer another dtype for texts and times that are objects
    made = pd.DataFrame(
        {
            place: pd.Series(values, index=labels, dtype=values.dtype)
            for place, values in columns.items()
        },
        index=labels,
    )
    made.columns = pd.Index(names, dtype=object) if names else made.columns
    return made


@pytest.mark.slow
@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(frames())
def test_a_frame_comes_back_as_it_was(value: pd.DataFrame):
    same(again(value), value)
    assert codec.to_sorted_json(again(value)) == codec.to_sorted_json(value)


@pytest.mark.parametrize(
    "values",
    [
        ["a", None],
        ["a", "b"],
        [dt.timedelta(1)],
        [dt.datetime(2013, 1, 1, tzinfo=dt.UTC)],
        [pd.Timestamp(0), pd.NaT],
        [np.datetime64(0, "s")],
    ],
    ids=repr,
)
def test_a_column_of_objects_stays_one(values: list[Any]):
    column = pd.Series(values, dtype=object)

    for value in (column, column.to_frame("x"), pd.Index(column, dtype=object)):
        result = again(value)
        same(result, value)
        assert type(np.asarray(result).flat[0]) is type(values[0])


ARRAYS = npst.arrays(npst.scalar_dtypes(), npst.array_shapes(max_dims=2, max_side=3))
ALL = st.recursive(
    ANYTHING | frames() | ARRAYS | frames().map(lambda made: made.index),
    lambda part: st.one_of(
        st.lists(part, max_size=3),
        st.lists(part, max_size=3).map(tuple),
        st.dictionaries(WORDS, part, max_size=3),
        st.builds(Fit, WORDS, part),
    ),
    max_leaves=6,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(ALL)
def test_values_of_all_kinds_come_back_from_inside_of_each_other(value: Any):
    same(again(value), value)


@pytest.mark.slow
@settings(max_examples=100)
@given(
    npst.arrays(
        npst.scalar_dtypes() | npst.structured_dtypes() if hasattr(npst, "structured_dtypes")
        else npst.scalar_dtypes(),
        npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
    )
)  # fmt: skip
def test_an_array_comes_back_as_it_was(value: Any):
    result = again(value)

    assert (type(result), result.dtype, result.shape) == (type(value), value.dtype, value.shape)
    assert result.tobytes() == value.tobytes()
    assert result.flags.writeable


@pytest.mark.slow
@settings(max_examples=100)
@given(npst.arrays(npst.scalar_dtypes(), 1))
def test_a_scalar_comes_back_as_it_was(values: Any):
    result = again(values[0])

    assert (type(result), result.dtype) == (type(values[0]), values[0].dtype)
    assert np.array(result).tobytes() == np.array(values[0]).tobytes() or values[0] != values[0]


@pytest.mark.slow
@only_thorough
def test_the_flights_of_2013_come_back_as_they_were():
    given = flights()
    assert len(given) == 336_776

    result = again(given)

    pd.testing.assert_frame_equal(
        result, given, check_dtype=True, check_index_type=True, check_column_type=True,
        check_exact=True, check_freq=True, check_flags=True, check_categorical=True,
    )  # fmt: skip
    assert result.dtypes.equals(given.dtypes)
    assert str(result.time_hour.dtype).endswith("America/New_York]")
    result.loc[0, "dep_delay"] = 0.0  # and can be changed


# -- what has no exact form, and is pickled --------------------------------------------------------


class MyFrame(pd.DataFrame):
    pass


@pytest.mark.parametrize(
    "value",
    [
        pd.Series(pd.arrays.SparseArray([0, 0, 1])),
        pd.Series([1 + 2j]),
        pd.Series(pd.cut([1, 2, 3], 2)),
        pd.Series([np.arange(2), None]),
        pd.DataFrame({"a": [1]}).set_flags(allows_duplicate_labels=False),
        MyFrame({"a": [1]}),
        pd.Series(["\ud800"], dtype=object),
        pd.DataFrame({"a": [1]}, index=pd.Index([object()])),
        np.ma.masked_array([1], mask=[True]),
        np.array([1], dtype=np.dtype("i4", metadata={"unit": "m"})),
        np.longdouble(1),
        pd.Categorical(["a"]),
    ],
    ids=[
        "sparse",
        "complex column",
        "intervals as categories",
        "arrays in a column",
        "flags",
        "subclass",
        "no valid text",
        "objects in an index",
        "masked array",
        "metadata of a dtype",
        "long double",
        "array of pandas",
    ],
)
def test_what_has_no_exact_form_is_pickled_whole(value: Any):
    assert codec.encode(value).kind == "pickle"
    assert type(again(value)) is type(value)


def test_names_of_columns_may_be_anything_and_may_repeat():
    value = pd.DataFrame([[1, 2.0, "a", None]], columns=["a", "a", 1, None])
    value.columns.name = ("of", 1)

    same(again(value), value)


@pytest.mark.parametrize("name", ["\ud800", ("a", 1), None, b"a", 1.5], ids=ascii)
def test_a_series_may_have_any_name(name: Any):
    value = pd.Series([1, 2], name=name)

    assert codec.encode(value).kind == "arrow"
    same(again(value), value)


def test_levels_of_an_index_that_are_not_used_are_kept():
    value = frame().iloc[:1]

    assert again(value).index.levels[0].tolist() == ["a", "b"]


def test_what_is_read_can_be_changed_and_changes_nothing_that_is_recorded():
    value = {"frame": frame(), "array": np.zeros(3)}
    encoded = codec.encode(value)

    first = codec.decode(encoded.kind, encoded.text)
    first["frame"].loc[("a", 1), "small"] = 99
    first["array"][0] = 99

    same(codec.decode(encoded.kind, encoded.text), value)


def test_the_message_of_a_refusal_goes_into_objects():
    class Holder:
        def __init__(self) -> None:
            self.parts = [1, threading.Lock()]

    with pytest.raises(nb.ValueNotKeptError, match=r"lock at \['a'\]\.parts\[1\] of the output"):
        codec.encode({"a": Holder()})


def test_instants_keep_their_unit_zone_and_fold():
    for value in (
        pd.Timestamp("2026-10-25 03:30", tz="Europe/Berlin"),
        pd.Timestamp("2026-10-25 02:30").tz_localize("Europe/Berlin", ambiguous=False),
        pd.Timestamp("2026-01-01").as_unit("s"),
    ):
        result = again(value)
        assert (result, result.unit, result.tz, result.fold) == (
            value, value.unit, value.tz, value.fold
        )  # fmt: skip
