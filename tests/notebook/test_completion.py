"""Completion and help in the cells of the extension: in a shell, and as a front end asks for it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from time import process_time
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter

from nbtasks.io.io import AsyncIO, SyncIO
from nbtasks.jobs.runtime import runtime
from nbtasks.notebook.completion import code_before
from nbtasks.notebook.completion.given import Given
from tests.notebook.kernels import TIMEOUT, Kernel
from tests.notebook.shells import Shell


def complete(shell: Shell, text: str, after: str = "") -> list[str]:
    """The words that Tab offers between `text` and `after`."""
    with provisionalcompleter():
        found = list(shell.shell.Completer.completions(text + after, len(text)))
    return [one.text for one in found]


def completed(shell: Shell, text: str) -> list[str]:
    """The lines that the last line may become."""
    with provisionalcompleter():
        found = list(shell.shell.Completer.completions(text, len(text)))
    start = text.rfind("\n") + 1
    return [text[start : one.start] + one.text for one in found]


@pytest.fixture
def with_runs(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setattr(runtime, "jobs", {})  # those of other tests
    shell.ok("import nbtasks as nb")
    shell.ok("%%job delays --version 2 --key ny --as run\nio.run_task('load', square, 3)\n"
             "io.map('fit', square, [1, 2], key_of=str)")  # fmt: skip
    shell.ok("%%job other\nio.run_task(['fold', 1], square, 3)")
    return shell


METHODS = {
    "ask", "background_fetch", "create_status", "logger", "map", "now", "random", "run_task",
    "send_event", "store", "uuid", "wait", "wait_for_event", "yield_",
}  # fmt: skip


@pytest.mark.parametrize(
    "body", ["", "x = ", "x = await ", "print(1, ", "for i in range(3):\n    "]
)
@pytest.mark.parametrize("magic", ["%%job delays --new", "%%task features", "%%time\n%%job delays"])
def test_io_offers_its_methods_and_nothing_else(shell: Shell, magic: str, body: str):
    offered = complete(shell, f"{magic}\nimport os\n{body}io.")

    assert set(offered) >= METHODS
    assert not [name for name in offered if name.startswith("_") or name == "bound_to"]
    assert complete(shell, f"{magic}\n{body}io.run") == ["run_task"]


def test_the_standard_librarys_io_is_not_in_the_way(shell: Shell):
    shell.ok("import io")

    assert complete(shell, "%%job j\nio.run_t") == ["run_task"]
    assert complete(shell, "%%job j\nio.Stri") == ["StringIO"]
    assert "run_task" not in complete(shell, "io.")


@pytest.mark.parametrize(
    ("before", "offered"),
    [
        ("io.logger.", ["debug", "error", "info", "warn"]),
        ("io.store.", ["env", "job", "run"]),
        ("io.store.run.", ["delete", "get", "has", "set"]),
        ("ctx.", ["job", "run"]),
        ("ctx.job.", ["id", "name", "version"]),
        ("ctx.run.", ["execution", "id", "is_new", "key", "started_at"]),
        ("pay", ["payload"]),
        ("payload.key", ["keys"]),
        ('payload["', ["months", "year"]),
        ("payload['y", ["year"]),
    ],
)
def test_what_a_cell_gives_its_body_is_known_without_a_run(
    shell: Shell, before: str, offered: list[str]
):
    cell = """%%job delays --payload {"year": 2013, "months": [1]} --key k\n"""
    found = complete(shell, cell + before)
    assert [name for name in found if name in offered] == offered
    if before.endswith("."):
        assert found == offered


def test_integrations_of_the_notebook_are_offered_with_their_methods(shell: Shell):
    shell.ok(
        "import nbtasks as nb\n"
        "class Mails:\n    def send(self, to): ...\n    def _hidden(self): ...\n"
        "mails = nb.integration(Mails())"
    )

    assert complete(shell, "%%job j\nio.mai") == ["mails"]
    assert complete(shell, "%%job j\nio.mails.") == ["send"]


def test_parameters_of_a_call_are_offered_with_the_names_of_the_notebook(shell: Shell):
    shell.ok("retained = 1")

    offered = complete(shell, '%%job j\nx = io.run_task("load", square, ret')

    assert {"retry=", "retry_on=", "retained"} <= set(offered)
    assert "concurrency=" in complete(shell, "%%job j\nio.map(\n    'fit', square, [1],\n    con")
    assert "on_change=" not in offered


ODD = [
    "io.", "%%time\nio.", "%%job j\nx.", "%%job j\n# io.", "%%job j\nmy.io.", "%%job j\nio..",
    "%%job j\nio.run_task.", "%%job j\nio.nothing.", "%%job j\nx = 'io.",
    "%%job j --payload [\n", "%%job j\npayload.", "%%job\n", "%%job", "%%",
    "%%job j\n\u2028io.\x00", "%%job j\n)]}io.x(((", "%%runs_sql\nselect $", "nb.last_run(",
    "nb.last_run('", "run['", "%tasks ", "%%job j\n'''",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("text", ODD)
def test_completion_never_fails_and_offers_no_methods_where_there_are_none(
    shell: Shell, text: str, monkeypatch: pytest.MonkeyPatch
):
    failed: list[Any] = []
    monkeypatch.setattr(sys, "excepthook", lambda *error: failed.append(error))

    assert "run_task" not in complete(shell, text)
    assert failed == []


@pytest.mark.slow
def test_code_of_the_body_completes_as_in_any_other_cell(shell: Shell):
    cell = "%%job j --key it's\nimport collections\ndef fit(alpha): ...\n"
    assert complete(shell, f"{cell}collections.Count") == ["Counter"]
    assert "fit" in complete(shell, f"{cell}fi")
    assert "alpha=" in complete(shell, f"{cell}fit(al")


def test_recorded_jobs_keys_and_versions_are_offered_on_the_first_line(with_runs: Shell):
    assert complete(with_runs, "%%job ") == ["delays", "other"]
    assert complete(with_runs, "%%job del") == ["delays"]
    assert complete(with_runs, "%%job delays --key ") == ["ny"]
    assert complete(with_runs, "%%job delays --version ") == ["2"]
    assert complete(with_runs, "%%job other --version ") == ["0.0.1"]
    assert "--on-change" in complete(with_runs, "%%job delays --on")


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ('run["', ["fit", "fit/1", "fit/2", "load"]),
        ('run["fi', ["fit", "fit/1", "fit/2"]),
        ("run['fit/", ["fit/1", "fit/2"]),
        ('run.reset("lo', ["load"]),
        ('run.rerun(from_="lo', ["load"]),
        ('run.fork("lo', ["load"]),
        ('run.set("lo', ["load"]),
        ('nb.last_run("delays")["lo', ["load"]),
        ('nb.last_run()["', ["fold[1]"]),
        ('nb.last_run("del', ["delays"]),
        ('nb.runs(job="o', ["other"]),
        ('nb.tasks(status="CO', ["COMPLETED"]),
        ('nb.tasks(status=["COMPLETED", "FA', ["FAILED"]),
        ('nb.runs("', ["delays", "other"]),
        ('nb.configure(echo="', ["fold", "hide", "show"]),
        ('nb.configure(durability="', ["relaxed", "task"]),
        ('@nb.task(on_change="re', ["rerun"]),
        ("%runs o", ["other"]),
        ("%tasks de", ["delays"]),
        ("frame = %tasks del", ["delays"]),
    ],
)
@pytest.mark.parametrize("magic", ["", "%%job j\n"])
def test_jobs_paths_statuses_and_settings_are_offered_in_strings(
    with_runs: Shell, text: str, offered: list[str], magic: str
):
    assert complete(with_runs, magic + text) == offered


def test_runs_are_offered_by_their_variables_and_ids(with_runs: Shell):
    run_id = with_runs.names["run"].id

    assert complete(with_runs, "%tree ru") == ["run"]
    assert run_id in complete(with_runs, "%tree ")
    assert complete(with_runs, f'nb.get_run("{run_id[:-1]}') == [run_id]
    assert completed(with_runs, f'x = nb.tasks("{run_id[:-2]}') == [f'x = nb.tasks("{run_id}']


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("select * from tas", ["tasks"]),
        ("select * from runs join ev", ["events"]),
        ("select t.sec|\nfrom tasks as t where true", ["seconds"]),
        ("select path, error_t| from tasks", ["error_type"]),
        ("SELECT * FROM TAS", ["tasks"]),
        ("select * from run", ["runs"]),
        ("select * from fra", ["frame"]),
        ("select frame.dis| from frame", ["distance"]),
        ("select * from tasks where seconds > $lea", ["least"]),
        ("SELECT * FROM TASKS WHERE stat", ["status", "statuses"]),
    ],
)
def test_tables_columns_and_placeholders_are_offered_in_a_query(
    shell: Shell, text: str, offered: list[str]
):
    shell.ok(
        "import pandas as pd\nimport nbtasks as nb\n"
        "frame = pd.DataFrame({'distance': [1]})\nleast = 3"
    )
    before, _, after = text.partition("|")

    found = complete(shell, f"%%runs_sql --as slow\n{before}", after)
    assert [name for name in found if name in offered] == offered
    assert "print" not in found
    if "\n" not in text:
        assert [name for name in complete(shell, f'nb.sql("{before}', after) if name in offered]


def test_a_look_up_takes_little_of_the_processor(shell: Shell):
    complete(shell, "%%job j\nio.")
    began = process_time()
    for _ in range(20):
        assert complete(shell, '%%job j\nx = io.run_task("load", square)\nio.run') == ["run_task"]
    assert (process_time() - began) / 20 < 0.05


@pytest.mark.parametrize(
    ("text", "names"), [('run["lo', ["load"]), ("%%job ", ["delays", "other"])]
)
def test_recorded_names_take_little_of_the_processor(with_runs: Shell, text: str, names: list[str]):
    complete(with_runs, 'run["')
    began = process_time()
    assert complete(with_runs, text) == names
    assert process_time() - began < 0.2


def test_it_adds_no_name_and_goes_with_the_extension(shell: Shell):
    before = set(shell.names)
    complete(shell, "%%job j\nio.")
    shell.ok("io.run_task?")
    assert set(shell.names) - before <= {"_i", "_ii", "_iii", "Out", "In"} | {
        name for name in shell.names if re.fullmatch(r"_i?\d+", name)
    }

    shell.ok("%unload_ext nbtasks")

    assert "run_task" not in complete(shell, "%%job j\nio.")
    assert "not found" in shell.run("io.run_task?").text
    assert "_object_find" not in vars(shell.shell)


# -- help -----------------------------------------------------------------------------------------


def test_help_shows_signature_and_text_of_a_method(shell: Shell):
    text = shell.ok("io.run_task?").text

    assert re.search(r"Signature:\s+io\.run_task\(", text)
    assert "self" not in text.partition("Docstring")[0]
    assert (SyncIO.run_task.__doc__ or "").splitlines()[0] in text


@pytest.mark.parametrize("path", ["io", "io.logger", "io.store.run.get", "ctx", "ctx.run"])
def test_help_is_there_for_all_that_a_cell_gives(shell: Shell, path: str):
    assert "not found" not in shell.ok(f"{path}?").text


def test_every_public_attribute_of_io_is_known():
    for cell, kind in (("%%job j\n", SyncIO), ("%%job j\nawait x", AsyncIO)):
        given = Given(cell, {})
        for name in given.members("io"):
            found = given.find(f"io.{name}")
            assert not isinstance(found, property), name
            assert callable(found) or given.members(f"io.{name}"), name
        assert {name for name in vars(kind) if not name.startswith("_")} <= set(given.members("io"))


def test_the_name_of_the_notebook_comes_first_outside_of_a_cell(shell: Shell):
    shell.ok("import io\nctx = 3")

    assert "Type:        module" in shell.ok("io?").text
    assert "Type:        int" in shell.ok("ctx?").text
    assert "Text I/O implementation" in shell.ok("io.StringIO?").text


# -- as a front end asks --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with Kernel(tmp_path_factory.mktemp("completion")) as started:
        started.ask("%load_ext nbtasks\nimport nbtasks as nb\nimport io")
        started.ask("class Mails:\n    def send(self, to: str) -> str:\n        'Send a mail.'\n"
                    "mails = nb.integration(Mails())")  # fmt: skip
        yield started


def tab(kernel: Kernel, code: str) -> list[str]:
    """The lines that a complete_request makes of the last line."""
    client = kernel.client
    reply = client.complete(code, len(code), reply=True, timeout=TIMEOUT)["content"]
    assert reply["status"] == "ok"
    assert reply["cursor_end"] == len(code)
    return [
        (code[: reply["cursor_start"]] + match).rpartition("\n")[2] for match in reply["matches"]
    ]


def shift_tab(kernel: Kernel, code: str, cursor: int | None = None) -> str:
    reply = kernel.client.inspect(code, cursor, reply=True, timeout=TIMEOUT)["content"]
    text = str(reply["data"].get("text/plain", ""))
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.mark.slow
def test_tab_in_a_kernel_completes_in_place(kernel: Kernel):
    kernel.ask("%%job delays --as run\nio.run_task('load', int, 3)")

    assert tab(kernel, "%%job delays\nx = io.run") == ["x = io.run_task"]
    assert tab(kernel, "%%job delays\nx = io.mails.") == ["x = io.mails.send"]
    assert tab(kernel, 'nb.get_run("delay') == ['nb.get_run("delays']
    assert tab(kernel, 'run["lo') == ['run["load']
    assert tab(kernel, "%%job delays --on-c") == ["%%job delays --on-change"]
    assert tab(kernel, "%%job delays --on-change re") == ["%%job delays --on-change rerun"]
    assert tab(kernel, "%%runs_sql\nselect * from task") == ["select * from tasks"]
    assert "f = io.StringIO" in tab(kernel, "%%job delays\nf = io.StringI")


@pytest.mark.slow
def test_shift_tab_in_a_kernel_shows_the_signature(kernel: Kernel):
    for magic in ("%%job delays --key 'it", "%%task features", "# note\n%%time\n%%job delays"):
        text = shift_tab(kernel, f"{magic}\nx = io.run_task(")
        assert re.search(r"Signature:\s+io\.run_task\(\s*key", text), (magic, text)
    assert re.search(r"Signature:\s+io\.map\(", shift_tab(kernel, "%%job j\nx = io.map('fit', f, "))
    assert "SyncIO" in shift_tab(kernel, "%%job j\nio")
    assert "AsyncIO" in shift_tab(kernel, "%%job j\nawait io.now('n')\nio")
    text = shift_tab(kernel, "%%job j\nio.mails.send(")
    assert re.search(r"io\.mails\.send\(key, /, to: str\)", text)
    assert "Send a mail." in text
    assert "Make the cell durable" in shift_tab(kernel, "%%job delays --new\nx = 1", 8)
    assert "Type:        module" in shift_tab(kernel, "io")
    assert "Text I/O implementation" in shift_tab(kernel, "%%job j\nio.StringIO(")
    assert "len(obj, /)" in shift_tab(kernel, "%%job j\nlen(")


@pytest.mark.slow
def test_the_first_completion_in_a_kernel_loads_no_duckdb_and_little_else(tmp_path: Path):
    took = "import sys, time; round(time.process_time(), 3)"
    with Kernel(tmp_path) as kernel:
        kernel.ask("%load_ext nbtasks")
        began = float(kernel.ask(took))
        assert "io.run_task" in tab(kernel, "%%job j\nio.")
        assert float(kernel.ask(took)) - began < 1.0
        assert kernel.ask("{'duckdb', '_duckdb'} & {*sys.modules}") == "set()"


def test_the_code_before_the_cursor_is_understood_however_broken_it_is():
    broken = ["", "(", ")", "'", '"""a', "f(a, b=", "x = [", "é.ü.", "f'{x", "\\", "#", "a(b)[c].d"]
    for code in broken:
        code_before.analyse(code)
    found = code_before.analyse("x = nb.get_run('a, (b', key=[1, 2]).tasks(path=")
    assert found.call is not None
    assert found.call.callee == "nb.get_run('a, (b', key=[1, 2]).tasks"
    assert found.call.keyword == "path"
    assert code_before.analyse("# it is here").in_comment
    assert code_before.analyse("x = 'it is here'  ").string is None
