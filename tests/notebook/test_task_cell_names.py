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
    ("[total := total + v for v in vs]", "total", "vs total"),
    ("[y for v in vs if (y := v + k)]", "y", "vs k"),
    ("x = [v for v in vs]\nv", "x", "vs v"),
    ("{k: v + d for k, v in p.items()}", "", "p d"),
    ("sum(v for v in vs)", "", "sum vs"),
    ("for i in r: t = i", "i t", "r"),
    ("for i in r: t = i\nuse(t)", "i t", "r use (t)"),
    ("for i, (a, b) in r:\n    pass\nelse:\n    z = i", "i a b z", "r (i)"),
    ("while c: c = f(c)", "c", "c f"),
    ("while True:\n    n = 1\n    break\nn", "n", ""),
    ("while True:\n    if c: break\n    n = 1\nn", "n", "c (n)"),
    ("while 1:\n    n = 1\n    if c: break\n    m = n\nn, m", "n m", "c (m)"),
    ("while True:\n    for i in r: break\n    n = 1\n    break\nn", "i n", "r"),
    ("if c: m = 1\nm", "m", "c (m)"),
    ("c and (m := 1)\nm", "m", "c (m)"),
    ("(m := 1) and c\nm", "m", "c"),
    ("x = (m := 1) if c else 2\nm", "x m", "c (m)"),
    ("a < b < (m := c)\nm", "m", "a b c (m)"),
    ("assert c, (m := d)\nm", "m", "c d (m)"),
    ("if c: m = 1\nelse: m = 2\nm", "m", "c"),
    ("if c: m = 1\nelse: raise E\nm", "m", "c E"),
    ("with open(p) as f, closing(g()) as (a, b): d = f.read()\nd", "f a b d", "open p closing g"),
    ("with suppress(E): x = f()\nx", "x", "suppress E f (x)"),
    ("with a, b as c: x = 1\nx, c", "x c", "a b (x) (c)"),
    ("async with timeout(1): x = 1\nx", "x", "timeout (x)"),
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
    ("class A:\n    q = 1\n    def m(self): return q\nA()", "A", "q"),
    ("class A:\n    q = 1\n    r = [q for _ in s], q", "A", "s q"),
    ("class A:\n    q = q", "A", "q"),
    ("class A:\n    def m(): return g\n    x = m()", "A", "g"),
    ("class A(B):\n    def m(self): return g", "A", "B g"),
    ("def f():\n    class A:\n        q = q\n    return A\nf()", "f", "q"),
    ("if c:\n    def f(): return a\nelse:\n    def f(): return b\nf()", "f", "c a b"),
    ("if c: f = lambda: a\nelse: f = lambda: b\nf()", "f", "c a b"),
    ("try:\n    from m import f\nexcept E:\n    def f(): return a\nf()", "f", "E a"),
    ("match c:\n    case 1:\n        def f(): return a\n    case _:\n        f = print\nf()",
     "f", "c print a"),
    ("def f(): return x\nif c:\n    x = 1\n    f()\nelse: f()", "f x", "c (x)"),
    ("def f(): return x\nfor i in r:\n    x = i\n    f()\nf()", "f i x", "r (x)"),
    ("def f(): return g()\ndef g(): return f() or x\nx = 1\nf()", "f g x", ""),
    ("def f():\n    global n\n    n += k\nf()", "f n", "(n) k"),
    ("def f():\n    global n\n    [n := n + v for v in vs]\nf()", "f n", "(n) vs"),
    ("def f(): cfg.rate = 5\nf()", "f", "cfg"),
    ("@dec\ndef f(): return g", "f", "dec g"),
    ("@dec\ndef f(): return g()\ndef g(): return h\nh = 1", "f g h", "dec (h)"),
    ("p = partial(f, key=lambda r: r + k)\nk = 1", "p k", "partial f (k)"),
    ("try:\n    x = f()\nfinally:\n    use(x)\nx", "x", "f use (x)"),
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
