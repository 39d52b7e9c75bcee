"""Filters of events: the 34 cases of Trigger.dev v2, and what it left open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbtasks.errors import InvalidOptionError
from nbtasks.io.events import filters

JOHN: dict[str, Any] = {
    "name": "John", "age": 30, "score": 100, "isAdmin": False, "confirmedAt": None,
    "hobbies": ["reading", "swimming"],
    "address": {"street": "123 Main St", "city": "Anytown", "state": "CA", "zip": "12345"},
}  # fmt: skip
JANE: dict[str, Any] = {
    "name": "Jane", "age": 25, "score": 100, "isAdmin": True,
    "confirmedAt": "2020-01-01T00:00:00.000Z", "hobbies": ["running", "yoga"],
    "address": {"street": "456 Elm St", "city": "Othertown", "state": "NY", "zip": "67890",
                "latitude": 37.7749},
}  # fmt: skip

#: Payload, filter, whether it matches: as in the original's eventFilterMatches.test.ts.
CASES: list[tuple[str, Any, dict[str, Any], bool]] = [
    ("nothing, empty filter", None, {}, True),
    ("nothing, a filter", None, {"name": ["John"]}, False),
    ("a string", JOHN, {"name": ["John"]}, True),
    ("a boolean", JOHN, {"isAdmin": [False]}, True),
    ("a number", JOHN, {"age": [30]}, True),
    ("starts with", JOHN, {"name": [{"$startsWith": "Jo"}]}, True),
    ("ends with", JOHN, {"name": [{"$endsWith": "hn"}]}, True),
    ("starts and ends", JOHN, {"name": [{"$startsWith": "Jo"}, {"$endsWith": "hn"}]}, True),
    ("anything but, nested", JOHN,
     {"name": [{"$anythingBut": "Jane"}], "address": {"street": [{"$anythingBut": "456 Elm St"}]}},
     True),
    ("anything but several", JOHN, {"name": [{"$anythingBut": ["Jane", "Joe"]}]}, True),
    ("exists", JOHN, {"name": [{"$exists": True}]}, True),
    ("does not exist", JOHN, {"foo": [{"$exists": False}]}, True),
    ("numbers", JOHN,
     {"age": [{"$gt": 20}, {"$lt": 40}], "score": [{"$between": [90, 110]}]}, True),
    ("includes", JOHN, {"hobbies": [{"$includes": "reading"}]}, True),
    ("not", JOHN,
     {"hobbies": [{"$not": "gaming"}], "age": [{"$not": 39}], "isAdmin": [{"$not": True}],
      "name": [{"$not": "Test"}]}, True),
    ("not, which it is", JOHN,
     {"hobbies": [{"$not": "reading"}], "age": [{"$not": 30}], "isAdmin": [{"$not": False}],
      "name": [{"$not": "John"}]}, False),
    ("whatever the case", JOHN, {"name": [{"$ignoreCaseEquals": "john"}]}, True),
    ("is null", JOHN, {"confirmedAt": [{"$isNull": True}]}, True),
    ("is not null", JANE, {"confirmedAt": [{"$isNull": False}]}, True),
    ("another string", JANE, {"name": ["John"]}, False),
    ("another type", JANE, {"age": ["John"]}, False),
    ("another boolean", JANE, {"isAdmin": [False]}, False),
    ("another number", JANE, {"age": [30]}, False),
    ("starts otherwise", JANE, {"name": [{"$startsWith": "Jo"}]}, False),
    ("ends otherwise", JANE, {"name": [{"$startsWith": "Ja"}, {"$endsWith": "hn"}]}, False),
    ("but that", JANE,
     {"name": [{"$anythingBut": "Jane"}], "address": {"street": [{"$anythingBut": "123 Main St"}]}},
     False),
    ("but these", JANE,
     {"name": [{"$anythingBut": ["Jane", "John"]}], "address": {"street": ["456 Elm St"]}}, False),
    ("is not there", JANE, {"foo": [{"$exists": True}]}, False),
    ("is there", JANE, {"name": [{"$exists": False}]}, False),
    ("too small", JANE, {"age": [{"$gt": 30}]}, False),
    ("does not include", JANE, {"hobbies": [{"$includes": "swimming"}]}, False),
    ("another name", JANE, {"name": [{"$ignoreCaseEquals": "john"}]}, False),
    ("is not null at all", JANE, {"confirmedAt": [{"$isNull": True}]}, False),
    ("is null after all", JOHN, {"confirmedAt": [{"$isNull": False}]}, False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("payload", "wanted", "result"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_the_cases_of_the_original(payload: Any, wanted: dict[str, Any], result: bool):
    filters.check(wanted)
    assert filters.matches(payload, wanted) is result


def test_there_are_34_of_them():
    assert len(CASES) == 34


@pytest.mark.parametrize(
    ("payload", "wanted", "result"),
    [
        ({"n": 1}, {"n": [True]}, False),
        ({"n": True}, {"n": [{"$gte": 1}]}, False),
        ({"n": 5}, {"n": [{"$gte": 5}, {"$lte": 5}]}, True),
        ({"n": 5}, {"n": [{"$between": [5, 6]}]}, True),
        ({"n": 5}, {"n": []}, True),
        ({"users": [{"id": 1}, {"id": 2}]}, {"users": {"id": [2]}}, True),
        ({"users": []}, {"users": {"id": [2]}}, False),
        ({"tags": ("a", "b")}, {"tags": [{"$includes": "b"}]}, True),
        ({"name": "STRASSE"}, {"name": [{"$ignoreCaseEquals": "straße"}]}, True),
        ({"name": "José"}, {"name": [{"$ignoreCaseEquals": "jose"}]}, False),
        ({}, {"a": {"b": [{"$exists": False}]}}, False),
        ("text", {"a": [1]}, False),
        ([1, 2], {"a": [1]}, False),
    ],
)
def test_what_they_left_open(payload: Any, wanted: dict[str, Any], result: bool):
    filters.check(wanted)
    assert filters.matches(payload, wanted) is result


class Model(pydantic.BaseModel):
    name: str


@dataclass
class Data:
    name: str


@pytest.mark.parametrize("payload", [Model(name="Jo"), Data("Jo")])
def test_models_and_dataclasses_have_fields(payload: Any):
    assert filters.matches(payload, {"name": ["Jo"]})
    assert not filters.matches(payload, {"name": ["Al"]})


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        ("name", "filter is a dict"),
        ({"name": "John"}, r"filter\['name'\] is a list of allowed values, such as \['John'\]"),
        ({"name": {"$gt": 1}}, "conditions go in a list"),
        ({"a": {"b": 1}}, r"filter\['a'\]\['b'\] is a list"),
        ({"name": ["John", 1]}, "a list of strings, of numbers"),
        ({"name": [{"$startswith": "J"}]}, r"no condition '\$startswith'. There are \$startsWith"),
        ({"name": [{"$gt": "J"}]}, r"\$gt takes a number, not 'J'"),
        ({"name": [{"$between": [1]}]}, r"\$between takes two numbers"),
        ({"name": [{"$gt": 1, "$lt": 2}]}, "a dict of one entry"),
        ({"name": [{"$gt": 1}, "x"]}, "a dict of one entry"),
        ({"name": [{"$not": [1]}]}, r"\$not takes a value"),
    ],
)
def test_what_is_no_filter_is_refused_at_its_place(wanted: Any, problem: str):
    with pytest.raises(InvalidOptionError, match=problem):
        filters.check(wanted)


SCALARS = st.text(max_size=3) | st.integers() | st.booleans() | st.none()
PAYLOADS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=8,
)


@pytest.mark.slow
@given(PAYLOADS, st.dictionaries(st.text(max_size=2), st.just([{"$exists": True}])))
def test_no_payload_breaks_a_filter(payload: Any, wanted: dict[str, Any]):
    there = isinstance(payload, dict) and all(key in payload for key in wanted)
    assert filters.matches(payload, wanted) is (there or not wanted)
