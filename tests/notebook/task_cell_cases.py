"""Cells for `%%task`: a statement form, the kinds of values, and changes that must run it again.

`ran()` is a builtin of the driver: it notes that a cell has run, and is no variable.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """A cell, with the cell before it.

    Attributes:
        id: Name of the case.
        cell: Code below `%%task`.
        before: Code of the cell above, which runs each time.
        changed: Codes of the cell above after which the cell has to run again.
        edited: Codes of the cell that have to run again.
        same: Codes of the cell that must not run again.
        after: Code of a cell below, whose effect is compared, too.
        options: Options of the first line.
        closed: Names that are of no use after the cell, so that they are not recorded.
        counts: Whether it changes a number that it reads: executed twice, it runs twice.
    """

    id: str
    cell: str
    before: str = ""
    changed: tuple[str, ...] = ()
    edited: tuple[str, ...] = ()
    same: tuple[str, ...] = ()
    after: str = ""
    options: str = ""
    closed: tuple[str, ...] = ()
    counts: bool = False


def wrapped(name: str, before: str, call: str) -> tuple[Case]:
    """Return a case with a function of the cell before that reads `a`, directly or held in it."""
    first, second = (f"a = [{n}]\n{before}" for n in (1, 2))
    return (Case(name, f"x = {call}; ran()", first, (second,)),)


def named_in_text(name: str, value: str, more: str = "") -> tuple[Case]:
    """Return a case whose value depends on `n`, or on the frame `df` of it, which a text names."""
    first, second = (
        f"import duckdb, pandas as pd\nn = {n}\ndf = pd.DataFrame({{'v': [1, 2, n]}})\n{more}"
        for n in (1, 2)
    )
    return (Case(f"text: {name}", f"x = {value}; ran()", first, (second,)),)


CASES = [
    # -- forms of statements ----------------------------------------------------------------------
    Case("assignment", "x = 1; ran()", edited=("x = 2; ran()",), same=("x = 1 # one\nran()",)),
    Case("chain and unpacking", "a = b = [1]; (c, *d), e = (1, 2, 3), 4; ran()",
         after="b.append(2)"),
    Case("augmented", "n += k; ran()", "n = 1; k = 2", ("n = 2; k = 2", "n = 1; k = 3"),
         counts=True),
    Case("augmented list", "items += [k]; ran()", "items = kept = [1]; k = 2",
         ("items = kept = [0]; k = 2",)),
    Case("annotated", "x: int = 5\ny: str\nran()"),
    Case("walrus", "if (n := len(text)) > 2: long = True\nran()", "text = 'abc'", ("text = 'a'",)),
    Case("walrus in comprehension", "z = [last := v * 2 for v in vs]; ran()", "vs = [1, 2]",
         ("vs = [1, 3]",)),
    Case("for", "total = 0\nfor i, v in enumerate(vs):\n    total += v\nran()", "vs = (1, 2)",
         ("vs = (1, 4)",)),
    Case("for else", "for i in range(3): pass\nelse: done = True\nran()"),
    Case("while", "n = 0\nwhile n < limit: n += 1\nran()", "limit = 3", ("limit = 4",)),
    Case("with file", "with open(path) as f: text = f.read()\nran()",
         "path = 'data.txt'; open(path, 'w').write('hello') and None", closed=("f",)),
    Case("with pool", "from concurrent.futures import ThreadPoolExecutor\n"
         "with ThreadPoolExecutor(2) as pool: squares = list(pool.map(abs, [-1, 2]))\nran()",
         closed=("pool",)),
    Case("import as",
         "import math as m, os.path\nfrom json import dumps as d, loads\nx = m.pi; ran()",
         after="y = m.floor(x); z = d([1]); w = os.path.sep"),
    Case("import in try", "try:\n    import no_such_module as js\nexcept ImportError:\n"
         "    import json as js\nran()", after="t = js.dumps(1)"),
    Case("import or None", "try:\n    import no_such_module\nexcept ImportError as error:\n"
         "    no_such_module = None\nran()"),
    Case("star import", "from string import *\nx = ascii_lowercase; ran()", after="y = digits"),
    Case("def", "def f(v):\n    return v * k\nx = f(2); ran()", "k = 3", ("k = 4",),
         edited=("def f(v):\n    return v * k + 1\nx = f(2); ran()",),
         same=("def f(v):\n    'Doc.'\n    return v * k\nx = f(2); ran()",), after="y = f(5)"),
    Case("def with computed default", "n = 4\ndef f(v=n): return v\nn = 5; ran()", after="y = n"),
    Case("default that changes", "n = 4\ndef f(v=n): return v\nn = 5; ran()", after="y = n, f()"),
    Case("default of a private name", "_d = 3\ndef f(v=_d): return v\n_d = 4; ran()",
         after="y = f()"),
    Case("private name of a function", "_d = {}\ndef f(v): return _d.setdefault(v, v)\n"
         "x = f(1); ran()", after="y = f(2), _d"),
    Case("lambda's default that changes", "k = 1\nf = lambda v, k=k: v + k\nk = 2; ran()",
         after="y = f(0)"),
    Case("default changed in place", "ks = [1]\ndef f(v=len(ks), w=ks): return v, w\n"
         "ks.append(2); ran()", after="ks.append(3); y = f()"),
    Case("default from before", "def f(v=n): return v\nn = 5; ran()", "n = 4", ("n = 3",),
         after="y = n, f()", counts=True),
    Case("default in a loop", "fs = []\nfor i in range(3):\n    def f(v=i): return v\n"
         "    fs.append(f())\nran()", after="y = f()"),
    Case("class that reads a name of its time", "n = 3\nclass A: size = n\nn = 4; ran()",
         after="y = A.size"),
    Case("class that calls a function", "K = 3\ndef make(): return K\nclass A: x = make()\n"
         "K = 4; ran()", after="y = A.x"),
    Case("class with data", "d = {'a': 1}\nclass A: data = d\nran()",
         after="d['b'] = 2; y = A.data"),
    Case("dataclass default that changes", "from dataclasses import dataclass\nsize = 3\n"
         "@dataclass\nclass P: x: int = size\nsize += 1; p = P(); ran()", after="y = P().x, p.x"),
    Case("decorator's registry", "R = {}\ndef reg(f): R[f.__name__] = f; return f\n"
         "@reg\ndef a(): return 1\n@reg\ndef b(): return a() + 1\nran()",
         after="y = [*R], R['a'] is a, R['b']()"),
    Case("decorator's list", "hooks = []\ndef hook(f): hooks.append(f); return f\n"
         "@hook\ndef a(): return 1\n@hook\ndef b(): return 2\nsame = hooks; ran()",
         after="y = [h() for h in hooks], hooks[1] is b, same is hooks"),
    Case("decorator's list of another cell", "@hook\ndef a(): return 1\nran()",
         "hooks = []\ndef hook(f): hooks.append(f); return f",
         after="y = [h() for h in hooks], hooks[0] is a"),
    Case("decorator with an argument", "n = 2\ndef times(n):\n    def deco(f):\n"
         "        return lambda: f() * n\n    return deco\n@times(n)\ndef f(): return 5\n"
         "n = 3; ran()",
         after="y = f()"),
    Case("object that registers", "class App:\n    def __init__(self): self.routes = {}\n"
         "    def route(self, f): self.routes[f.__name__] = f; return f\napp = App()\n"
         "@app.route\ndef index(): return 'home'\nran()",
         after="y = [*app.routes], app.routes['index'] is index"),
    Case("subclasses that register", "REG = {}\nclass Base:\n"
         "    def __init_subclass__(cls): REG[cls.__name__] = cls\nclass A(Base): pass\n"
         "class B(A): pass\nran()", after="y = [*REG], REG['B'] is B"),
    Case("functions by type", "import functools\n@functools.singledispatch\ndef f(x): return 0\n"
         "@f.register\ndef _(x: int): return 1\nran()", after="y = f(3), f('')"),
    Case("default that is no output", "n = 4\ndef f(v=n): return v\nx = f(); n = None; ran()",
         options="--outputs x", after="n = 0; y = f()"),
    Case("def in if", "if k:\n    def f(): return 'yes'\nelse:\n    def f(): return 'no'\nran()",
         "k = 0", ("k = 1",), after="y = f()"),
    Case("decorated", "import functools\n@functools.cache\ndef f(v): return v + 1\nx = f(1); ran()",
         after="y = f(2)"),
    Case("async def", "async def f(): return 5\nx = 1; ran()", after="y = await f()"),
    Case("lambda", "f = lambda v: v + k; ran()", "k = 1", after="k = 10; y = f(1)"),
    Case("closure", "def make(n):\n    return lambda v: v + n\nadd = make(3); ran()",
         after="y = add(1)"),
    Case("class", "class A:\n    size = n\n    def m(self): return self.v\na = A(); a.v = 5; ran()",
         "n = 3", ("n = 4",), after="y = a.m(), a.size, type(a) is A"),
    Case("dataclass", "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\n"
         "p = P(3); ps = [P(1), P(2)]; ran()", after="y = p == P(3), ps[1].x"),
    Case("named tuple and enum", "from collections import namedtuple\nfrom enum import Enum\n"
         "P = namedtuple('P', 'a b'); C = Enum('C', 'RED BLUE')\np = P(1, C.RED); ran()",
         after="y = p.b is C.RED, isinstance(p, P)"),
    Case("variables of types", "import typing as t\nT = t.TypeVar('T'); P = t.ParamSpec('P')\n"
         "Ts = t.TypeVarTuple('Ts'); UserId = t.NewType('UserId', int)\n"
         "def first(xs: list[T]) -> T: return xs[0]\nclass Box(t.Generic[T]): pass\n"
         "x = UserId(first([1])); ran()",
         after="y = UserId(2), first.__annotations__['return'] is T"),
    Case("subclass", "class A(Base):\n    pass\na = A(2); ran()",
         "class Base:\n    def __init__(self, v): self.v = v",
         ("class Base:\n    def __init__(self, v): self.v = v + 1",), after="y = a.v"),
    Case("match", "match event:\n    case {'kind': kind, **rest}: pass\n"
         "    case [first, *others]: pass\nran()",
         "event = {'kind': 'a', 'n': 1}", ("event = [1, 2]",)),
    Case("del", "y = x + 1\ndel x; ran()", "x = 1", ("x = 2",)),
    Case("del own", "t = 1; y = t + 1\ndel t; ran()"),
    Case("except as", "try: 1 / d\nexcept ZeroDivisionError as e: reason = str(e)\nran()", "d = 0",
         ("d = 1",)),
    Case("global", "def count():\n    global n\n    n = n + 1\ncount(); count(); ran()", "n = 1",
         ("n = 5",)),
    Case("global of another cell", "count(); ran()",
         "n = 1\ndef count():\n    global n\n    n += 1",
         ("n = 5\ndef count():\n    global n\n    n += 1",
          "n = 1\ndef count():\n    global n\n    n += 2"),
         counts=True),
    Case("await", "import asyncio\nawait asyncio.sleep(0)\nx = [i async for i in numbers()]; ran()",
         "async def numbers():\n    yield 1\n    yield 2",
         ("async def numbers():\n    yield 1\n    yield 3",)),
    Case("async with", "async with lock() as held: x = held\nran()",
         "import contextlib\n@contextlib.asynccontextmanager\nasync def lock():\n    yield 5"),
    Case("magics and shell", "%env NBT_CASE=1\nlines = !echo hello\nran()"),
    Case("code of a line magic", "%time x = k + 1\nran()", "k = 1", ("k = 2",), after="y = x"),
    Case("names in a shell's line", "a = !echo $k\nb = !echo {k + 1}\nran()", "k = 1", ("k = 2",)),
    Case("names in a query", "n = len(df.query('a > @k')); ran()",
         "import pandas as pd; k = 1; df = pd.DataFrame({'a': [1, 2, 3]})",
         ("import pandas as pd; k = 2; df = pd.DataFrame({'a': [1, 2, 3]})",)),
    Case("private names", "_t = 5; x = _t + 1; ran()"),
    Case("own io", "import io\ns = io.StringIO('a').read(); ran()", after="y = io.BytesIO"),
    Case("nothing", "ran()"),
    Case("conditional own", "if k: model = [k]\nresult = model[0]; ran()", "k = 3", ("k = 4",)),
    # -- names that it may read -------------------------------------------------------------------
    Case("function of a branch", "if k:\n    def f(): return a\nelse:\n    def f(): return b\n"
         "x = f() + [0]; ran()", "k = True; a = [1]; b = [0]",
         ("k = True; a = [2]; b = [0]", "k = False; a = [1]; b = [0]")),
    Case("mention after a branch", "def f(): return x\nif k:\n    x = [9]; y = f()[0]\n"
         "else: y = f()[0]\nran()", "k = False; x = [1]", ("k = False; x = [2]",)),
    Case("loop left early", "while True:\n    if k: break\n    y = 5\nz = y; ran()",
         "k = True; y = 1", ("k = True; y = 2",)),
    Case("error swallowed", "from contextlib import suppress\nwith suppress(KeyError): x = d['k']\n"
         "y = x; ran()", "d = {}; x = 1", ("d = {}; x = 2", "d = {'k': 3}; x = 1")),
    Case("global augmented", "def f():\n    global n\n    n += [0]\nf(); ran()", "n = [1]",
         ("n = [2]",)),
    Case("running total", "parts = [total := total + v for v in (1, 2)]; ran()", "total = 0",
         ("total = 5",), counts=True),
    Case("registered function", "@reg\ndef f(): return a\nx = known['f']() + [0]; ran()",
         "known = {}; a = [1]\ndef reg(f): known['f'] = f",
         ("known = {}; a = [2]\ndef reg(f): known['f'] = f",)),
    # -- names that texts name --------------------------------------------------------------------
    *named_in_text("query", "len(df.query('v > @n'))"),
    *named_in_text("query with a format", "len(df.query(f'v > @n and v < {3}'))"),
    *named_in_text("query in a variable", "len(df.query(text))", "text = 'v > @n'"),
    *named_in_text("query in a function of its own", "(lambda: len(df.query('v > @n')))()"),
    *named_in_text("query in a function", "f()", "def f(): return len(df.query('v > @n'))"),
    *named_in_text("evaluated by a frame", "df.eval('v * @n').sum()"),
    *named_in_text("evaluated by pandas", "int(pd.eval('n + 1'))"),
    *named_in_text("evaluated", "eval('n + 1')"),
    *named_in_text("evaluated, computed", "eval(''.join(['n', '+1']))"),
    *named_in_text("function evaluated", "eval('f()')", "def f(): return n"),
    *named_in_text("global variables", "globals()['n']"),
    *named_in_text("global variables in a function", "f()", "def f(): return globals()['n']"),
    *named_in_text("global variable, if there is one", "globals().get('n')"),
    *named_in_text("global variable, computed", "[globals()[c] for c in 'n'][0]"),
    *named_in_text("format of all", "'{n}'.format(**locals())"),
    *named_in_text("template of all", "'%(n)s' % globals()"),
    *named_in_text("namespace of IPython", "get_ipython().user_ns['n']"),
    *named_in_text("SQL", "duckdb.sql('select sum(v) from df').fetchall()"),
    *named_in_text("SQL of parts",
                   "duckdb.sql(f'select {1}, max(df.v) ' + 'from other, df').fetchall()",
                   "other = df.iloc[:1]"),
    *named_in_text("SQL from", "duckdb.sql('from df').fetchall()"),
    Case("shell", "y = !echo {n + 1}\nx = !echo $n\nran()", "n = 1", ("n = 2",)),
    Case("line magic", "%timeit -n1 -r1 n\nran()", "n = 1", ("n = 2",)),
    # -- what functions of other cells read -------------------------------------------------------
    *wrapped("base class", "class B:\n    def go(self): return a[0]\nclass D(B): pass", "D().go()"),
    *wrapped("decorator", "import functools\ndef once(f):\n    @functools.wraps(f)\n"
             "    def w(): return f()\n    return w\n@once\ndef f(): return a[0]", "f()"),
    *wrapped("vectorised", "import numpy as np\n@np.vectorize\ndef f(v): return v + a[0]",
             "f([1]).tolist()"),
    *wrapped("partial of a function", "from functools import partial\ndef f(v): return v + a[0]\n"
             "p = partial(f, 1)", "p()"),
    *wrapped("bound method", "class B:\n    def go(self): return a[0]\ngo = B().go", "go()"),
    *wrapped("function in a table", "def f(): return a[0]\nsteps = {'f': ('name', [f])}",
             "steps['f'][1][0]()"),
    *wrapped("function in an object", "class P:\n    def __init__(self, f): self.f = f\n"
             "p = P(lambda: a[0])", "p.f()"),
    *wrapped("default function", "def h(): return a[0]\ndef f(h=h): return h()", "f()"),
    *wrapped("metaclass", "class M(type):\n    def go(cls): return a[0]\n"
             "class A(metaclass=M): pass", "A.go()"),
    *wrapped("data of a closure", "def make(a):\n    return lambda: a[0]\nf = make(a)", "f()"),
    *wrapped("data of a default", "def f(*, a=a): return a[0]", "f()"),
    *wrapped("data of a partial", "from functools import partial\ndef f(a): return a[0]\n"
             "p = partial(f, a)", "p()"),
    *wrapped("data of a method", "class B:\n    def __init__(self, a): self.a = a\n"
             "    def go(self): return self.a[0]\ngo = B(a).go", "go()"),
    *wrapped("data of a class", "class A:\n    a = a\nclass B(A): pass", "B.a[0]"),
    *wrapped("data of a function", "def f(): return f.a[0]\nf.a = a", "f()"),
    Case("memory of a closure", "x = f(1), f(1); ran()", "def remember(f):\n    known = {}\n"
         "    def w(v):\n        if v not in known: known[v] = f(v)\n        return known[v]\n"
         "    return w\n@remember\ndef f(v): return v + 1"),
    # -- kinds of values --------------------------------------------------------------------------
    Case("plain data", "d = {'a': [1, 2.5, None], 2: (1, {3}), 'n': float('nan')}; ran()"),
    Case("dates and more",
         "import datetime as dt, decimal, uuid, pathlib\nw = [dt.date(2013, 1, 1), "
         "decimal.Decimal('1.5'), uuid.UUID(int=5), pathlib.Path('a'), b'x', 1j, range(3)]; ran()"),
    Case("frame", "df = pd.DataFrame({'a': range(k), 'b': list('xyz')[:k]}); ran()",
         "import pandas as pd; k = 3", ("import pandas as pd; k = 2",)),
    Case("frame changed in place", "df['b'] = df.a * 2; ran()",
         "import pandas as pd; df = raw = pd.DataFrame({'a': [1, 2]})",
         ("import pandas as pd; df = raw = pd.DataFrame({'a': [1, 3]})",), after="y = raw.b.sum()"),
    Case("attributes of a frame", "df.attrs['unit'] = 'm'; ran()",
         "import pandas as pd; df = pd.DataFrame({'a': [1]})", after="y = df.attrs"),
    Case("frame bound anew", "df = df[df.a > 1]; ran()",
         "import pandas as pd; df = raw = pd.DataFrame({'a': [1, 2]})",
         after="y = len(raw), len(df)"),
    Case("frame in a list", "df = pd.DataFrame({'a': [1]}); frames = [df]; ran()",
         "import pandas as pd", after="df['b'] = 2; y = 'b' in frames[0]"),
    Case("alias of an input", "same = df; ran()",
         "import pandas as pd; df = pd.DataFrame({'a': [1]})",
         after="y = same is df"),
    Case("another name of an input", "b = a; b.append(2); ran()", "a = [1]; hold = {'a': a}",
         after="y = hold, b is a, a is hold['a']"),
    Case("changed input in a new dict", "b = {'a': a}; a.append(2); ran()", "a = hold = [1]",
         after="a.append(3); y = b, hold"),
    Case("changed input in an object", "m.a = a; a['x'] = m; ran()",
         "import types; m = types.SimpleNamespace(); a = hold = {}",
         after="a['z'] = 3; y = m.a is a, hold['x'] is m, 'z' in m.a; del a, m, hold"),
    Case("changed input in a tuple of frames", "b = (df, [df]); df['b'] = 2; ran()",
         "import pandas as pd; df = raw = pd.DataFrame({'a': [1]})",
         after="y = b[0] is df, b[1][0] is raw"),
    Case("input in a new list", "c = [a]; ran()", "a = [1]", ("a = [2]",),
         after="a.append(9); y = c"),
    Case("frame of before in a dict", "models = {'data': df, 'n': [1]}; ran()",
         "import pandas as pd; df = pd.DataFrame({'a': [1]})",
         after="df['c'] = 3; y = 'c' in models['data'].columns"),
    Case("part of an input", "first = rows[0]; ks = [table['k'][1]]; ran()",
         "rows = [{'n': 1}]; table = {'k': ([0], [1])}",
         after="rows[0]['n'] = 5; table['k'][1].append(2); y = first, ks"),
    Case("part of an object", "c = model.config; ran()",
         "import types; model = types.SimpleNamespace(config={'n': 1})",
         after="c['n'] = 2; y = model.config"),
    Case("two names and a part", "b = [a]; c = b; d = (b, a); ran()", "a = [1]",
         after="b.append(a); y = c, d[0] is c, d[1] is a"),
    Case("input swapped", "a, b = b, a; ran()", "a = [1]; b = [2]; h = [a, b]",
         after="a.append(3); y = a, b, h"),
    Case("groups and series", "g = df.groupby('k').v.sum(); s = df.v; top = g.idxmax(); ran()",
         "import pandas as pd; df = pd.DataFrame({'k': ['a', 'b'], 'v': [1, 2]})"),
    Case("array", "a = np.arange(6).reshape(2, 3) * k; ran()", "import numpy as np; k = 1",
         ("import numpy as np; k = 2",), after="y = a.sum(), a.dtype"),
    Case("array changed in place", "a[0] = 9; ran()", "import numpy as np; a = b = np.zeros(3)",
         ("import numpy as np; a = b = np.ones(3)",), after="y = b[0]"),
    Case("object changed in place", "model.fit([1, 2, 3]); ran()",
         "class Model:\n    def fit(self, v): self._mean = sum(v) / len(v); return self\n"
         "model = other = Model()", after="y = other._mean, other is model"),
    Case("changed in a function", "fill(store); ran()", "store = {}\ndef fill(d): d['a'] = 1",
         ("store = {}\ndef fill(d): d['a'] = 2",), after="y = store"),
    Case("list in a tuple", "t[1].append(3); ran()", "t = (1, [2])", ("t = (1, [3])",)),
    Case("set, deque, counter", "s.add(3); q.append(1); c.update('ab'); ran()",
         "from collections import deque, Counter; s = {1}; q = deque([0], 3); c = Counter('a')",
         ("from collections import deque, Counter; s = {2}; q = deque([0], 3); c = Counter('a')",)),
    Case("random numbers", "random.seed(1); x = random.random(); ran()", "import random",
         after="y = random.random()"),
    Case("numpy's random numbers", "x = np.random.rand(); r = rng.normal(); ran()",
         "import numpy as np; np.random.seed(k := 5); rng = np.random.default_rng(k)",
         ("import numpy as np; np.random.seed(k := 5); rng = np.random.default_rng(6)",),
         after="y = np.random.rand(), rng.normal()"),
    Case("another shared generator", "x = np.random.rand(); ran()",
         "import numpy as np; np.random.set_bit_generator(np.random.PCG64(1))",
         after="y = np.random.rand()"),
    Case("shared generator replaced", "np.random.set_bit_generator(np.random.SFC64(1)); ran()",
         "import numpy as np", after="y = np.random.rand()"),
    Case("shared generator as it began", "np.random.set_bit_generator(np.random.MT19937(1))\n"
         "x = np.random.rand(); ran()", "import numpy as np", after="y = np.random.rand()"),
    Case("random numbers of the system", "ok = rng.random() < 2; ran()",
         "import random; rng = random.SystemRandom()", after="y = rng.random() < 2"),
    Case("generators in objects", "rngs['a'].normal(); m.rng.random(); old[0].rand(); ran()",
         "import numpy as np, random, types; rngs = {'a': np.random.default_rng(1)}\n"
         "m = types.SimpleNamespace(rng=random.Random(2)); old = [np.random.RandomState(3)]",
         after="y = rngs['a'].normal(), m.rng.random(), old[0].rand()"),
    Case("children of a seed", "first = seed.spawn(1)[0].generate_state(1).tolist(); ran()",
         "import numpy as np; seed = np.random.SeedSequence(5)",
         after="y = seed.spawn(1)[0].generate_state(1).tolist()"),
    Case("order of a dict", "pairs = sorted(d.items()); d.clear(); d.update(pairs); ran()",
         "d = same = {'b': 1, 'a': 2}", ("d = same = {'b': 1, 'a': 3}",), after="y = [*same]"),
    Case("order of a dict in a list", "ds[0]['b'] = ds[0].pop('b'); ran()",
         "ds = [{'b': 1, 'a': 2}]", after="y = [*ds[0]]"),
    Case("order of an OrderedDict", "d.move_to_end('b'); ran()",
         "from collections import OrderedDict; d = same = OrderedDict(b=1, a=2)",
         after="y = [*same]"),
    Case("default of a dict", "d.default_factory = int; ran()",
         "from collections import defaultdict; d = same = defaultdict(list)", after="y = same[1]"),
    Case("list made a tuple", "d['k'] = tuple(d['k']); ran()", "d = same = {'k': [1]}",
         after="y = same['k']"),
    Case("module by name", "import importlib\njs = importlib.import_module('json'); ran()",
         after="y = js.dumps(1)"),
    Case("partial", "from functools import partial\np = partial(scale, k=2); ran()",
         "def scale(v, k): return v * k", after="y = p(3)"),
    Case("regex and others",
         "import re, logging\nr = re.compile('a+'); log = logging.getLogger('x'); ran()",
         after="y = bool(r.match('aa'))"),
    Case("data read by a function", "out = mean(); ran()",
         "import pandas as pd; d = pd.DataFrame({'a': [1, 3]})\ndef mean(): return d.a.mean()",
         ("import pandas as pd; d = pd.DataFrame({'a': [1, 5]})\ndef mean(): return d.a.mean()",)),
    Case("chain of functions", "x = f(1); ran()", "def g(v): return v + 1\ndef f(v): return g(v)",
         ("def g(v): return v + 2\ndef f(v): return g(v)",)),
    Case("outputs", "x = 1; gen = (i for i in x_s); ran()", "x_s = [1]", options="--outputs x",
         after="gen = None"),
    Case("subtasks", "x = io.run_task('one', abs, -k); ran()\nys = io.map('all', abs, [-1, -2])",
         "k = 3", ("k = 4",)),
]  # fmt: skip
