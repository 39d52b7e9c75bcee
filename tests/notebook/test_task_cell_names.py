"""Names that a cell binds and reads, by its syntax."""

from __future__ import annotations

import ast
import sys

import pytest

from nbtasks.notebook.task_cells import definitions
from nbtasks.notebook.task_cells.names import analyse

# The code, the names that it binds, and those that it may read before it binds them; in brackets
# stand those that it may have bound itself.
TABLE = [
    ("x = 1", "x", ""),
    ("x = y = z", "x y", "z"),
    ("a, (b, *c) = d", "a b c", "d"),
    ("x += y", "x", "x y"),
    ("x: T = v", "x", "T v"),
    ("x: T", "", "T"),
    ("d[k] = v; o.a.b = w", "", "d k v o w"),
    ("d[k] += v", "", "d k v"),
    ("(n := f(m))", "n", "f m"),
    ("[last := v + k for v in vs]", "last", "vs k"),
    ("[v for v in vs for w in v if w]", "", "vs"),
    ("{k: v + d for k, v in p.items()}", "", "p d"),
    ("sum(v for v in vs)", "", "sum vs"),
    ("for i in r: t = i", "i t", "r"),
    ("for i in r: t = i\nuse(t)", "i t", "r use (t)"),
    ("for i, (a, b) in r:\n    pass\nelse:\n    z = i", "i a b z", "r (i)"),
    ("while c: c = f(c)", "c", "c f"),
    ("while True:\n    n = 1\n    break\nn", "n", ""),
    ("if c: m = 1\nm", "m", "c (m)"),
    ("if c: m = 1\nelse: m = 2\nm", "m", "c"),
    ("if c: m = 1\nelse: raise E\nm", "m", "c E"),
    ("with open(p) as f, g() as (a, b): d = f.read()\nd", "f a b d", "open p g"),
    ("import a.b, c as d\nfrom e import g as h, k", "a d h k", ""),
    ("try:\n    import x\nexcept E as e:\n    x = None\nx", "x e", "E"),
    ("try:\n    x = f()\nexcept E:\n    pass\nx", "x", "f E (x)"),
    ("try:\n    x = f()\nfinally:\n    y = 1\nx, y", "x y", "f"),
    ("def f(v, w=d, *a: T, **k) -> R:\n    return v + g\nf(1)", "f", "d T R g"),
    ("def f(): return g", "f", ""),
    ("g = 1\ndef f(): return g\nf()", "g f", ""),
    ("def f(): return g\ng = 1\nf()", "g f", ""),
    ("def f(): return g\nf()\ng = 1", "g f", "g"),
    ("def f(n): return f(n - 1)\nf(1)", "f", ""),
    ("def f():\n    global n, m\n    n = m\nf()", "f n", "m"),
    ("def f():\n    def g(): return h\n    return g\nf()", "f", "h"),
    ("def f():\n    x = 1\n    return [x for y in z]\nf()", "f", "z"),
    ("@dec(a)\ndef f(): pass", "f", "dec a"),
    ("class A(B, metaclass=M):\n    x = q\n    y = x\n    def m(self): return g\nA()",
     "A", "B M q g"),
    ("class A:\n    def m(self): return g", "A", ""),
    ("f = lambda v, w=d: v + g\nf(1)", "f", "d g"),
    ("sorted(v, key=lambda r: r.a + k)", "", "sorted v k"),
    ("async def f(): return await g()\nr = await f()", "f r", "g"),
    ("async with a() as b: c = b\nasync for d in e: pass", "b c d", "a e"),
    ("match s:\n    case {'k': v, **rest}: pass\n    case [p, *o]: pass\n    case C(n) as w: pass",
     "v rest p o n w", "s C"),
    ("match s:\n    case 1: x = 1\n    case _: x = 2\nx", "x", "s"),
    ("del a, b[c]", "", "b c"),
    ("x = 1\ndel x\nx", "x", "(x)"),
    ("print(f'{a:{w}} {b!r}')", "", "print a w b"),
    ("{**a, 'k': b}; f(*c, **d)", "", "a b f c d"),
    ("from m import *\nx", "", "(x)"),
    ("global n\nn = 1", "n", ""),
    ("assert t, u\nraise V from w", "", "t u V w"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "bound", "read"), TABLE)
def test_a_cell_binds_and_reads(code: str, bound: str, read: str) -> None:
    names = analyse(ast.parse(code))

    shown = {f"({name})" if own else name for name, own in names.read.items()}
    assert set(names.bound) == set(bound.split())
    assert shown == set(read.split())


def test_deleted_names_are_known() -> None:
    assert analyse(ast.parse("del a, (b, [c])")).deleted == {"a", "b", "c"}


@pytest.mark.skipif(sys.version_info < (3, 12), reason="a statement since Python 3.12")
def test_a_type_alias_is_bound() -> None:
    assert set(analyse(ast.parse("type T = list[U]")).bound) == {"T"}


def test_definitions_are_found_wherever_they_stand() -> None:
    code = """
import numpy as np, os.path
if a:
    def f(): pass
else:
    def f(): pass
try:
    from x import y
except ImportError:
    y = lambda: None
P = namedtuple("P", "a")
n = 1
def outer():
    import hidden
class A: pass
"""
    found = definitions.find(ast.parse(code).body)

    assert [(each.key, each.nested) for each in found if each.kind != "call"] == [
        ("import np,os", False), ("def f", True), ("def f 2", True), ("import y", True),
        ("lambda y", True), ("def outer", False), ("class A", False),
    ]  # fmt: skip
    assert [each.key for each in found if each.kind == "call"] == ["call P"]
