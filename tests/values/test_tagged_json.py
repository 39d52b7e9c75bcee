"""Tagged JSON: what stands for which value, and what is left to a pickle."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import pathlib
import uuid
from dataclasses import InitVar, dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import orjson
import pydantic
import pytest

from nbtasks.values.tagged_json import NotTaggable, tag, untag


def again(value: object) -> Any:
    """Through tags and JSON, as the journal does it."""
    return untag(orjson.loads(orjson.dumps(tag(value))))


class Color(enum.Enum):
    RED = 1
    CRIMSON = RED


@dataclass
class Point:
    x: Any
    y: Any = 0


class Item(pydantic.BaseModel):
    name: str = "?"
    at: dt.date | None = None


HERE = __name__


@pytest.mark.parametrize(
    ("value", "tagged"),
    [
        ((1, "a"), {"$tuple": [1, "a"]}),
        ({1}, {"$set": [1]}),
        (frozenset({"a"}), {"$frozenset": ["a"]}),
        (b"\x00\xff", {"$bytes": "AP8="}),
        (bytearray(b"\x00"), {"$bytearray": "AA=="}),
        (range(1, 9, 2), {"$range": [1, 9, 2]}),
        (2**53, 2**53),
        (2**53 + 1, {"$int": "0x20000000000001"}),
        (-(2**70), {"$int": "-0x400000000000000000"}),
        (float("-inf"), {"$float": "-inf"}),
        ("\ud800", {"$str": "7aCA"}),
        ({"\ud800": 1}, {"$dict": [[{"$str": "7aCA"}, 1]]}),
        ({1: "a"}, {"$dict": [[1, "a"]]}),
        ({"$tuple": 1}, {"$dict": [["$tuple", 1]]}),
        ({"a": {"b": ()}}, {"a": {"b": {"$tuple": []}}}),
        (Decimal("1.50"), {"$decimal": "1.50"}),
        (uuid.UUID(int=1), {"$uuid": "00000000-0000-0000-0000-000000000001"}),
        (complex(1, -0.0), {"$complex": ["1.0", "-0.0"]}),
        (dt.date(2026, 1, 2), {"$date": "2026-01-02"}),
        (dt.time(1, 2, fold=1), {"$time": ["01:02:00", 1]}),
        (dt.timedelta(days=-1, microseconds=5), {"$timedelta": [-1, 0, 5]}),
        (dt.datetime.fromisoformat("2026-01-02"), {"$datetime": ["2026-01-02T00:00:00", None, 0]}),
        (
            dt.datetime(2026, 1, 2, 3, tzinfo=dt.UTC),
            {"$datetime": ["2026-01-02T03:00:00+00:00", None, 0]},
        ),
        (
            dt.datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
            {"$datetime": ["2026-10-25T02:30:00", "Europe/Berlin", 1]},
        ),
        (pathlib.PurePosixPath("a/b"), {"$path": ["PurePosixPath", "a/b"]}),
        (pathlib.PureWindowsPath("a/b"), {"$path": ["PureWindowsPath", "a\\b"]}),
        (Color.RED, {"$enum": [HERE, "Color", "RED"]}),
        (Point(1), {"$dataclass": [HERE, "Point", {"x": 1, "y": 0}]}),
        (
            Item(at=dt.date(2026, 1, 2)),
            {
                "$model": [
                    HERE,
                    "Item",
                    [{"name": "?", "at": {"$date": "2026-01-02"}}, None, ["at"]],
                ]
            },
        ),
    ],
    ids=repr,
)
def test_tags_stay_as_journals_have_them(value: Any, tagged: Any):
    """A change here would make recorded values unreadable."""
    assert tag(value) == tagged
    assert untag(tagged) == value
    assert type(untag(tagged)) is type(value)


@pytest.mark.parametrize(
    "value", [None, True, 0, 1.5, "a", [], {}, [None, {"a": [1]}], {"a b": {"": 0}}], ids=repr
)
def test_what_json_keeps_has_no_tag(value: Any):
    assert tag(value) == value


def test_an_alias_of_an_enum_is_its_member():
    assert again(Color.CRIMSON) is Color.RED


# -- dataclasses -----------------------------------------------------------------------------------


@dataclass
class Doubled:
    """Class whose arguments are not what its fields hold."""

    value: int

    def __post_init__(self) -> None:
        self.value *= 2


@dataclass
class Derived:
    name: str
    length: int = field(init=False)
    kind: ClassVar[str] = "derived"

    def __post_init__(self) -> None:
        self.length = len(self.name)


@dataclass
class Scaled:
    value: float
    scale: InitVar[float]

    def __post_init__(self, scale: float) -> None:
        self.value *= scale


@dataclass(init=False)
class OwnInit:
    total: int

    def __init__(self, *parts: int) -> None:
        self.total = sum(parts)


@dataclass(frozen=True)
class Checked:
    value: int

    def __post_init__(self) -> None:
        if self.value < 0:
            raise ValueError("below 0")


@dataclass
class Cached:
    value: int

    @cached_property
    def square(self) -> int:
        return self.value**2


@dataclass
class Outer:
    @dataclass
    class Inner:
        value: int

    inner: Outer.Inner


@pytest.mark.parametrize(
    "value",
    [
        Doubled(2),
        Derived("ab"),
        Scaled(2.0, 3.0),
        OwnInit(1, 2),
        Checked(1),
        Outer(Outer.Inner(1)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_dataclass_comes_back_as_it_was_however_it_is_made(value: Any):
    assert again(value) == value
    assert type(again(value)) is type(value)


def test_a_frozen_dataclass_that_was_changed_behind_its_back_comes_back_as_it_was():
    value = Checked(1)
    object.__setattr__(value, "value", -1)

    assert again(value).value == -1


@dataclass
class Unset:
    value: int
    later: int = field(init=False)


@dataclass
class Record(dict):
    name: str


def with_more() -> Point:
    point = Point(1)
    point.note = "not a field"  # type: ignore[attr-defined]  # as users do
    return point


def cached() -> Cached:
    value = Cached(3)
    assert value.square == 9
    return value


def record() -> Record:
    value = Record("a")
    value["key"] = 1
    return value


def local() -> Any:
    @dataclass
    class Local:
        value: int

    return Local(1)


class NamedZone(dt.tzinfo):
    def utcoffset(self, _: dt.datetime | None) -> dt.timedelta:
        return dt.timedelta(hours=1)

    def dst(self, _: dt.datetime | None) -> None:
        return None

    def tzname(self, _: dt.datetime | None) -> str:
        return "own"


class Private(pydantic.BaseModel):
    _secret: int = pydantic.PrivateAttr(default=1)


class MyPath(type(pathlib.PurePath())):  # type: ignore[misc]  # the platform's own class
    pass


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(Unset(1), id="a field that was never set"),
        pytest.param(record(), id="a dataclass that is a dict too"),
        pytest.param(with_more(), id="an attribute that is no field"),
        pytest.param(cached(), id="a cached property"),
        pytest.param(local(), id="a class of a function"),
        pytest.param(Private(), id="a private attribute"),
        pytest.param(dt.datetime(2026, 1, 1, tzinfo=NamedZone()), id="a zone of one's own"),
        pytest.param(
            dt.datetime(2026, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1), "CET")),
            id="an offset with a name",
        ),
        pytest.param(dt.time(1, tzinfo=ZoneInfo("Asia/Tokyo")), id="a time in a zone"),
        pytest.param(MyPath("a"), id="a path of one's own class"),
        pytest.param(object(), id="any other object"),
        pytest.param(Point, id="a class"),
        pytest.param(len, id="a function"),
        pytest.param([{"a": (object(),)}], id="inside of others"),
    ],
)
def test_what_tags_would_lose_part_of_is_left_to_a_pickle(value: Any):
    with pytest.raises(NotTaggable):
        tag(value)


def test_a_class_that_another_one_hides_is_left_to_a_pickle(monkeypatch: pytest.MonkeyPatch):
    """Read back, it would be the other one."""
    value = Point(1)
    monkeypatch.setitem(globals(), "Point", dataclasses.make_dataclass("Point", ["x", "y"]))

    with pytest.raises(NotTaggable):
        tag(value)


# -- pydantic --------------------------------------------------------------------------------------


class Loose(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    name: str


class Aliased(pydantic.BaseModel):
    from_: str = pydantic.Field(alias="from")


class Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True)
    count: int

    @pydantic.field_validator("count")
    @classmethod
    def _not_negative(cls, count: int) -> int:
        if count < 0:
            raise ValueError("below 0")
        return count


class Numbers(pydantic.RootModel[list[int]]):
    pass


class Tree(pydantic.BaseModel):
    item: Item
    below: list[Tree] = []


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(Item(), id="defaults"),
        pytest.param(Item(name="?"), id="a default that was set"),
        Loose(name="a", more=(1, 2)),  # type: ignore[call-arg]  # it takes any
        Aliased(**{"from": "here"}),
        Strict.model_construct(count=-1),
        Numbers([1, 2]),
        Tree(item=Item(), below=[Tree(item=Item(name="b"))]),
    ],
    ids=repr,
)
def test_a_model_comes_back_as_it_was_with_what_was_set(value: pydantic.BaseModel):
    result = again(value)

    assert result == value
    assert type(result) is type(value)
    assert result.model_fields_set == value.model_fields_set
    assert result.model_extra == value.model_extra
    assert result.model_dump() == value.model_dump()


def test_a_model_that_came_back_can_be_used_as_any_other():
    result = again(Item(name="a"))

    result.name = "b"
    assert result.model_copy(update={"name": "c"}) == Item(name="c")
    assert result.model_fields_set == {"name"}
