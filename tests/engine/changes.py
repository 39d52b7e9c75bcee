"""The battery of changes: edits of code and pairs of arguments, each with its verdict.

`python -m tests.engine.changes` writes the tables in docs/living-with-code-changes.md anew, and the
digests in digests.json, which are the same on each Python.
"""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import functools
import hashlib
import json
import operator
import random
import re
import threading
import types
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pydantic

from nbtasks.core import keys
from nbtasks.engine.fingerprint import calls
from tests.engine.cells import Notebook

DOCS = Path(__file__).parents[2] / "docs" / "living-with-code-changes.md"
BEGIN, END = "<!-- changes: made by python -m tests.engine.changes -->", "<!-- end of changes -->"
DIGESTS = Path(__file__).with_name("digests.json")

# -- edits of code --------------------------------------------------------------------------------


class Place(NamedTuple):
    """Place of an edit.

    Attributes:
        what: How the docs call it.
        setup: The cell that is edited: `@@` is 1, then 2.
        use: The expression by which the task's function uses it.
        is_seen: Whether the edit is a change of the function.
    """

    what: str
    setup: str
    use: str
    is_seen: bool = True


IMPORTS = (
    "import dataclasses, functools, math, operator, re\nimport numpy as np\nimport nbtasks as nb\n"
)
WRAP = "class D:\n def __init__(s, fn): s.fn = fn\n def __call__(s): return s.fn()\n"
PLACES = (
    Place("a function that it calls", "def helper(): return @@", "helper()"),
    Place("a lambda that it calls", "helper = lambda: @@", "helper()"),
    Place("a function two calls away", "def a(): return @@\ndef b(): return a()", "b()"),
    Place("a number that it reads", "RATE = @@", "RATE"),
    Place("a tuple of numbers that it reads", "RATES = (0, @@)", "RATES"),
    Place("a default of a parameter", "def helper(x=@@): return x", "helper()"),
    Place("a variable of a closure", "def make(n): return lambda: n\nh = make(@@)", "h()"),
    Place("a function in a dict", "OPS = {'a': lambda: @@}", "OPS['a']()"),
    Place("a function in a tuple", "def s(): return @@\nSTEPS = (s,)", "STEPS[0]()"),
    Place("a function in a list of dicts", "OPS = [{'a': [lambda: @@]}]", "OPS[0]['a'][0]()"),
    Place("the order of functions in a list",
          "def a(): return 1\ndef b(): return 2\nSTEPS = [a, b][::2 * @@ - 3]", "STEPS"),
    Place("a class in a list", "class A:\n def go(s): return @@\nKINDS = [A]", "KINDS[0]().go()"),
    Place("a number beside a function in a table", "STEPS = [('a', abs, @@)]", "STEPS"),
    Place("a registry that a decorator fills",
          "R = {}\ndef reg(f): R[f.__name__] = f\n@reg\ndef a(): return @@", "R['a']()"),
    Place("a function of a library in a table", "OPS = {'a': [min, max][@@ - 1]}", "OPS['a'](1)"),
    Place("a method of a class", "class M:\n def go(self): return @@", "M().go()"),
    Place("a property", "class M:\n @property\n def go(self): return @@", "M().go"),
    Place("a class method", "class M:\n @classmethod\n def go(c): return @@", "M.go()"),
    Place("a static method", "class M:\n @staticmethod\n def go(): return @@", "M.go()"),
    Place("a constant of a class", "class M:\n K = @@\n def go(self): return self.K", "M().go()"),
    Place("a constant of a class that is computed",
          "n = @@\nclass M:\n K = n\n def go(self): return self.K", "M().go()"),
    Place("a constant of a class that is set later", "class M: pass\nM.K = @@", "M.K"),
    Place("a constant of a class that a decorator sets",
          "def deco(c):\n c.K = @@\n return c\n@deco\nclass M: pass", "M.K"),
    Place("a default of a field that is computed",
          "n = @@\n@dataclasses.dataclass\nclass M:\n k: int = n", "M().k"),
    Place("a default of a method that is computed",
          "n = @@\nclass M:\n def go(self, k=n): return k", "M().go()"),
    Place("a metaclass",
          "class T(type):\n def __call__(c): return @@\nclass M(metaclass=T): pass", "M()"),
    Place("an attribute of a function", "def h(): return h.k\nh.k = @@", "h()"),
    Place("a base class",
          "class B:\n def go(self): return @@\nclass M(B):\n def other(self): pass", "M().go()"),
    Place("a table of a class",
          "def h(): return @@\nclass M:\n T = {'a': h}\n def go(self): return self.T", "M().go()"),
    Place("a method of a global object", "class M:\n def go(self): return @@\nm = M()", "m.go()"),
    Place("a method that is set from outside",
          "class M:\n def go(self): return 0\nM.go = lambda self: @@", "M().go()"),
    Place("a class made by `type()`", "P = type('P', (), {'m': lambda s: @@})", "P().m()"),
    Place("a decorator", "def deco(f):\n def w(): return f() + @@\n return w\n@deco\n"
          "def h(): return 1", "h()"),
    Place("a function below a decorator that is a class", WRAP + "@D\ndef h(): return @@", "h()"),
    Place("a decorator that is a class",
          WRAP.replace("s.fn()", "s.fn() + @@") + "@D\ndef h(): return 1", "h()"),
    Place("a function below `lru_cache`", "@functools.lru_cache\ndef h(): return @@", "h()"),
    Place("an implementation of `singledispatch`",
          "@functools.singledispatch\ndef h(x): return 0\n@h.register\ndef _(x: int): return @@",
          "h(1)"),
    Place("an argument of a `partial`", "h = functools.partial(max, @@)", "h(0)"),
    Place("the index of an `itemgetter`", "h = operator.itemgetter(@@)", "h([1, 2, 3])"),
    Place("a regular expression", "rx = re.compile('@@')", "rx.findall('12')"),
    Place("a bound method of a regular expression", "h = re.compile('@@').findall", "h('12')"),
    Place("a function of a library under a name", "h = [math.floor, math.ceil][@@ - 1]", "h(1.5)"),
    Place("a ufunc under a name", "h = [np.maximum, np.minimum][@@ - 1]", "h(1, 2)"),
    Place("the state of a callable object",
          "class S:\n def __init__(s, k): s.k = k\n def __call__(s): return s.k\nh = S(@@)", "h()"),
    Place("a polynomial of NumPy", "h = np.poly1d([1, @@])", "h(1)"),
    Place("a task function that it calls", "@nb.task()\ndef h(): return @@", "h()"),
    Place("a comment", "def h(): return 1  # @@", "h()", is_seen=False),
    Place("a docstring", "def h():\n '''The @@.'''\n return 1", "h()", is_seen=False),
    Place("formatting", "def h(x=1):\n return (\nx +\n 1)#@@", "h()", is_seen=False),
    Place("a cell that is run again", "class M:\n def go(self): return 1", "M().go()",
          is_seen=False),
    Place("a function that it does not use", "def h(): return 1\ndef o(): return @@", "h()",
          is_seen=False),
    Place("the order of a dict of functions",
          "def a(): return 1\ndef b(): return 2\nOPS = dict([('a', a), ('b', b)][::2 * @@ - 3])",
          "OPS['a']()", is_seen=False),
    Place("other data that it reads: lists, dicts, frames", "DATA = [@@]", "DATA", is_seen=False),
    Place("what a class counts of its objects",
          "class M:\n n = 0\n def __init__(s): M.n += 1\nfor _ in range(@@): M()", "M()",
          is_seen=False),
    Place("what a callable object counts",
          "class S:\n def __init__(s): s.n = 0\n def __call__(s):\n  s.n += 1\n  return 1\n"
          "h = S()\nfor _ in range(@@): h()", "h()", is_seen=False),
)  # fmt: skip
#: Kinds of functions of a task; `USE` is what it does.
KINDS = {
    "def": "def f(): return USE",
    "lambda": "f = lambda: USE",
    "async def": "async def f(): return USE",
    "closure": "def make():\n def f(): return USE\n return f\nf = make()",
    "comprehension": "def f(): return [USE for _ in 'a']",
    "partial": "def g(x): return USE\nf = functools.partial(g, 1)",
    "lru_cache": "@functools.lru_cache\ndef f(): return USE",
    "task function": "@nb.task()\ndef f(): return USE",
    "method": "class C:\n def go(self): return USE\nf = C().go",
    "callable object": "class C:\n def __call__(self): return USE\nf = C()",
    "decorator class": WRAP.replace("class D", "class Wrap") + "@Wrap\ndef f(): return USE",
    "caller of a helper": "def inner(): return USE\ndef f(): return inner()",
}
EDITS = [(place, kind) for place in PLACES for kind in KINDS]


def look(fn: Any, *args: Any) -> tuple[str, str]:
    """Return what is recorded of a call: the digests of its function and of its arguments."""
    code, inputs, *_ = calls.inspect(fn, args)
    return code.digest, inputs.text


def is_edit_seen(place: Place, kind: str) -> bool:
    """Return whether an edit changes a function that stays as it is itself."""
    cell = Notebook()
    cell(IMPORTS)
    cell(place.setup.replace("@@", "1"))
    cell(KINDS[kind].replace("USE", place.use))
    before = look(cell.names["f"])
    assert look(cell.names["f"]) == before
    cell(place.setup.replace("@@", "2"))
    return look(cell.names["f"]) != before


# -- pairs of arguments ---------------------------------------------------------------------------


class Plain:
    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def show(self) -> str:
        return str(vars(self))


class Slots:
    __slots__ = ("a", "b")

    def __init__(self, a: Any, b: Any = None) -> None:
        self.a, self.b = a, b


@dataclasses.dataclass
class Point:
    x: Any
    y: int = 0


class Model(pydantic.BaseModel):
    x: Any


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Pair(NamedTuple):
    a: int
    b: Any


class Numbers(list[int]):
    unit = "m"


class Metres(float):
    unit: str


class Error(Exception):
    pass


class Counted:
    """Object that keeps things only to save time."""

    def __init__(self, n: int) -> None:
        self.n, self._cache, self._square = n, dict[int, int](), None

    @functools.cached_property
    def total(self) -> int:
        return self.n * 2


def used(n: int) -> Counted:
    made = Counted(n)
    made._cache[n] = made.total
    return made


def code_of(number: int) -> Any:
    """An object of a class of a notebook, whose method returns the number."""
    cell = Notebook()
    cell(f"class M:\n def go(self): return {number}\nm = M()")
    return cell.names["m"]


def frame(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"n": [1, 2, 3], "s": ["x", "y", None], **columns})


def edited(edit: Callable[[Any], Any], value: Any = None) -> Any:
    made = frame() if value is None else value
    edit(made)
    return made


def category(order: str, *, ordered: bool = False) -> pd.Series:
    return pd.Series(pd.Categorical(["a", "b"], categories=list(order), ordered=ordered))


def subclass(unit: str) -> Metres:
    made = Metres(1.5)
    made.unit = unit
    return made


def add(n: int) -> Callable[[], int]:
    return lambda: n


def grouped() -> Any:
    return frame().groupby("s")


def used_in(value: Any) -> Any:
    """Return an object of pandas that has filled what it keeps to save time."""
    if hasattr(value, "to_html"):
        value.to_html()
    else:
        value.ngroups, value.groups, value.n.mean()
    return value


class Argument(NamedTuple):
    """Kind of an argument.

    Attributes:
        what: How the docs call it.
        one: Makes one; called twice, it makes two that are no change.
        other: Makes another one.
        is_seen: Whether the other one is a change.
        is_told: Whether it is not compared, and listed so on its task.
    """

    what: str
    one: Callable[[], Any]
    other: Callable[[], Any]
    is_seen: bool = True
    is_told: bool = False


ARGUMENTS = (
    Argument("numbers, text, `None`", lambda: [1, "a", None], lambda: [1, "b", None]),
    Argument("integers above 64 bits", lambda: 2**70, lambda: 2**71),
    Argument("`nan` and infinity", lambda: float("nan"), lambda: float("inf")),
    Argument("text that isn't valid Unicode", lambda: "\ud800", lambda: "\ud801"),
    Argument("values of a dict", lambda: {"a": 1}, lambda: {"a": 2}),
    Argument("the order of a dict's keys", lambda: {"a": 1, "b": 2}, lambda: {"b": 2, "a": 1},
             is_seen=False),
    Argument("members of a set", lambda: set("abc"), lambda: set("abx")),
    Argument("the order of a set", lambda: set("abcdef"), lambda: set("fedcba"), is_seen=False),
    Argument("the order of a list", lambda: [1, 2], lambda: [2, 1]),
    Argument("a tuple, or a list", lambda: (0, 1), lambda: [0, 1]),
    Argument("a tuple in a dict, or a list", lambda: {"a": [(1,)]}, lambda: {"a": [[1]]}),
    Argument("a tuple beside a set, or a list", lambda: ({1}, (1,)), lambda: ({1}, [1])),
    Argument("a set, or a frozenset", lambda: {1}, lambda: frozenset([1])),
    Argument("the order of an `OrderedDict`", lambda: collections.OrderedDict(a=1, b=2),
             lambda: collections.OrderedDict(b=2, a=1)),
    Argument("the order of a `Counter`", lambda: [collections.Counter("ab")],
             lambda: [collections.Counter("ba")]),
    Argument("bytes", lambda: b"a", lambda: b"b"),
    Argument("a bytearray", lambda: bytearray(b"a"), lambda: bytearray(b"b")),
    Argument("dates", lambda: dt.date(2026, 1, 1), lambda: dt.date(2026, 1, 2)),
    Argument("times with a zone", lambda: dt.datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC")),
             lambda: dt.datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Berlin"))),
    Argument("`Decimal`", lambda: decimal.Decimal("1.5"), lambda: decimal.Decimal("1.50")),
    Argument("`UUID`", lambda: uuid.UUID(int=1), lambda: uuid.UUID(int=2)),
    Argument("paths", lambda: Path("a"), lambda: Path("b")),
    Argument("ranges and slices", lambda: (range(3), slice(1)), lambda: (range(3), slice(2))),
    Argument("members of an enum", lambda: Colour.RED, lambda: Colour.BLUE),
    Argument("members of an enum in a list", lambda: [Colour.RED], lambda: [Colour.BLUE]),
    Argument("a member of an enum, or its value", lambda: {"a": [Colour.RED]},
             lambda: {"a": [Colour.RED.value]}),
    Argument("a `UUID`, or its text", lambda: [uuid.UUID(int=1)],
             lambda: [str(uuid.UUID(int=1))]),
    Argument("a named tuple", lambda: Pair(1, 2), lambda: Pair(1, 3)),
    Argument("a dataclass", lambda: Point(1), lambda: Point(2)),
    Argument("a dataclass in a dict", lambda: {"a": [Point(1)]}, lambda: {"a": [Point(2)]}),
    Argument("a pydantic model", lambda: Model(x=1), lambda: Model(x=2)),
    Argument("a field of an object", lambda: Plain(a=1, b=2), lambda: Plain(a=1, b=3)),
    Argument("a private field", lambda: Plain(_a=1), lambda: Plain(_a=2)),
    Argument("another name of a field", lambda: Plain(a=1), lambda: Plain(b=1)),
    Argument("a slot", lambda: Slots(1), lambda: Slots(2)),
    Argument("an object in an object", lambda: Plain(a=Plain(b=1)), lambda: Plain(a=Plain(b=2))),
    Argument("the class of an object", lambda: code_of(1), lambda: code_of(2)),
    Argument("the class of an object in a list", lambda: [code_of(1)], lambda: [code_of(2)]),
    Argument("an object beside a lock", lambda: Plain(a=threading.Lock(), n=1),
             lambda: Plain(a=threading.Lock(), n=2)),
    Argument("an object beside a generator", lambda: [(n for n in "a"), 1],
             lambda: [(n for n in "a"), 2]),
    Argument("a generator that waits", lambda: (n for n in "a"), lambda: (n for n in "b")),
    Argument("a view of a dict", lambda: [{"a": 1}.values()], lambda: [{"a": 2}.values()]),
    Argument("a match of `re`", lambda: [re.match(".", "a")], lambda: [re.match(".", "b")]),
    Argument("a hash of `hashlib`", lambda: [hashlib.sha256(b"a")],
             lambda: [hashlib.sha256(b"b")]),
    Argument("a namespace beside a lock", lambda: types.SimpleNamespace(a=threading.Lock(), n=1),
             lambda: types.SimpleNamespace(a=threading.Lock(), n=2)),
    Argument("a subclass of list", lambda: Numbers([1]), lambda: Numbers([2])),
    Argument("a field of a subclass of float", lambda: subclass("m"), lambda: subclass("km")),
    Argument("an exception", lambda: Error("a"), lambda: Error("b")),
    Argument("a `deque`", lambda: collections.deque([1]), lambda: collections.deque([2])),
    Argument("a `Counter`", lambda: collections.Counter("a"), lambda: collections.Counter("b")),
    Argument("a `defaultdict`", lambda: collections.defaultdict(list),
             lambda: collections.defaultdict(set)),
    Argument("a dict, or a mapping proxy", lambda: {"a": 1},
             lambda: types.MappingProxyType({"a": 1})),
    Argument("a mapping proxy", lambda: types.MappingProxyType({"a": 1}),
             lambda: types.MappingProxyType({"a": 2})),
    Argument("an `array.array`", lambda: array.array("i", [1]), lambda: array.array("i", [2])),
    Argument("a function", lambda: add(1), lambda: add(2)),
    Argument("a function of a library", lambda: min, lambda: max),
    Argument("a function in a dict", lambda: {"a": add(1)}, lambda: {"a": add(2)}),
    Argument("a `partial`", lambda: functools.partial(max, 1), lambda: functools.partial(max, 2)),
    Argument("a ufunc", lambda: np.maximum, lambda: np.minimum),
    Argument("an `itemgetter`", lambda: operator.itemgetter(0), lambda: operator.itemgetter(1)),
    Argument("a `methodcaller`", lambda: operator.methodcaller("a", 1),
             lambda: operator.methodcaller("a", 2)),
    Argument("a regular expression", lambda: re.compile("a"), lambda: re.compile("b")),
    Argument("a method of a regular expression", lambda: re.compile("a").match,
             lambda: re.compile("b").match),
    Argument("a method of an object", lambda: Plain(a=1).show, lambda: Plain(a=2).show),
    Argument("a method of text", lambda: "a".join, lambda: "b".join),
    Argument("a polynomial", lambda: np.poly1d([1, 2]), lambda: np.poly1d([1, 3])),
    Argument("`np.vectorize`", lambda: np.vectorize(abs), lambda: np.vectorize(float)),
    Argument("the last of a million numbers", lambda: np.arange(1_000_000),
             lambda: edited(lambda a: a.__setitem__(-1, 7), np.arange(1_000_000))),
    Argument("the type of an array", lambda: np.arange(3), lambda: np.arange(3, dtype="int32")),
    Argument("the shape of an array", lambda: np.arange(4), lambda: np.arange(4).reshape(2, 2)),
    Argument("an array of objects", lambda: np.array(["a", {1}], object),
             lambda: np.array(["a", {2}], object)),
    Argument("a masked array", lambda: np.ma.array([1, 2], mask=[False, True]),
             lambda: np.ma.array([1, 2], mask=[True, False])),
    Argument("a cell of a frame", frame, lambda: frame(n=[1, 2, 4])),
    Argument("a column of a frame", frame, lambda: frame(m=1)),
    Argument("the index of a frame", frame, lambda: frame().set_axis([1, 2, 3])),
    Argument("the name of an index", frame, lambda: frame().rename_axis("id")),
    Argument("the name of the columns", frame, lambda: frame().rename_axis(columns="id")),
    Argument("`attrs` of a frame", frame, lambda: edited(lambda df: df.attrs.update(unit="m"))),
    Argument("the type of a column", frame, lambda: frame(n=[1.0, 2.0, 3.0])),
    Argument("a column of lists", lambda: frame(n=[[1], [2], [3]]),
             lambda: frame(n=[[1], [2], [4]])),
    Argument("a column of arrays", lambda: frame(n=[np.arange(2000)] * 3),
             lambda: frame(n=[np.r_[np.arange(1000), 0, np.arange(1001, 2000)]] * 3)),
    Argument("a column of sets", lambda: frame(n=[set("abc")] * 3),
             lambda: frame(n=[set("abx")] * 3)),
    Argument("text and a missing value", lambda: pd.Series(["nan"]), lambda: pd.Series([None])),
    Argument("a column of numbers and text", lambda: pd.Series([1, "1"], dtype=object),
             lambda: pd.Series(["1", "1"], dtype=object)),
    Argument("categories that no row has", lambda: category("ab"), lambda: category("abc")),
    Argument("the order of categories", lambda: category("ab"), lambda: category("ba")),
    Argument("whether categories are ordered", lambda: category("ab"),
             lambda: category("ab", ordered=True)),
    Argument("the name of a series", lambda: pd.Series([1], name="a"),
             lambda: pd.Series([1], name="b")),
    Argument("an index", lambda: pd.Index([1, 2]), lambda: pd.Index([1, 3])),
    Argument("the zone of a column", lambda: pd.Series(pd.to_datetime(["2026"], utc=True)),
             lambda: pd.Series(pd.to_datetime(["2026"]))),
    Argument("a level of an index", lambda: pd.MultiIndex.from_tuples([(1, 2)]),
             lambda: pd.MultiIndex.from_tuples([(1, 3)])),
    Argument("what `groupby` gives, when it has been used", grouped, lambda: used_in(grouped()),
             is_seen=False),
    Argument("a column of what `groupby` gives", grouped, lambda: grouped().n),
    Argument("a `Styler` that is made again, and used", lambda: frame().style,
             lambda: used_in(frame().style), is_seen=False),
    Argument("what a `Styler` hides", lambda: frame().style,
             lambda: frame().style.hide(axis="index")),
    Argument("a polars frame", lambda: pl.DataFrame({"a": [1]}), lambda: pl.DataFrame({"a": [2]})),
    Argument("the seed of a generator of NumPy", lambda: np.random.default_rng(1),
             lambda: np.random.default_rng(2)),
    Argument("how far a generator of NumPy is", lambda: np.random.default_rng(1),
             lambda: edited(lambda rng: rng.random(), np.random.default_rng(1)), is_seen=False),
    Argument("a generator of NumPy without a seed", np.random.default_rng, np.random.default_rng,
             is_seen=False),
    Argument("the seed of `random.Random`", lambda: random.Random(1), lambda: random.Random(2),
             is_seen=False, is_told=True),
    Argument("the seed of `np.random.RandomState`", lambda: {"rng": np.random.RandomState(1)},
             lambda: {"rng": np.random.RandomState(2)}, is_seen=False, is_told=True),
    Argument("a `cached_property` and a cache", lambda: Counted(1), lambda: used(1),
             is_seen=False),
    Argument("a lock, a client", threading.Lock, threading.Lock, is_seen=False,
             is_told=True),
)  # fmt: skip
#: Each kind of argument with another one of the same, and with one that differs.
PAIRS = [(kind, differs) for kind in ARGUMENTS for differs in (False, True)]


def use(*args: Any) -> int:
    return len(args)


def is_pair_seen(kind: Argument, *, differs: bool) -> bool:
    """Return whether a call with one argument differs from a call with another one."""
    return look(use, kind.one()) != look(use, (kind.other if differs else kind.one)())


def is_pair_told(kind: Argument) -> bool:
    """Return whether an argument is listed as not compared."""
    return bool(calls.inspect(use, (kind.one(),))[1].uncompared)


# -- the docs -------------------------------------------------------------------------------------


def table() -> str:
    """The battery as two tables for the docs."""
    lines = ["| what is edited, for each kind of function | a change |", "|---|---|"]
    for place in PLACES:
        lines.append(f"| {place.what} | {'yes' if place.is_seen else 'no'} |")
    kinds = ", ".join(f"`{kind}`" if kind in ("def", "lambda", "async def") else kind
                      for kind in KINDS)  # fmt: skip
    lines += ["", f"Kinds of functions: {kinds}.", ""]
    lines += ["| what differs in an argument | a change |", "|---|---|"]
    for kind in ARGUMENTS:
        verdict = "yes" if kind.is_seen else "not compared, and listed so" if kind.is_told else "no"
        lines.append(f"| {kind.what} | {verdict} |")
    return "\n".join(lines)


def in_docs(text: str) -> str:
    """The docs with today's tables."""
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    return pattern.sub(lambda _: f"{BEGIN}\n\n{table()}\n\n{END}", text)


# -- the digests ----------------------------------------------------------------------------------


def digests() -> dict[str, str]:
    """Return the digests of all functions and arguments that no other library has a part in."""
    found = {}
    for place in (place for place in PLACES if "np." not in place.setup):
        found[place.what] = ""
        for function in KINDS.values():
            cell = Notebook()
            cell(IMPORTS + place.setup.replace("@@", "1"))
            cell(function.replace("USE", place.use))
            found[place.what] = keys.token(found[place.what], look(cell.names["f"])[0])
    of_libraries = {"np", "pd", "pl", "frame", "category", "edited", "Model"}
    for argument in ARGUMENTS:
        if of_libraries.isdisjoint(getattr(argument.one, "__code__", use.__code__).co_names):
            found[argument.what] = look(use, argument.one())[1]
    return found


def write() -> None:
    """Write what is made by the battery."""
    DOCS.write_text(in_docs(DOCS.read_text()))
    DIGESTS.write_text(json.dumps(digests(), indent=1) + "\n")


if __name__ == "__main__":
    from tests.engine import changes  # under this name, its classes have the names in the digests

    changes.write()
