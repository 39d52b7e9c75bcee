"""Digest of a payload: the same in every process, whatever the code of its classes has become."""

from __future__ import annotations

import collections
import contextlib
import enum
import functools
import os
import random
import subprocess
import sys
import textwrap
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import nbtasks as nb
from nbtasks.engine.fingerprint.payload import digest
from tests.thorough import only_thorough


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
def test_a_digest_is_the_same_in_every_process(same_in_processes: Callable[[str], str]) -> None:
    """It is the key of the run that a payload continues, and sets are ordered by chance."""
    digests = same_in_processes(textwrap.dedent(SCRIPT).format(path=sys.path)).split()

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
@only_thorough
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


# -- functions -------------------------------------------------------------------------------------

WRAPS = """
def deco(*given):
    def wrapper(f):
        @functools.wraps(f)
        def inner(*args):
            return given[:1] and f(*args)
        return inner
    return wrapper
"""
FIT = "def fit(x): return {body}"
FUNCTIONS = {
    "plain": FIT,
    "task": f"@nb.task\n{FIT}",
    "task with options": f"@nb.task(retry=2)\n{FIT}\nfit = fit.with_options(retry=3)",
    "awaiting task": f"@nb.task\nasync {FIT}",
    "job": f"@nb.job('j')\n{FIT.replace('x', 'io', 1)}",
    "cached": f"@functools.lru_cache\n{FIT}",
    "wrapped": f"{WRAPS}@deco(1)\n{FIT}",
    "task over a wrapper": f"{WRAPS}@nb.task\n@deco(1)\n@functools.cache\n{FIT}",
    "dispatched": f"@functools.singledispatch\n{FIT}",
    "context manager": f"@contextlib.contextmanager\n{FIT.replace('return', 'yield')}",
    "partial of a task": f"@nb.task\n{FIT}\nfit = functools.partial(fit, 1)",
    "static task": f"class A:\n    @staticmethod\n    @nb.task\n    {FIT}\nfit = A.fit",
    "method": "class A:\n    def fit(self, x): return {body}\nfit = A().fit",
    "wrapped method": WRAPS + "class A:\n    @deco(1)\n    def fit(self, x): return {body}\n"
    "fit = A().fit",
    "in a container": f"@nb.task\n{FIT}\nfit = {{{{'model': [fit]}}}}",
    "in an object": f"@nb.task\n{FIT}\nclass A: pass\nholder = A()\nholder.fit = fit\nfit = holder",
}


def made(text: str, name: str = "fit") -> Any:
    names = {
        "__name__": "__main__", "nb": nb, "functools": functools, "contextlib": contextlib,
    }  # fmt: skip
    exec(text, names)
    return names[name]


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_editing_a_function_of_the_payload_continues_the_run(kind: str) -> None:
    before, after = (made(FUNCTIONS[kind].format(body=body)) for body in ("x + 1", "abs(x) + 2"))

    assert digest([before]) == digest([after])
    assert digest([before]) != digest([made(FIT.replace("fit", "other"), "other")])


@pytest.mark.parametrize("kind", ["plain", "task", "cached", "wrapped", "task over a wrapper"])
def test_another_function_is_another_payload(kind: str) -> None:
    text = FUNCTIONS[kind].format(body="x")
    methods = WRAPS + "class A:\n" + "".join(
        f"    @deco(1)\n    def {name}(self): pass\n" for name in "fg"
    )  # fmt: skip

    assert digest(made(text)) != digest(made(text.replace("fit", "other"), "other"))
    assert digest(made(f"{methods}m = A().f", "m")) != digest(made(f"{methods}m = A().g", "m"))
    assert digest(made(f"{methods}m = A.f", "m")) != digest(made(f"{methods}m = A.g", "m"))


def test_what_a_decorator_was_given_counts() -> None:
    one, other = (made(f"{WRAPS}@deco({value})\n{FIT}".format(body=1)) for value in (1, 2))
    jobs = [made(f"@nb.job({name!r})\ndef fit(io): pass") for name in "ab"]

    assert digest(one) != digest(other)
    assert digest(jobs[0]) != digest(jobs[1])


def test_calling_a_function_of_the_payload_changes_nothing() -> None:
    for kind in ("cached", "dispatched", "wrapped", "task"):
        fit = made(FUNCTIONS[kind].format(body="x"))
        before = digest([fit])
        fit(3)

        assert digest([fit]) == before


def test_a_function_that_wraps_itself_has_a_digest() -> None:
    fit = made(FIT.format(body=1))
    fit.__wrapped__ = fit

    assert digest([fit]) == digest([fit])
