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

from tests.thorough import only_thorough
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
@only_thorough
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


#: By name: the cell that makes the value, the cell of the second kernel, and what the error says.
GONE = {
    "plain": ("class A: pass\nplain = A()", "", ["needs A,", "Run the cell that defines A first"]),
    "dataclass": (
        "@dataclasses.dataclass\nclass B: a: int = 1\ndataclass = B()",
        "",
        ["needs B,", "Run the cell that defines B first"],
    ),
    "an_enum": ("class C(enum.Enum): A = 1\nan_enum = C.A", "", ["the cell that defines C first"]),
    "member": (
        "class D(enum.Enum): A = 1\nmember = D.A",
        "class D(enum.Enum): B = 1",
        ["__main__.D.A", "no longer has"],
    ),
    "member_in_a_pickle": (
        "class E(enum.Enum): A = 1\nmember_in_a_pickle = {1, E.A, len}",
        "class E(enum.Enum): B = 1",
        ["__main__.E.A", "no longer has"],
    ),
    "no_enum": (
        "class F(enum.Enum): A = 1\nno_enum = F.A",
        "class F: pass",
        ["__main__.F, which is no longer an enum"],
    ),
    "slot": (
        "class G: __slots__ = ('a',)\nslot = G()\nslot.a = 1",
        "class G: __slots__ = ('b',)",
        ["It needs G of this notebook", "define it as it was"],
    ),
    "no_class": ("class H: pass\nno_class = H()", "H = 5", ["It needs H of this notebook"]),
    "nested": (
        "class I:\n  class Part: pass\nnested = I.Part()",
        "class I: pass",
        ["needs I.Part,", "Run the cell"],
    ),
    "of_a_lambda": ("class J: pass\nof_a_lambda = lambda: J()", "", ["needs J,", "Run the cell"]),
    "field": (
        "@dataclasses.dataclass\nclass K: a: int = 1\nfield = K()",
        "@dataclasses.dataclass\nclass K:\n  b: int",
        ["K has a new field 'b' without a default"],
    ),
    "field_in_a_pickle": (
        "@dataclasses.dataclass\nclass L: a: int = 1\nfield_in_a_pickle = {1, len}, L()",
        "@dataclasses.dataclass\nclass L:\n  b: int",
        ["L has a new field 'b' without a default"],
    ),
    "fields_of_a_tuple": (
        "M = collections.namedtuple('M', 'a')\nfields_of_a_tuple = M(1)",
        "M = collections.namedtuple('M', 'a b')",
        ["It needs M of this notebook", "define it as it was"],
    ),
    "generic_alias": ("class N: pass\ngeneric_alias = list[N]", "", ["needs N,", "Run the cell"]),
}


@pytest.mark.slow
def test_a_class_that_is_gone_or_does_not_fit_is_named(tmp_path: Path):
    before, after, words = zip(*GONE.values(), strict=True)
    imports = "import collections, dataclasses, enum, json\nimport nbtasks as nb"
    record = f"""
        nb.configure(tree=False)
        @nb.job("gone")
        def gone(io: nb.SyncIO):
            for name in {list(GONE)}:
                io.run_task(name, lambda: globals()[name])
        gone.run()
        """
    read = f"""
        said, run = [], nb.last_run("gone")
        for name in {list(GONE)}:
            try: said.append(f"{{name}} is {{run[name]!r}}")
            except nb.UnreadableValueError as error: said.append(str(error))
        print(json.dumps(said))
        """
    done = kernel(1, tmp_path, imports, *before, record)
    assert done.returncode == 0, done.stderr

    done = kernel(2, tmp_path, imports, *after, read)

    assert done.returncode == 0, done.stderr
    for name, said, expected in zip(GONE, json.loads(done.stdout), words, strict=True):
        for word in [*expected, f"task {name!r} of run", f".reset({name!r})"]:
            assert word in said


@pytest.mark.slow
@only_thorough
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
@only_thorough
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
@only_thorough
def test_a_local_class_is_made_once_for_all_threads(tmp_path: Path):
    before = """
        def define():
            class Local:
                __slots__ = ("a", "b")
                def __init__(self): self.a = 1
                def __getstate__(self): return self.a
                def __setstate__(self, state): self.a, self.b = state, 2
            return Local
        def make(): return define()()
        """
    after = """
        from concurrent.futures import ThreadPoolExecutor
        import sys, threading
        sys.setswitchinterval(1e-6)
        def show(_):
            run, ready = nb.last_run("one"), threading.Barrier(8)
            def read(_):
                ready.wait()
                value = run["t"]
                return type(value), value.a, value.b
            with ThreadPoolExecutor(8) as pool:
                return len(set(pool.map(read, range(8))))
        """

    assert recorded(before, after, home=tmp_path) == "1\n"


@pytest.mark.slow
def test_a_result_from_another_process_leaves_the_notebooks_class_alone(tmp_path: Path):
    cell = """
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        import nbtasks as nb
        nb.configure(tree=False)
        class Plain:
            made = 0
            def method(self): return 1
        class Error(ValueError):
            made = 0
        own = Plain.method
        def make():
            Plain.made = Error.made = 5
            return Plain()
        def fail(): raise Error("x")
        with ProcessPoolExecutor(1, multiprocessing.get_context("forkserver")) as pool:
            elsewhere = nb.TaskOptions(on=pool)
            @nb.job("pool")
            def job(io: nb.SyncIO):
                try: io.run_task("fail", fail, options=elsewhere)
                except Error: pass
                return io.run_task("make", make, options=elsewhere)
            values = [job.run().output, job.run().output]
        assert [type(value) for value in values] == [Plain, Plain]
        assert (Plain.method, Plain.made, Error.made) == (own, 0, 0)
        """

    done = kernel(1, tmp_path, cell)

    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@only_thorough
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
