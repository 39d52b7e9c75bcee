"""Values: what comes back from the journal equals what went in, in type and value."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import enum
import fractions
import pathlib
import struct
import sys
import threading
import types
from collections import OrderedDict, defaultdict
from collections.abc import Generator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pydantic
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nbtasks.errors import UnreadableValueError, UntrustedValueError, ValueNotKeptError
from nbtasks.values import codec, signing


@pytest.fixture(autouse=True, scope="module")
def _own_key(tmp_path_factory: pytest.TempPathFactory) -> Generator[None]:
    """A signing key of these tests, not the one of whoever runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        signing._key.cache_clear()
        yield
    signing._key.cache_clear()


def again(value: object) -> Any:
    """The value as a later execution gets it, from the row or from the file beside it."""
    encoded = codec.encode(value)
    if encoded.blob is not None:
        return codec.decode_blob(encoded.kind, encoded.text, bytes(encoded.blob))
    return codec.decode(encoded.kind, encoded.text)


# -- values made at random -------------------------------------------------------------------------


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Kind(enum.StrEnum):
    RAW = "raw"
    CLEAN = "clean"


class Shape(enum.Enum):
    POINT = ()
    LINE = (0, 1)


@dataclasses.dataclass
class Fit:
    name: Any
    score: Any = None
    parts: list[Any] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    value: Any


class Model(pydantic.BaseModel):
    name: str
    at: dt.datetime | None = None
    extra: Any = None


TEXT = st.text() | st.text(st.characters(categories=("Cs", "Lu", "Nd", "Po")))
ZONES = st.one_of(
    st.none(),
    st.just(dt.UTC),
    st.timezones(),
    st.timedeltas(dt.timedelta(hours=-23), dt.timedelta(hours=23)).map(dt.timezone),
)
INSTANTS = st.builds(
    lambda instant, fold: instant.replace(fold=fold),
    st.datetimes(timezones=ZONES, allow_imaginary=True),
    st.sampled_from([0, 1]),
)
HASHABLES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    TEXT,
    st.text(st.sampled_from("$abtuple"), max_size=6),
    st.binary(max_size=20),
    INSTANTS,
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.decimals(allow_nan=True).filter(lambda number: not number.is_snan()),
    st.uuids(),
    st.complex_numbers(),
    st.sampled_from([*Level, *Kind, *Shape]),
    st.sampled_from([Path("a/b.txt"), Path(), pathlib.PureWindowsPath("C:\\a"), Path("/")]),
    st.builds(range, st.integers(-9, 9), st.integers(-9, 9), st.sampled_from([1, 2, -3])),
)
KEYS = st.recursive(
    HASHABLES, lambda part: st.tuples(part, part) | st.frozensets(part), max_leaves=3
)
VALUES = st.recursive(
    HASHABLES | st.binary(max_size=9).map(bytearray),
    lambda part: (
        st.one_of(
            st.lists(part, max_size=4),
            st.lists(part, max_size=4).map(tuple),
            st.dictionaries(KEYS, part, max_size=4),
            st.dictionaries(st.text(max_size=3), part, max_size=4),
            st.builds(Fit, part, part),
            st.builds(Frozen, value=part),
            st.builds(Model, name=st.text(), extra=part),
        )
        | st.sets(KEYS, max_size=4)
        | st.frozensets(KEYS, max_size=4)
    ),
    max_leaves=12,
)


def exact(value: Any, *, ordered: bool = True) -> Any:
    """Return the identity of a value: nan equals nan, and 0.0 equals neither -0.0 nor 0."""
    kind = type(value)
    part = partial(exact, ordered=ordered)
    if isinstance(value, float):
        bits = struct.pack(">d", value)
        return kind, "nan" if value != value else bits
    if kind is complex:
        return kind, part(value.real), part(value.imag)
    if kind in (list, tuple):
        return kind, [part(item) for item in value]
    if isinstance(value, dict):
        pairs = [(part(key), part(item)) for key, item in value.items()]
        return kind, pairs if ordered else sorted(pairs, key=repr)
    if kind in (set, frozenset):
        return kind, sorted(repr(part(item)) for item in value)
    if kind is dt.datetime:
        return kind, value.replace(tzinfo=None, fold=0), value.fold, repr(value.tzinfo)
    if kind is dt.time:
        return kind, value.replace(tzinfo=None, fold=0), value.fold, repr(value.tzinfo)
    if dataclasses.is_dataclass(kind):
        return kind, [part(getattr(value, f.name)) for f in dataclasses.fields(kind)]
    if isinstance(value, pydantic.BaseModel):
        return kind, part(dict(value)), sorted(value.model_fields_set)
    if kind is range:
        return kind, (value.start, value.stop, value.step)
    return kind, str(value) if kind is Decimal else value


@pytest.mark.slow
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(VALUES)
@example({"$tuple": [1]})
@example({"$": None})
@example([{"a": 1}, ({"$int": "0xff"},)])
@example({1: "int", "1": "string", (1,): "tuple", None: None})
@example([True, 1, 1.0, "1"])
@example({0.0: -0.0})
@example([2**53, 2**53 + 1, -(2**63), 2**64 - 1, 2**64, 10**400])
@example({"\ud800": "\udfff"})
@example(dt.datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1))
@example(dt.datetime(1883, 11, 18, tzinfo=dt.timezone(dt.timedelta(seconds=-17762))))
def test_what_comes_back_equals_what_went_in_in_type_and_value(value: Any):
    assert exact(again(value)) == exact(value)


@pytest.mark.slow
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(),
        lambda part: st.lists(part) | st.dictionaries(st.text(max_size=3), part),
    )
)
def test_plain_values_are_recorded_as_json_that_anybody_can_read(value: Any):
    dollars = "$" in repr(value)

    assert codec.encode(value).kind in (("json", "tagged") if dollars else ("json",))


# -- values of which each is a case of its own -----------------------------------------------------


class Celsius(float):
    pass


class Text(str):
    __slots__ = ()


class Count(int):
    pass


class Row(dict):
    pass


class Items(list):
    pass


class Pair(NamedTuple):
    left: int
    right: tuple[int, ...]


@pytest.mark.parametrize(
    "value",
    [
        Celsius(21.5),
        Text("plain"),
        Count(3),
        Row(a=1),
        Items([1, 2]),
        Pair(1, (2, 3)),
        OrderedDict(b=1, a=2),
        defaultdict(list, a=[1]),
        fractions.Fraction(1, 3),
        np.float64(1.5),
        np.int64(7),
        np.bool_(True),
        np.str_("text"),
        pd.Timestamp("2026-01-01", tz="UTC"),
        pd.Timedelta(seconds=1),
        types.SimpleNamespace(a=1),
        dt.time(1, 2, tzinfo=ZoneInfo("Europe/Berlin")),
        dt.UTC,
        ZoneInfo("Asia/Tokyo"),
        ValueError("kept as a value"),
        sum,
    ],
    ids=lambda value: type(value).__qualname__,
)
@pytest.mark.parametrize("inside", [False, True], ids=["itself", "inside a list"])
def test_a_value_of_a_class_that_json_would_flatten_keeps_its_class(value: Any, inside: bool):
    result = again([value])[0] if inside else again(value)

    assert type(result) is type(value)
    assert repr(result) == repr(value)


@pytest.mark.parametrize("value", [Count(1), Text("a")], ids=["int", "str"])
def test_a_dict_key_of_a_subclass_keeps_its_class(value: Any):
    (key,) = again({value: 1})

    assert type(key) is type(value)


class Access(enum.Flag):
    READ = 1
    WRITE = 2
    RUN = 4


class Bits(enum.IntFlag):
    A = 1
    B = 2


@pytest.mark.parametrize(
    "value",
    [
        Access.READ,
        Access.READ | Access.WRITE,
        Access(0),
        Access(7),
        Bits.A | Bits.B,
        Bits(0),
        Bits(9),
    ],
    ids=repr,
)
def test_a_combination_of_flags_comes_back(value: enum.Flag):
    assert again(value) == value
    assert type(again(value)) is type(value)


def test_a_frame_keeps_its_index_types_zones_and_categories():
    index = pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["letter", "number"])
    frame = pd.DataFrame(
        {
            "at": pd.date_range("2026-03-29", periods=4, freq="h", tz="Europe/Berlin"),
            "kind": pd.Categorical(list("xyxx"), categories=list("zyx"), ordered=True),
            "count": pd.array([1, None, 3, 4], dtype="Int64"),
            "anything": [1, "a", None, (2,)],
        },
        index=index,
    )
    frame.attrs["source"] = "test"

    result = again(frame)

    pd.testing.assert_frame_equal(result, frame)
    assert result.attrs == {"source": "test"}


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=">i2").reshape(2, 3),
        np.asfortranarray(np.ones((3, 2))),
        np.array(["2026-01-01"], dtype="datetime64[D]"),
        np.array([1 + 2j]),
        np.array(0.5),
        np.array([], dtype="float32"),
        np.array([(1, "a")], dtype=[("n", "i4"), ("s", "U3")]),
        np.array([{"a": 1}, None], dtype=object),
        np.ma.masked_array([1, 2], mask=[True, False]),
    ],
    ids=lambda array: f"{type(array).__name__} {array.shape} {array.dtype.str}",
)
def test_an_array_keeps_its_shape_and_type(array: Any):
    result = again(array)

    assert type(result) is type(array)
    assert (result.dtype, result.shape) == (array.dtype, array.shape)
    assert result.tolist() == array.tolist()


def test_a_function_of_the_notebook_comes_back_with_what_it_closes_over():
    factor = 3

    assert again(lambda number: number * factor)(5) == 15


def test_a_structure_that_holds_itself_comes_back():
    loop: list[Any] = [1]
    loop.append(loop)

    result = again(loop)

    assert result[1] is result


def test_a_deeply_nested_value_comes_back():
    deep: Any = 0
    for _ in range(300):
        deep = [deep]

    result = again(deep)
    for _ in range(300):
        (result,) = result

    assert result == 0


@pytest.mark.parametrize("big", ["x" * 2_000_000, {"a": (b"x" * 2_000_000,)}, np.zeros(300_000)])
def test_a_large_value_is_kept_apart_and_comes_back(big: Any):
    encoded = codec.encode(big)

    assert encoded.blob is not None
    assert min(encoded.size, len(bytes(encoded.blob))) > codec.INLINE_BYTES
    assert len(encoded.text or "") < 100
    assert np.array_equal(again(big), big) if isinstance(big, np.ndarray) else again(big) == big


@pytest.mark.slow
@given(VALUES)
def test_the_size_is_that_of_the_encoded_value(value: Any):
    encoded = codec.encode(value)

    assert encoded.text is not None
    if encoded.kind == "pickle":
        assert encoded.size == len(base64.b64decode(encoded.text.partition(":")[2]))
    else:
        assert encoded.size == len(encoded.text.encode())


# -- a cell that is run again defines its classes anew ---------------------------------------------


CELL = """
import dataclasses, enum, pydantic

@dataclasses.dataclass
class Point:
    x: int
    {field}

class Mood(enum.Enum):
    GOOD = 1
    BAD = {bad}

class Reading(pydantic.BaseModel):
    value: float
    {field}
"""


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A `__main__` as a kernel has it, to run cells in."""
    module = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    return module


@pytest.mark.parametrize("expression", ["Point(1)", "Mood.BAD", "Reading(value=1.5)"])
def test_a_value_comes_back_as_the_class_that_is_current(cell: types.ModuleType, expression: str):
    exec(CELL.format(field="", bad=2), vars(cell))
    encoded = codec.encode([eval(expression, vars(cell))])
    exec(CELL.format(field="", bad=2), vars(cell))

    (result,) = codec.decode(encoded.kind, encoded.text)

    assert result == eval(expression, vars(cell))
    assert type(result) is type(eval(expression, vars(cell)))


@pytest.mark.parametrize("expression", ["Point(1)", "Reading(value=1.5)"])
def test_a_field_that_was_added_since_has_its_default(cell: types.ModuleType, expression: str):
    exec(CELL.format(field="", bad=2), vars(cell))
    encoded = codec.encode(eval(expression, vars(cell)))
    exec(CELL.format(field="unit: str = 'm'", bad=2), vars(cell))

    result = codec.decode(encoded.kind, encoded.text)

    assert result.unit == "m"
    assert result == eval(expression, vars(cell))


@pytest.mark.parametrize(
    ("expression", "then"),
    [
        ("Point(1)", "del Point"),
        ("Point(1)", "Point = 3"),
        ("Point(1)", "class Point: pass"),
        ("Mood.BAD", "class Mood: pass"),
        ("Mood.BAD", "Mood = enum.Enum('Mood', ['GOOD'])"),
        ("Reading(value=1)", "Reading = None"),
    ],
)
def test_a_value_whose_class_is_gone_is_an_error_and_not_another_value(
    cell: types.ModuleType, expression: str, then: str
):
    exec(CELL.format(field="", bad=2), vars(cell))
    encoded = codec.encode(eval(expression, vars(cell)))
    exec(then, vars(cell))

    with pytest.raises(UnreadableValueError):
        codec.decode(encoded.kind, encoded.text)


# -- what cannot be kept ---------------------------------------------------------------------------


class Connection:
    def __reduce__(self) -> Any:
        raise TypeError("a connection lives in one process")


LOCK = threading.Lock()


def iter_nothing() -> Generator[None]:
    yield


@pytest.mark.parametrize(
    ("value", "kind", "place"),
    [
        (LOCK, "_thread.lock", ""),
        (iter_nothing(), "builtins.generator", ""),
        ({"model": {"parts": [1, LOCK]}}, "_thread.lock", "['model']['parts'][1]"),
        ([(0, LOCK)], "_thread.lock", "[0][1]"),
        (Connection(), "Connection", ""),
        ({"c": Connection()}, "Connection", "['c']"),
    ],
    ids=["lock", "generator", "in dicts", "in a tuple", "own class", "own class in a dict"],
)
def test_what_cannot_be_kept_is_refused_with_its_type_and_its_place(
    value: Any, kind: str, place: str
):
    with pytest.raises(ValueNotKeptError) as caught:
        codec.encode(value)

    assert kind in str(caught.value)
    assert place in str(caught.value)
    assert isinstance(caught.value, TypeError)


@pytest.mark.timeout(10)
def test_what_cannot_be_kept_is_found_in_a_structure_that_holds_itself():
    loop: list[Any] = []
    loop += [loop, LOCK]

    with pytest.raises(ValueNotKeptError):
        codec.encode(loop)


class Odd:
    """Objects that fail in ways of their own when they are written."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        raise self.error


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyError("k"), RecursionError(), OSError(5)])
def test_whatever_goes_wrong_in_writing_a_value_says_that_it_is_not_kept(error: Exception):
    with pytest.raises(ValueNotKeptError, match="Odd"):
        codec.encode([Odd(error)])


# -- trust, and damage -----------------------------------------------------------------------------


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """From here on the user is another one, with another key."""

    def become(folder: Path) -> None:
        monkeypatch.setenv("XDG_DATA_HOME", str(folder))
        signing._key.cache_clear()

    yield become  # type: ignore[misc]  # what the test calls
    monkeypatch.undo()
    signing._key.cache_clear()


LOADED: list[str] = []


class Bomb:
    def __reduce__(self) -> Any:
        return LOADED.append, ("it ran",)


@pytest.mark.parametrize("large", [False, True])
def test_a_pickle_of_another_user_is_not_loaded(stranger: Any, tmp_path: Path, large: bool):
    encoded = codec.encode([Bomb(), np.zeros(300_000 if large else 1)])
    stranger(tmp_path)

    with pytest.raises(UntrustedValueError, match="not signed by you"):
        if encoded.blob is not None:
            codec.decode_blob(encoded.kind, encoded.text, bytes(encoded.blob))
        else:
            codec.decode(encoded.kind, encoded.text)

    assert LOADED == []


def test_values_without_pickles_need_no_trust(stranger: Any, tmp_path: Path):
    encoded = codec.encode({"at": dt.date(2026, 1, 1), "parts": (1, 2)})
    stranger(tmp_path)

    assert codec.decode(encoded.kind, encoded.text) == {"at": dt.date(2026, 1, 1), "parts": (1, 2)}


def test_a_changed_pickle_is_not_loaded():
    text = codec.encode(Bomb()).text
    assert text is not None
    signature, _, content = text.partition(":")
    data = bytearray(base64.b64decode(content))
    data[-2] ^= 1

    with pytest.raises(UntrustedValueError):
        codec.decode("pickle", f"{signature}:{base64.b64encode(data).decode()}")

    assert LOADED == []


@pytest.mark.parametrize("signature", ["", "0" * 64, "é" * 64, "\ud800"])
def test_a_signature_that_is_none_is_not_trusted(signature: str):
    text = codec.encode(Bomb()).text
    assert text is not None
    content = text.partition(":")[2]

    with pytest.raises(UntrustedValueError):
        codec.decode("pickle", f"{signature}:{content}")
    with pytest.raises(UntrustedValueError):
        codec.decode_blob("pickle", signature, base64.b64decode(content))

    assert LOADED == []


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("json", ""),
        ("json", '{"a":'),
        ("json", "\ud800"),
        ("tagged", '{"$tuple":'),
        ("tagged", '{"$tuple":5}'),
        ("tagged", '{"$datetime":["never",null,0]}'),
        ("tagged", '{"$enum":["no.such.module","Kind","RAW"]}'),
        ("tagged", '{"$dataclass":["builtins","print",{}]}'),
        ("tagged", '{"$model":["builtins","int",[{},null,[]]]}'),
        ("tagged", '{"$path":["os","."]}'),
        ("tagged", '{"$path":["Path",5]}'),
        ("tagged", '{"$set":[[1]]}'),
        ("tagged", '{"$not known yet":1}'),
        ("pickle", ""),
        ("pickle", "no colon"),
        ("pickle", "00:not base64!"),
        ("pickle", "00:é"),
        ("a kind of a later version", "?"),
    ],
)
def test_a_damaged_value_is_an_error_that_says_so(kind: str, text: str):
    with pytest.raises(UnreadableValueError):
        codec.decode(kind, text)


def test_a_pickle_whose_class_is_gone_says_which():
    module = types.ModuleType("nbtasks_test_gone")
    sys.modules["nbtasks_test_gone"] = module
    try:
        exec("class Thing: pass", vars(module))
        encoded = codec.encode(vars(module)["Thing"]())
    finally:
        del sys.modules["nbtasks_test_gone"]

    with pytest.raises(UnreadableValueError, match="nbtasks_test_gone"):
        codec.decode(encoded.kind, encoded.text)


def test_nothing_recorded_is_none():
    assert codec.decode("json", None) is None


# -- sorted ----------------------------------------------------------------------------------------


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(KEYS, VALUES),
        max_size=5,
        # range(0) equals range(0, 0, 2), so the first of them is the key that a dict keeps
        unique_by=(lambda pair: repr(exact(pair[0])), lambda pair: pair[0]),
    ),
    st.permutations(range(5)),
)
@example([(None, None), ("a", {"\ud800": None})], [1, 0, 2, 3, 4])
def test_the_order_of_a_dicts_keys_does_not_count(pairs: list[Any], order: list[int]):
    shuffled = [pairs[place] for place in order if place < len(pairs)]

    assert codec.to_sorted_json(dict(pairs)) == codec.to_sorted_json(dict(shuffled))
    assert codec.to_sorted_json([Fit(dict(pairs))]) == codec.to_sorted_json([Fit(dict(shuffled))])


@pytest.mark.slow
@given(VALUES, VALUES)
@example(1, True)
@example(1, 1.0)
@example([1], (1,))
@example({1: 2}, {"1": 2})
@example({1}, frozenset({1}))
@example("2026-01-01", dt.date(2026, 1, 1))
@example({"$set": [1]}, {1})
def test_values_that_differ_have_sorted_json_that_differs(one: Any, other: Any):
    same = exact(one, ordered=False) == exact(other, ordered=False)

    assert (codec.to_sorted_json(one) == codec.to_sorted_json(other)) == same
