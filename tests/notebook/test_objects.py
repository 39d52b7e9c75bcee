"""Objects that several names lead to: what they hold, how they are filled, where they stand."""

from __future__ import annotations

import functools
import itertools
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import nbtasks as nb
from nbtasks.notebook.objects import filling, members, places, positions
from nbtasks.notebook.objects.linking import Links
from tests.notebook.shells import Shell


def in_closure(part: Any) -> Callable[[], Any]:
    return lambda: part


HOLDERS: dict[str, Callable[[Any], Any]] = {
    "containers": lambda part: {"a": (part,)},
    "array": lambda part: np.array([part, None], dtype=object),
    "column": lambda part: pd.DataFrame({"a": [part]}),
    "proxy": lambda part: MappingProxyType({"a": part}),
    "partial": lambda part: functools.partial(print, part),
    "method": lambda part: part.append,
    "iterator": iter,
    "closure": in_closure,
}


@pytest.mark.parametrize("hold", HOLDERS.values(), ids=HOLDERS)
def test_names_that_lead_to_one_object_are_in_one_group(hold: Callable[[Any], Any]) -> None:
    part = [1]

    assert members.group({"a": part, "b": [1], "c": hold(part)}) == [["a", "c"], ["b"]]


def test_recorded_objects_stand_for_the_living_ones_at_the_same_places() -> None:
    inner: dict[str, Any] = {"n": 1}
    living = [inner, [2]]
    snapshot = places.Snapshot({"x": living})
    living.reverse()
    moved = snapshot.moved(living)
    assert moved == [[[["item", 0]], ["x", [["item", 1]]]], [[["item", 1]], ["x", [["item", 0]]]]]
    living.reverse()

    recorded = [[2], {"n": 5}]
    links = Links()
    for new, old, _ in [*places.pairs(recorded, living, moved, {"x": living})]:
        assert links.fill(new, old)
    links.apply({})

    assert living[1] is inner == {"n": 5}


@pytest.mark.parametrize(
    ("old", "new"),
    [([1], (1,)), (np.zeros(2), np.zeros(3)), ((1,), (2,)), (print, len)],
    ids=str,
)
def test_what_cannot_be_filled_is_left_alone(old: Any, new: Any) -> None:
    assert not filling.fill(old, new)


ITERATORS: dict[str, Callable[[], Any]] = {
    "list": lambda: iter([1, 2, 3]),
    "dict": lambda: iter({1: 2, 3: 4}),
    "enumerate": lambda: enumerate("abc"),
    "zip": lambda: zip([1, 2], "ab", strict=False),
    "count": lambda: itertools.count(3, 2),
    "generator expression": lambda: (n * 2 for n in range(4) if n),
}


@pytest.mark.parametrize("make", ITERATORS.values(), ids=ITERATORS)
def test_an_iterator_is_moved_to_where_another_one_is(make: Callable[[], Any]) -> None:
    first, second = make(), make()
    next(first)
    position = positions.read(first)
    assert position is not None

    assert positions.move(second, position)
    assert next(second) == next(first)


def test_the_place_in_a_generator_function_and_in_a_written_file_is_unknown(tmp_path: Path) -> None:
    def make():
        yield 1

    with (tmp_path / "new").open("w") as file:
        assert positions.read(make()) is positions.read(file) is None
    assert positions.read(file) == ["closed"]


@pytest.mark.slow
@pytest.mark.parametrize(("above", "parts"), [("raw = df = [1]", 1), ("df = [1]", 0)])
def test_an_object_that_was_changed_and_left_is_recorded_if_another_name_has_it(
    shell: Shell, above: str, parts: int
) -> None:
    shell.ok(above)
    shell.ok("%%task k --as run\ndf.append(2); df = df[:1]")

    recorded = nb.last_run()["k"]
    assert len([name for name in recorded if name.startswith("part of an input")]) == parts


def test_a_tuple_stands_for_a_recorded_one_if_its_members_do() -> None:
    inner: dict[str, Any] = {"n": 1}
    living = (inner, 5)
    recorded: tuple[Any, ...] = ({"n": 2}, 5)

    links = Links()
    for new, old, _ in [*places.pairs(recorded, living, [], {"x": living})]:
        assert links.fill(new, old)

    assert links.apply({"x": recorded})["x"] is living
    assert inner == {"n": 2}


def test_objects_that_only_a_library_can_fill_are_not_filled() -> None:
    for old, new in [
        (pd.Categorical(["a"]), pd.Categorical(["b"])),
        (ET.Element("a"), ET.Element("b")),
        (pl.DataFrame({"a": [1]})._df, pl.DataFrame({"a": [2]})._df),
    ]:
        assert not filling.fill(old, new)
    frame = pl.DataFrame({"a": [1]})
    assert filling.fill(frame, pl.DataFrame({"b": [2]}))
    assert frame.to_dict(as_series=False) == {"b": [2]}


def test_a_frame_keeps_labels_that_are_the_same() -> None:
    index = pd.Index([1, 2])
    frame = pd.DataFrame({"a": [1, 2]}, index=index)

    assert filling.fill(frame, pd.DataFrame({"b": [3, 4]}, index=pd.Index([1, 2])))
    assert frame.index is index
    assert filling.fill(frame, pd.DataFrame({"b": [3, 4]}, index=pd.Index([1, 2], name="i")))
    assert index.name is None
    assert frame.index.name == "i"


def test_a_read_only_array_is_filled_if_it_may_be() -> None:
    array, view = np.zeros(2), np.zeros(2)[:]
    array.flags.writeable = view.flags.writeable = False

    assert filling.fill(array, np.ones(2))
    assert array.tolist() == [1, 1]
    assert not filling.fill(view, np.ones(2))
