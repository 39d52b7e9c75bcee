"""The names `io`, `ctx` and `payload`: those of the run in the body, the notebook's elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import nbtasks as nb
from tests.notebook.shells import BOTH, Shell, frames

MINE = """
import io, csv, threading
payload, ctx = 5, 6
def parse(text):
    return list(csv.reader(io.StringIO(text)))
def plus():
    return payload + ctx
"""


# -- code of the notebook, outside the body -------------------------------------------------------


@BOTH
def test_functions_of_the_notebook_see_its_own_names(shell: Shell, awaits: str) -> None:
    shell.ok(MINE)

    seen = shell.ok(
        f"%%job j --payload 100\nrows = {awaits}io.run_task('parse', parse, 'a,b')\n"
        f"number = {awaits}io.run_task('plus', plus)\nrows, number, parse('c'), payload"
    )

    assert seen.value == ([["a", "b"]], 11, [["c"]], 100)


def test_a_thread_of_the_notebook_sees_them_while_a_cell_runs(shell: Shell) -> None:
    shell.ok(
        f"{MINE}\nstart, done, seen = threading.Event(), threading.Event(), []\n"
        "def work():\n    start.wait()\n    seen.append((io.StringIO('x').read(), plus()))\n"
        "    done.set()\nthread = threading.Thread(target=work)\nthread.start()"
    )

    shell.ok("%%job j --payload 1\nstart.set()\nassert done.wait(60)\nthread.join()")

    assert shell.names["seen"] == [("x", 11)]


def test_a_function_of_another_cell_has_no_io_and_is_told_how_to_get_one(shell: Shell) -> None:
    shell.ok("def helper():\n    return io.run_task('t', int, 1)")

    seen = shell.run("%%job j\nhelper()")

    assert isinstance(seen.error, NameError)
    assert "nb.current_io()" in seen.text
    shell.ok("import io")
    assert "nb.current_io()" in shell.run("%%job k\nio.run_task('outer', helper)").text


def test_nothing_is_in_the_namespace_during_and_after_a_cell(shell: Shell) -> None:
    before = {*shell.names}

    shell.ok(
        "%%job j\ndef f():\n    return payload\nx = [f() for _ in 'ab']\n"
        "during = {*globals()}\n[io for _ in 'a'], lambda: ctx"
    )

    assert shell.names["during"] - before <= {"f", "x", "_i3"}
    assert {n for n in {*shell.names} - before if not n.startswith("_")} == {"f", "x", "during"}


# -- the body and what is defined in it -----------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    "code",
    [
        "def f(x):\n    return payload + x\nvalue = f(1)",
        "f = lambda x: payload + x\nvalue = f(1)",
        "f = lambda x=payload: x + 1\nvalue = f()",
        "value = sum([payload + x for x in [1]])",
        "value = sum(payload + x for x in (y for y in [payload - 100 + 1]))",
        "value = {payload: payload + 1 for _ in range(payload)}[100]",
        "value = [g() for g in [lambda: payload + n for n in [1]]][0]",
        (
            "class A:\n    y = payload\n    def f(self):\n        return self.y + payload - 99\n"
            "value = A().f()"
        ),
        "def f():\n    def g():\n        return payload + 1\n    return g\nvalue = f()()",
        "def f(n):\n    return f(n - 1) if n else payload + 1\nvalue = f(3)",
        "def f():\n    global payload\n    return payload + 1\nvalue = f()",
        "global payload\nvalue = payload + 1",
        "def f(payload):\n    return payload\nvalue = f(101)",
        "def f():\n    payload = 101\n    return payload\nvalue = f()",
        "def f(n=(m := payload)):\n    return n + m - 99\nvalue = f()",
        (
            "def twice(f):\n    return lambda: f() + payload\n@twice\ndef f():\n    return 1\n"
            "value = f()"
        ),
        (
            "import threading\nseen = []\n"
            "t = threading.Thread(target=lambda: seen.append(payload))\n"
            "t.start()\nt.join()\nvalue = seen[0] + 1"
        ),
        "value = eval('payload + 1')",
        "exec('value = payload + 1')",
        "value = int('{payload}'.format(**locals())) + 1",
        "value = int(f'{payload}') + 1",
        "x = !echo {payload}\nvalue = int(x[0]) + 1",
        "x = !echo $payload\nvalue = int(x[0]) + 1",
        "def f():\n    x = !echo {payload}\n    return x\nvalue = int(f()[0]) + 1",
        "%time value = payload + 1",
        "match payload:\n    case int(n):\n        value = n + 1",
        "if (n := payload):\n    value = n + 1",
        "value: int = payload + 1",
        "for _ in 'a':\n    try:\n        value = payload + 1\n    finally:\n        del _",
    ],
)
def test_the_body_and_its_functions_see_those_of_the_run(
    shell: Shell, awaits: str, code: str
) -> None:
    shell.ok(f"%%job j --payload 100\n{awaits}io.run_task('t', int, 1)\n{code}")

    assert shell.names["value"] == 101
    assert not {"io", "ctx", "payload"} & {*shell.names}
    assert not [name for name in shell.names if name.startswith("__nbtasks")]


@pytest.mark.parametrize(
    "code",
    [
        "[await io.run_task(k, int, k) for k in '12']",
        "await asyncio.gather(*(io.run_task(k, int, k) for k in '12'))",
        "[x async for x in (await io.run_task(k, int, k) for k in '12')]",
        "await asyncio.gather(*map(lambda k: io.run_task(k, int, k), '12'))",
        "async def f(k):\n    return await io.run_task(k, int, k)\n[await f('1'), await f('2')]",
        (
            "async def f(k, n=await io.run_task('1', int, '1')):\n    return [n, int(k), ctx][:2]\n"
            "await f('2')"
        ),
    ],
)
def test_scopes_in_a_body_may_await(shell: Shell, code: str) -> None:
    shell.ok("import asyncio")

    assert shell.ok(f"%%job j\n{code}").value == [1, 2]


def test_definitions_of_a_body_are_those_of_an_ordinary_cell(shell: Shell) -> None:
    shell.ok(
        "%%job j\nfrom dataclasses import dataclass\n@dataclass\nclass Point:\n    x: int = 0\n"
        "    def f(self):\n        return payload\ndef g():\n    return io"
    )

    point, function = shell.names["Point"], shell.names["g"]
    assert (point.__qualname__, point.__module__) == ("Point", "__main__")
    assert (point.f.__qualname__, function.__qualname__) == ("Point.f", "g")


def test_a_private_name_is_not_mangled(shell: Shell) -> None:
    assert shell.ok("%%job j\n__x = 1\ndef f():\n    return __x, payload\nf()").value == (1, None)


@BOTH
def test_an_error_in_such_a_function_shows_the_lines_of_the_cell_alone(
    shell: Shell, awaits: str
) -> None:
    seen = shell.run(
        f"%%job j\n{awaits}io.run_task('t', int, 1)\ndef f():\n    return 1 / (payload or 0)\nf()"
    )

    assert frames(seen.text) == ["In[3], line 5", "In[3], line 4, in f()"]


def test_after_the_end_a_function_keeps_its_payload_and_its_io_says_that_the_run_ended(
    shell: Shell,
) -> None:
    shell.ok("%%job first --payload 1\ndef f():\n    return payload, io.run_task('late', int, 1)")

    seen = shell.run("%%job second --payload 2\nio.run_task('mine', int, 2)\nf()")

    assert isinstance(seen.error, nb.RunEndedError)
    assert nb.tasks().path.tolist() == ["mine"]
    shell.ok("%%job third --payload 3\ndef g():\n    return payload")
    assert shell.ok("%%job fourth --payload 4\ng(), payload").value == (3, 4)


def test_a_function_is_stale_if_the_payload_that_it_reads_changed(shell: Shell) -> None:
    cell = (
        "%%job j --key k --payload N --on-change rerun\ndef f():\n    calls.append(payload)\n"
        "    return io and payload\nio.run_task('t', f)"
    )

    assert [shell.ok(cell.replace("N", n)).value for n in "112"] == [1, 1, 2]
    assert shell.names["calls"] == [1, 2]


def test_what_a_magic_leaves_of_the_given_names_goes_with_the_cell(shell: Shell) -> None:
    shell.ok("import io")

    shell.ok("%%job j --payload 3\n%timeit -n 1 -r 1 payload + 1\nio.run_task('t', int, 1)")

    assert not {"ctx", "payload"} & {*shell.names}
    assert shell.ok("io.StringIO('x').read()").value == "x"


@pytest.mark.slow
def test_a_function_of_the_body_takes_its_payload_to_another_process(shell: Shell) -> None:
    seen = shell.ok(
        "%%job j --payload 100\nfrom concurrent.futures import ProcessPoolExecutor\n"
        "with ProcessPoolExecutor(1) as pool:\n"
        "    found = io.map('m', lambda n: n + payload, [1], on=pool)\nfound"
    )

    assert seen.value == [101]


def test_a_query_of_a_frame_sees_the_payload(shell: Shell) -> None:
    shell.ok("import pandas as pd\nframe = pd.DataFrame({'m': [1, 2, 2]})")

    assert shell.ok("%%job j --payload 2\nlen(frame.query('m == @payload'))").value == 2


# -- a body that rebinds them ---------------------------------------------------------------------


@pytest.fixture
def helpers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "nb_scopes_helpers.py").write_text("import io, os\ndef helper(): return 1\n")
    (tmp_path / "nb_scopes_listed.py").write_text("import io\n__all__ = ['f']\nf = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in ("nb_scopes_helpers", "nb_scopes_listed"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("helpers")
@BOTH
def test_a_star_import_of_a_given_name_is_refused(shell: Shell, awaits: str) -> None:
    body = "if True:\n    from nb_scopes_helpers import *\n"

    seen = shell.run(f"%%job j\n{awaits}io.run_task('t', int, 1)\n{body}")

    assert "line 4: `from nb_scopes_helpers import *` would rebind io, which %%job" in seen.text
    assert len(seen.lines) == 1
    assert "helper" not in shell.names


@pytest.mark.usefixtures("helpers")
def test_another_star_import_is_fine_in_and_above_the_body(shell: Shell) -> None:
    assert shell.ok("%%job j\nfrom nb_scopes_listed import *\nf, type(io).__name__").value == (
        1,
        "SyncIO",
    )
    shell.ok("from nb_scopes_helpers import *")
    assert shell.ok("%%job k\nio.run_task('h', helper)").value == 1
    assert isinstance(shell.run("%%job l\nfrom nb_missing import *").error, ImportError)


@pytest.mark.parametrize("code", ["exec('io = 1')", "exec('import io')", "locals()['io'] = 1"])
def test_code_that_rebinds_them_in_disguise_is_refused_there(shell: Shell, code: str) -> None:
    seen = shell.run(f"%%job j\n{code}")

    assert "would rebind io, which %%job provides to its body" in seen.text
    assert "io" not in shell.names


def test_globals_are_the_notebooks_own(shell: Shell) -> None:
    shell.ok("payload = 'mine'")

    assert shell.ok("%%job j --payload 1\nglobals()['payload'], payload").value == ("mine", 1)
