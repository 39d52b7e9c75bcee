"""Values of a notebook's classes, over a killed kernel: one of today's class, equal in state."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.values.notebook_kinds import BODY, CLASSES, KINDS, NOTEBOOK


def kernel(version: int, home: Path, *cells: str) -> subprocess.CompletedProcess[str]:
    """Execute cells in a process of their own."""
    script = "\n".join([f"VERSION = {version}", f"KINDS = {KINDS!r}", *map(textwrap.dedent, cells)])
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        env={**os.environ, "NBTASKS_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.slow
def test_values_of_all_kinds_of_classes_survive_a_killed_kernel(tmp_path: Path):
    first = kernel(1, tmp_path, CLASSES, BODY)
    assert first.returncode == -signal.SIGKILL, first.stderr
    assert json.loads(first.stdout) == {}

    second = kernel(2, tmp_path, CLASSES, BODY)

    assert second.returncode == 0, second.stderr
    wrong, executed = map(json.loads, second.stdout.splitlines())
    assert wrong == {}
    assert executed == []


# -- reading changes nothing -----------------------------------------------------------------------


@pytest.mark.slow
def test_reading_values_changes_nothing_in_the_notebook(tmp_path: Path):
    done = kernel(1, tmp_path, NOTEBOOK)

    assert done.returncode == 0, done.stderr


RECORD = """
import dataclasses, enum
import nbtasks as nb
nb.configure(tree=False)
@nb.job("one", on_change="ignore")
def one(io: nb.SyncIO): return io.run_task("t", make)
"""


def recorded(*cells: str, home: Path) -> str:
    """Return what the last expression of the cells is in a second kernel, or the error."""
    first, second = cells
    done = kernel(1, home, RECORD, first, "one.run()")
    assert done.returncode == 0, done.stderr
    shown = "try: print(show(one.run().output))\nexcept nb.NbtasksError as error: print(error)"
    done = kernel(2, home, RECORD, second, "def make(): raise SystemError", shown)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("class Fit: pass\nmake = Fit", "", ["needs Fit", "Run the cell that defines Fit"]),
        (
            "@dataclasses.dataclass\nclass Fit: a: int = 1\nmake = Fit",
            "",
            ["needs Fit", "Run the cell that defines Fit"],
        ),
        ("class E(enum.Enum): A = 1\ndef make(): return E.A", "", ["the cell that defines E"]),
        (
            "class E(enum.Enum): A = 1\ndef make(): return E.A",
            "class E(enum.Enum): B = 1",
            ["__main__.E.A", "no longer has"],
        ),
        (
            "class E(enum.Enum): A = 1\ndef make(): return {1, E.A, len}",
            "class E(enum.Enum): B = 1",
            ["__main__.E.A", "no longer has"],
        ),
        (
            "class Fit:\n  __slots__ = ('a',)\nfit = Fit()\nfit.a = 1\ndef make(): return fit",
            "class Fit:\n  __slots__ = ('b',)",
            ["It needs Fit of this notebook", "define it as it was"],
        ),
        ("class Fit: pass\nmake = Fit", "Fit = 5", ["It needs Fit of this notebook"]),
        (
            "class Fit:\n  class Part: pass\nmake = Fit.Part",
            "class Fit: pass",
            ["needs Fit.Part", "Run the cell"],
        ),
        (
            "class Fit: pass\nimport functools\ndef make(): return lambda: Fit()",
            "",
            ["needs Fit", "Run the cell"],
        ),
        (
            "@dataclasses.dataclass\nclass Fit: a: int = 1\ndef make(): return {1, len}, Fit()",
            "@dataclasses.dataclass\nclass Fit:\n  b: int",
            ["Fit has a new field 'b' without a default"],
        ),
    ],
    ids=[
        "plain", "dataclass", "enum", "member", "member in a pickle", "slot", "no class", "nested",
        "of a lambda", "field in a pickle",
    ],
)  # fmt: skip
def test_a_class_that_is_gone_or_does_not_fit_is_named(
    before: str, after: str, words: list[str], tmp_path: Path
):
    said = recorded(before, f"{after}\nshow = repr", home=tmp_path)

    for word in [*words, "task 't' of run", "reset"]:
        assert word in said, said


@pytest.mark.slow
def test_a_new_field_of_a_dataclass_or_a_model_takes_its_default_also_in_a_pickle(tmp_path: Path):
    before = """
        import pydantic
        class Model(pydantic.BaseModel): a: int
        @dataclasses.dataclass
        class Data: a: int
        class Plain: pass
        def make():
            made = Plain()
            made.parts = [Model(a=1), Data(2)]
            return made
        """
    after = """
        import pydantic
        class Model(pydantic.BaseModel): a: int; b: list = [3]
        @dataclasses.dataclass
        class Data: a: int; b: list = dataclasses.field(default_factory=list)
        class Plain: pass
        show = lambda value: value.parts
        """

    assert recorded(before, after, home=tmp_path) == "[Model(a=1, b=[3]), Data(a=2, b=[])]\n"


@pytest.mark.slow
def test_a_cell_run_again_makes_old_instances_ones_of_the_new_class(tmp_path: Path):
    """Also where the instance was made before, and recorded after, the class was defined anew."""
    cell = """
        import collections
        import nbtasks as nb
        nb.configure(tree=False)
        def define():
            global Plain, P
            exec("class Plain:\\n  def __init__(self, a): self.a = a", globals())
            P = collections.namedtuple("Point", "x")
        define()
        old = [Plain(1), P(1), Plain]
        define()
        @nb.job("old")
        def job(io: nb.SyncIO): return io.run_task("t", lambda: old)
        job.run()
        define()
        plain, point, kind = job.run().output
        assert (type(plain), plain.a, kind) == (Plain, 1, Plain)
        assert (type(point), point) == (P, P(1))
        """

    done = kernel(1, tmp_path, cell)

    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_functions_and_local_classes_come_back_with_their_code(tmp_path: Path):
    before = """
        RATE = 1
        class Plain: pass
        def double(x): return RATE * 2 * x
        def define():
            class Local(Plain):
                def __init__(self, a): self.a = a
                def rate(self): return RATE
            return Local
        def make():
            Local = define()
            return [double, lambda: Plain(), Local, Local(1), [Local(2)], len]
        """
    after = """
        RATE = 5
        class Plain: pass
        def double(x): return 0
        def show(value):
            double, plain, local, one, (two,), _ = value
            again = one_run["t"]
            return [
                double(1), type(plain()) is Plain, type(one) is local is type(two),
                issubclass(local, Plain), one.a, one.rate(), again[2] is local,
                globals()["double"](1),
            ]
        one_run = nb.last_run("one")
        """

    said = recorded(before, after, home=tmp_path)

    assert said == "[2, True, True, True, 1, 1, True, 0]\n"


@pytest.mark.slow
def test_an_unchanged_function_is_the_notebooks_own_and_an_edited_one_is_as_recorded(
    tmp_path: Path,
):
    before = """
        def same(x, by=[1]):
            def inner(y): return y + 1.5
            return inner(x)
        def default(x=1): return x
        def constant(): return 1
        def nested():
            def inner(): return 1
            return inner()
        def attributed(): return 1
        def gone(): return 1
        def make(): return [same, default, constant, nested, attributed, gone, len]
        """
    after = """
        # a line more above does not count
        def same(x, by=[1]):
            def inner(y): return y + 1.5
            return inner(x)
        def default(x=2): return x
        def constant(): return 2
        def nested():
            def inner(): return 2
            return inner()
        def attributed(): return 1
        attributed.mark = "now"
        def show(value):
            found = [same, default, constant, nested, attributed]
            return [
                *[one is other for one, other in zip(value, found)],
                *[function() for function in value[1:-1]], attributed.mark,
            ]
        """

    said = recorded(before, after, home=tmp_path)

    assert said == "[True, False, False, False, True, 1, 1, 1, 1, 1, 'now']\n"


def test_a_pickle_of_somebody_else_says_which_classes_of_the_notebook_it_would_need(tmp_path: Path):
    cell = """
        from nbtasks.values import pickles
        class Plain:
            class Inner: pass
        print(sorted(set(pickles.names(pickles.dump([Plain(), Plain.Inner(), Plain])))))
        """

    assert kernel(1, tmp_path, cell).stdout == "['__main__.Plain', '__main__.Plain.Inner']\n"
