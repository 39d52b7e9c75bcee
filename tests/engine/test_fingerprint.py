"""The fingerprint of a function: what counts, what does not, and what it says of a change."""

from __future__ import annotations

import functools
import importlib
import sys
import textwrap
import timeit
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.engine.fingerprint.function import (
    Fingerprint,
    diff,
    dumps,
    explain,
    fingerprint,
    loads,
)
from tests.engine.cells import Notebook
from tests.thorough import only_thorough


class Cells(Notebook):
    def of(self, name: str) -> Fingerprint:
        return fingerprint(eval(name, self.names))


@pytest.fixture
def cell() -> Cells:
    return Cells()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Writes a module of the user's and imports it, or reloads it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(text: str, name: str = "helpers", *, load: bool = True) -> Any:
        path = tmp_path / f"{name.replace('.', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        importlib.invalidate_caches()
        if not load:
            return None
        known = sys.modules.get(name)
        return importlib.reload(known) if known else importlib.import_module(name)

    yield write
    for name in [name for name in sys.modules if name.partition(".")[0] == "helpers"]:
        del sys.modules[name]


def why(cell: Cells, old: Fingerprint, name: str = "f") -> str:
    new = cell.of(name)
    reason = explain(old, new)
    assert bool(reason) == (old.digest != new.digest)
    return reason


# -- its own code ---------------------------------------------------------------------------------


def test_a_changed_body_changes_it(cell):
    cell("def f(x): return x + 1")
    old = cell.of("f")
    cell("def f(x): return x + 2")

    assert why(cell, old) == "its code changed"


@pytest.mark.parametrize(
    "text",
    [
        "def f(x):\n    # a comment\n    return g(x, 'a')  # another",
        "def f(x):\n    'A docstring.'\n    return g(x, 'a')",
        "def f(x):\n    'A docstring'\n    'and a string.'\n    return g(x, 'a')",
        'def f( x ) :\n\n\n\treturn (g(\n  x,\n  "a",\n))',
        "x = 1\n\n\ndef f(x): return g(x, u'a')",
        "def f(x): return g(x, '' 'a')",
    ],
)
def test_comments_docstrings_and_formatting_do_not_count(cell, text):
    cell("def g(x, y):\n    return x")
    cell("def f(x):\n    return g(x, 'a')")
    old = cell.of("f")
    cell(text)
    cell("def g(x, y):\n    'A docstring.'\n    return x")

    assert why(cell, old) == ""


def test_a_function_that_is_only_a_docstring_is_an_empty_one(cell):
    cell("def f(): 'doc'")
    old = cell.of("f")
    cell("def f():\n    pass")

    assert why(cell, old) == ""


def test_docstrings_inside_do_not_count_either(cell):
    cell("""
        def f():
            class A:
                def g(self): return 1
            return A
        """)
    old = cell.of("f")
    cell('''
        def f():
            class A:
                """A."""
                def g(self):
                    """g."""
                    return 1
            return A
        ''')

    assert why(cell, old) == ""


def test_running_the_cell_again_changes_nothing(cell):
    text = "R = 0.25\ndef g(x): return x\ndef f(x): return g(x) * R"
    cell(text)
    old = cell.of("f")
    cell(text)

    assert why(cell, old) == ""


def test_where_it_stands_in_the_notebook_does_not_count(cell):
    cell("def f(x): return x")
    old = cell.of("f")
    cell("\n\n\n'above'\ndef f(x): return x\n")

    assert why(cell, old) == ""


def test_an_async_function_differs_from_a_plain_one(cell):
    cell("def f(x): return x")
    old = cell.of("f")
    cell("async def f(x): return x")

    assert why(cell, old) == "its code changed"


def test_lambdas_of_one_line_are_told_apart(cell):
    cell("fs = [lambda x: x + 1, lambda x: x + 2, (lambda: lambda x: x + 3)(), lambda x: x + 1]")
    texts = ["".join(cell.of(f"fs[{n}]").source.values()) for n in range(4)]

    assert texts == [f"lambda x: x + {n}" for n in (1, 2, 3, 1)]
    assert cell.of("fs[0]").digest == cell.of("fs[3]").digest != cell.of("fs[1]").digest


def test_a_lambda_over_several_lines_after_letters_of_several_bytes_is_found(cell):
    cell("fs = ['ä€', lambda x: (\n    x +\n    1\n), lambda x: x]")

    assert cell.of("fs[1]").source == {"<lambda>": "lambda x: x + 1"}
    assert cell.of("fs[2]").source == {"<lambda>": "lambda x: x"}


def test_what_a_lambda_is_assigned_to_does_not_count(cell):
    cell("f = lambda x: x + 1")
    old = cell.of("f")
    cell("g = 1; f = (lambda x : x+1)")

    assert why(cell, old) == ""


def test_without_source_the_bytecode_counts_and_its_docstring_does_not(cell):
    exec("def f(x):\n    return [x + 1 for x in 'ab']", cell.names)
    old = cell.of("f")
    exec("\n\ndef f(x):\n    'doc'\n    return [x + 1 for x in 'ab']", cell.names)

    assert why(cell, old) == ""

    exec("def f(x):\n    return [x + 2 for x in 'ab']", cell.names)

    assert why(cell, old) == "its code changed"


def test_the_options_of_nb_task_do_not_count(cell):
    cell("import nbtasks as nb\n@nb.task(retry=3)\ndef f(x): return x")
    old = cell.of("f")
    cell("from nbtasks import task\n@task(retry=5, on_change='rerun')\ndef f(x): return x")
    assert why(cell, old) == ""

    cell("def f(x): return x")
    assert why(cell, old) == ""


# -- what it reads --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("1", "2"),
        ("1", "1.0"),
        ("1", "True"),
        ("'a'", "'b'"),
        ("None", "0"),
        ("False", "True"),
        ("2j", "3j"),
        ("(1, ('a', None))", "(1, ('b', None))"),
        ("Decimal('1.0')", "Decimal('2.0')"),
        ("numpy.float64(0.5)", "0.25"),
        ("numpy.bool_(True)", "numpy.bool_(False)"),
    ],
)
def test_a_constant_that_it_reads_from_globals_counts(cell, was, now):
    cell("import numpy\nfrom decimal import Decimal\ndef f(x): return x, RATE")
    cell(f"RATE = {was}")
    old = cell.of("f")
    cell(f"RATE = {now}")

    assert why(cell, old).startswith("RATE is ")


def test_the_reason_names_the_constant_with_both_values(cell):
    cell("RATE = 0.2\ndef f(x): return x * RATE")
    old = cell.of("f")
    cell("RATE = 0.3")

    assert why(cell, old) == "RATE is 0.3, was 0.2"


def test_what_looks_like_a_secret_counts_and_is_not_told(cell):
    cell("API_KEY = 'sk-1'\ndef f(): return API_KEY")
    old = cell.of("f")
    cell("API_KEY = 'sk-2'")

    assert "sk-" not in why(cell, old) + dumps(old) + diff(old, cell.of("f"))
    assert why(cell, old).startswith("API_KEY is <hidden, ")


def test_numpys_numbers_count_as_pythons(cell):
    cell("import numpy\nN, X = 3, 0.5\ndef f(): return N, X")
    old = cell.of("f")
    cell("X = numpy.float64(0.5)\nN = numpy.int64(3)")

    assert why(cell, old) == ""


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("[1]", "[2]"),
        ("{'a': 1}", "{'b': 1}"),
        ("{1}", "{2}"),
        ("numpy.arange(3)", "numpy.arange(4)"),
        ("([1], 1)", "([2], 1)"),
        ("b'a'", "b'b'"),
    ],
)
def test_other_data_does_not(cell, was, now):
    cell(f"import numpy\nDATA = {was}\ndef f(x): return x, DATA")
    old = cell.of("f")
    cell(f"DATA = {now}")

    assert why(cell, old) == ""


def test_data_that_becomes_a_constant_counts(cell):
    cell("LIMIT = [1]\ndef f(x): return x, LIMIT")
    old = cell.of("f")
    cell("LIMIT = 1")

    assert why(cell, old) == "LIMIT is 1, which it did not read"


def test_a_constant_of_a_closure_counts(cell):
    cell("def make(rate):\n    return lambda x: x * rate")
    old = cell.of("make(0.2)")

    assert explain(old, cell.of("make(0.3)")) == "rate is 0.3, was 0.2"
    assert explain(old, cell.of("make(0.2)")) == ""


def test_closures_of_one_code_are_told_apart_each_time_they_are_asked(cell):
    cell("def make(g):\n    return lambda x: g(x)\nfs = [make(lambda x: x), make(lambda x: -x)]")

    first = [cell.of(f"fs[{n}]").digest for n in (0, 1)]

    assert first[0] != first[1]
    assert [cell.of(f"fs[{n}]").digest for n in (0, 1, 0)] == [*first, first[0]]


def test_a_default_counts(cell):
    cell("fs = [lambda x, n=n: x + n for n in range(20)]\ndef f(x, *, rate=len('ab')): return x")
    digests = {cell.of(f"fs[{n}]").digest for n in range(20)}
    old = cell.of("f")
    cell("def f(x, *, rate=len('abc')): return x")

    assert len(digests) == 20
    assert cell.of("fs[7]").inputs == {"n": "7"}
    assert "rate is 3, was 2" in why(cell, old)


def test_what_it_assigns_itself_does_not_count(cell):
    cell("""
        count = 0
        def f():
            global count
            count += 1
            return count
        def make():
            n = 0
            def g():
                nonlocal n
                n += 1
                return n
            return g
        g = make()
        """)
    old, old_g = cell.of("f"), cell.of("g")
    cell.names["f"]()
    cell.names["g"]()

    assert why(cell, old) == ""
    assert why(cell, old_g, "g") == ""
    assert old.inputs == old_g.inputs == {}


def test_what_its_helper_assigns_does_not_count_either(cell):
    cell("""
        count = 0
        def tick():
            global count
            count += 1
        def f():
            tick()
            return count
        """)
    old = cell.of("f")
    cell.names["f"]()

    assert why(cell, old) == ""


def test_a_name_that_is_only_an_attribute_or_a_local_is_not_a_global(cell):
    cell("rate = 1\nx = 1\ndef f(a):\n    x = a.rate\n    return [rate for rate in x]")

    assert cell.of("f").inputs == {}


def test_what_a_nested_function_or_a_comprehension_reads_counts(cell):
    cell("RATE = 1\ndef f(x):\n    def g():\n        return [RATE * y for y in x]\n    return g()")
    old = cell.of("f")
    cell("RATE = 2")

    assert why(cell, old) == "RATE is 2, was 1"


# -- what it refers to ----------------------------------------------------------------------------


def test_a_changed_helper_changes_it_and_is_named(cell):
    cell("def clean(x): return x\ndef f(x): return clean(x)\ndef other(x): return x")
    old, old_other = cell.of("f"), cell.of("other")
    cell("def clean(x): return -x")

    assert why(cell, old) == "helper clean changed"
    assert why(cell, old_other, "other") == ""


def test_a_helper_of_a_helper_counts_and_so_does_what_it_reads(cell):
    cell("RATE = 1\ndef a(x): return x * RATE\ndef b(x): return a(x)\ndef f(x): return b(x)")
    old = cell.of("f")
    cell("RATE = 2")
    assert why(cell, old) == "RATE is 2, was 1"

    cell("def a(x): return x / RATE")
    assert why(cell, old) == "helper a changed; RATE is 2, was 1"


def test_a_function_that_it_hands_on_counts(cell):
    cell("def train(x): return x\ndef f(io): return io.run_task('train', train, 1)")
    old = cell.of("f")
    cell("def train(x): return -x")

    assert why(cell, old) == "helper train changed"


def test_a_helper_that_is_defined_later_counts_from_then_on(cell):
    cell("def f(x): return later(x)")
    old = cell.of("f")
    cell("def later(x): return x")

    assert why(cell, old) == "it now refers to later"


def test_functions_that_call_each_other_are_no_riddle(cell):
    cell("def f(n): return n and g(n - 1)\ndef g(n): return n and f(n - 1)")
    old = cell.of("f")
    cell("def g(n): return n and f(n - 2)")

    assert list(old.source) == ["f", "g"]
    assert why(cell, old) == "helper g changed"


def test_a_helper_that_is_swapped_for_another_one_counts(cell):
    cell("def a(x): return x\ndef b(x): return -x\nstep = a\ndef f(x): return step(x)")
    old = cell.of("f")
    cell("step = b")

    assert why(cell, old) == "it no longer refers to a; it now refers to b"


def test_library_code_does_not_count(cell, monkeypatch):
    cell("import html\nfrom html import escape\ndef f(x): return html.escape(x), escape(x)")
    old = cell.of("f")

    monkeypatch.setattr("html.escape", lambda x: x)

    assert list(old.source) == ["f"]
    assert why(cell, old) == ""


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("html.escape", "html.unescape"),
        ("open", "print"),
        ("list", "tuple"),
        ("abs", "html.escape"),
    ],
)
def test_another_function_of_a_library_under_the_same_name_counts(cell, was, now):
    cell(f"import html\nchosen = {was}\ndef f(x): return chosen(x)")
    old = cell.of("f")
    cell(f"chosen = {now}")

    assert "chosen is " in why(cell, old)


def test_a_library_function_is_known_by_its_name():
    assert fingerprint(len).name == "builtins.len"
    assert fingerprint(str.upper).name == "builtins.str.upper"
    assert fingerprint("a".join).digest == fingerprint("b".join).digest
    assert fingerprint(textwrap.dedent) == Fingerprint("textwrap.dedent", {}, {})
    assert len({fingerprint(f).digest for f in (len, max, str.upper, textwrap.dedent)}) == 4


# -- the user's modules ---------------------------------------------------------------------------


def test_a_function_of_a_module_of_the_users_counts(cell, module):
    module("RATE = 1\ndef tidy(x): return x * RATE\ndef clean(x): return tidy(x)")
    cell("import helpers as h\ndef f(x): return h.clean(x)")
    old = cell.of("f")
    assert list(old.source) == ["f", "helpers.clean", "helpers.tidy"]

    module("RATE = 2\ndef tidy(x): return -x * RATE\ndef clean(x):\n    return tidy(x)  # reloaded")
    assert why(cell, old) == "helper helpers.tidy changed; helpers.RATE is 2, was 1"


def test_a_constant_of_a_module_counts_however_it_is_read(cell, module):
    module("RATE = 1")
    cell("import helpers\nfrom helpers import RATE\ndef f(): return helpers.RATE, RATE")
    old = cell.of("f")
    module("RATE = 2")

    assert why(cell, old) == "helpers.RATE is 2, was 1"


def test_a_module_of_a_package_counts(cell, module):
    module("", "helpers.__init__", load=False)
    module("def clean(x): return x", "helpers.text")
    cell("import helpers.text\ndef f(x): return helpers.text.clean(x)")
    old = cell.of("f")
    module("def clean(x): return -x", "helpers.text")

    assert why(cell, old) == "helper helpers.text.clean changed"


def test_code_put_into_a_function_in_place_counts(cell, module):
    """Autoreload replaces code like this."""
    helpers = module("def clean(x): return x")
    cell("from helpers import clean\ndef f(x): return clean(x)")
    old, clean = cell.of("f"), helpers.clean
    clean.__code__ = module("def clean(x): return -x").clean.__code__

    assert cell.names["clean"] is clean
    assert why(cell, old) == "helper helpers.clean changed"


def test_a_file_that_was_edited_but_not_reloaded_does_not_speak_for_what_runs(module):
    helpers = module("def clean(x): return x + 1\n\ndef other(x): return x")
    module("import os\ndef clean(x): return x + 2\n\ndef other(x): return x", load=False)

    assert "x + 2" not in "".join(fingerprint(helpers.clean).source.values())
    assert fingerprint(helpers.other).source == {"other": "def other(x):\n    return x"}


MODEL = "class M:\n    k = [{}]\n    def fit(self, x): return x + 1\n"


def test_nor_does_it_for_a_class_that_was_met_before(module):
    helpers = module(MODEL.format(1))
    old = fingerprint(helpers.M)
    module("import os\n" + MODEL.format(2), load=False)

    assert fingerprint(helpers.M) == old
    assert explain(old, fingerprint(module(MODEL.format(2)).M)) == "its code changed"


def test_a_class_whose_methods_were_put_into_it_in_place_is_read_again(module):
    """Autoreload replaces a class like this."""
    cls = module(MODEL.format(1)).M
    old = fingerprint(cls)
    new = module(MODEL.format(2)).M
    cls.k, cls.fit.__code__ = new.k, new.fit.__code__

    assert explain(old, fingerprint(cls)) == "its code changed"


def test_a_function_that_moves_from_the_notebook_to_a_module_is_the_same(cell, module):
    cell("RATE = 1\ndef tidy(x): return x\ndef clean(x): return tidy(x) * RATE")
    old = cell.of("clean")
    helpers = module("RATE = 1\ndef tidy(x): return x\ndef clean(x): return tidy(x) * RATE")

    assert explain(old, fingerprint(helpers.clean)) == ""


def test_a_module_that_stands_beside_installed_ones_is_library_code(cell, module, monkeypatch):
    module("def clean(x): return x", "helpers.site-packages.lib", load=False)
    path = Path(sys.path[0]) / "helpers" / "site-packages"
    monkeypatch.syspath_prepend(str(path))
    cell("import lib\ndef f(x): return lib.clean(x)")

    assert list(cell.of("f").source) == ["f"]
    del sys.modules["lib"]


# -- classes and objects --------------------------------------------------------------------------


def test_a_class_that_it_refers_to_counts(cell):
    cell("def g(x): return x\nclass M:\n    k = [1]\n    def fit(self, x): return g(x)")
    cell("def f(x): return M().fit(x)")
    old = cell.of("f")
    cell("class M:\n    'M'\n    k = [1]\n    def fit(self, x):\n        return g(x)  # same")
    assert why(cell, old) == ""

    cell("class M:\n    k = [2]\n    def fit(self, x): return g(x)")
    assert why(cell, old) == "class M changed"

    cell("class M:\n    k = [1]\n    def fit(self, x): return g(x)\ndef g(x): return -x")
    assert why(cell, old) == "helper g changed"


def test_a_base_class_counts(cell):
    cell("class A:\n    def go(self): return 1\nclass B(A): pass\ndef f(): return B().go()")
    old = cell.of("f")
    cell("class A:\n    def go(self): return 2\nclass B(A): pass")

    assert why(cell, old) == "class A changed"


@pytest.mark.parametrize(
    "form",
    [
        "@dataclass\nclass P:\n    x: int = {}",
        "@dataclass\nclass P:\n    x: int\n    y: list = field(default_factory=lambda: [{}])",
        "class P(Enum):\n    A = {}",
        "class P(BaseModel):\n    x: int = {}",
        "class P(NamedTuple):\n    x: int = {}",
        "class P:\n    x = {}",
    ],
)
def test_a_class_without_methods_counts(cell, form):
    cell("from dataclasses import dataclass, field\nfrom enum import Enum\nfrom typing import *")
    cell("from pydantic import BaseModel\ndef f(): return P")
    cell(form.format(1))
    old, first = cell.of("f"), cell.names["P"]
    cell(form.format(2))
    assert why(cell, old) == "class P changed"

    cell.names["P"] = first  # as if the cell above had been run again: IPython keeps its place
    assert why(cell, old) == ""


def test_a_class_without_source_counts(cell):
    exec("class P:\n    x = 1\n    def go(self): return 1\ndef f(): return P()", cell.names)
    old = cell.of("f")
    exec("class P:\n    x = 1\n    def go(self): return 2", cell.names)

    assert why(cell, old) == "class P changed"


def test_a_method_counts_with_the_methods_and_constants_it_reads_from_its_object(cell):
    text = """
        class M:
            SCALE = 10
            def __init__(self, rate): self.rate, self.data, self.calls = rate, [1], 0
            def scale(self, x): return x * self.SCALE
            @property
            def twice(self): return 2
            def other(self): return 1
            def fit(self, x):
                self.calls = self.calls + 1
                return self.scale(x) * self.rate * len(self.data) * self.twice
        """
    cell(text)
    old = cell.of("M(0.2).fit")
    assert old.inputs == {"self.SCALE": "10", "self.rate": "0.2"}
    assert explain(old, cell.of("M(0.3).fit")) == "self.rate is 0.3, was 0.2"

    cell(text.replace("return 1", "return 3"))
    assert explain(old, cell.of("M(0.2).fit")) == ""

    cell(text.replace("return 2", "return 3"))
    assert explain(old, cell.of("M(0.2).fit")) == "helper M.twice changed"


def test_a_method_that_calls_super_counts_with_its_bases(cell):
    cell("class A:\n    def go(self): return 1")
    cell("class B(A):\n    def go(self): return super().go() + 1")
    old = cell.of("B().go")
    cell("class A:\n    def go(self): return 2")
    cell("class B(A):\n    def go(self): return super().go() + 1")

    assert "class A changed" in explain(old, cell.of("B().go"))


def test_class_methods_and_static_methods_count(cell):
    text = """
        class M:
            @classmethod
            def a(cls): return cls.b()
            @staticmethod
            def b(): return {}
        """
    cell(text.format(1))
    old_a, old_b = cell.of("M.a"), cell.of("M.b")
    cell(text.format(2))

    assert explain(old_a, cell.of("M.a")) == "helper M.b changed"
    assert explain(old_b, cell.of("M.b")) == "its code changed"


def test_the_methods_of_an_object_that_it_uses_count_and_its_data_does_not(cell):
    text = """
        class C:
            def __init__(self): self.n = 1
            def get(self): return {}
            def put(self): return {}
        """
    cell(text.format(1, 1))
    cell("c = C()\ndef f(): return c.get(), c.n")
    old = cell.of("f")
    cell(text.format(1, 2))
    cell("c = C(); c.n = 5")
    assert why(cell, old) == ""

    cell(text.format(2, 2))
    cell("c = C()")
    assert why(cell, old) == "helper C.get changed"


def test_an_object_that_can_be_called_counts_by_its_class(cell):
    cell(
        "class Add:\n    def __call__(self, x): return x + 1\nadd = Add()\ndef f(x): return add(x)"
    )
    old, old_add = cell.of("f"), cell.of("add")
    cell("class Add:\n    def __call__(self, x): return x + 2\nadd = Add()")

    assert why(cell, old) == "class Add changed"
    assert "changed" in why(cell, old_add, "add")


def test_attributes_of_odd_objects_are_not_asked(cell):
    cell("""
        class Odd:
            def __getattr__(self, name): raise SystemError(name)
            def __eq__(self, other): raise SystemError
            __hash__ = None
            @property
            def __class__(self): raise SystemError
        odd = Odd()
        def f(): return odd.value, odd
        """)

    assert "f" in cell.of("f").source
    assert cell.of("f").digest == cell.of("f").digest


# -- what wraps a function ------------------------------------------------------------------------


DECORATED = """
    import functools
    def timed(fn):
        @functools.wraps(fn)
        def wrapper(*args):
            return {}
        return wrapper
    @timed
    def f(x):
        return {}
    """


def test_a_decorated_function_counts_and_so_does_its_decorator(cell):
    cell(DECORATED.format("fn(*args)", "x"))
    old = cell.of("f")
    assert old.name == "f"

    cell(DECORATED.format("fn(*args)", "-x"))
    assert why(cell, old) == "its code changed"

    cell(DECORATED.format("fn(*args) or 1", "x"))
    assert why(cell, old) == "helper timed.<locals>.wrapper changed"


def test_a_decorator_without_wraps_counts_too(cell):
    text = DECORATED.replace("@functools.wraps(fn)", "")
    cell(text.format("fn(*args)", "x"))
    old = cell.of("f")
    cell(text.format("fn(*args)", "-x"))

    assert why(cell, old) == "helper f changed"


def test_functions_of_one_decorator_are_told_apart(cell):
    cell(DECORATED.format("fn(*args)", "x"))
    cell("@timed\ndef g(x): return -x")

    assert cell.of("f").digest != cell.of("g").digest
    assert [cell.of("f").name, cell.of("g").name] == ["f", "g"]


@pytest.mark.parametrize(
    "decorator", ["lru_cache(maxsize=None)", "cache", "singledispatch", "wraps(print)"]
)
def test_a_function_that_the_library_wraps_counts(cell, decorator):
    cell(f"from functools import *\n@{decorator}\ndef f(x): return x\ndef g(x): return f(x)")
    old, old_g = cell.of("f"), cell.of("g")
    cell(f"@{decorator}\ndef f(x): return -x")

    assert why(cell, old) == "its code changed"
    assert why(cell, old_g, "g") == "helper f changed"


def test_a_context_manager_of_the_users_counts(cell):
    text = """
        from contextlib import *
        @contextmanager
        def it(): yield {}
        def f():
            with it() as x: return x
        """
    cell(text.format(1))
    old = cell.of("f")
    cell(text.format(2))

    assert why(cell, old) == "helper it changed"


def test_a_partial_counts_with_the_constants_and_functions_bound_in_it(cell):
    cell("from functools import partial\ndef g(x): return x\ndef h(fn, rate, data): return fn")
    cell("f = partial(h, g, rate=0.2, data=[1])\ndef k(): return f()")
    old, old_k = cell.of("f"), cell.of("k")
    cell("f = partial(h, g, rate=0.2, data=[2])")
    assert why(cell, old) == ""

    cell("f = partial(h, g, rate=0.3, data=[2])")
    assert why(cell, old) == "(rate) is 0.3, was 0.2"
    assert why(cell, old_k, "k") == "f(rate) is 0.3, was 0.2"

    cell("def g(x): return -x\nf = partial(h, g, rate=0.2, data=[2])")
    assert why(cell, old) == "helper g changed"


def test_a_job_counts_as_its_function(cell):
    cell("import nbtasks as nb\n@nb.job('fp')\ndef body(io): return 1\ndef f(): return body.run()")
    old, old_body = cell.of("f"), cell.of("body")
    cell("@nb.job('fp')\ndef body(io): return 2")

    assert why(cell, old) == "helper body changed"
    assert why(cell, old_body, "body") == "its code changed"


def test_io_in_its_globals_is_no_part_of_it(cell):
    cell("def f(): return io.run_task('a', len, [])")
    digests = set()

    @nb.job("fingerprint-io")
    def body(io: nb.SyncIO) -> None:
        cell.names["io"] = io
        digests.add(cell.of("f").digest)

    body.run()
    body.run()

    assert len(digests) == 1


# -- the record -----------------------------------------------------------------------------------


@pytest.mark.slow
@only_thorough
def test_it_is_the_same_in_another_process(same_in_processes):
    said = same_in_processes(
        "from nbtasks.engine.fingerprint.function import fingerprint\n"
        "RATE = 0.5\n"
        "class P:\n    x = {'a', 'b'}\n    def go(self): return 1\n"
        "def clean(x): return x in {'a', 'b', 'c'}, RATE\n"
        "f = lambda x: [clean(x), P().go()]\n"
        'no = {}; exec(\'def g(x): return x in {"a", "b", "c"}\', no)\n'
        "print(fingerprint(f).digest, fingerprint(no['g']).digest, fingerprint(P().go).digest)\n"
    )
    assert all(len(digest) == 16 for digest in said.split())


def test_it_survives_being_written_and_read(cell):
    cell("RATE = 'ä'\ndef g(): return 1\ndef f(x): return g(), RATE")
    old = cell.of("f")

    assert loads(dumps(old)) == old
    assert loads(dumps(old)).digest == old.digest


def test_the_diff_shows_what_changed_and_nothing_else(cell):
    cell("RATE = 1\ndef same(): return 1\ndef clean(x):\n    y = x\n    return y")
    cell("def f(x): return clean(x), same(), RATE")
    old = cell.of("f")
    cell("RATE = 2\ndef clean(x):\n    y = x\n    return -y")

    assert diff(old, cell.of("f")).splitlines() == [
        "--- clean (recorded)",
        "+++ clean (now)",
        "@@ -1,3 +1,3 @@",
        " def clean(x):",
        "     y = x",
        "-    return y",
        "+    return -y",
        "--- inputs (recorded)",
        "+++ inputs (now)",
        "@@ -1 +1 @@",
        "-RATE = 1",
        "+RATE = 2",
    ]


def test_a_task_that_got_another_function_says_so(cell):
    cell("def f(x): return x\ndef g(x): return x")

    assert explain(cell.of("f"), cell.of("g")) == "it is g, was f"
    assert "+def g(x):" in diff(cell.of("f"), cell.of("g"))


def test_many_reasons_are_cut_short():
    old = Fingerprint("f", {}, dict.fromkeys("abcdef", "1"))
    new = Fingerprint("f", {}, dict.fromkeys("abcdef", "2"))

    assert explain(old, new) == "a is 2, was 1; b is 2, was 1; c is 2, was 1; and 3 more"


def test_asking_again_is_cheap(cell):
    """Against a call that does the least that must be done: so a slow machine does not matter."""
    cell("RATE = 1\ndef a(x): return x * RATE\ndef b(x): return a(x)")
    cell("def plain(x): return x\ndef few(x): return a(x) + b(x) * RATE")

    def cost(fn: Any) -> float:
        return min(timeit.repeat(lambda: fingerprint(fn), number=1000, repeat=20))

    first = timeit.timeit(lambda: cell("def f(x): return a(x)") or cell.of("f"), number=1) * 1000
    assert cost(cell.names["plain"]) < first / 20
    assert cost(cell.names["few"]) < first / 20


def test_functions_as_they_are_used_in_this_file_are_found_in_it():
    def local(x):
        return x + 1

    assert fingerprint(local).source == {
        "test_functions_as_they_are_used_in_this_file_are_found_in_it.<locals>.local": (
            "def local(x):\n    return x + 1"
        )
    }
    assert fingerprint(functools.partial(local, 1)).name.endswith("local")


def test_a_task_function_that_autoreload_replaces_is_seen_where_it_is_called(cell):
    cell("import nbtasks as nb\n@nb.task\ndef h(x): return x\ndef f(x): return h(x)")
    f, h = cell.names["f"], cell.names["h"]
    before = fingerprint(f).digest
    cell("@nb.task\ndef h(x): return x + 1")
    new, cell.names["h"] = cell.names["h"], h

    h.__dict__ = new.__dict__  # as autoreload does

    assert h(1) == 2
    assert fingerprint(f).digest != before
