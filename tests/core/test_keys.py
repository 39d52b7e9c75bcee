"""Keys, and the paths they make."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nbtasks.core import keys
from nbtasks.errors import InvalidKeyError

#: Text in which what the encoding treats specially is frequent.
TRICKY = st.text(st.sampled_from('a1/%[]",\\ {}25FB\n\x7fé\U0001f642'), min_size=1, max_size=8)
STRINGS = TRICKY | st.text(min_size=1)
LISTS = st.lists(st.text() | TRICKY | st.integers(), min_size=1, max_size=4)
#: Strings that read like a list key, which are the ones that could be taken for one.
LOOKALIKES = LISTS.map(lambda key: json.dumps(key, ensure_ascii=False, separators=(",", ":")))
KEYS = STRINGS | LISTS | LOOKALIKES


def identity(key: Any) -> tuple[object, ...]:
    """Return a key with its types: `1` is not `"1"`, and `["a"]` is not `"a"`."""
    if isinstance(key, str):
        return ("string", key)
    return ("list", *((type(part), part) for part in key))


@given(KEYS, KEYS)
@example("a", ["a"])
@example(["a", "b"], "a:b")
@example(["a", "b"], '["a","b"]')
@example(["a"], '%5B"a"]')
@example("a/b", "a%2Fb")
@example("%2F", "/")
@example([1], ["1"])
@example("1", [1])
@example(["a", "b"], ["a,b"])
@example(["a/b"], ["a%2Fb"])
@example(["[1]"], "[1]")
@example([10**30], [10**30 + 1])
def test_different_keys_never_share_a_segment(one: Any, other: Any):
    assert (keys.segment(one) == keys.segment(other)) == (identity(one) == identity(other))


@given(KEYS)
def test_a_segment_holds_no_slash_and_can_be_written_as_utf8(key: Any):
    segment = keys.segment(key)

    assert segment
    assert "/" not in segment
    segment.encode()


@given(STRINGS | LOOKALIKES)
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
        ("[draft] text", "[draft] text"),
        ('["a"]', '%5B"a"]'),
        (["a", "b"], '["a","b"]'),
        (("a", 1), '["a",1]'),
        ([1], "[1]"),
        (["1"], '["1"]'),
        (["é", "a/b"], '["é","a%2Fb"]'),
        ([-(2**80)], f"[{-(2**80)}]"),
    ],
)
def test_segments_stay_as_journals_have_them(key: Any, segment: str):
    """A change here would make recorded tasks unknown."""
    assert keys.segment(key) == segment


def test_a_tuple_is_the_same_key_as_a_list():
    assert keys.segment(("fit", 1)) == keys.segment(["fit", 1])


class Color(StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("key", "part_of_the_message"),
    [
        ("", "must not be empty"),
        ([], "must not be an empty list"),
        ((), "must not be an empty list"),
        (True, "True is a bool"),
        (1, "1 is an int"),
        (1.5, "1.5 is a float"),
        (None, "None is a NoneType"),
        (b"load", "b'load' is a bytes"),
        ({"a": 1}, "is a dict"),
        ({"a"}, "is a set"),
        (["a", True], "True in the task key ['a', True] is a bool"),
        (["a", None], "None in the task key"),
        (["a", 1.0], "1.0 in the task key"),
        (["a", b"b"], "b'b' in the task key"),
        (["a", ["b"]], "['b'] in the task key"),
        ("\ud800", "lone surrogate"),
        ("a/\udfff", "lone surrogate"),
        (["a", "\ud800"], "lone surrogate"),
    ],
)
def test_what_cannot_be_a_key_is_refused_by_name(key: Any, part_of_the_message: str):
    with pytest.raises(InvalidKeyError) as caught:
        keys.segment(key)

    assert part_of_the_message in str(caught.value)
    assert isinstance(caught.value, ValueError)
    str(caught.value).encode()  # or no front end could show it


def test_a_refused_key_is_refused_in_a_path_argument_too():
    with pytest.raises(InvalidKeyError):
        keys.path_of(["fit", []])


@given(st.lists(st.text(), max_size=3), st.lists(st.text(), max_size=3))
def test_a_token_is_one_for_each_list_of_strings(one: list[str], other: list[str]):
    assert (keys.token(*one) == keys.token(*other)) == (one == other)


def test_a_token_stays_the_same_over_versions():
    """It is the idempotency key that others may have seen."""
    assert keys.token("01run", "fit/AA") == "b796cd7ff3fc5c559014d53e9b4e522e"
    assert len(keys.token("")) == 32
