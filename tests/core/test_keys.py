"""Keys, and the paths they make."""

from __future__ import annotations

from datetime import UTC, date, datetime
from enum import Enum, IntEnum, StrEnum
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nbtasks.core import keys
from nbtasks.errors import InvalidKeyError

#: Text in which what the encoding treats specially is frequent.
TRICKY = st.text(st.sampled_from('a1/%[],#"\\ {}235BCDF\n\x7fé\U0001f642'), min_size=1, max_size=8)
STRINGS = TRICKY | st.text(min_size=1)
PARTS = STRINGS | st.integers()
LISTS = st.lists(PARTS | st.just(""), min_size=1, max_size=4)
#: Strings that read like a path or a segment, which are the ones that could be taken for one.
LOOKALIKES = LISTS.map(lambda key: "[".join(map(str, key)) + "]") | LISTS.map(
    lambda key: ",".join(map(str, key))
)
KEYS = PARTS | LISTS | LOOKALIKES.filter(bool)


def identity(key: Any) -> tuple[str, ...]:
    """Return what tells a key from others: `["a"]` is not `"a"`, but `1` is `"1"`."""
    return ("list", *map(str, key)) if isinstance(key, list) else ("one", str(key))


@given(KEYS, KEYS)
@example("a", ["a"])
@example(["a", "b"], "a[b]")
@example(["a", "b"], "a%5Bb%5D")
@example(["a"], "[a]")
@example(["a"], ["a", ""])
@example(["", "a"], ["a"])
@example([""], ["", ""])
@example("a/b", "a%2Fb")
@example("%2F", "/")
@example(1, "1")
@example([1], ["1"])
@example("1", [1])
@example(["a", "b", "c"], ["a", "b,c"])
@example(["a", "b", "c"], ["a,b", "c"])
@example(["a/b"], ["a%2Fb"])
@example(["a", "b]"], ["a", "b"])
@example("a#2", "a")
@example(10**30, 10**30 + 1)
def test_different_keys_never_share_a_segment(one: Any, other: Any):
    assert (keys.segment(one) == keys.segment(other)) == (identity(one) == identity(other))


@given(KEYS, STRINGS, st.integers(2, 30))
def test_a_numbered_key_never_shares_the_segment_of_another(key: Any, name: str, number: int):
    numbered = keys.segment(keys.Numbered(name, number))

    assert numbered == f"{keys.segment(name)}#{number}"
    assert numbered != keys.segment(key)
    assert keys.path_of(numbered) == numbered


@given(KEYS)
def test_a_segment_holds_no_slash_and_can_be_written_as_utf8(key: Any):
    segment = keys.segment(key)

    assert segment
    assert "/" not in segment
    segment.encode()


@pytest.mark.slow
@given(STRINGS | LOOKALIKES.filter(bool))
@example("%252F#[,]")
def test_a_string_key_is_displayed_as_it_was_written(key: str):
    assert keys.display(keys.segment(key)) == key


@given(st.lists(KEYS, min_size=1, max_size=5))
def test_a_path_is_its_segments_joined_and_has_the_path_before_as_its_parent(path: list[Any]):
    joined = ""
    for key in path:
        below = keys.join(joined, key)
        assert keys.parent(below) == joined
        joined = below

    assert joined.split("/") == [keys.segment(key) for key in path]
    assert keys.path_of(path) == joined
    assert keys.path_of(joined) == joined


@given(st.lists(KEYS, min_size=1, max_size=3), st.lists(KEYS, min_size=1, max_size=3))
def test_different_lists_of_keys_never_make_the_same_path(one: list[Any], other: list[Any]):
    same = [identity(key) for key in one] == [identity(key) for key in other]

    assert (keys.path_of(one) == keys.path_of(other)) == same


@pytest.mark.parametrize(
    ("key", "segment"),
    [
        ("load", "load"),
        ("a b", "a b"),
        ("é", "é"),
        ("a/b", "a%2Fb"),
        ("50%", "50%25"),
        ("%2F", "%252F"),
        ("[draft] text", "%5Bdraft%5D text"),
        ("a,b", "a%2Cb"),
        ("poll#2", "poll%232"),
        (0, "0"),
        (-3, "-3"),
        (["fold", 2], "fold[2]"),
        (["fit", "AA", 3], "fit[AA,3]"),
        (("a", 1), "a[1]"),
        ([1], "[1]"),
        (["fit", ""], "fit[]"),
        (["", "fit"], "[,fit]"),
        (["é", "a/b"], "é[a%2Fb]"),
        ([0, -(2**80)], f"0[{-(2**80)}]"),
    ],
)
def test_a_key_reads_in_a_path_as_people_would_write_it(key: Any, segment: str):
    assert keys.segment(key) == segment


def test_a_tuple_is_the_same_key_as_a_list():
    assert keys.segment(("fit", 1)) == keys.segment(["fit", 1])


class Shade(StrEnum):
    RED = "dark/red"


class Size(IntEnum):
    LARGE = 3


class Color(Enum):
    RED = 1


@pytest.mark.parametrize(
    ("scalar", "plain"),
    [
        (np.int64(3), 3),
        (np.uint8(3), 3),
        (np.str_("a/b"), "a/b"),
        (np.array(["AA", "UA"])[0], "AA"),
        (pd.Series([1, 2]).unique()[0], 1),
        (pd.Index(["x"])[0], "x"),
        (Shade.RED, "dark/red"),
        (Size.LARGE, 3),
        (date(2020, 1, 31), "2020-01-31"),
        (datetime(2020, 1, 31, 5, tzinfo=UTC), "2020-01-31T05:00:00+00:00"),
        (pd.Timestamp("2020-01-31"), "2020-01-31T00:00:00"),
        (pd.Timestamp("2020-01-31T05:06:07.5"), "2020-01-31T05:06:07.500000"),
        (np.datetime64("2020-01-31"), "2020-01-31"),
        (np.datetime64("2020-01"), "2020-01"),
        (pd.Period("2020-01"), "2020-01"),
    ],
    ids=repr,
)
def test_a_scalar_counts_as_what_it_holds(scalar: Any, plain: Any):
    assert keys.segment(scalar) == keys.segment(plain)
    assert keys.segment(["fit", scalar]) == keys.segment(["fit", plain])
    assert keys.path_of(["fit", scalar]) == keys.path_of(["fit", plain])


@pytest.mark.parametrize("unit", ["h", "m", "s", "ms", "us", "ns"])
def test_an_instant_of_numpy_is_the_same_key_as_the_timestamp_of_pandas(unit: str):
    for text in ("2020-01-31", "2020-01-31T05:06:07", "2020-01-31T05:06:07.123456789"):
        instant = np.datetime64(text).astype(f"datetime64[{unit}]")

        assert keys.segment(instant) == keys.segment(pd.Timestamp(instant))


def test_the_keys_of_a_grouped_frame_are_keys():
    frame = pd.DataFrame({"month": [1, 2], "carrier": ["AA", "UA"]})

    by_both: Any = frame.groupby(["month", "carrier"])
    found = [keys.segment(["fit", *key]) for key in by_both.groups]

    assert found == ["fit[1,AA]", "fit[2,UA]"]


@pytest.mark.parametrize(
    ("key", "part_of_the_message"),
    [
        ("", "must not be empty"),
        ([], "must not be an empty list"),
        ((), "must not be an empty list"),
        (True, "True is a bool, which cannot be a task key: write str(True)"),
        (np.True_, "write str(True)"),
        (1.5, "1.5 is a float, which cannot be a task key: write str(1.5)"),
        (1.0, "write int(1.0) or str(1.0)"),
        (np.float64(3), "write int(3.0) or str(3.0)"),
        (float("nan"), "write str(nan)"),
        (None, "None is a NoneType, which cannot be a task key: write a word for what is missing"),
        (pd.NA, "write a word for what is missing"),
        (pd.NaT, "write a word for what is missing"),
        (np.datetime64("NaT"), "is a datetime64"),
        (b"load", "b'load' is a bytes, which cannot be a task key: write b'load'.decode()"),
        (Color.RED, "write Color.RED.name"),
        ({"a": 1}, "is a dict"),
        ({"a"}, "is a set"),
        (np.array(["a", "b"]), "is a ndarray"),
        (pd.Series([1, 2]), "is a Series"),
        (["a", True], "True in the task key ['a', True] is a bool"),
        (["a", None], "None in the task key"),
        (["a", 1.0], "1.0 in the task key"),
        (["a", b"b"], "b'b' in the task key"),
        (["a", ("b", 1)], "with a star: [..., *elements]"),
        ("\ud800", "lone surrogate"),
        ("a/\udfff", "lone surrogate"),
        (["a", "\ud800"], "lone surrogate"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_cannot_be_a_key_is_refused_by_name(key: Any, part_of_the_message: str):
    with pytest.raises(InvalidKeyError) as caught:
        keys.segment(key)

    assert part_of_the_message in str(caught.value)
    assert isinstance(caught.value, ValueError)
    str(caught.value).encode()  # or no front end could show it


def test_an_int_that_python_cannot_write_is_refused():
    with pytest.raises(InvalidKeyError, match="too long for a task key"):
        keys.segment(["fit", 10**5000])


@pytest.mark.parametrize(
    "path",
    [["fit", []], ["fit", None], [], "", "/", "a/", "/a", "a//b", "a[", "a]", "a[b", "[a,b]", "a,b",
     "a#b", "a#0", "50%", "a%2f", "a[b]c", "a[b][c]", "a[b]#2", 0, None],
    ids=repr,
)  # fmt: skip
def test_what_no_task_can_have_is_refused_as_a_path(path: Any):
    with pytest.raises(InvalidKeyError):
        keys.path_of(path)


@given(st.lists(st.text(), max_size=3), st.lists(st.text(), max_size=3))
def test_a_token_is_one_for_each_list_of_strings(one: list[str], other: list[str]):
    assert (keys.token(*one) == keys.token(*other)) == (one == other)


def test_a_token_stays_the_same_over_versions():
    """It is the idempotency key that others may have seen."""
    assert keys.token("01run", "fit/AA") == "b796cd7ff3fc5c559014d53e9b4e522e"
    assert len(keys.token("")) == 32
