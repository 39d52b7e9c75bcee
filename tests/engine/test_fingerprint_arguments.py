"""The digest of arguments: equal for equal values, however they came to be."""

from __future__ import annotations

import collections
import contextlib
import copy
import datetime as dt
import functools
import itertools
import pickle
import threading
import types
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pydantic
import pytest

import nbtasks as nb
from nbtasks.engine.fingerprint import arguments
from nbtasks.engine.fingerprint.arguments import digest, examine, remember
from nbtasks.values import codec
from tests.engine.changes import ARGUMENTS, Argument
from tests.thorough import only_thorough

TEN = list(range(10))


class Plain:
    def __init__(self, **held: Any) -> None:
        self.__dict__.update(held)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Point:
    x: Any
    y: list[int] = field(default_factory=list)


class Model(pydantic.BaseModel):
    x: Any


def frame(**changed: Any) -> pd.DataFrame:
    held = {
        "n": np.arange(50_000),
        "s": [f"x{n % 7}" for n in range(50_000)],
        "t": pd.date_range("2020", periods=50_000, freq="s", tz="UTC"),
    }
    return pd.DataFrame({**held, **changed})


DIFFERENT = [
    0, 1, 2.5, True, None, "", "a", "None", "\ud800", 10**30, float("nan"), float("inf"),
    [], [1], [[1]], [None], {"a": 1}, {"a": 2}, {"b": 1}, {1: "a"}, {"1": "a"}, {1}, {1, 2},
    b"a", bytearray(b"b"), 1j, Decimal("1.5"), dt.date(2026, 1, 1), dt.time(1),
    dt.datetime(2026, 1, 1, tzinfo=dt.UTC), dt.timedelta(1), Path("a"), range(3),
    Colour.RED, Colour.BLUE, Point(1), Point(2), Point(1, [1]), Model(x=1), Model(x=2),
    Plain(a=1), Plain(a=2), Plain(b=1), Plain(a=Plain(a=1)), len, max, dict, Plain,
    lambda: 1, lambda: 2, functools.partial(max, 1), functools.partial(max, 2),
    Plain(a=1).__eq__, np.int64(7), np.float64(7), np.arange(3), np.arange(3.0), np.arange(4),
    np.arange(4).reshape(2, 2), np.array(["a", None], object), pd.Series([1, 2]),
    pd.Series([1, 2], name="a"), pd.Series([1, 2], [3, 4]), pd.DataFrame({"a": [1]}),
    pd.DataFrame({"b": [1]}), pd.DataFrame({"a": [1.0]}), pd.DataFrame({"a": [[1]]}),
    pd.Index([1, 2]), pd.Series(["a", "b"], dtype="category"), frame(), frame(n=1),
]  # fmt: skip


def test_different_values_have_different_digests():
    digests: dict[str, Any] = {}
    for value in DIFFERENT:
        assert digests.setdefault(digest((value,)), value) is value


def test_more_or_fewer_arguments_differ():
    assert len({digest(()), digest((1,)), digest((1, 1)), digest(([1, 1],))}) == 4


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": [None]}, {"b": [None], "a": 1}),
        ({1: "a", 2: {"x": 1, "y": 2}}, {2: {"y": 2, "x": 1}, 1: "a"}),
        (set("abcdef"), set("fedcba")),
        (frozenset([(1, 2), "a"]), frozenset(["a", (1, 2)])),
        (Plain(a=1, b={"x", "y"}), Plain(b={"y", "x"}, a=1)),
        (Point(frame()), Point(frame())),
        (Model(x={"a": 1, "b": 2}), Model(x={"b": 2, "a": 1})),
        (["ab" * 10, "ab" * 10], ["ab" * 10] * 2),
        (Plain(a=TEN, b=list(TEN)), Plain(a=TEN, b=TEN)),
        (frame(), pd.concat([frame()[["n"]], frame()[["s"]], frame()[["t"]]], axis=1)),
        (np.arange(6).reshape(2, 3), np.asfortranarray(np.arange(6).reshape(2, 3))),
        (np.arange(10)[::2], np.array([0, 2, 4, 6, 8])),
        (functools.partial(max, 1, key=len), functools.partial(max, 1, key=len)),
    ],
)
def test_equal_values_have_equal_digests(one, other):
    assert digest((one,)) == digest((other,))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((1, "a"), [1, "a"]),
        ([(1,)], [[1]]),
        ({"a": (1, [2])}, {"a": [1, (2,)]}),
        ({"a": [], "b": ()}, {"b": [], "a": ()}),
        ([(), []], [[], ()]),
        (((1,), 2), ([1], 2)),
        ((None, 1), [None, 1]),
        ([{1}, (2,)], [{1}, [2]]),
        (Plain(a=(1,)), Plain(a=[1])),
        ({(1, 2): "x"}, {(1, (2,)): "x"}),
        ({frozenset([1])}, {(1,)}),
        (np.array([(1,), None], object), np.array([[1], None], object)),
        (pd.DataFrame({"a": [(1,), (2,)]}), pd.DataFrame({"a": [[1], [2]]})),
        (pd.Series([1], name=("a", 1)), pd.Series([1], name="a")),
        (functools.partial(max, (1,)), functools.partial(max, [1])),
        (collections.deque([(1,)]), collections.deque([[1]])),
        (collections.OrderedDict(a=1, b=2), collections.OrderedDict(b=2, a=1)),
        (collections.OrderedDict(a=1), {"a": 1}),
        (Plain(a=collections.Counter("ab")), Plain(a=collections.Counter("ba"))),
        (types.MappingProxyType({"a": 1}), {"a": 1}),
        (types.MappingProxyType(collections.OrderedDict(a=1, b=2)),
         types.MappingProxyType(collections.OrderedDict(b=2, a=1))),
    ],
)  # fmt: skip
def test_the_type_of_a_container_counts_and_the_order_of_one_that_has_an_order(one, other):
    assert digest((one,)) == digest((copy.deepcopy(one) if "proxy" not in repr(one) else one,))
    assert digest((one,)) != digest((other,))
    assert digest(([one],)) != digest(([other],))
    assert examine((), {"given": one}) != examine((), {"given": other})


def read_back(kind: Argument) -> list[Any]:
    """Return a value with the one that the journal gives back; nothing if it cannot be recorded."""
    value = kind.one()
    with contextlib.suppress(nb.ValueNotKeptError):
        recorded = codec.encode(value, inline=True)
        return [value, codec.decode(recorded.kind, recorded.text)]
    return []


#: Kinds whose copies differ in their code, or in bytes that nobody sees.
REMEMBERED_ONLY = ("a function", "a function in a dict", "a masked array")


@pytest.mark.slow
def test_what_the_journal_gives_back_has_the_digest_of_what_was_recorded():
    found = {kind.what: read_back(kind) for kind in ARGUMENTS}

    differing = [
        what for what, pair in found.items() if len({digest((each,)) for each in pair}) > 1
    ]
    assert sorted(differing) == sorted(REMEMBERED_ONLY)
    assert sum(map(bool, found.values())) > 70, "the check is blind"


@pytest.mark.parametrize("many", [1, 2, 50])
@pytest.mark.parametrize(
    "make",
    [
        lambda df: df.groupby("s"),
        lambda df: df.groupby(["s", "n"]),
        lambda df: df.groupby("s").n,
        lambda df: df.n.rolling(2),
        lambda df: df.set_index("t").n.resample("1h"),
        lambda df: df.index,
        lambda df: df.set_index(["s", "n"]).index,
        lambda df: Plain(df=df, index=df.columns),
        lambda df: [df, df.n],
    ],
    ids=["group", "groups", "column", "rolling", "resample", "index", "levels", "object", "list"],
)
def test_an_object_of_pandas_from_the_journal_keeps_its_recorded_hash(make, many):
    """Also one that holds an index, and when pandas has filled what it keeps to save time."""
    value = make(frame().head(many))
    back = pickle.loads(pickle.dumps(value))
    assert digest((back,)) == digest((value,))
    remember(back, "abc")
    recorded = digest((back,))
    if hasattr(back, "mean"):
        back.mean(numeric_only=True) if hasattr(back, "obj") and back.ndim > 1 else back.mean()

    assert recorded == digest((back,))


def test_what_holds_itself_has_a_digest():
    loop: list[Any] = [1]
    loop.append(loop)
    other = Plain()
    other.__dict__["me"] = other
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]

    assert len({digest((loop,)), digest((other,)), digest((deep,))}) == 3


def test_what_cannot_be_compared_counts_by_its_type_is_named_and_hides_nothing():
    def client(n: int) -> Plain:
        return Plain(lock=threading.Lock(), n=n)

    assert digest((client(1), 1)) == digest((client(1), 1))
    assert len({digest((client(n), m)) for n in (1, 2) for m in (1, 2)}) == 4
    assert digest((threading.Lock(),)) != digest((client(1),))
    assert digest(([client(1), 1],)) != digest(([client(1), 2],))
    assert digest((itertools.cycle("a"),)) == digest((itertools.cycle("b"),))
    assert examine((1, client(1))).uncompared == ("argument 2.lock: _thread.lock",)
    assert examine((client(1),)).uncompared == ("argument 1.lock: _thread.lock",)
    assert examine(([1, "a"],)).uncompared == ()


def test_a_function_counts_by_its_fingerprint():
    def make(n: int) -> Any:
        return lambda: n

    assert digest((make(1),)) == digest((make(1),)) != digest((make(2),))
    assert digest(([make(1)],)) != digest(([make(2)],))


def test_io_and_ctx_are_the_same_in_every_execution():
    digests = []

    @nb.job("inputs-io")
    def body(payload: int, io: nb.SyncIO, ctx: nb.Context) -> None:
        digests.append(digest((io, ctx)))

    body.run(1)
    body.run(1)
    body.run(2)

    assert len(set(digests)) == 1


@pytest.mark.slow
@only_thorough
def test_it_is_the_same_in_another_process(same_in_processes):
    same_in_processes(
        "import pandas as pd\n"
        "from nbtasks.engine.fingerprint.arguments import digest\n"
        "class P: pass\n"
        "p = P(); p.names = {'a', 'b', 'c'}; p.fn = lambda x: x in {'a', 'b'}; p.df = None\n"
        "df = pd.DataFrame({'s': ['a', 'b'], 'n': [1.5, None]})\n"
        "print(digest((p, df, {('a', 1), 'b'}, P, p.fn)))\n"
    )


# -- what came from the journal -------------------------------------------------------------------


def test_a_value_from_the_journal_digests_as_its_recorded_hash():
    one, other = Plain(n=1), Plain(n=1.5)  # as if the pickle of one had come back a little off
    remember(one, "abc")
    remember(other, "abc")

    assert digest((one,)) == digest((other,)) != digest((Plain(n=1),))
    assert digest(({"x": [one]},)) == digest(({"x": [other]},))


def test_members_of_a_value_from_the_journal_do_as_well():
    one: dict[str, Any] = {"m": Plain(n=1), "k": [Plain(n=2)]}
    other: dict[str, Any] = {"m": Plain(n=1), "k": [Plain(n=2)]}
    other["m"].n = 5
    remember(one, "abc")
    remember(other, "abc")

    assert digest((one["m"],)) == digest((other["m"],)) != digest((one["k"][0],))
    assert digest((one,)) == digest((other,))


def test_numbers_functions_and_classes_are_not_remembered():
    before = [digest((value,)) for value in (np.float64(1.5), len, Plain, np)]
    for value in (np.float64(1.5), len, Plain, np):
        remember(value, "abc")

    assert [digest((value,)) for value in (np.float64(1.5), len, Plain, np)] == before


def test_what_is_remembered_is_not_kept_alive():
    value = Plain()
    remember(value, "abc")
    key = id(value)
    assert key in arguments._recorded._digests
    del value

    assert key not in arguments._recorded._digests


def sort(df: pd.DataFrame) -> None:
    df["n"] = df["n"].to_numpy()[::-1].copy()


@pytest.mark.parametrize(
    "change",
    [
        sort,
        lambda df: df.insert(3, "new", 1),
        lambda df: setattr(df, "columns", ["m", "s", "t"]),
        lambda df: df.__setitem__("n", df["n"] * 2),
        lambda df: setattr(df, "index", df.index + 1),
        lambda df: df.pop("t"),
    ],
    ids=["sorted", "inserted", "renamed", "assigned", "reindexed", "dropped"],
)
@pytest.mark.parametrize("recorded", [True, False])
def test_a_frame_that_is_changed_in_place_digests_by_its_content(change, recorded):
    df, same = frame(), frame()
    change(same)
    if recorded:
        remember(df, "abc")
    before = digest((df,))
    assert digest((df,)) == before
    change(df)

    assert digest((df,)) == digest((same,)) != before


def test_an_array_from_the_journal_that_is_changed_in_place_digests_by_its_content():
    array = np.arange(100_000)
    remember(array, "abc")
    before = digest((array,))
    array *= 2

    assert digest((array,)) == digest((np.arange(100_000) * 2,)) != before


def test_many_members_are_remembered_up_to_a_limit_and_the_rest_digest_by_their_content():
    values = [Plain(n=n) for n in range(5000)]
    remember(values, "abc")

    digests = {digest((value,)) for value in values}

    assert len(digests) == 5000
    assert digest((values[-1],)) == digest((Plain(n=4999),))
    assert (
        len(list(itertools.takewhile(lambda v: id(v) in arguments._recorded._digests, values)))
        < 2000
    )


NO_UNICODE = "caf\udce9.csv"
OBJECTS = pd.Index([NO_UNICODE, 1], dtype=object)


@pytest.mark.parametrize(
    "value",
    [
        pd.Series(OBJECTS),
        OBJECTS,
        pd.CategoricalIndex(OBJECTS),
        pd.Series(pd.Categorical(OBJECTS)),
        pd.DataFrame({"file": pd.Series(OBJECTS), "size": [1, 2]}),
        pd.DataFrame({"size": [1, 2]}, index=OBJECTS),
        pd.DataFrame([[1, 2], [3, 4]], columns=OBJECTS),
        pd.MultiIndex.from_arrays([OBJECTS, [1, 2]]),
        pd.Series([1, 2], index=pd.MultiIndex.from_arrays([OBJECTS, [1, 2]])),
        pd.Series([1, 2], name=NO_UNICODE),
        pd.Series([[NO_UNICODE], [1]]),
        pd.Series(pd.array([NO_UNICODE, "a"], dtype=pd.StringDtype("python"))),
    ],
    ids=[
        "series", "index", "categories of an index", "categories", "frame", "index of a frame",
        "columns", "levels", "levels of a series", "name", "lists",
        "strings",
    ],
)  # fmt: skip
def test_pandas_objects_with_text_that_is_no_unicode_have_a_digest_and_are_kept(value: Any):
    """`os.listdir` gives such names of files."""

    @nb.job("no-unicode")
    def body(io: nb.SyncIO) -> str:
        made = io.run_task("make", lambda: value)
        return io.run_task("use", lambda given: type(given).__name__, made)

    assert digest((value,)) == digest((value.copy(),)) != digest((value[:1],))
    assert body.run().output == body.run().output == type(value).__name__
    assert not nb.tasks().stale.any()


def test_asking_an_exception_for_its_attributes_is_no_change():
    one, other = KeyError("k"), KeyError("k")

    assert vars(other) == {}
    assert digest((one,)) == digest((other,))
    other.detail = "new"  # type: ignore[attr-defined]  # any attribute
    assert digest((one,)) != digest((other,))


def test_comparing_takes_time_in_proportion_to_the_objects():
    """Two to the power of 60 ways lead to the innermost of these."""
    towers = []
    for height in (60, 60, 59):
        tower: Any = Plain()
        for _ in range(height):
            tower = Plain(left=tower, right=tower, both={"pair": [tower, tower]})
        towers.append(tower)

    one, other, lower = (digest((tower,)) for tower in towers)

    assert one == other
    assert one != lower


@pytest.mark.slow
@only_thorough
def test_beyond_many_objects_what_is_not_compared_is_listed():
    objects = [Plain(number=number) for number in range(100_001)]

    assert examine((objects,)).uncompared == ("all beyond 100,000 objects",)


def test_objects_that_are_one_count_like_objects_that_are_equal():
    one = Plain(x=[1])

    assert digest(([one, one],)) == digest(([Plain(x=[1]), Plain(x=[1])],))


def test_a_figure_counts_the_same_whether_pyplot_knows_it_and_however_often_it_was_drawn():
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    figure.draw_without_rendering()
    known = digest((figure,)), digest((axes,))

    plt.close(figure)
    figure.draw_without_rendering()

    assert (digest((figure,)), digest((axes,))) == known
    again = pickle.loads(pickle.dumps(figure))
    assert digest((again,)) == known[0]
    axes.set_title("other")
    assert digest((figure,)) != known[0]
