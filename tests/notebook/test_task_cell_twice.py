"""Notebooks with `%%task` whose cells are executed again in the same kernel."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.notebook.forked_kernels import Gave, execute
from tests.thorough import THOROUGH

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(400)]


@dataclass(frozen=True)
class Book:
    """A notebook, which one kernel executes.

    Attributes:
        id: What it is about.
        cells: Its cells, as they are executed.
        runs: Number of calls of `ran()`.
        value: Value of the last cell; by default what it is without `%%task`.
    """

    id: str
    cells: tuple[str, ...]
    runs: int
    value: str = ""


SEED = "import numpy as np, random\nnp.random.seed(0); random.seed(0)"
FIX = "def fix(): np.random.seed(0); random.seed(0)"
DRAW = "z = float(np.random.rand()), random.random()"
A = "%%task a\nx = float(np.random.rand()), random.random(); ran()"
B = "%%task b\ny = float(np.random.rand()), random.random(); ran()"
OWN = "%%task own\nnp.random.seed(0); x = float(np.random.rand()); ran()"
FIRST = "(0.5488135039273248, 0.8444218515250481)"

_SEEDS = [
    Book("all again", (SEED, A, B, SEED, A, B, "x, y"), 2),
    Book("all again, and one more is drawn above", (SEED, A, SEED, DRAW, A, "x"), 2),
    Book("all again, and the seeding cell draws", (SEED, A, f"{SEED}\n{DRAW}", A, "x"), 2),
    Book("all again, and a function seeds and draws", (SEED, FIX, "fix()", A, f"fix(); {DRAW}", A,
                                                       "x"), 2),
    Book("all again, and less is drawn above", (SEED, DRAW, A, SEED, A, "x"), 2),
    Book("all again, and more is drawn above two", (SEED, A, B, SEED, DRAW, A, B, "x, y"), 4),
    Book("another seed, and the first one", (SEED, A, SEED.replace("0", "1"), SEED, A, "x"), 1),
    Book("another seed", (SEED, A, SEED.replace("0", "1"), A, "x"), 2),
    Book("seeded by a task", (SEED, f"%%task s\n{SEED}", A, f"%%task s\n{SEED}", A, "x"), 1),
    Book("seeded by a task, and more is drawn above",
         (SEED, f"%%task s\n{SEED}", A, f"%%task s\n{SEED}", DRAW, A, "x"), 2),
    Book("a restored task, and more is drawn below", (SEED, A, B, SEED, A, DRAW, B, "y"), 3),
    Book("sample of a frame", (
        f"{SEED}\nimport pandas as pd; df = pd.DataFrame({{'a': range(99)}})",
        "%%task a\nx = df.sample(3).a.tolist(); ran()", SEED,
        "_ = df.sample(1)", "%%task a\nx = df.sample(3).a.tolist(); ran()", "x"), 2),
    Book("the cell again", (SEED, A, A, A, "x"), 1, FIRST),
    Book("the cell again, after others have drawn", (SEED, A, DRAW, A, "x"), 1, FIRST),
    Book("two cells again and again", (SEED, A, B, A, B, A, B, "x"), 2, FIRST),
    Book("a cell that seeds", (SEED, OWN, DRAW, OWN, "x"), 1),
    Book("another generator is seeded", (
        SEED, "%%task r\nx = random.random(); ran()", "np.random.seed(3)",
        "%%task r\nx = random.random(); ran()", "x"), 1, "0.8444218515250481"),
]  # fmt: skip


def twice(name: str, before: str, cell: str, value: str, between: str = "k = 0", runs: int = 1,
          expected: str = "") -> Book:  # fmt: skip
    """Return a notebook that executes a task twice, with another cell between."""
    cell = f"%%task t\n{cell}; ran()"
    return Book(name, (before, cell, between, cell, value), runs, expected)


_SHARED = [
    twice("left: a view", "import numpy as np; a = np.zeros((2, 2))", "col = a[:, 1]",
          "np.shares_memory(a, col)"),
    twice("left: a view, and another output is bound anew",
          "import numpy as np; a = np.zeros((2, 2))", "col = a[:, 1]\nn = [1]",
          "np.shares_memory(a, col), n", "n = 5"),
    twice("left: a list in a tuple", "l = [1]; tup = (l, 0)", "tup[0].append(2)", "tup[0] is l",
          expected="True"),
    twice("left: an output that others hold", "", "x = [1]; y = {'k': (x,)}",
          "d[0] is x, d[1] is y, y['k'][0] is x", "d = [x, y] if 'd' not in globals() else d",
          expected="(True, True, True)"),
    twice("left: a class and its object", "", "class P:\n    def __init__(s): s.v = [1]\np = P()",
          "type(p) is P, old is p, isinstance(old, P)", "old = p",
          expected="(True, True, True)"),
    twice("left: a class, whose object is gone", "", "class P:\n    pass\np = P()",
          "type(p) is P, type(p) is kept", "kept = P; del p"),
    twice("left: a registered function", "hooks = []\ndef hook(f): hooks.append(f); return f",
          "@hook\ndef f(): return 1\nx = f()", "len(hooks), hooks[0] is f", expected="(1, True)"),
    twice("left: a function, and its registry is made anew",
          "hooks = []\ndef hook(f): hooks.append(f); return f",
          "@hook\ndef f(): return 1\nx = f()",
          "len(hooks), hooks[0] is f", "hooks = []"),
    twice("left: changed meanwhile", "", "x = [1]; y = x", "x, y is x", "x.append(2)"),
    twice("left: bound anew meanwhile", "", "x = [1]; y = [x]", "x, y[0] is x", "x = 5"),
    twice("left: another order meanwhile", "", "d = {'a': 1, 'b': 2}", "[*d]",
          "d['a'] = d.pop('a')"),
    twice("left: a generator that was used", "import numpy as np", "rng = np.random.default_rng(1)",
          "rng.random()", "_ = rng.random()"),
    twice("left: an iterator that was used", "", "it = iter([1, 2, 3])", "next(it)",
          "_ = next(it)"),
    twice("left: another input", "k = 1", "x = [k]", "x", "k = 2", runs=2),
    twice("left: all of a module", "open('star_mod.py', 'w').write('K = 1\\ndef f(): return K\\n')",
          "from star_mod import *; x = f(), K", "x, f(), K"),
    twice("left: a module that a function binds", "def g():\n    global json\n    import json\n"
          "    return h()\ndef h(): return json.dumps(1)", "x = g()", "x, json.dumps(2)"),
    twice("left: set by hand", "import nbtasks as nb", "x = [1]", "x",
          "nb.last_run('book').set('t', {'x': [7]})", expected="[7]"),
]  # fmt: skip
_FIGURE = "import io, matplotlib.pyplot as plt\nfig, ax = plt.subplots(); axes = [ax]"
_SAVE = "_ = fig.savefig(io.BytesIO(), bbox_inches='tight', dpi=72)"
_DRAWN = [
    twice("drawn: saved meanwhile", _FIGURE, "_ = ax.plot([3, 2, 1])", "len(ax.lines)", _SAVE,
          expected="1"),
    twice("drawn: in a list, with a legend", _FIGURE,
          "axes[0].plot([3, 2, 1], label='a'); axes[0].legend(); x = fig", "len(ax.lines)",
          f"{_SAVE}; fig.draw_without_rendering()", expected="1"),
    twice("drawn: saved by the cell", _FIGURE,
          "ax.bar(['a', 'b'], [1, 2]); fig.savefig(io.BytesIO(), bbox_inches='tight')",
          "len(ax.patches)", _SAVE, expected="2"),
    twice("drawn: changed meanwhile", _FIGURE, "_ = ax.plot([3, 2, 1])", "len(ax.lines)",
          "_ = ax.set_xlim(0, 9)", runs=2),
    twice("drawn: another title meanwhile", _FIGURE, "_ = ax.plot([3, 2, 1])", "len(ax.lines)",
          "_ = ax.set_title('a')", runs=2),
]  # fmt: skip
ALL_BOOKS = [*_SEEDS, *_SHARED, *_DRAWN]
BOOKS = ALL_BOOKS if THOROUGH else ALL_BOOKS[::4]


def plain(cell: str) -> str:
    return cell.partition("\n")[2] if cell.startswith("%%task") else cell


@pytest.fixture(scope="module")
def gave(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Gave]]:
    folder = tmp_path_factory.mktemp("twice")
    kernels = [
        (folder / f"{kind}-{number}", [*map(change, book.cells)])
        for number, book in enumerate(BOOKS)
        for kind, change in (("task", str), ("plain", plain))
    ]
    found = execute(kernels)
    return {book.id: found[2 * n : 2 * n + 2] for n, book in enumerate(BOOKS)}


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.id)
def test_a_cell_that_is_executed_again_runs_if_it_would_give_something_else(
    gave: dict[str, list[Gave]], book: Book
) -> None:
    task, straight = gave[book.id]

    assert task.value == (book.value or straight.value)
    assert task.runs == book.runs
