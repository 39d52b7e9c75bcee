"""A `%%task` cell: what it records and shows, what it refuses, and how it fails and resumes."""

from __future__ import annotations

import gc
import re
import sys
import warnings
import weakref
from pathlib import Path
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.testing import FakeClock
from tests.notebook.shells import BOTH, PACKAGE, Shell, frames
from tests.thorough import only_thorough

FIT = "%%task fit\nmodel = [n]; calls.append('fit')\nmodel"


@pytest.fixture
def counting(shell: Shell) -> Shell:
    """A shell in which `calls` is no input: a function of a module appends to it."""
    shell.ok("import builtins\nbuiltins.calls = []\ndel calls\nn = 1")
    return shell


def calls(shell: Shell) -> list[Any]:
    import builtins

    found: list[Any] = vars(builtins)["calls"]
    return found


# -- reuse ----------------------------------------------------------------------------------------


def test_a_cell_runs_once_and_gives_its_names_and_its_last_value_again(counting: Shell) -> None:
    first = counting.ok(FIT)
    counting.names["model"] = None
    again = counting.ok(FIT)

    assert first.value == again.value == counting.names["model"] == [1]
    assert counting.names["model"] is again.value
    assert calls(counting) == ["fit"]
    (task,) = nb.tasks().itertuples()
    assert (task.path, task.reused, task.status) == ("fit", True, "COMPLETED")


def test_the_run_belongs_to_the_notebook_and_has_the_cells_as_its_tasks(
    counting: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", str(Path.cwd() / "delays.ipynb"))
    counting.ok(FIT)
    counting.ok("%%task other --as run\nx = 1")

    assert nb.runs().job.tolist() == ["delays"]
    assert nb.tasks().path.tolist() == ["fit", "other"]
    assert counting.names["run"].status == "COMPLETED"
    assert counting.names["run"]["other"]["x"] == 1


def test_options_choose_the_run(counting: Shell) -> None:
    for options in ("--job j", "--job j --key k", "--job j --version 2"):
        counting.ok(f"%%task t {options}\nx = 1; calls.append(1)")

    assert sorted(zip(nb.runs().job, nb.runs().version, strict=True)) == [
        ("j", "0.0.1"), ("j", "0.0.1"), ("j", "2"),
    ]  # fmt: skip
    assert calls(counting) == [1, 1, 1]


def test_a_changed_input_runs_the_cell_and_only_what_depends_on_its_result(
    counting: Shell,
) -> None:
    cells = [
        "%%task a\na = [n % 10]; calls.append('a')",
        "%%task b\nb = a + [1]; calls.append('b')",
        "%%task c\nc = 5; calls.append('c')",
    ]

    def execute(n: int) -> list[str]:
        calls(counting).clear()
        counting.ok(f"n = {n}")
        for cell in cells:
            counting.ok(cell)
        return list(calls(counting))

    assert execute(1) == ["a", "b", "c"]
    assert execute(1) == []
    assert execute(2) == ["a", "b"]
    assert execute(12) == ["a"], "its result is the same"


@pytest.mark.parametrize(
    "text",
    ["'n of delays'", "f'{1} n'", "'{n}'", "'$n'", "'select n'", "'a@n.org'", "'eval(n)'"],
)
def test_a_text_that_nothing_looks_names_up_in_is_a_text(counting: Shell, text: str) -> None:
    for n in (1, 2):
        counting.ok(f"n = {n}")
        counting.ok(f"%%task t\nx = {text}; calls.append(1)")

    assert calls(counting) == [1]


def test_names_of_later_cells_do_not_count_for_a_cell_that_may_read_all(counting: Shell) -> None:
    cell = "%%task t\nx = '{}'.join(globals()); calls.append(1)"
    counting.ok(cell)
    counting.ok("later = 1")
    counting.ok(cell)
    assert calls(counting) == [1]

    counting.ok("n = 2")
    counting.ok(cell)
    assert calls(counting) == [1, 1]


def test_a_variable_of_types_as_last_value_is_shown_again(counting: Shell) -> None:
    cell = "%%task t\nfrom typing import TypeVar\nT = TypeVar('T'); calls.append(1)\nT"
    for _ in range(2):
        counting.ok(cell)
        del counting.names["T"]
    counting.ok(f"{cell}\n")

    assert calls(counting) == [1]
    assert repr(counting.names["T"]) == "~T"


def test_comments_and_layout_do_not_count(counting: Shell) -> None:
    counting.ok("%%task t\nx = 1; calls.append(1)")
    counting.ok("%%task t --no-tree\n# one\nx = (1)   # two\n\ncalls.append( 1 )")

    assert calls(counting) == [1]


def test_on_change_warn_reuses_and_names_what_has_changed(counting: Shell) -> None:
    counting.ok(FIT)
    counting.ok("n = 2")
    with pytest.warns(nb.StaleTaskWarning, match="n changed"):
        counting.ok(FIT.replace("fit\n", "fit --on-change warn\n", 1))

    assert counting.names["model"] == [1]
    assert nb.tasks().stale.tolist() == [True]
    assert calls(counting) == ["fit"]


def test_on_change_error_says_what_has_changed(counting: Shell) -> None:
    counting.ok(FIT)
    counting.ok("n = 2")
    seen = counting.run(FIT.replace("fit\n", "fit --on-change error\n", 1))

    assert isinstance(seen.error, nb.StaleTaskError)
    assert "n changed" in str(seen.error)


@pytest.mark.parametrize(
    "made",
    [
        "import threading\nclass Client: x = 1\nclient = Client(); client.y = threading.Lock()",
        "import threading\nclient = {'a': [threading.Lock()]}",
        "import itertools\nclient = itertools.cycle([1])",
        "import threading\nlock = threading.Lock()\ndef client(): return lock",
        "import socket\nclient = socket.socket(); client.close()",
    ],
    ids=["object", "container", "iterator", "read by a function", "socket"],
)
def test_on_change_error_refuses_what_cannot_be_compared_and_the_others_name_it(
    counting: Shell, made: str
) -> None:
    counting.ok(made)
    cell = "%%task t --on-change {}\nx = [1]; str(client); calls.append(1)"
    counting.ok(cell.format("error"))

    seen = counting.run(cell.format("error"))

    assert isinstance(seen.error, nb.StaleTaskError)
    assert "may have changed" in str(seen.error)
    assert re.search("not compared: .*(client|lock)", str(seen.error))
    for choice in ("warn", "ignore", "rerun"):
        counting.ok(cell.format(choice))
    assert calls(counting) == [1]
    assert re.search("not compared.*(client|lock)", nb.tasks().properties.item())


def test_ttl_limits_how_long_a_cell_is_valid(counting: Shell) -> None:
    with FakeClock() as clock:
        counting.ok("%%task t --ttl 1h\nx = 1; calls.append(1)")
        clock.advance(3599)
        counting.ok("%%task t --ttl 1h\nx = 1; calls.append(1)")
        assert calls(counting) == [1]
        clock.advance(2)
        counting.ok("%%task t --ttl 1h\nx = 1; calls.append(1)")
    assert calls(counting) == [1, 1]


def test_a_trailing_semicolon_silences_it_both_times(counting: Shell) -> None:
    assert counting.ok("%%task t\nx = 1\nx;").value is None
    assert counting.ok("%%task t\nx = 1\nx;").value is None


# -- values that cannot be kept -------------------------------------------------------------------


def test_a_value_that_cannot_be_kept_is_named_with_the_way_out(counting: Shell) -> None:
    cell = "%%task t{}\nx = [n]; gen = (i for i in x); calls.append(1)"

    seen = counting.run(cell.format(""))

    assert isinstance(seen.error, nb.ValueNotKeptError)
    assert "gen cannot be recorded" in seen.text
    assert "--outputs x" in seen.text
    assert counting.names["x"] == [1], "nothing is lost"
    counting.ok(cell.format(" --outputs x"))
    counting.names["x"] = None
    counting.ok(cell.format(" --outputs x"))
    assert counting.names["x"] == [1]
    assert calls(counting) == [1, 1]


def test_an_attribute_that_cannot_be_kept_is_named(counting: Shell) -> None:
    counting.run("import threading\nclass Model: pass")

    seen = counting.run("%%task lock --no-tree\nModel.lock = threading.Lock(); Model.size = 5")
    counting.run("class Model: pass")
    again = counting.run("%%task lock --no-tree\nModel.lock = threading.Lock(); Model.size = 5")

    for shown in (seen, again):
        assert "Model.lock is set in this cell, and cannot be recorded" in shown.text
    assert counting.run("Model.size, hasattr(Model, 'lock')").value == (5, False)


def test_an_input_that_is_nested_too_deeply_to_be_compared_is_named(counting: Shell) -> None:
    chain = "h = None\nfor i in range(3000): h = [h]"
    counting.run(chain)
    counting.run("%%task first --no-tree\nx = len(h)")
    counting.run(chain)

    again = counting.run("%%task first --no-tree\nx = len(h)")

    assert "is reused, but h (all that is nested more deeply) cannot be compared" in again.text


def test_outputs_that_the_cell_does_not_have_are_refused_before_it_runs(counting: Shell) -> None:
    line = counting.refused("%%task t --outputs modl\nmodel = 1")

    assert "neither binds nor reads modl. Is it model?" in line


# -- failures, and what resumes -------------------------------------------------------------------


@BOTH
def test_a_failure_shows_the_lines_of_the_cell_and_keeps_its_subtasks(
    counting: Shell, awaits: str
) -> None:
    cell = f"%%task t\nx = {awaits}io.run_task('one', square, 3)\nd = [x][k]\nd"
    counting.ok("k = 1\ndef square(v):\n    calls.append(v)\n    return v * v")

    seen = counting.run(cell)

    assert isinstance(seen.error, IndexError)
    assert frames(seen.text) == ["In[5], line 3"]
    assert "1 # %%task t" in seen.text
    assert PACKAGE not in seen.text
    edited = cell.replace("[k]", "[0]")
    assert counting.ok(edited).value == 9
    assert calls(counting) == [3]
    assert nb.tasks().path.tolist() == ["t", "t/one"]


def test_other_inputs_make_the_subtasks_run_again(counting: Shell) -> None:
    cell = "%%task t\nx = io.run_task('one', lambda: calls.append(n) or n)"
    counting.ok(cell)
    counting.ok("n = 2")
    counting.ok(cell)

    assert counting.names["x"] == 2
    assert calls(counting) == [1, 2]


@pytest.mark.slow
def test_retry_tries_the_cell_again(counting: Shell) -> None:
    counting.ok(
        "%%task t --retry 3\ncalls.append(1)\nx = 1 / (len(calls) - 2 or 1) / (len(calls) > 2)"
    )

    assert calls(counting) == [1, 1, 1]


def test_a_missing_input_keeps_what_is_recorded(counting: Shell) -> None:
    counting.ok(FIT)
    counting.ok("del n")

    seen = counting.run(FIT)

    assert isinstance(seen.error, NameError)
    assert "Run the cells above first" in seen.text
    counting.ok("n = 1")
    counting.ok(FIT)
    assert calls(counting) == ["fit"]


@pytest.mark.parametrize("body", ["model = [n]", "model = use()", "model = [n, m]"])
@pytest.mark.parametrize("choice", ["ignore", "warn", "rerun", "error"])
def test_a_missing_input_is_no_reason_to_refuse_what_may_be_stale(
    counting: Shell, body: str, choice: str
) -> None:
    counting.ok("m = 2\ndef use(): return [n]")
    cell = f"%%task t --on-change {choice}\n{body}; calls.append('t')"
    counting.ok(cell)
    value = counting.names.pop("model")
    counting.ok("del n, m")

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        seen = counting.run(cell)

    assert calls(counting) == ["t"]
    if choice in ("rerun", "error"):
        assert isinstance(seen.error, NameError), seen.text
        assert "model" not in counting.names
    else:
        assert seen.success, seen.text
        assert counting.names["model"] == value
        assert [each.category for each in caught] == [nb.StaleTaskWarning] * (choice == "warn")


def test_an_output_that_is_set_by_hand_is_bound(counting: Shell) -> None:
    cell = "%%task t --as run\nimport math as m\nx = m.pi; y = 2; calls.append(1)\nx"
    counting.ok(cell)
    run = counting.names["run"]

    run.set("t", {"x": 5})
    counting.ok(cell)
    assert counting.names["x"] == 5
    run.skip("t")
    counting.ok(cell)
    assert calls(counting) == [1]
    run.reset("t")
    assert counting.ok(cell).value > 3
    assert calls(counting) == [1, 1]


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ([5], r"of type list\. .*run\.set\('t', \{"),
        (5, "of type int"),
        ("x", "of type str"),
        ({1: 5}, "a value for 1, which the cell neither binds nor reads"),
        ({"models": 5}, "Is it model?"),
        ({"model": 5, "other": 1}, "a value for 'other'"),
        ({"n": 5, None: 1}, "a value for None"),
    ],
)
def test_an_output_set_by_hand_that_gives_the_names_no_values_is_refused(
    counting: Shell, output: Any, message: str
) -> None:
    cell = "%%task t --as run\nmodel = [n]; calls.append(1)"
    counting.ok(cell)
    counting.names["run"].set("t", output)
    del counting.names["model"]

    seen = counting.run(cell)

    assert isinstance(seen.error, nb.NbtasksError)
    assert re.search(message, str(seen.error)), seen.error
    assert "model" not in counting.names
    counting.names["run"].set("t", {"model": [2], "n": 7})
    counting.ok(cell)
    assert counting.names["model"] == [2]
    assert counting.names["n"] == 7
    assert calls(counting) == [1]


@pytest.mark.parametrize(
    "body",
    [
        "import importlib\nm = importlib.import_module('xml.dom.minidom')",
        "m = __import__('json.tool').tool",
        "m = json.decoder",
        "def load():\n    import json.scanner as found\n    return found\nm = load()",
        "for m in [json.encoder]: pass",
        "import sys\nm = sys.modules['json.decoder']",
        "import types\nm = types.ModuleType('made')\nm.x = 1",
    ],
)
def test_a_module_is_bound_again(
    counting: Shell, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting.ok("import json, json.tool")
    cell = f"%%task t\n{body}\ncalls.append(1)"
    counting.ok(cell)
    found = counting.names.pop("m")
    monkeypatch.delitem(sys.modules, found.__name__, raising=False)

    counting.ok(cell)

    again = counting.names["m"]
    assert again.__name__ == found.__name__
    assert vars(again).keys() >= vars(found).keys()
    assert calls(counting) == [1]


def test_replay_only_runs_nothing(counting: Shell) -> None:
    counting.ok("%%task t\nx = 1; calls.append(1)")
    counting.names["x"] = None
    nb.configure(replay="only")
    try:
        counting.ok("%%task t\nx = 1; calls.append(1)")
        seen = counting.run("%%task other\nx = 2; calls.append(2)")
    finally:
        nb.configure(replay=None)

    assert isinstance(seen.error, nb.NotRecordedError)
    assert counting.names["x"] == 1
    assert calls(counting) == [1]


PROBE = "class Probe: pass\nprobe = Probe()\n"
HELD = {
    "a list that it changes": ("rows = [probe]", "rows.append(1)"),
    "a dict that it changes": ("rows = {1: probe}", "rows[2] = 1"),
    "a tuple that it binds": ("rows = (probe,)", "rows += (1,)"),
    "an object that it changes": ("rows = probe", "rows.x = 1"),
    "a list in another": ("rows = [[probe]]; inner = rows[0]", "rows.append(1)"),
    "a set that a function changes": ("rows = {probe}\ndef add(): rows.add(1)", "add()"),
    "a variable that it does not read": ("rows = [probe]", "x = 1"),
    "a copy that it binds": ("rows = [probe]", "inner = list(rows)"),
}


@pytest.mark.slow
@pytest.mark.parametrize("way", ["del rows, probe", "rows = probe = inner = None", "%reset -f"])
@pytest.mark.parametrize("held", HELD)
@only_thorough
def test_a_cell_keeps_nothing_alive_that_the_notebook_has_dropped(
    counting: Shell, held: str, way: str
) -> None:
    before, body = HELD[held]
    counting.ok(f"{PROBE}{before}")
    alive = weakref.ref(counting.names["probe"])
    for _ in range(2):
        counting.ok(f"%%task t\n{body}; calls.append(1)")
    assert calls(counting) == [1], "as it left them, they count as they were before"

    counting.names.pop("inner", None)
    counting.ok(way)

    gc.collect()
    assert alive() is None


def test_an_equal_object_in_the_place_of_a_dropped_one_is_no_result_of_the_cell(
    counting: Shell,
) -> None:
    cell = "%%task t\nrows.append(1); calls.append(1)"
    counting.ok("rows = [0]")
    counting.ok(cell)
    counting.ok("del rows\nrows = [0, 1]")
    counting.ok(cell)

    assert counting.names["rows"] == [0, 1, 1]
    assert calls(counting) == [1, 1]


@pytest.mark.parametrize(
    "body",
    ["best = models[0]", "best = list(models)", "best = {1: models[1]}", "best = holder.model"],
)
def test_a_part_of_an_input_that_the_cell_binds_leaves_the_input_as_it_is(
    counting: Shell, body: str
) -> None:
    made = (
        "class Model: pass\nclass Holder: pass\nmodels = [Model(), Model()]; models[1].x = 2\n"
        "holder = Holder(); holder.model = models[0]"
    )
    second = "%%task b\nn = len(models), holder.model; calls.append('b')"
    cells = [f"%%task a\n{body}; calls.append('a')", second]
    counting.ok(made)
    for _ in range(2):
        for cell in cells:
            counting.ok(cell)
    assert calls(counting) == ["a", "b"]
    counting.ok(f"del best, n\n{made}")
    for cell in (cells[1], *cells):
        counting.ok(cell)

    assert calls(counting) == ["a", "b"], "as after a restart"


# -- the names of the body ------------------------------------------------------------------------


def test_names_that_a_job_cell_gives_are_the_cells_own(counting: Shell) -> None:
    counting.ok("%%task t\nimport io\npayload = io.StringIO('a').read(); ctx = 1")

    assert (counting.names["payload"], counting.names["ctx"]) == ("a", 1)


def test_an_own_variable_io_is_left_alone(counting: Shell) -> None:
    counting.ok("io = 5")
    counting.ok("%%task t\nx = io + 1")

    assert counting.names["x"] == 6


def test_two_names_of_one_object_are_that_again(counting: Shell) -> None:
    cell = "%%task t\na = b = [1]; c = {'a': a}; grid = [[0]] * 2"
    counting.ok(cell)
    for name in "abc":
        counting.names[name] = None
    counting.ok(cell)

    names = counting.names
    assert names["a"] is names["b"] is names["c"]["a"]
    assert names["grid"][0] is names["grid"][1]


# -- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("%%task\nx = 1", "needs the key of the task first"),
        ("%%task t --outputs\nx = 1", "--outputs X,Y"),
        ("%%task t --on-chang warn\nx = 1", "Is it --on-change?"),
        ("%%task t --retry no\nx = 1", "not a number of attempts"),
        ("%%task t --ttl soon\nx = 1", "not a time such as"),
        ("%%task t u\nx = 1", "cannot read 'u'. If it is part of the KEY, quote that: \"t u\"."),
        ("%%task {key}\nx = 1", "takes the key literally"),
        ("%%task t --as io\nx = 1", "Use another name"),
        ("x = 1\n%%task t\ny = 1", "%%task must be the first line"),
        ("%%task t\n%%time\nx = 1", "Write %%time on the first line"),
        ("%%task t\nfrom __future__ import annotations", "cell of its own above"),
    ],
)
def test_a_slip_is_answered_in_one_line(counting: Shell, cell: str, message: str) -> None:
    assert message in counting.refused(cell)


def test_it_works_below_time_and_capture_and_by_run_cell_magic(counting: Shell) -> None:
    for number, cell in enumerate(
        [
            "%%time\n%%task a\nx = 1; calls.append(1)",
            "%%capture out\n%%task b\nx = 2; calls.append(2)",
            "get_ipython().run_cell_magic('task', 'c', 'x = 3; calls.append(3)\\nx')",
        ],
        1,
    ):
        counting.ok(cell)
        counting.names["x"] = None
        counting.ok(cell)
        assert counting.names["x"] == number
    assert calls(counting) == [1, 2, 3]


# -- shared runs ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_cell_of_somebody_else_is_read_once_it_is_trusted(
    counting: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nbtasks.journal import current
    from nbtasks.values import signing

    monkeypatch.setattr(current, "_override", None)
    nb.configure(home=tmp_path / "theirs")
    cell = (
        "%%task t --as run\nimport collections\nx = collections.OrderedDict(a=1); calls.append(1)"
    )
    try:
        counting.ok(cell)
        file = nb.export_run(counting.names["run"], tmp_path / "run.duckdb")
        nb.configure(home=tmp_path / "ours")
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "another user"))
        signing._key.cache_clear()
        (run,) = nb.import_run(file)
        counting.names.pop("x")
        seen = counting.run(cell)
        assert isinstance(seen.error, nb.UntrustedValueError)
        assert "x: " in seen.text
        nb.trust(run)
        counting.ok(cell)
        assert counting.names["x"] == {"a": 1}
        assert calls(counting) == [1]
    finally:
        nb.configure(home=None)
        current.close()
        signing._key.cache_clear()


def test_the_names_of_a_cell_refer_to_what_its_tasks_have_recorded(shell: Shell) -> None:
    shell.ok("import os\nclass Model:\n    def __init__(self, n): self.data = os.urandom(n)")
    shell.ok("%%task fit\nmodels = io.map('fit', Model, [2_000_000, 2_000_001])\nbest = {'m': 1}")

    def size() -> int:
        found = (nb.config.home / "blobs").rglob("*")
        return sum(path.stat().st_size for path in found if path.is_file())

    assert size() < 4_100_000
    del shell.names["models"]
    shell.ok("%%task fit\nmodels = io.map('fit', Model, [2_000_000, 2_000_001])\nbest = {'m': 1}")
    assert [len(model.data) for model in shell.names["models"]] == [2_000_000, 2_000_001]
