"""Data attributes of classes and functions: they count by value where the source shows none."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from IPython.extensions import autoreload

from nbtasks.engine.fingerprint.function import Fingerprint, explain, fingerprint
from tests.engine.cells import Notebook
from tests.thorough import only_thorough

IMPORTS = """
import abc, dataclasses, enum, functools, math, statistics, attrs, pydantic
from dataclasses import dataclass, field, make_dataclass
from collections import namedtuple
from typing import ClassVar, Generic, NamedTuple, Protocol, TypedDict, TypeVar
"""
VALUES = [
    ("n = {}\nclass A: size = n * 10", "A().size"),
    ("n = {}\nclass A:\n size: int = n", "A().size"),
    ("n = {}\nclass A:\n _size = n", "A()._size"),
    ("n = {}\nclass A:\n __size = n\n def go(self): return self.__size", "A().go()"),
    ("n = {}\nclass A:\n __tablename__ = f't{{n}}'", "A().__tablename__"),
    ("n = {}\nclass A:\n a, b = n, 1", "A().a"),
    ("n = {}\nclass A:\n size = 1\n size += n", "A().size"),
    ("n = {}\nclass A:\n if n > 1: size = 1\n else: size = 2", "A().size"),
    ("n = {}\nclass A:\n size = 0\n for size in range(n): pass", "A().size"),
    ("n = {}\nclass A: size = n\nclass B(A): pass", "B().size"),
    ("n = {}\nclass A:\n class B: size = n", "A.B.size"),
    ("class A: pass\nA.size = {}", "A.size"),
    ("class A: size = 1\nA.size = {}", "A.size"),
    ("class A:\n size = 1\n def go(self): pass\nA.size = {}", "A.size"),
    ("class A: pass\nsetattr(A, 'size', {})", "A.size"),
    ("def deco(c):\n c.size = {}\n return c\n@deco\nclass A: pass", "A.size"),
    ("def make(k):\n class A: size = k\n return A\nA = make({})", "A().size"),
    ("A = type('A', (), dict(size={}))", "A().size"),
    (("class B:\n def __init_subclass__(cls, size): cls.size = size\n"
     "n = {}\nclass A(B, size=n): pass"), "A.size"),
    (("class D:\n def __set_name__(self, cls, name): cls.size = n\n"
     "n = {}\nclass A: d = D()"), "A.size"),
    (("n = {}\nclass M(type):\n def __new__(m, name, bases, own):\n"
     "  return super().__new__(m, name, bases, dict(own, size=n))\n"
     "class A(metaclass=M): pass"), "A.size"),
    (("n = {}\nclass M(type):\n def __init__(c, *args): c.size = n\n"
     "class A(metaclass=M): pass"), "A.size"),
    ("class M(type):\n def __call__(c): return {}\nclass A(metaclass=M): pass", "A()"),
    (("class M(type):\n def __call__(c): return {}\nclass A(metaclass=M): pass\n"
     "class B(A): pass"), "B()"),
    ("class M(type):\n @property\n def size(c): return {}\nclass A(metaclass=M): pass", "A.size"),
    ("n = {}\nclass M(type): size = n\nclass A(metaclass=M): pass", "A.size"),
    ("P = make_dataclass('P', [('a', int, {})])", "P().a"),
    ("P = make_dataclass('P', [('a', int, field(default={}))], frozen=True)", "P().a"),
    ("n = {}\n@dataclass\nclass P:\n a: int = n", "P().a"),
    ("n = {}\n@dataclass(slots=True)\nclass P:\n a: int = field(default=n)", "P().a"),
    ("def new(): return {}\n@dataclass\nclass P:\n a: int = field(default_factory=new)", "P().a"),
    ("n = {}\n@attrs.define\nclass P:\n a: int = n", "P().a"),
    ("def new(): return {}\n@attrs.define\nclass P:\n a: int = attrs.field(factory=new)", "P().a"),
    ("n = {}\nclass P(pydantic.BaseModel):\n a: int = n", "P().a"),
    (("def new(): return {}\nclass P(pydantic.BaseModel):\n"
     " a: int = pydantic.Field(default_factory=new)"), "P().a"),
    ("n = {}\nclass P(NamedTuple):\n a: int = n", "P().a"),
    ("P = namedtuple('P', 'a', defaults=[{}])", "P().a"),
    ("n = {}\nclass E(enum.Enum):\n A = n", "E.A.value"),
    ("n = {}\nclass E(enum.IntEnum):\n A = n", "E.A"),
    ("E = enum.Enum('E', dict(A={}))", "E.A.value"),
    ("n = {}\nclass A:\n def go(self, k=n): return k", "A().go()"),
    ("n = {}\nclass A:\n @staticmethod\n def go(*, k=n): return k", "A.go()"),
    ("class A: pass\nA.op = [math.sin, math.cos][{} - 1]", "A.op(1)"),
    ("class A: pass\nA.op = [statistics.mean, statistics.median][{} - 1]", "A.op([1])"),
    ("def f(): return f.k\nf.k = {}", "f()"),
    ("def f(): pass\nsetattr(f, 'k', {})", "getattr(f, 'k')"),
    (("def mark(k):\n def deco(fn):\n  fn.k = k\n  return fn\n return deco\nn = {}\n"
     "@mark(n)\ndef f(): return f.k"), "f()"),
    ("def f(): return f.g()\nf.g = lambda: {}", "f()"),
    ("def f(): return f.ops[0]()\nf.ops = [lambda: {}]", "f()"),
    ("class A:\n def go(self): return self.go.k\n go.k = {}", "A().go()"),
    (("n = {}\ndef deco(fn):\n @functools.wraps(fn)\n def w(): return w.k\n w.k = n\n return w\n"
     "@deco\ndef f(): pass"), "f()"),
]  # fmt: skip
#: What they count while they are used, and what describes them, is no change.
COUNTERS = [
    "class A:\n n = 0\n def __init__(self): A.n += 1\nfor _ in range({}): A()",
    "class A:\n n = 0\n def __init__(self): type(self).n += 1\nfor _ in range({}): A()",
    "class A:\n n = 0\n def __init__(self): type(self).n = self.n + 1\nfor _ in range({}): A()",
    "class A:\n n = 0\n def __init__(self): self.__class__.n += 1\nfor _ in range({}): A()",
    "class B:\n n = 0\n def __init__(self): B.n += 1\nclass A(B): pass\nfor _ in range({}): A()",
    "class A:\n n = 0\n @classmethod\n def new(cls): cls.n += 1\nfor _ in range({}): A.new()",
    (
        "class A:\n n = 0\n def __new__(cls):\n  cls.n += 1\n  return super().__new__(cls)\n"
        "for _ in range({}): A()"
    ),
    (
        "class M(type):\n def __call__(c):\n  c.n += 1\n  return super().__call__()\n"
        "class A(metaclass=M): n = 0\nfor _ in range({}): A()"
    ),
    "def A(): A.n += 1\nA.n = 0\nfor _ in range({}): A()",
    (
        "def deco(fn):\n def w():\n  w.n += 1\n  return fn()\n w.n = 0\n return w\n"
        "@deco\ndef A(): pass\nfor _ in range({}): A()"
    ),
    "class A: '{}'",
    "n = {}\nclass A:\n __doc__ = f'{{n}}'",
]
#: Classes of which Python and libraries note a lot.
LADEN = """
T = TypeVar('T')
class Abstract(abc.ABC):
    @abc.abstractmethod
    def go(self): ...
class Concrete(Abstract):
    def go(self): return 1
class Named(NamedTuple):
    a: int = 1
class Typed(TypedDict, total=False):
    a: int
class Proto(Protocol):
    def go(self) -> int: ...
class Box(Generic[T]):
    item: T
@dataclass(slots=True, order=True)
class Data:
    a: int = 1
    b: list = field(default_factory=list)
    c: ClassVar[int] = 3
@attrs.define
class Attr:
    a: int = 1
class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True)
    a: int = 1
    _b: int = 2
class Colour(enum.Enum):
    RED = 1
class Bits(enum.IntFlag):
    A = 1
class Slots:
    __slots__ = ('a',)
class Plain:
    size, unit = 10, 'm'
    rates = (0.1, -1)
    none = None
    def go(self, x=1, *, y='a'): return x
CLASSES = (Concrete, Named, Typed, Proto, Box, Data, Attr, Model, Colour, Bits, Slots, Plain)
def f(): return CLASSES
"""


@pytest.fixture
def cell() -> Notebook:
    made = Notebook()
    made(IMPORTS)
    return made


def seen(cell: Notebook) -> Fingerprint:
    return fingerprint(cell.names["task"])


@pytest.mark.parametrize(("setup", "use"), VALUES)
def test_a_data_attribute_counts_by_its_value_however_it_was_set(
    cell: Notebook, setup: str, use: str
):
    cell(setup.format(1))
    cell(f"def task(): return {use}")
    old = seen(cell)
    assert seen(cell).digest == old.digest
    cell(setup.format(1))
    assert explain(old, seen(cell)) == ""

    cell(setup.format(2))

    assert explain(old, seen(cell)) != ""


@pytest.mark.parametrize("setup", COUNTERS)
def test_what_a_class_or_a_function_counts_does_not_count(cell: Notebook, setup: str):
    cell(setup.format(1))
    cell("def task(): return A()")
    old = seen(cell)

    cell(setup.format(3))

    assert explain(old, seen(cell)) == ""


def test_the_reason_names_the_attribute_with_both_values(cell: Notebook):
    cell("class A: pass\nA.size = 1\ndef h(): return A.size\nh.k = 1\ndef task(): return h(), h.k")
    old = seen(cell)

    cell("A.size, h.k = 2, 3")

    assert explain(old, seen(cell)) == "A.size is 2, was 1; h.k is 3, was 1"


def test_a_secret_of_a_class_is_not_told(cell: Notebook):
    cell("class A: pass\nA.api_key = 'abc'\ndef task(): return A.api_key")

    assert "abc" not in seen(cell).inputs["A.api_key"]


@pytest.mark.parametrize(
    "edit",
    [
        "A.size = 2",
        "A.size = [1]",
        "del A.size",
        "A.other = 2",
        "A.ops = [lambda: 2]",
        "h.k = 2",
        "h.other = 2",
        "del h.k",
        "task.k = 2",
        "task.other = 2",
        "E.A._value_ = 2; E._member_map_ = dict(E._member_map_)",
    ],
)
def test_what_is_set_later_is_noticed_in_the_same_kernel(cell: Notebook, edit: str):
    cell("class A: pass\nA.size, A.ops = 1, [lambda: 1]\ndef h(): pass\nh.k = 1")
    cell("n = 1\nclass E(enum.Enum): A = n")
    cell("def task(): return A, h, E\ntask.k = 1")
    old = seen(cell)
    assert seen(cell) is old

    cell(edit)

    assert explain(old, seen(cell)) != ""


def test_functions_of_one_code_are_told_apart_by_their_attributes(cell: Notebook):
    cell("def make(**own):\n def f(): pass\n vars(f).update(own)\n return f")
    cell("fns = [make(a=1), make(a=2), make(b=1), make(b=1, a=1), make(a=1, b=1), make()]")

    one, other, named, both, turned, none = (fingerprint(fn).digest for fn in cell.names["fns"])

    assert len({one, other, named, both, none}) == 5
    assert turned == both
    assert fingerprint(cell.names["fns"][0]).digest == one


def test_what_the_source_shows_and_what_libraries_note_is_no_input(cell: Notebook):
    cell(LADEN.replace("def f", "def task"))

    assert seen(cell).inputs.keys() == {"CLASSES", "Named._fields", "Plain.rates"}  # tuples


def test_it_stays_the_same_when_classes_are_used(cell: Notebook):
    cell(LADEN.replace("def f", "def task"))
    old = seen(cell)

    cell("isinstance(1, Abstract), issubclass(int, Concrete), Box[int], Bits(3), Model(a=2)")
    cell("Model.model_rebuild(force=True); Model.model_json_schema(); Data() < Data(2)")

    assert explain(old, seen(cell)) == ""


@pytest.mark.slow
@only_thorough
def test_it_is_the_same_in_another_process(same_in_processes: Callable[[str], str]):
    same_in_processes(
        f"{IMPORTS}{LADEN}f.k = 1\n"
        "from nbtasks.engine.fingerprint.function import fingerprint\n"
        "print(fingerprint(f).digest, *(fingerprint(each).digest for each in CLASSES))\n"
    )


def test_a_class_of_a_library_counts_by_its_name(cell: Notebook, monkeypatch: pytest.MonkeyPatch):
    cell("import fractions\nclass A(fractions.Fraction): pass\ndef task(): return A")
    old = seen(cell)

    monkeypatch.setattr("fractions.Fraction.size", 2, raising=False)

    assert explain(old, seen(cell)) == ""


@pytest.mark.slow
@only_thorough
def test_autoreload_changes_only_what_it_gives_another_value(
    cell: Notebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    names = ("Computed", "Later", "Slots", "Model", "Colour", "Same", "given")
    text = f"""{IMPORTS}
N = {{}}
class Computed:
    size = N * 10
    def go(self, k=N): return k
class Later: pass
Later.size = N
@dataclass(slots=True)
class Slots:
    a: int = N
class Model(pydantic.BaseModel):
    a: int = N
class Colour(enum.Enum):
    RED = N
class Same:
    size, unit = 3, 'm'
    def go(self, x=1): return 1
def given(): return 1
given.k = N
"""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    path = tmp_path / "reloaded_classes.py"
    path.write_text(text.format(1))
    module = importlib.import_module("reloaded_classes")
    kept: dict[str, Any] = {}
    try:
        cell(f"from reloaded_classes import {', '.join(names)}")
        for name in names:
            cell(f"def use_{name}(): return {name}")
        autoreload.superreload(module, old_objects=kept)
        old = {name: fingerprint(cell.names[f"use_{name}"]) for name in names}

        path.write_text(f"# A comment.\n{text.format(1)}")
        autoreload.superreload(module, old_objects=kept)
        for name in names:
            assert explain(old[name], fingerprint(cell.names[f"use_{name}"])) == ""

        path.write_text(text.format(2))
        importlib.invalidate_caches()
        autoreload.superreload(module, old_objects=kept)
        changed = [n for n in names if explain(old[n], fingerprint(cell.names[f"use_{n}"]))]
    finally:
        del sys.modules["reloaded_classes"]

    assert changed == [name for name in names if name != "Same"]
