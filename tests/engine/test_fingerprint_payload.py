"""Digest of a payload: the same in every process, whatever the code of its classes has become."""

from __future__ import annotations

import collections
import enum
import os
import random
import subprocess
import sys
import textwrap
import uuid
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import nbtasks as nb
from nbtasks.engine.fingerprint.payload import digest


class Plain:
    """An object that only a pickle can represent."""

    def __init__(self, **fields: Any) -> None:
        vars(self).update(fields)


class Tags(set[str]):
    """A set of a class of its own."""


class Slots:
    __slots__ = ("names",)

    def __init__(self, names: Any) -> None:
        self.names = names


class Colour(enum.Enum):
    RED = frozenset({"a", "b", "c"})


@dataclass
class Config:
    carriers: set[str] = field(default_factory=set)
    limits: dict[str, int] = field(default_factory=dict)


SCRIPT = """
import collections, enum, sys
sys.path[:0] = {path!r}
from tests.engine.test_fingerprint_payload import *
letters = set("abcdefgh")
for payload in (
    {{"carriers": letters, "days": frozenset(letters)}},
    Plain(carriers=letters, days=frozenset(letters)),
    Plain(by_name=dict.fromkeys(letters, 1)),
    [Plain(inner=Plain(tags=letters))],
    {{"job": (Slots(letters), Tags(letters))}},
    Plain(tags=Tags(letters), colour=Colour.RED),
    Config(letters, dict.fromkeys(letters, 2)),
    Plain(counts=collections.Counter(letters), items=collections.defaultdict(set, a=letters)),
    Plain(nested={{(1, frozenset(letters)): [letters]}}),
):
    print(digest(payload))
"""


@pytest.mark.slow
def test_a_digest_is_the_same_in_every_process() -> None:
    """It is the key of the run that a payload continues, and sets are ordered by chance."""
    printed = {
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(SCRIPT).format(path=sys.path)],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in (1, 2, 3)
    }

    assert len(printed) == 1
    digests = printed.pop().split()
    assert len(set(digests)) == len(digests) == 9


RUNS = """
import nbtasks as nb

class Config:
    def __init__(self, names):
        self.names = names
        self.weights = dict.fromkeys(names, 1)

    def label(self):
        return {label!r}

@nb.job
def fits(payload, io):
    return io.run_task("fit", lambda: len(payload.names))

run = fits.run(Config(set("abcdefgh")))
print(run.id, run.executions)
"""


@pytest.mark.slow
def test_an_object_with_a_set_continues_its_run_in_a_new_process_and_after_an_edit() -> None:
    printed = [
        subprocess.run(
            [sys.executable, "-c", RUNS.format(label=label)],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for seed, label in ((1, "one"), (2, "one"), (3, "edited"))
    ]

    assert [executions for _, executions in printed] == ["1", "2", "3"]
    assert len({run_id for run_id, _ in printed}) == 1


def test_the_order_of_keys_does_not_count_in_what_only_a_pickle_represents() -> None:
    one, other = Plain(a=1, b={"x": 1, "y": 2}), Plain(b={"y": 2, "x": 1}, a=1)

    assert digest(one) == digest(other)
    assert digest([one, {"k": other}]) == digest([other, {"k": one}])


def test_the_code_of_a_class_does_not_count_and_its_name_does() -> None:
    def made(body: str, name: str = "Model") -> Any:
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(f"class {name}:\n    def fit(self):\n        return {body}", names)
        value = names[name]()
        value.alpha = 1
        return value

    assert digest(made("1")) == digest(made("2"))
    assert digest(made("1")) != digest(made("1", "Other"))


def test_what_differs_has_another_digest() -> None:
    values: list[Any] = [
        None, 0, False, 0.0, "", [], (), {}, set(), frozenset(), Plain(), Plain(a=1), Plain(a=1.0),
        Plain(a=True), Plain(a="1"), Plain(a=[1]), Plain(a=(1,)), Plain(a={1}), Plain(a={1: None}),
        Plain(a=frozenset({1})), Plain(a={"1": None}), Plain(b=1), Slots(1), Slots([1]), Tags(),
        Plain(a=np.arange(3)), Plain(a=np.arange(3.0)), Plain(a=Colour.RED), Plain(a=Plain),
        Plain(a=Slots), Plain(a=uuid.UUID(int=1)), Plain(a=b"1"), Plain(a=collections.deque([1])),
        Plain(a=lambda: 1), Plain(a=lambda: 2), Plain(a=digest), Plain(a="x".join),
    ]  # fmt: skip
    digests = [digest(value) for value in values]

    same = [
        (values[a], values[b])
        for a in range(len(values))
        for b in range(a)
        if digests[a] == digests[b]
    ]
    assert same == []


@pytest.mark.slow
def test_everything_of_a_large_payload_counts() -> None:
    def rows(last: int) -> Any:
        return Plain(rows=[[number] for number in range(120_000)] + [[last]])

    assert digest(rows(1)) != digest(rows(2))


def test_a_generator_counts_by_its_seed_or_else_by_its_state() -> None:
    used = np.random.default_rng(1)
    used.random()

    assert digest(Plain(rng=np.random.default_rng(1))) == digest(Plain(rng=used))
    assert digest(Plain(rng=np.random.default_rng(1))) != digest(
        Plain(rng=np.random.default_rng(2))
    )
    assert digest(Plain(rng=random.Random(1))) == digest(Plain(rng=random.Random(1)))
    assert digest(Plain(rng=random.Random(1))) != digest(Plain(rng=random.Random(2)))
    fresh = np.random.default_rng()
    assert digest(Plain(rng=fresh)) == digest(Plain(rng=fresh))
    assert digest(Plain(rng=fresh)) != digest(Plain(rng=np.random.default_rng()))


def test_what_refers_to_itself_has_a_digest() -> None:
    one, other = Plain(), Plain()
    one.me, other.me = one, other  # type: ignore[attr-defined]  # made up

    assert digest(one) == digest(other)


def test_what_is_nested_deeply_has_a_digest() -> None:
    rows: Any = [1]
    objects: Any = Plain()
    for _ in range(60):
        objects = Plain(inner=[objects])
    for _ in range(400):
        rows = [rows]

    assert digest(objects) == digest(objects)
    assert digest(rows) == digest(rows) != digest(rows[0])


def test_a_digest_stays_the_same_over_versions() -> None:
    value = {"b": [1, 2.5, None], "a": ("x", uuid.UUID(int=1))}

    assert digest(value) == "67eb5b63d11a0783"
    assert digest([value, complex(1, 2), np.float32(3)]) == digest(
        [{"a": ("x", uuid.UUID(int=1)), "b": [1, 2.5, None]}, complex(1, 2), np.float32(3)]
    )


def test_a_payload_that_cannot_be_recorded_begins_no_run() -> None:
    @nb.job
    def body(payload: Any) -> None: ...

    with pytest.raises(nb.ValueNotKeptError):
        body.run(Plain(lock=__import__("threading").Lock()))
    assert nb.runs().empty
