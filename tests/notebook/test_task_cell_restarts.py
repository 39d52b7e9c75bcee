"""Notebooks with `%%task`, executed, edited, and executed again in a new kernel.

They give what they give without the magic, and what need not run does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.notebook.forked_kernels import Gave, execute
from tests.once import made_once
from tests.thorough import THOROUGH

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(900)]
TASK = "%%task k\n"


@dataclass(frozen=True)
class Book:
    """A notebook, which two kernels execute.

    Attributes:
        id: What it is about.
        cells: Its cells.
        edited: Its cells for the second kernel; by default the same ones.
        runs: Number of calls of `ran()` in the second kernel.
        says: Text that the cells show in the second kernel.
        straight: Whether the second kernel gives what it gives without `%%task`.
    """

    id: str
    cells: tuple[str, ...]
    edited: tuple[str, ...] = ()
    runs: int = 0
    says: str = ""
    straight: bool = True


def edited(name: str, above: str, cell: str, value: str = "x") -> Book:
    """Return a notebook whose first cell has a `%d` that is edited: the second one has to run."""
    cell = f"{TASK}{cell}; ran()"
    return Book(name, (above % 1, cell, value), (above % 2, cell, value), runs=1)


def same(name: str, *cells: str, value: str = "x", straight: bool = True, says: str = "") -> Book:
    """Return a notebook that is executed again as it is: its last cell is a task."""
    *above, cell = cells
    return Book(name, (*above, f"{TASK}{cell}; ran()", value), straight=straight, says=says)


_TWO_HELPERS = """import os; os.makedirs('lib', exist_ok=True); lib = os.path.abspath('lib')
for name in 'here', 'there': open(f'lib/{name}_mod.py', 'w').write('n = 1')
open('there_mod.py', 'w').write('n = 2')"""
_RANDOM = [
    edited("seed: random", "import random; random.seed(%d)", "x = random.random()"),
    edited("seed: numpy", "import numpy as np; np.random.seed(%d)", "x = np.random.rand()"),
    edited("seed: function", "import random\ndef start(n): random.seed(n)\nstart(%d)",
           "x = random.choice(range(9**9))"),
    edited("seed: module", "open('start.py', 'w').write('import random, numpy as np\\n'\n"
           "'def start(n): random.seed(n); np.random.seed(n)')\nimport start\nstart.start(%d)",
           "import random; x = random.random()"),
    edited("seed: drawn by a function", "import numpy as np; np.random.seed(%d)\n"
           "def draw(): return np.random.rand()", "x = draw()"),
    edited("seed: drawn by pandas", "import numpy as np, pandas as pd; np.random.seed(%d)",
           "x = pd.DataFrame({'a': range(99)}).sample(3).a.tolist()"),
    edited("seed: more is drawn above", "import numpy as np; np.random.seed(1)\n"
           "y = np.random.rand(%d)", "x = np.random.rand()"),
    edited("seed: another state", "import random; random.seed(1)\n"
           "for _ in range(%d): state = random.getstate(); random.random()\n"
           "random.setstate(state)", "x = random.random()"),
    edited("seed: another generator",
           "import numpy as np; np.random.set_bit_generator(np.random.PCG64(%d))",
           "x = np.random.rand()"),
    edited("seed: in a task above", "%%%%task seed\nimport random; random.seed(%d)",
           "x = random.random()"),
    same("seed: the same", "import random, numpy as np; random.seed(1); np.random.seed(1)",
         "x = random.random(), np.random.rand()"),
    same("seed: the same in a task above", "%%task seed\nimport random; random.seed(1)",
         "x = random.random()"),
    same("seed: of numpy in a task above", "%%task seed\nimport numpy as np; np.random.seed(1)",
         "x = np.random.rand()"),
    same("seed: after a task that has drawn", "import random; random.seed(1)",
         "%%task a\ny = random.random(); ran()", "x = random.random()"),
    same("seed: none", "import random, numpy as np; a = random.random(), np.random.rand()",
         "%%task a\ny = random.random(); ran()", "x = random.random(), np.random.rand()",
         value="type(x)"),
    same("seed: none, for much that is drawn", "import random\n"
         "for _ in range(10**6): random.random()", "x = random.random()", value="type(x)"),
    *(edited(f"computed: {name}",
             "open('hlp.py', 'w').write('def f_a(v): return v + %d\\nN_a = 1\\n')\n"
             "import hlp\nk = 'a'\nparts = {'h': hlp}\n"
             "def call(m, k): return getattr(m, 'f_' + k)(1)", f"x = {call}")
      for name, call in (
          ("module", "getattr(hlp, 'f_' + k)(1)"), ("vars", "vars(hlp)['f_' + k](1)"),
          ("__dict__", "hlp.__dict__['f_' + k](1)"), ("module in a dict", "call(parts['h'], k)"),
          ("module as an argument", "call(hlp, k)"))),
    same("imported by the cell, which sets the path",
         "import os; os.makedirs('lib', exist_ok=True)\n"
         "open('lib/hlp2.py', 'w').write('def f(): return 1')",
         "import sys; sys.path.append('lib')\nimport hlp2\nx = hlp2.f()"),
    Book("the path is set by a task, and used below", *2 * ((
        _TWO_HELPERS, "%%task a\nimport sys; sys.path.insert(0, lib); ran()",
        "import sys, here_mod, there_mod; from sys import path",
        "here_mod.n, there_mod.n, path.count(lib), path.index(lib)"),)),
    *(Book(f"settings: {name}", *2 * ((f"import os\n{above}", f"{TASK}{cell}; ran()", value),))
      for name, above, cell, value in (
          ("the working directory", "os.makedirs('sub', exist_ok=True)", "os.chdir('sub')",
           "os.path.basename(os.getcwd())"),
          ("of pandas, which it loads", "",
           "import pandas as pd; pd.set_option('display.max_rows', 7)",
           "pd.get_option('display.max_rows')"),
          ("of pandas, by attribute", "import pandas as pd", "pd.options.display.precision = 2",
           "str(pd.Series([1.2345]).iloc[:]), pd.options.display.precision"),
          ("a style of plots", "import matplotlib as mpl", "mpl.style.use('ggplot')",
           "mpl.rcParams['axes.facecolor'], mpl.rcParams['axes.prop_cycle'].by_key()['color'][0]"),
          ("of plots, which it loads", "",
           "import matplotlib.pyplot as plt; plt.rcParams['figure.dpi'] = 50",
           "plt.rcParams['figure.dpi']"),
          ("of NumPy", "import numpy as np",
           "np.set_printoptions(precision=2); np.seterr(all='raise')",
           "str(np.array([1.2345])), np.geterr()['divide']"),
          ("of scikit-learn", "", "import sklearn; sklearn.set_config(transform_output='pandas')",
           "sklearn.get_config()['transform_output']"),
          ("filters of warnings", "import warnings",
           "warnings.filterwarnings('error', message='odd .*', category=UserWarning)",
           "warnings.filters[0][0], warnings.filters[0][1].pattern"),
          ("of decimal numbers", "import decimal", "decimal.getcontext().prec = 5",
           "decimal.Decimal(1) / 3"),
          ("a level of logs", "import logging", "logging.getLogger().setLevel(17)",
           "logging.getLogger().level"),
          ("a limit", "import sys", "sys.setrecursionlimit(4321)", "sys.getrecursionlimit()"))),
    same("settings: an environment variable", "import os",
         "os.environ['NB_ODD'] = 'a secret'; x = 1",
         says="but NB_ODD (environment variable), which it had set, could not be set again"),
    Book("settings: set and put back", *2 * ((
        "import os, pandas as pd; here = os.getcwd()",
        f"{TASK}os.chdir('..'); os.chdir(here); ran()",
        "%%task rows\nwith pd.option_context('display.max_rows', 3): x = 1\nran()",
        "os.getcwd() == here, pd.options.display.max_rows"),)),
    same("computed: unchanged", "open('hlp.py', 'w').write('def f_a(v): return v\\n')\nimport hlp",
         "x = getattr(hlp, 'f_' + 'a')(1)"),
    same("used: groupby of a task", "import pandas as pd\n"
         "df = pd.DataFrame({'k': list('aab'), 'v': [1., 2, 3]})",
         "%%task a\ng = df.groupby('k')", "%%task b\nmeans = g.v.mean()",
         "x = g.get_group('a').v.sum()"),
    same("used: rolling, resampled and an index of a task", "import pandas as pd\n"
         "s = pd.Series(range(9), pd.date_range('2020', periods=9, freq='h'))",
         "%%task a\nparts = s.rolling(2), s.resample('3h'), s.index, s.groupby(s > 4)",
         "x = [float(p.sum().iloc[-1]) for p in parts if hasattr(p, 'sum')]"),
    same("used: frame in an object of a task", "import pandas as pd\n"
         "class Model:\n    def __init__(self, df): self.df, self.labels = df, df.columns",
         "%%task a\nm = Model(pd.DataFrame({'a': [1, 2]}))",
         "x = int(m.df.a.sum()) + m.labels.get_loc('a')"),
    same("used: Styler", "import pandas as pd\nst = pd.DataFrame({'a': [1]}).style",
         "%%task a\nhtml = len(st.to_html()) > 9", "x = 'table' in st.to_html()"),
    Book("seed: none, and a task above is edited",
         ("import random", "%%task a\ny = random.random()", TASK + "x = random.random(); ran()",
          "type(x)"),
         ("import random", "%%task a\ny = random.random(), 1",
          TASK + "x = random.random(); ran()", "type(x)")),
    Book("seed: another one of a cell that draws nothing",
         ("import random; random.seed(1)", TASK + "x = 5; ran()", "x"),
         ("import random; random.seed(2)", TASK + "x = 5; ran()", "x")),
    Book("seed: first none",
         ("import random", TASK + "x = random.random(); ran()", "x"),
         ("import random; random.seed(2)", TASK + "x = random.random(); ran()", "x"), runs=1),
    Book("seed: executed twice in a kernel",
         ("import random; random.seed(1)", *[TASK + "x = random.random(); ran()"] * 2, "x"),
         ("import random; random.seed(1)", *[TASK + "x = random.random(); ran()"] * 2, "x"),
         straight=False),
    Book("seed: edited in a kernel, after others have drawn",
         ("import random; random.seed(1)", TASK + "x = 0, random.random(); ran()",
          "y = random.random()", TASK + "x = 1, random.random(); ran()", "x"),
         ("import random; random.seed(1)", TASK + "x = 1, random.random(); ran()", "x"),
         straight=False),
]  # fmt: skip

_SCRIPT = (
    "open('s.py', 'w').write('''import math\\nq = [41]; r = q\\ndef f(v): return v + len(q)\\n"
    "class A:\\n    def __init__(self, v): self.v = v\\na = A(5)''') and None"
)
_EXECUTED = [
    same("executed: exec", "exec('q = 5; w = [q]')", value="q, w"),
    same("executed: script", _SCRIPT, "%run s.py\n",
         value="q, r is q, f(1), a.v, A(3).v, math.pi"),
    same("executed: script, and its class", _SCRIPT, "%run s.py\n", value="type(a) is A"),
    same("executed: computed names", "for name in 'ab': globals()['df_' + name] = name\n",
         value="df_a, df_b"),
    same("executed: update", "globals().update(n=1, m={'a': 2})", value="n, m"),
    same("executed: push", "get_ipython().push({'n': 1})", value="n"),
    same("executed: magic", "get_ipython().run_line_magic('time', 'n = ' + '1 + 1')", value="n"),
    same("executed: cell magic", "get_ipython().run_cell_magic('capture', 'cap', 'n = 3')",
         value="n"),
    same("executed: frame", "import sys\ndef var(name):\n"
         "    sys._getframe(1).f_globals[name] = name", "var('alpha')", value="alpha"),
    same("executed: function of a cell", "def make(text): exec(text, globals())",
         "make('n = 1 + 1')", value="n"),
    same("executed: bound anew", "n = 1", "exec('n ' + '= 2')", value="n"),
    same("executed: deleted", "n = 1", "exec('del ' + 'n')", value="'n' in globals()"),
    same("executed: named tuple", "exec('from collections import namedtuple\\n'\n"
         "     'P = namedtuple(\"P\", \"x\"); p = P(1)')", value="p, P(2), type(p) is P"),
    same("executed: dataclass", "exec('from dataclasses import dataclass\\n@dataclass\\n'\n"
         "     'class D:\\n    x: int = 1\\nd = [D(2)]')", value="d, D(), type(d[0]) is D"),
    same("executed: no private names", "exec('_n = 1; n = 2')", value="n"),
    same("executed: star import", "from string import *", value="digits"),
    Book("executed: outputs", ("%%task k --outputs n\nexec('n = 1; m = 2'); ran()",
                               "n, 'm' in globals()"), straight=False),
    Book("executed: one that cannot be recorded",
         (TASK + "exec('n = 1; it = (i for i in [1])'); ran()", "n"),
         says="it is bound by code that the cell only executes, and cannot be recorded"),
    Book("executed: read below",
         (_SCRIPT, "%%task a\n%run s.py\nran()", TASK + "x = q + r; ran()", "x")),
    Book("executed: twice in a kernel, then again",
         *2 * ((*2 * (TASK + "for n in 'ab': globals()['df_' + n] = n\nran()",), "df_a"),)),
]  # fmt: skip

_CAPTURED = (
    "%%capture cap\n%%task k\nfrom IPython.display import display, HTML\n"
    "display(HTML('<b>1</b>')); print('hi'); ran()"
)
_SHOWN = "[sorted(each.data) for each in cap.outputs], cap.stdout"
_UNCOMPARED = [
    edited("compared: match", "import re; m = re.match('(.)', '%dbc')", "x = m[1]"),
    edited("compared: view", "v = {'a': %d}.items()", "x = list(v)"),
    edited("compared: generator", "def g(n):\n    yield n\nit = g(%d)", "x = list(it)"),
    edited("compared: generator that has begun", "def g():\n    yield 1\n    yield 2\n    yield 3\n"
           "it = g()\nfor _ in range(%d): next(it)", "x = list(it)"),
    edited("compared: generator's variable of the notebook", "k = %d\n"
           "it = (k for _ in range(2))", "x = list(it)"),
    edited("compared: generator's list", "rows = [1, %d]\nit = (r * 2 for r in rows)",
           "x = list(it)"),
    edited("compared: open file", "open('f.txt', 'w').write('ab%d') and None\nf = open('f.txt')",
           "x = f.read()"),
    edited("compared: place in a file", "open('f.txt', 'w').write('abcd') and None\n"
           "f = open('f.txt'); f.read(%d) and None", "x = f.read()"),
    edited("compared: file of a database", "import sqlite3; con = sqlite3.connect('%d.db')\n"
           "con.execute('create table if not exists t as select ' + "
           "con.execute('pragma database_list').fetchone()[2][-4] + ' v') and None",
           "x = con.execute('select v from t').fetchall()"),
    edited("compared: hash", "import hashlib; h = hashlib.sha1(b'%d')", "x = h.hexdigest()"),
    same("compared: as before", "import re, hashlib; m = re.match('.', 'a'); h = hashlib.md5(b'')\n"
         "v = {'a': 1}.keys(); view = memoryview(b'ab'); it = iter([1, 2]); g = (n for n in v)\n"
         "open('f.txt', 'w').write('ab') and None\nf = open('f.txt')",
         "x = m[0], h.name, list(v), view[0], next(it), f.read(), list(g)"),
    same("not compared: connection", "import sqlite3; con = sqlite3.connect(':memory:')",
         "x = con.execute('select 1').fetchall()",
         says="%task k is reused, but con (sqlite3.Connection) cannot be compared"),
    same("not compared: content of a database", "import sqlite3; con = sqlite3.connect('a.db')",
         "x = con.execute('select 1').fetchall()",
         says="con (the content of a sqlite3.Connection) cannot be compared"),
    same("not compared: lock in an object", "import threading, types\n"
         "box = types.SimpleNamespace(lock=threading.Lock(), n=1)", "x = box.n",
         says="box.lock (_thread.lock) cannot be compared"),
    same("not compared: iterator of itertools", "import itertools; it = itertools.cycle([5])",
         "x = next(it)", says="cannot be compared"),
    same("unchanged: function of a factory", "def make(): return lambda v: v + 1",
         "%%task made\nf = make()", "x = f(2)"),
    same("moved on: generator", "def make():\n    yield 0\n    yield 1\nit = make()",
         "x = next(it)",
         says="it has changed in this cell, and a generator cannot be recorded"),
    same("moved on: file that is written", "f = open('new.txt', 'w')", "x = f.write('1')",
         says="f has changed in this cell, and a TextIOWrapper cannot be recorded"),
    same("moved on: pool", "from concurrent.futures import ThreadPoolExecutor\n"
         "pool = ThreadPoolExecutor(1)", "x = pool.submit(abs, -1).result()",
         says="pool has changed in this cell, and a ThreadPoolExecutor cannot be recorded"),
    edited("moved on: count", "import itertools; it = itertools.count(%d)", "x = next(it)"),
    Book("captured: a reused cell adds nothing", (_CAPTURED, _SHOWN), (_CAPTURED, _SHOWN)),
]  # fmt: skip

_STORE = "class Store:\n    def __init__(self): self.cache = {}; self.memo = []\nst = Store()\n"
_CACHES = [
    edited("cache: read", f"{_STORE}st.cache['a'] = %d", "x = st.cache['a']"),
    edited("cache: read by a method", f"{_STORE}Store.get = lambda self: self.cache['a']\n"
           "st.cache['a'] = %d", "x = st.get()"),
    edited("cache: of an object in a list", f"{_STORE}st.memo.append(%d); stores = [st]",
           "x = stores[0].memo[0]"),
    edited("cache: of a dataclass", "from dataclasses import dataclass\n@dataclass\nclass D:\n"
           "    cache: dict\nd = D({'a': %d})", "x = d.cache['a']"),
    edited("cache: of slots", "class S:\n    __slots__ = ('cache',)\ns = S(); s.cache = {'a': %d}",
           "x = s.cache['a']"),
    same("cache: written", f"{_STORE}st.cache['a'] = 1", "st.cache['a'] = 2", value="st.cache"),
    same("cache: written by a method", f"{_STORE}Store.put = lambda self, v: self.memo.append(v)",
         "st.put(2)", value="st.memo"),
    same("cache: put in its place", _STORE, "st.cache = {'b': [1]}", value="st.cache"),
    Book("cache: written above, read below", *2 * ((
        _STORE, "%%task a\nst.cache['a'] = 2; ran()", TASK + "x = st.cache['a']; ran()", "x"),)),
    Book("cache: filled twice in a kernel", *2 * ((
        _STORE, *2 * (TASK + "st.cache.setdefault('a', [1]); ran()",), "st.cache"),)),
    edited("cache: a private one saves time only", "class P:\n    def __init__(self):\n"
           "        self._cache = {}\np = P(); p.n = %d; p._cache['a'] = object()", "x = p.n"),
]  # fmt: skip

_NAMESAKES = [
    same("namesakes: classes of a loop", "cs = []\nfor n in (1, 2):\n    class A: v = n\n"
         "    cs.append(A)\n", value="[c.v for c in cs], cs[1] is A, cs[0].__name__"),
    same("namesakes: objects of them", "xs = []\nfor n in (1, 2):\n    class A:\n"
         "        def get(self, n=n): return n, self.v\n    a = A(); a.v = n; xs.append(a)\n",
         value="[x.get() for x in xs], type(xs[1]) is A, type(xs[0]) is A"),
    same("namesakes: defined anew", "class A: v = 1\na = A()\nclass A: v = 2\nb = A()",
         value="a.v, b.v, type(a) is A, type(b) is A"),
    same("namesakes: a subclass of the one before", "class A:\n    def f(self): return [1]\n"
         "B = A\nclass A(A):\n    def f(self): return [*super().f(), 2]\na = A()",
         value="a.f(), B().f(), isinstance(a, B)"),
    same("namesakes: dataclasses", "from dataclasses import dataclass\nxs = []\nfor n in (1, 2):\n"
         "    @dataclass\n    class D:\n        x: int = n\n    xs.append(D())\n",
         value="xs, D()"),
    same("namesakes: a class that is gone", "class A: v = 1\na = A(); del A",
         value="a.v, 'A' in globals()"),
    same("deleted: function", "def f(): return 1\nx = f(); del f", value="'f' in globals(), x"),
    same("deleted: import", "import math as m\nx = m.floor(1.5); del m",
         value="'m' in globals(), x"),
    same("deleted: function of a loop", "for n in range(2):\n    def f(): return n\ndel f",
         value="'f' in globals()"),
    same("deleted: function, then bound anew", "def f(): return 1\ndel f; f = 5", value="f"),
]  # fmt: skip

_AB = ("class A: s = 1\nclass B: s = 2\ndef score(c):\n    ran()\n    return c.s\nstack = [A, B]\n"
       "it = iter(stack[:])")  # fmt: skip
_REFERENCES = [
    same("reference: of a choice", _AB, "Best = max([A, B], key=score)", value="Best is B"),
    same("reference: pop", _AB, "C = stack.pop()", value="C is B, stack == [A]"),
    same("reference: next", _AB, "C = next(it)", value="C is A, next(it) is B"),
    same("reference: of a dict", f"{_AB}\nnames = {{'b': B}}", "C = names.pop('b')",
         value="C is B, names"),
    same("reference: of the cell's own classes", "class A: s = 1\nclass B(A): s = 2\n"
         "Best = max([A, B], key=lambda c: [c.s, ran()][0]); best = Best()",
         value="Best is B, type(best) is B"),
    same("reference: of the cell's own functions", "def f(): return 1\ndef g(): return 2\n"
         "best = max([f, g], key=lambda c: [c(), ran()][0])\ndef best2(): return best()",
         value="best is g, best2()"),
    same("reference: type", "class A: pass\na = A()", "Cls = type(a)",
         value="Cls is A, isinstance(Cls(), A)"),
    same("reference: of a library", "import collections, decimal",
         "Cls = getattr(collections, 'Counter'); D = type(decimal.Decimal(1))",
         value="Cls is collections.Counter, D"),
    same("reference: two names", "from collections import namedtuple\n"
         "P = Q = namedtuple('P', 'x'); R = P; p = R(1)", value="P is Q is R, p, type(p) is P"),
    same("reference: of a class bound anew since", "class A: s = 1\nOld = A\nclass A: s = 2\n",
         value="Old.s, A.s"),
]  # fmt: skip

_PLT = "import matplotlib.pyplot as plt, numpy as np\n"
_FOUR = (
    f"{_PLT}fig, axes = plt.subplots(2, 2); a, b, c, d = axes.flat\n"
    "a.hist(np.arange(50) % 7); b.imshow(np.eye(3)); c.bar(['x', 'y'], [1, 2])\n"
    "fig.colorbar(d.scatter([1, 2], [3, 4], c=[1, 2]), ax=d); d.legend(['s']); a.set_title('A')"
)
_PLOTS = [
    same("plot: axes that are read", f"{_PLT}fig, ax = plt.subplots(); ax.plot([1, 2])",
         "x = len(ax.lines)"),
    same("plot: figure that is read", f"{_PLT}fig = plt.figure(); plt.plot([1, 2])",
         "x = len(fig.axes)"),
    same("plot: kinds of plots", _FOUR, "x = [len(each.patches) for each in axes.flat]"),
    same("plot: figure that was drawn", f"{_FOUR}\nfig.savefig('a.png')", "x = len(fig.axes)"),
    Book("plot: of a task above", *2 * ((
        _PLT, "%%task a\nfig, ax = plt.subplots(); ax.plot([1, 2]); ran()",
        TASK + "x = len(ax.lines); ran()", "x"),)),
    Book("plot: drawn into by a task, read below", *2 * ((
        f"{_PLT}fig, ax = plt.subplots()", "%%task a\nax.plot([1, 2]); ax.set_title('A'); ran()",
        TASK + "x = ax.get_title(); ran()", "x, len(ax.lines), fig.axes[0] is ax"),)),
    edited("plot: other data", f"{_PLT}fig, ax = plt.subplots(); ax.plot([1, %d])",
           "x = ax.lines[0].get_ydata().tolist()"),
    edited("plot: another title", f"{_PLT}fig, ax = plt.subplots(); ax.set_title('%d')",
           "x = ax.get_title()"),
    edited("plot: another size", f"{_PLT}fig = plt.figure(figsize=(%d, 3))",
           "x = fig.get_size_inches().tolist()"),
    edited("plot: another colour", f"{_PLT}ax = plt.figure().add_subplot()\n"
           "ax.plot([1], color='C%d')", "x = ax.lines[0].get_color()"),
]  # fmt: skip

_MOCKS = [
    same("mock: that is called", "from unittest.mock import MagicMock\n"
         "m = MagicMock(return_value=1)", "x = m()",
         says="m has changed in this cell, and a MagicMock cannot be recorded"),
    same("mock: method of one", "from unittest.mock import MagicMock\nm = MagicMock()\n"
         "m.get.return_value.json.return_value = {'a': 1}", "x = m.get('url').json()",
         says="m has changed in this cell"),
    same("mock: that is read", "from unittest.mock import Mock\nm = Mock(n=5)", "x = m.n"),
    same("mock: that answers in turn", "from unittest.mock import Mock\n"
         "m = Mock(side_effect=[1, 2])", "x = m('q'), m('r')"),
]  # fmt: skip

_COUNTED = (
    "import functools\ndef counted(f):\n    @functools.wraps(f)\n    def wrapper(*args):\n"
    "        wrapper.calls += 1\n        return f(*args)\n    wrapper.calls = 0\n"
    "    return wrapper\n"
)
_TOTAL = ("class A:\n    total = 0\n    made = []\n    def __init__(self):\n"
          "        A.total += 1\n        A.made.append(A.total)\n")  # fmt: skip
_ATTRIBUTES = [
    same("attributes: counted calls", "def f():\n    f.calls += 1\n    return f.calls\n"
         "f.calls = 0; x = f()", value="f(), x"),
    same("attributes: of a decorator", f"{_COUNTED}@counted\ndef f(v): return v\nx = f(1), f(2)",
         value="f.calls, f(3), f.calls"),
    same("attributes: behind a decorator", "import functools\ndef deco(f):\n"
         "    @functools.wraps(f)\n    def g(v): return f(v)\n    return g\n@deco\n"
         "def f(v, seen=[]):\n    seen.append(v)\n    return seen[:]\nx = f(1)", value="f(2)"),
    same("attributes: of a function above", "def f(): return f.n\nf.n = 1", "f.n = 7; x = f()",
         value="f(), x"),
    same("attributes: new one of a function above", "def f(): return f.n", "f.n = 7",
         value="f()"),
    same("attributes: counted by a function above", f"{_COUNTED}@counted\ndef g(): return 1\n"
         "def f(): return g()", "x = f()", value="g.calls"),
    same("attributes: defaults", "def f(v, seen=[], *, memo={}):\n    seen.append(v); memo[v] = 1\n"
         "    return seen[:], sorted(memo)\nx = f(1)", value="f(2)"),
    same("attributes: default that has a name", "ks = []\ndef f(v, seen=ks):\n"
         "    seen.append(v)\n    return seen\nx = f(1)", value="f(2), ks is f.__defaults__[0], x"),
    same("attributes: object that has a name", "log = []\ndef f(v): f.log.append(v)\nf.log = log\n"
         "f(1)", value="f(2), log, f.log is log"),
    same("attributes: of the cell's class", f"{_TOTAL}a = A(); A.name = 'x'",
         value="A.total, A.made, A.name, A().made"),
    same("attributes: of a class above", _TOTAL, "a = A(); A.name = 'x'",
         value="A.total, A.made, A.name"),
    same("attributes: of a subclass above", f"{_TOTAL}class B(A): total = 5",
         "B.total = 6; b = B()",
         value="A.total, B.total, A.made"),
    same("attributes: made by what the cell calls", _TOTAL + "def make(): return A()",
         "a = make()", value="A.total"),
    Book("attributes: read below", *2 * ((
        "class A: n = 1", "%%task a\nA.n = 7; ran()", TASK + "x = A.n, A().n; ran()", "x"),)),
    same("attributes: of an enum and a dataclass", "import enum\n"
         "from dataclasses import dataclass\nclass E(enum.Enum): A = 1\n"
         "@dataclass\nclass D:\n    x: int = 1\n    y = [1]\n"
         "D.y.append(2); D.z = E.A; d = D()", value="d, D.y, D.z is E.A, D.x"),
    same("attributes: cached function", "import functools\n@functools.lru_cache\n"
         "def f(v): return [v]\nf.n = 5; x = f(1)", value="x, f(2), f.n"),
]  # fmt: skip

ALL_BOOKS = [
    *_RANDOM, *_EXECUTED, *_UNCOMPARED, *_CACHES, *_NAMESAKES, *_REFERENCES, *_PLOTS, *_MOCKS,
    *_ATTRIBUTES,
]  # fmt: skip
#: One in eight; CI executes all.
BOOKS = ALL_BOOKS if THOROUGH else ALL_BOOKS[::8]


@dataclass
class Shown:
    """Results of a notebook: without the magic, and in two kernels with it."""

    plain: Gave
    first: Gave
    second: Gave


def without_tasks(cells: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(cell.partition("\n")[2] if cell.startswith("%%task") else cell for cell in cells)


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Shown]:
    """Results of all notebooks."""
    result: dict[str, Shown] = made_once(tmp_path_factory, "books", execute_all)
    return result


def execute_all(places: Path) -> dict[str, Shown]:
    """Execute the notebooks, each in a folder of its own."""
    kernels = []
    for number, book in enumerate(BOOKS):
        again = book.edited or book.cells
        place = places / str(number)
        plain = places / f"plain{number}"
        kernels += [(plain, without_tasks(again)), (place, book.cells), (place, again)]
    gave = execute(kernels)
    return {book.id: Shown(*gave[3 * number : 3 * number + 3]) for number, book in enumerate(BOOKS)}


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.id)
def test_a_notebook_gives_after_a_restart_what_it_gives_without_tasks(
    shown: dict[str, Shown], book: Book
) -> None:
    found = shown[book.id]

    assert found.second.runs == book.runs
    if book.straight:
        assert found.second.value == found.plain.value
    assert book.says in found.second.text
