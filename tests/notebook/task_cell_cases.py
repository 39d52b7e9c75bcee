"""Cells for `%%task`: a statement form, the kinds of values, and changes that must run it again.

`ran()` is a builtin of the driver: it notes that a cell has run, and is no variable.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.thorough import THOROUGH


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


def computed(name: str, call: str) -> tuple[Case]:
    """Return a case that looks up a function by a computed name, which is edited: itself, a
    function that it calls, what it holds, and the same name for a partial and a method."""
    more = "\nimport sys\nk = 'a'\ndef call(k): return globals()['f_' + k](1)"
    first, *others = (
        "def f_a(v): return v + 1", "def f_a(v): return v + 2",
        "def g(): return 3\ndef f_a(v): return v + g()", "def f_a(v, n=[4]): return v + n[0]",
        "def f_a(v, n=[5]): return v + n[0]", "f_a = (lambda n: lambda v: v + n[0])([6])",
        "from functools import partial\nf_a = partial(max, 7)", "f_a = [8].count",
    )  # fmt: skip
    case = Case(f"computed: {name}", f"x = {call}; ran()", first + more,
                tuple(other + more for other in others))  # fmt: skip
    return (case,)


def named_in_text(name: str, value: str, more: str = "") -> tuple[Case]:
    """Return a case whose value depends on `n`, or on the frame `df` of it, which a text names."""
    first, second = (
        f"import duckdb, pandas as pd\nn = {n}\ndf = pd.DataFrame({{'v': [1, 2, n]}})\n{more}"
        for n in (1, 2)
    )
    return (Case(f"text: {name}", f"x = {value}; ran()", first, (second,)),)


_CASES = [
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
    # -- objects that others have, too ------------------------------------------------------------
    Case("frame changed and bound anew", "df['b'] = 1; df = df[df.a > 1]; ran()",
         "import pandas as pd; raw = df = pd.DataFrame({'a': [1, 2]})",
         ("import pandas as pd; raw = df = pd.DataFrame({'a': [1, 3]})",),
         after="y = list(raw), len(df)"),
    Case("list changed and bound anew", "a.append(2); a = [9]; ran()", "a = [1]; hold = {'a': a}",
         after="y = hold"),
    Case("array changed and bound anew", "a[0] = 9; a = a * 2; ran()",
         "import numpy as np; a = np.ones(2); hold = (a,)", after="y = hold[0].tolist()"),
    Case("object changed and deleted", "m.n += 1; del m; ran()",
         "class M:\n    n = 0\nm = other = M(); m.n = 1", after="y = other.n"),
    Case("changed by a function that gives another", "d = f(d); ran()",
         "d = keep = {}\ndef f(d): d['k'] = 1; return {'new': d}",
         after="y = keep, d['new'] is keep"),
    Case("changed and swapped", "a.append(3); a, b = b, a; ran()", "a = [1]; b = [2]; h = [a, b]",
         after="y = h, h[0] is b, h[1] is a"),
    Case("changed, held by a closure", "a.append(2); a = [9]; ran()",
         "a = [1]\ndef make(l):\n    return lambda: l\nf = make(a)", after="y = f()"),
    Case("changed, of a class", "a.append(2); a = [9]; ran()", "a = [1]\nclass A: kept = a",
         after="y = A.kept"),
    Case("row changed and left", "rows[0]['n'] = 2; rows = rows[1:]; ran()",
         "rows = [{'n': 1}, {'n': 5}]; first = rows[0]", after="y = first, rows"),
    Case("taken out and changed", "x = d['l']; x.append(1); d.clear(); ran()",
         "l = []; d = {'l': l}", after="y = l"),
    Case("frames of a list", "for frame in frames: frame['b'] = 1\nran()",
         "import pandas as pd; train, test = pd.DataFrame({'a': [1]}), pd.DataFrame({'a': [2]})\n"
         "frames = [train, test]", after="y = list(train), list(test), frame is test"),
    Case("frames of a dict", "for f in d.values(): f['n'] = len(f)\nran()",
         "import pandas as pd; a = pd.DataFrame({'v': [1, 2]}); d = {'a': a, ('b', 1): a.copy()}\n"
         "b = d['b', 1]", after="y = list(a), d['a'] is a, d['b', 1] is b, list(b)"),
    Case("frames in another order", "frames.reverse(); frames[0]['b'] = 1; ran()",
         "import pandas as pd; a, b = pd.DataFrame({'a': [1]}), pd.DataFrame({'a': [2]})\n"
         "frames = [a, b]", after="y = list(a), list(b), frames[0] is b, frames[1] is a"),
    Case("moved from list to list", "done.append(todo.pop(0)); done[0]['ok'] = True; ran()",
         "one, two = {'n': 1}, {'n': 2}; todo, done = [one, two], []",
         after="y = one, done[0] is one, todo[0] is two"),
    Case("lists deep in a dict", "d['a'][0]['b'].append(1); ran()",
         "l = []; d = {'a': ({'b': l},)}", after="y = l, d['a'][0]['b'] is l"),
    Case("part replaced by another", "d['l'] = d['l'] + [1]; d['k'].append(2); ran()",
         "l = [0]; k = []; d = {'l': l, 'k': k}", after="y = l, d['l'] is l, k, d['k'] is k"),
    Case("array of an object", "net.step(); ran()",
         "import numpy as np\nclass Net:\n    def __init__(self): self.w = np.zeros(2)\n"
         "    def step(self): self.w += 1\nnet = Net(); w = net.w",
         after="y = w.tolist(), net.w is w"),
    Case("part of an object with slots", "s.push(1); ran()",
         "class Base: __slots__ = ('items', '__n')\nclass S(Base):\n    __slots__ = ()\n"
         "    def push(self, v): self.items.append(v)\ns = S(); items = s.items = []",
         after="y = items, s.items is items"),
    Case("part of a subclass of dict", "d.add(1); ran()",
         "class D(dict):\n    def add(self, v): self.n = v; self['l'].append(v)\n"
         "l = []; d = other = D(l=l)", after="y = l, other.n, type(other) is D, other['l'] is l"),
    Case("step of a pipeline", "pipe.fit(np.array([[0.], [2]])); ran()",
         "from sklearn.preprocessing import StandardScaler; import numpy as np\n"
         "from sklearn.pipeline import make_pipeline\nsc = StandardScaler()\n"
         "pipe = make_pipeline(sc)", after="y = sc.mean_.tolist(), pipe[0] is sc"),
    Case("method of a list", "add(1); ran()", "log = []; add = log.append",
         after="add(2); y = log"),
    Case("method of an object", "add(1); ran()",
         "class S:\n    def __init__(self): self.all = []\n"
         "    def add(self, v): self.all.append(v)\ns = S(); add = s.add; all_ = s.all",
         after="add(2); y = s.all, all_ is s.all"),
    Case("partial of a list", "add(1); ran()", "from functools import partial\nlog = []\n"
         "def f(l, x): l.append(x)\nadd = partial(f, log)", after="add(2); y = log"),
    Case("default of a parameter", "add(1); ran()",
         "log = []\ndef add(x, l=log, *, k={}): l.append(x); k[x] = x; return k",
         after="y = add(2), log"),
    Case("list of a closure", "add(1); ran()", "log = []\ndef make(l):\n    seen = set()\n"
         "    def add(x): l.append(x); seen.add(x); return sorted(seen)\n    return add\n"
         "add = make(log)", after="y = add(2), log"),
    Case("closures of a dict", "fs['add'](1); ran()", "log = []\ndef make(l):\n"
         "    def add(x): l.append(x)\n    return add\nfs = {'add': make(log)}",
         after="fs['add'](2); y = log"),
    Case("elements of an array", "arr[0].append(1); ran()",
         "import numpy as np; a = []; arr = np.array([a, None], dtype=object); same = arr",
         after="y = a, same[0] is a"),
    Case("lists in a column", "s[0].append(1); ran()", "import pandas as pd; a = []\n"
         "s = pd.Series([a, [5]]); df = pd.DataFrame({'s': [a], 'n': 1})",
         after="y = a, s[0] is a, df.s[0] is a"),
    Case("dicts in a deque", "q[0]['n'] = 1; q.rotate(); ran()",
         "from collections import deque; a, b = {}, {}; q = deque([a, b])",
         after="y = a, q[1] is a, q[0] is b"),
    Case("seen through a proxy", "d['l'].append(1); ran()",
         "from types import MappingProxyType; l = []; d = {'l': l}; view = MappingProxyType(d)",
         after="y = l, dict(view), view['l'] is l"),
    Case("changed through a proxy", "view['l'].append(1); ran()",
         "from types import MappingProxyType; l = []; view = MappingProxyType({'l': l})",
         after="y = l, view['l'] is l"),
    Case("generator of numbers in an object", "x = sim.draw(); ran()",
         "import numpy as np\nclass Sim:\n    def __init__(self, rng): self.rng = rng\n"
         "    def draw(self): return self.rng.normal()\nrng = np.random.default_rng(1)\n"
         "sim = Sim(rng)", after="y = rng.normal(), sim.rng is rng"),
    Case("objects that refer to each other", "tree.children[0].tag(1); ran()",
         "class Node:\n    def __init__(self, p=None): self.parent, self.children = p, []\n"
         "    def tag(self, v): self.n = v; self.parent.children.append(Node(self.parent))\n"
         "tree = Node(); leaf = Node(tree); tree.children.append(leaf)",
         after="y = leaf.n, leaf.parent is tree, tree.children[0] is leaf, len(tree.children)"),
    Case("new object around an old part", "box = [d['l']]; d['l'].append(1); ran()",
         "l = []; d = {'l': l}", after="y = l, box[0] is l, d['l'] is l"),
    Case("axes of a figure", "fig, axes = plt.subplots(1, 2); ran()",
         "import matplotlib; matplotlib.use('agg'); import matplotlib.pyplot as plt",
         after="axes[1].plot([3, 4]); y = len(fig.axes[1].lines); del fig, axes"),
    Case("list in an array", "a = [1]; arr = np.array([a, None], dtype=object); ran()",
         "import numpy as np", after="arr[0].append(2); y = a"),
    Case("list in a column", "a = [1]; s = pd.Series([a]); df = pd.DataFrame({'s': [a]}); ran()",
         "import pandas as pd", after="s[0].append(2); y = a, df.s[0] is a"),
    Case("list in a deque and a named tuple",
         "from collections import deque, namedtuple\nP = namedtuple('P', 'x'); a = [1]\n"
         "q = deque([a]); p = P(a); ran()", after="q[0].append(2); y = a, p.x is a"),
    Case("dict behind a proxy", "d = {'l': [1]}; view = MappingProxyType(d); ran()",
         "from types import MappingProxyType", after="d['m'] = 2; y = dict(view)"),
    Case("list of an iterator", "a = [1, 2]; it = iter(a); next(it); ran()",
         after="a.append(3); y = list(it); del it"),
    Case("members of a set, keys of a dict", "for o in s: o.n += 1\nd[k].append(1); k.n = 5; ran()",
         "class O:\n    def __init__(self, n): self.n = n\na, b, k = map(O, (1, 5, 0))\n"
         "s = {a, b}; d = {k: [], b: [2]}; l = d[k]",
         after="y = a.n, b.n, s == {a, b}, l, d[k] is l, [*d] == [k, b]; del s, d, o"),
    Case("members by their content", "for p in s: p.tags.append(1)\nran()",
         "from dataclasses import dataclass, field\n@dataclass(unsafe_hash=True)\nclass P:\n"
         "    n: int\n    tags: list = field(default_factory=list, compare=False)\n"
         "a, b = P(1), P(2); s = {a, b}", after="y = a, b, a in s, len(s); del p, s"),
    Case("exception in a list", "es[0].add_note('n'); es[0].k = 1; ran()",
         "e = ValueError('a'); es = [e]", after="y = e.__notes__, e.k, es[0] is e; del e, es"),
    Case("number of a closure", "a = inc(), inc(); ran()",
         "def make():\n    n, last = 0, None\n    def inc():\n        nonlocal n, last\n"
         "        n += 1; last = [n]\n        return n\n    return inc, lambda: (n, last)\n"
         "inc, get = make()", after="y = get(), inc(); del get", counts=True),
    Case("number of a closure in an object", "a = c.inc(); ran()",
         "def make():\n    n = 5\n    def inc():\n        nonlocal n\n"
         "        n += 1\n        return n\n    return inc\nclass C: pass\nc = C(); c.inc = make()",
         after="y = c.inc(); del c", counts=True),
    # -- functions that are values ----------------------------------------------------------------
    Case("function of a factory", "f = make(2); ran()",
         "cfg = {'a': 1}\ndef helper(x): return x\ndef make(k):\n"
         "    def f(x): return helper(x) * k + cfg['a']\n    return f",
         after="cfg['a'] = 5\ndef helper(x): return x + 100\ny = f(1)"),
    Case("functions of a dict and a list", "def h(x): return x\nd = {'f': lambda x: h(x)}\n"
         "fs = []\nfor i in range(3): fs.append(lambda: i)\nran()",
         after="def h(x): return 100\ni = 10; y = d['f'](1), [g() for g in fs]; del d, fs"),
    Case("function that writes", "log = []; d = {'add': lambda x: log.append(x)}\n"
         "def make():\n    def add(x):\n        global total\n        total += x\n"
         "    return add\nadd = make(); ran()", "total = 1",
         after="d['add'](1); add(5); y = log, total; del d"),
    Case("closures that share", "def make(l):\n    n = 0\n    def add(x):\n"
         "        nonlocal n\n        n += 1\n        l.append(x)\n"
         "    return add, lambda: (n, l)\nlog = []; add, get = make(log); add(1); ran()",
         after="add(2); y = get(), log"),
    Case("closure that calls itself", "def make(k):\n"
         "    def fact(n): return 1 if n < 2 else n * fact(n - 1) * k\n    return fact\n"
         "f = make(1); ran()", after="y = f(4)"),
    Case("closure of an input", "add = make(log); put = log.append; ran()",
         "log = []\ndef make(l):\n    def add(x): l.append(x)\n    return add",
         after="add(1); put(2); y = log"),
    Case("partial and its list", "from functools import partial\nlog = []\n"
         "def f(l, x): l.append(x * k)\nadd = partial(f, log); ran()", "k = 1",
         after="k = 3; add(1); y = log"),
    Case("bound method and its object", "class A:\n    n = 0\n    def inc(self): self.n += k\n"
         "a = A(); inc = a.inc; ran()", "k = 1", after="k = 3; inc(); y = a.n"),
    Case("method of a class of a factory", "def make():\n    class A:\n"
         "        def get(self): return k\n    return A()\na = make(); ran()", "k = 1",
         after="k = 3; y = a.get(); del a"),
    Case("wrapper of a decorator", "reg = {n: deco(lambda x, n=n: x * n) for n in (1, 2)}; ran()",
         "import functools\nk = 1\ndef deco(f):\n    @functools.wraps(f)\n"
         "    def w(*args): return f(*args) + k\n    return w",
         after="k = 100; y = reg[2](5); del reg"),
    Case("private name of a function in a dict", "_k = 3; d = {'f': lambda: _k}; ran()",
         after="y = d['f'](); del d"),
    # -- what moves on when it is used ------------------------------------------------------------
    Case("count", "a = next(ids), next(ids); ran()",
         "import itertools; ids = other = itertools.count(5)",
         after="y = next(other); del ids, other"),
    Case("counts that others hold", "x = a.new(), f(), g(); ran()",
         "import itertools\nclass A:\n    def __init__(self): self.ids = itertools.count(1)\n"
         "    def new(self): return next(self.ids)\na = A(); ids = a.ids\n"
         "def f(c=itertools.count()): return next(c)\ndef make(c):\n"
         "    return lambda: next(c)\ng = make(itertools.count(0, 2))",
         after="y = next(ids), a.new(), f(), g(); del a, ids"),
    Case("iterators", "a = [next(it) for it in (l, d, r, e, z, m, s)]; ran()",
         "xs = [1, 2, 3]; l = same = iter(xs); d = iter({'a': 1, 'b': 2}); r = iter(range(9))\n"
         "e = enumerate('ab'); z = zip(xs, 'abc'); m = map(abs, xs); s = reversed(xs)",
         after="y = [*map(list, (same, d, r, e, z, m, s))]; del l, same, d, r, e, z, m, s"),
    Case("iterators in a list", "a = next(its[0]), next(its[1]), next(its[2]); ran()",
         "its = [iter([1, 2, 3]), enumerate('abc'), zip([4, 5], 'de')]; it, e, z = its",
         after="y = list(it), its[0] is it, list(e), its[1] is e, list(z); del it, its, e, z"),
    Case("iterator by another name", "j = it; next(j); ran()", "it = iter([1, 2, 3])",
         after="y = list(it), j is it; del it, j"),
    Case("generator expression", "a = next(g), next(h); ran()",
         "import itertools; xs = [1, 2, 3, 4]; g = (x for x in xs if x % 2 == 0)\n"
         "h = same = (i * 2 for i in itertools.count())",
         after="y = list(g), next(same); del g, h, same"),
    Case("generator to its end", "a = list(g); ran()", "def make():\n    yield 1\ng = make()",
         after="y = list(g); del g"),
    Case("generator that is not used", "a = str(type(g)); ran()", "g = (i for i in [1])",
         after="y = list(g); del g"),
    Case("files that are read", "a = f.readline(), b.read(2); c.close(); ran()",
         "open('t.txt', 'w').write('1\\n2\\n') and None; f = open('t.txt')\n"
         "b = open('t.txt', 'rb'); c = open('t.txt')",
         after="y = f.read(), b.read(), c.closed; del f, b, c"),
    Case("file in memory", "b.write('hi'); ran()", "import io; b = log = io.StringIO()",
         after="y = log.getvalue(), log is b; del b, log"),
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
    # -- functions by computed names ---------------------------------------------------------------
    *(case for name, call in (
        ("globals", "globals()['f_' + k](1)"), ("get", "globals().get(f'f_{k}')(1)"),
        ("eval", "eval(f'f_{k}(1)')"), ("locals", "locals()['f_' + k](1)"),
        ("shell", "get_ipython().user_ns['f_' + k](1)"), ("helper", "call(k)"),
        ("modules", "getattr(sys.modules['__main__'], 'f_' + k, f_a)(1)"),
        ("frame", "sys._getframe().f_globals['f_' + k](1)"),
    ) for case in computed(name, call)),
    # -- types and orders of containers ------------------------------------------------------------
    Case("tuple, or list, as an index", "x = a[at].tolist(); ran()",
         "import numpy as np; a = np.arange(9).reshape(3, 3); at = (0, 1)",
         ("import numpy as np; a = np.arange(9).reshape(3, 3); at = [0, 1]",)),
    Case("tuple, or list, in a dict", "x = [type(v).__name__ for v in d['k']]; ran()",
         "d = {'k': [(1,)]}", ("d = {'k': [[1]]}", "d = {'k': ((1,),)}")),
    Case("tuple, or list, in an object", "x = p.at in {(1,)} if type(p.at) is tuple else 0; ran()",
         "import types; p = types.SimpleNamespace(at=(1,))",
         ("import types; p = types.SimpleNamespace(at=[1])",)),
    Case("tuple, or list, in a column", "x = [type(v).__name__ for v in df.a]; ran()",
         "import pandas as pd; df = pd.DataFrame({'a': [(1,), (2,)]})",
         ("import pandas as pd; df = pd.DataFrame({'a': [[1], [2]]})",)),
    Case("tuple, or list, that a function reads", "x = f(); ran()",
         "k = (1, [2])\ndef f(): return str(k)", ("k = [1, (2,)]\ndef f(): return str(k)",)),
    Case("set, or frozenset", "x = type(s).__name__, [type(v).__name__ for v in t]; ran()",
         "s = {1}; t = [frozenset('a')]",
         ("s = frozenset([1]); t = [frozenset('a')]", "s = {1}; t = [set('a')]")),
    Case("dict, or a proxy of it", "x = type(d).__name__; ran()",
         "import types; d = {'a': 1}", ("import types; d = types.MappingProxyType({'a': 1})",)),
    Case("order of an OrderedDict that is read", "x = [*d], [*e.values()]; ran()",
         "from collections import OrderedDict; d = OrderedDict(b=1, a=2); e = {'k': d}",
         ("from collections import OrderedDict; d = OrderedDict(a=2, b=1); e = {'k': d}",)),
    Case("order of a Counter", "x = c.most_common(1); ran()",
         "from collections import Counter; c = Counter('ab')",
         ("from collections import Counter; c = Counter('ba')",)),
    Case("OrderedDict, or dict", "x = type(d).__name__; ran()",
         "from collections import OrderedDict; d = OrderedDict(a=1)",
         ("from collections import OrderedDict; d = dict(a=1)",)),
    Case("groupby that is used", "x = g.v.mean().tolist(), g.ngroups; ran()",
         "import pandas as pd; g = pd.DataFrame({'k': list('aab'), 'v': [1, 2, 3]}).groupby('k')",
         ("import pandas as pd; g = pd.DataFrame({'k': list('abb'), 'v': [1, 2, 3]}).groupby('k')",
          "import pandas as pd; g = pd.DataFrame({'k': list('aab'), 'v': [1, 2, 4]}).groupby('k')"),
         after="y = g.v.sum().tolist()"),
    Case("Styler that is used", "x = 'colspan' in s.to_html(); ran()",
         "import pandas as pd; s = pd.DataFrame({'a': [1]}).style.hide(axis='index')",
         ("import pandas as pd; s = pd.DataFrame({'a': [2]}).style.hide(axis='index')",),
         closed=("s",)),  # it has an id that is drawn at random
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
    # -- what holds others and does not change itself ----------------------------------------------
    Case("frames of a tuple", "for f in splits: f['n'] = f.a * 2\nran()",
         "import pandas as pd; train, test = pd.DataFrame({'a': [1]}), pd.DataFrame({'a': [2]})\n"
         "splits = same = (train, test)",
         after="y = [*train], [*test], splits[0] is train, splits[1] is test, same is splits"),
    Case("arrays of a named tuple", "xy.a[0] = 9; xy.b.append(xy.a); ran()",
         "import numpy as np; from collections import namedtuple; P = namedtuple('P', 'a b')\n"
         "a, b = np.zeros(2), []; xy = P(a, b)",
         after="y = a.tolist(), xy.a is a, xy.b is b, b[0] is a"),
    Case("frame of a frozen dataclass", "d.frame['n'] = 1; d.more[0].append(2); ran()",
         "import pandas as pd; from dataclasses import dataclass\n"
         "@dataclass(frozen=True, eq=False)\nclass D:\n    frame: object\n    more: tuple\n"
         "l = []; df = pd.DataFrame({'a': [1]}); d = D(df, (l, 1)); t = d.more",
         after="y = [*df], d.frame is df, l, d.more[0] is l, d.more is t; del d"),
    Case("objects of a frozenset", "for o in s: o.n += 1\nran()",
         "class O:\n    def __init__(self, n): self.n = n\na, b = O(1), O(5)\n"
         "s = same = frozenset({a, b})",
         after="y = a.n, b.n, a in s, same is s, len(s); del s, same, o"),
    Case("tuples in tuples", "t[0][1]['k'] = 1; t[1].append(2); ran()",
         "d = {}; l = []; inner = (0, d); t = (inner, l)",
         after="y = d, l, t[0] is inner, inner[1] is d, t[1] is l"),
    Case("tuple with a field", "t.l.append(1); t.n = 5; ran()",
         "class T(tuple):\n    @property\n    def l(self): return self[0]\n"
         "l = []; t = same = T([l])", after="y = l, same.n, same[0] is l, same is t; del t, same"),
    Case("tuple of a class", "Data.parts[0].append(1); ran()",
         "l = []; t = (l, 'a')\nclass Data: parts = t",
         after="y = l, Data.parts is t, t[0] is l"),
    Case("tuple that is a default", "add(1); ran()",
         "l = []; t = (l, 'a')\ndef add(x, to=t): to[0].append(x); return to",
         after="y = l, add(2) is t, l"),
    Case("tuple of a closure", "add(1); ran()",
         "l = []; t = (l, 'a')\ndef make(t):\n"
         "    def add(x): t[0].append(x); return t\n    return add\nadd = make(t)",
         after="y = l, add(2) is t, l"),
    Case("tuple of a dict", "d['t'][0].append(1); ran()", "l = []; t = (l,); d = {'t': t}",
         after="y = l, d['t'] is t, t[0] is l"),
    Case("model of a tuple", "pair[1].fit(np.array([[0.], [2]])); ran()",
         "from sklearn.preprocessing import StandardScaler; import numpy as np\n"
         "sc = StandardScaler(); pair = ('scale', sc)",
         after="y = sc.mean_.tolist(), pair[1] is sc"),
    # -- generators of random numbers --------------------------------------------------------------
    Case("spawned generators", "x = [g.random() for g in rng.spawn(2)]; rng.random(); ran()",
         "import numpy as np; rng = np.random.default_rng(0); bits = rng.bit_generator",
         after="y = [g.random() for g in rng.spawn(2)], rng.random(), rng.bit_generator is bits\n"
         "del rng, bits"),
    Case("spawned by the bit generator", "x = rng.bit_generator.spawn(1)[0].random_raw(); ran()",
         "import numpy as np; rng = np.random.default_rng(0)",
         after="y = rng.spawn(1)[0].random(); del rng"),
    Case("spawned by the sequence of a generator",
         "rng.bit_generator.seed_seq.spawn(3); ran()",
         "import numpy as np; seeds = np.random.SeedSequence(1); "
         "rng = np.random.default_rng(seeds)",
         after="y = rng.spawn(1)[0].random(), seeds.n_children_spawned\n"
         "z = rng.bit_generator.seed_seq is seeds; del rng, seeds"),
    Case("sequence that a generator has, too", "seeds.spawn(3); ran()",
         "import numpy as np; seeds = np.random.SeedSequence(1); "
         "rng = np.random.default_rng(seeds)",
         after="y = rng.spawn(1)[0].random(), seeds.n_children_spawned; del rng, seeds"),
    Case("sequences in a list", "x = [s.spawn(1)[0].generate_state(1)[0] for s in seeds]; ran()",
         "import numpy as np; one = np.random.SeedSequence(1); seeds = [one]",
         after="y = one.n_children_spawned, seeds[0] is one; del one, seeds"),
    Case("generator in an object that spawns", "x = sim.rng.spawn(1)[0].random(); ran()",
         "import numpy as np, types; rng = np.random.default_rng(3)\n"
         "sim = types.SimpleNamespace(rng=rng)",
         after="y = rng.spawn(1)[0].random(), sim.rng is rng; del rng, sim"),
    Case("generator of a new one", "rng = np.random.default_rng(seeds); ran()",
         "import numpy as np; seeds = np.random.SeedSequence(1)",
         after="y = rng.spawn(1)[0].random(), seeds.n_children_spawned; del rng, seeds"),
    # -- what is set on frames, series and arrays --------------------------------------------------
    Case("name of a series", "s.iloc[0] = 5; s.name = 'delay'; ran()",
         "import pandas as pd; s = same = pd.Series([1, 2])", after="y = same.name, same.tolist()"),
    Case("name of a series alone", "s.name = ('a', 1); ran()",
         "import pandas as pd; s = same = pd.Series([1, 2], name='v')",
         after="y = same.name, same is s"),
    Case("name of a series in a list", "ss[0].name = 'b'; ran()",
         "import pandas as pd; s = pd.Series([1]); ss = [s]", after="y = s.name, ss[0] is s"),
    Case("names of the axes", "df.index.name = 'i'; df.columns.name = 'c'; ran()",
         "import pandas as pd; df = same = pd.DataFrame({'a': [1, 2]})",
         after="y = same.index.name, same.columns.name"),
    Case("index of a frame by a name", "df.index.name = 'i'; ran()",
         "import pandas as pd; df = pd.DataFrame({'a': [1, 2]}); index = df.index",
         after="y = index.name, df.index.name, df.index is index"),
    Case("names of an index of two levels", "df.index.names = ['x', 'y']; ran()",
         "import pandas as pd; index = pd.MultiIndex.from_tuples([(1, 2), (3, 4)])\n"
         "df = same = pd.DataFrame({'a': [1, 2]}, index=index)", after="y = same.index.names"),
    Case("name of an index", "index.name = 'i'; ran()",
         "import pandas as pd; index = same = pd.Index([1, 2])",
         after="y = same.name, same is index"),
    Case("columns and index set", "df.columns = ['x', 'y']; df.index = [5, 6]; ran()",
         "import pandas as pd; df = same = pd.DataFrame({'a': [1, 2], 'b': [3, 4]})",
         after="y = same.to_dict()"),
    Case("index of a series set", "s.index = ['x', 'y']; ran()",
         "import pandas as pd; s = same = pd.Series([1, 2], name='v')",
         after="y = same.to_dict(), same.name"),
    Case("frequency of an index", "s.index.freq = 'D'; ran()",
         "import pandas as pd; days = pd.DatetimeIndex(['2020-01-01', '2020-01-02'])\n"
         "s = same = pd.Series([1, 2], index=days)",
         after="y = same.index.freqstr, days.freqstr, s.index is days"),
    Case("index that two frames share", "a.index.name = 'k'; b['n'] = 1; ran()",
         "import pandas as pd; i = pd.Index([1, 2]); a = pd.DataFrame({'x': [1, 2]}, index=i)\n"
         "b = pd.DataFrame({'y': [1, 2]}, index=i)",
         after="a.index.names = ['l']; y = i.name, b.index.name, b.index is i"),
    Case("flags of a frame", "df.flags.allows_duplicate_labels = False; ran()",
         "import pandas as pd; df = same = pd.DataFrame({'a': [1]})",
         after="y = same.flags.allows_duplicate_labels"),
    Case("attributes of a series and a frame", "s.attrs['u'] = 'm'; df.unit = 5; ran()",
         "import pandas as pd; s = same = pd.Series([1]); df = other = pd.DataFrame({'a': [1]})",
         after="y = same.attrs, other.unit"),
    Case("type of a column", "df['a'] = df.a.astype('category').cat.add_categories(['z']); ran()",
         "import pandas as pd; df = same = pd.DataFrame({'a': ['x', 'y']})",
         after="y = same.a.cat.categories.tolist()"),
    Case("values of a categorical", "c[0] = 'y'; ran()",
         "import pandas as pd; c = same = pd.Categorical(['x', 'y'])", after="y = list(same)"),
    Case("values of an extension array", "a[0] = 9; ran()",
         "import pandas as pd; a = same = pd.array([1, None, 3])", after="y = list(same)"),
    Case("shape of an array", "a.shape = (3, 2); ran()",
         "import numpy as np; a = same = np.arange(6)", after="y = same.tolist(), same is a"),
    Case("shape of an array in a list", "l[0].shape = (3, 2); ran()",
         "import numpy as np; a = np.arange(6); l = [a]", after="y = a.tolist(), l[0] is a"),
    Case("flags of an array", "a.flags.writeable = False; ran()",
         "import numpy as np; a = same = np.arange(3)",
         after="y = same.flags.writeable, same is a"),
    Case("flags of an array set back", "a.flags.writeable = True; a[0] = 9; ran()",
         "import numpy as np; a = same = np.arange(3); a.flags.writeable = False",
         after="y = same.flags.writeable, same.tolist()"),
    Case("type of an array", "a.dtype = 'f8'; ran()",
         "import numpy as np; a = same = np.arange(3, dtype='i8')",
         after="y = same.tolist(), same is a"),
    Case("masked array and matrix", "m[0] = np.ma.masked; x[0, 0] = 9; ran()",
         "import numpy as np; m = same = np.ma.array([1, 2]); x = other = np.matrix([[1, 2]])",
         after="y = same.tolist(), other.tolist(), same is m, other is x"),
    Case("record array", "r.a[0] = 9; s['a'][1] = 5; ran()",
         "import numpy as np; r = same = np.rec.array([(1, 2.)], names='a,b')\n"
         "s = other = np.zeros(2, [('a', int)])", after="y = same.tolist(), other.tolist()"),
    # -- objects of other libraries ----------------------------------------------------------------
    Case("polars frame", "df[0, 'a'] = 7; df.insert_column(0, pl.Series('z', [5, 6])); ran()",
         "import polars as pl; df = same = pl.DataFrame({'a': [1, 2]}); hold = [df]",
         after="y = same.to_dict(as_series=False), hold[0] is df"),
    Case("polars columns and rows", "df.columns = ['b']; df.extend(pl.DataFrame({'b': [3]})); "
         "ran()",
         "import polars as pl; df = same = pl.DataFrame({'a': [1, 2]})",
         after="y = same.to_dict(as_series=False)"),
    Case("polars frames in a list", "for df in dfs: df[0, 'a'] = 7\nran()",
         "import polars as pl; one = pl.DataFrame({'a': [1, 2]}); dfs = [one]",
         after="y = one.to_dict(as_series=False), dfs[0] is one"),
    Case("polars series", "s[0] = 9; s.append(pl.Series([5])); t.rename('x', in_place=True) "
         "if False else None; ran()",
         "import polars as pl; s = same = pl.Series('s', [1, 2]); t = pl.Series('t', [1])",
         after="y = same.to_list()"),
    Case("sparse matrices", "m[0, 0] = 9; l[0, 1] = 5; d[1, 1] = 7; c.data[0] = 3; ran()",
         "import scipy.sparse as sp; m, l, d = sp.csr_matrix([[1, 2]]), sp.lil_matrix((1, 2)), "
         "sp.dok_matrix((2, 2)); c = sp.coo_array([[1, 2]]); hold = m, l, d, c",
         after="y = [h.toarray().tolist() for h in hold], hold[0] is m, hold[3] is c\n"
         "del m, l, d, c, hold"),
    Case("objects that only a library can fill", "c[0] = 'y'; m[0] = np.ma.masked; ran()",
         "import numpy as np, pandas as pd; c = pd.Categorical(['x', 'y']); "
         "m = np.ma.array([1, 2])\n"
         "hold = {'c': [c], 'm': (m,)}",
         after="y = list(hold['c'][0]), hold['c'][0] is c, m.tolist(), hold['m'][0] is m"),
    Case("arrays of C", "a[0] = 9; p.x = 5; ran()", "import ctypes\n"
         "class P(ctypes.Structure): _fields_ = [('x', ctypes.c_int)]\n"
         "a = (ctypes.c_int * 2)(1, 2); p = P(1); hold = [a, p]",
         after="y = list(hold[0]), hold[0] is a, hold[1].x; del a, p, hold"),
    Case("array of Python", "a[0] = 9; a.append(5); ran()",
         "import array; a = same = array.array('i', [1, 2]); hold = [a]",
         after="y = same.tolist(), hold[0] is a"),
    Case("bytes that change", "b += b'x'; b[0] = 65; ran()", "b = same = bytearray(b'ab')",
         after="y = bytes(same), same is b", counts=True),
    Case("deque with an end", "q.append(5); ran()",
         "from collections import deque; q = same = deque([1, 2], 2)",
         after="y = list(same), same.maxlen"),
    Case("estimator fitted again", "m.fit([[1.], [3.]], [0, 1]); ran()",
         "from sklearn.tree import DecisionTreeClassifier\n"
         "m = same = DecisionTreeClassifier(random_state=0); hold = (m,)\n"
         "_ = m.fit([[0.], [1.]], [1, 0])",
         after="y = same.predict([[0.], [9.]]).tolist(), hold[0] is m; del m, same, hold"),
    Case("object with slots", "p.x += 1; p.y = [5]; ran()",
         "class P: __slots__ = ('x', 'y')\np = same = P(); p.x = 1",
         after="y = same.x, same.y, same is p; del p, same", counts=False),
    Case("data that a dataclass adds up", "t.add(3); ran()",
         "from dataclasses import dataclass, field\n@dataclass(slots=True)\nclass T:\n"
         "    all: list = field(default_factory=list)\n    n: int = 0\n"
         "    def add(self, v): self.n += v; self.all.append(v)\nt = T(); same = t; l = t.all",
         after="y = same.n, l, t.all is l; del t, same"),
    # -- what is set on functions, partials and enums ----------------------------------------------
    Case("defaults that are set", "f.__defaults__ = (5,); f.__kwdefaults__['k'] = 7; ran()",
         "def f(x=1, *, k=1): return x, k", after="y = f()"),
    Case("defaults of own function", "def f(x=1, *, k=1): return x, k\n"
         "f.__defaults__ = (5,); f.__kwdefaults__ = {'k': 7}; ran()", after="y = f()"),
    Case("defaults that are taken away", "f.__defaults__ = None; f.__kwdefaults__ = None; ran()",
         "def f(x=1, *, k=1): return x, k", after="y = f.__defaults__, f.__kwdefaults__"),
    Case("document and name", "f.__doc__ = 'New.'; C.__doc__ = 'Class.'; f.__name__ = 'g'; ran()",
         "def f(): 'Old.'\nclass C: pass", after="y = f.__doc__, C.__doc__, f.__name__"),
    Case("keywords of a partial", "p.keywords['b'] = 2; ran()",
         "import functools; p = same = functools.partial(dict, a=1)",
         after="y = same(), same is p"),
    Case("state of a partial", "p.__setstate__((dict, (), {'c': 3}, {})); p.label = 'x'; ran()",
         "import functools; p = same = functools.partial(dict, a=1)",
         after="y = same(), same.label, same is p"),
    Case("attribute of a member of an enum", "E.A.label = 'new'; E.B.tags = ['x']; ran()",
         "import enum\nclass E(enum.Enum):\n    A = 1\n    B = 2\nE.A.label = 'old'",
         after="y = E.A.label, E.B.tags"),
    Case("members of an enum by a name", "a.label = 'new'; ran()",
         "import enum\nclass E(enum.Enum):\n    A = 1\na = E.A",
         after="y = E.A.label, a is E.A"),
    Case("attribute of own enum", "import enum\nclass E(enum.Enum):\n    A = 1\n"
         "E.A.label = 'new'; ran()", after="y = E.A.label"),
    # -- code that is set on classes ---------------------------------------------------------------
    Case("method set on a class", "def better(self): return 2\nModel.predict = better\n"
         "Model.tag = property(lambda self: 'new'); v = m.predict(); ran()",
         "class Model:\n    def predict(self): return 1\nm = Model()",
         after="y = m.predict(), m.tag"),
    Case("methods by other means", "def two(self): return 2\nsetattr(C, 'a', two)\n"
         "C.b = classmethod(lambda cls: cls.__name__); C.c = staticmethod(len)\n"
         "C.d = lambda self: k\nran()",
         "k = 7\nclass C:\n    def a(self): return 1\nc = C()",
         after="k = 8; y = c.a(), c.b(), C.c([1]), c.d(); del c"),
    Case("method deleted", "del C.a; del C.n; del f.n; ran()",
         "class C:\n    n = 1\n    def a(self): return 1\ndef f(): pass\nf.n = 1",
         after="y = hasattr(C, 'a'), hasattr(C, 'n'), hasattr(f, 'n')"),
    Case("method set by an object", "type(m).a = lambda self: k\nm.__class__.n = 5; ran()",
         "k = 1\nclass M: pass\nm = M()", after="k = 2; y = m.a(), M.n"),
    Case("special methods", "C.__len__ = lambda self: 5\ndef text(self): return 'C!'\n"
         "C.__repr__ = text; ran()", "class C: pass", after="y = len(C()), repr(C())"),
    Case("method wrapped", "C.a = logged(C.a); ran()",
         "import functools\nlog = []\ndef logged(f):\n    @functools.wraps(f)\n"
         "    def w(self): log.append(1); return f(self)\n    return w\n"
         "class C:\n    def a(self): return 1",
         after="y = C().a(), log", counts=True),
    Case("class decorated by a function", "patch(C); ran()",
         "def patch(cls):\n    def hi(self): return 'hi'\n    cls.hi = hi\n    cls.n = 5\n"
         "class C: pass", after="y = C().hi(), C.n"),
    Case("function with a class that imports", "x = g(); ran()",
         "def g():\n    class Z:\n        import math\n        v = math.pi\n    return Z.v"),
]  # fmt: skip
#: Those that are tried: one in eight, and all of them in CI.
CASES = _CASES if THOROUGH else _CASES[::8]
