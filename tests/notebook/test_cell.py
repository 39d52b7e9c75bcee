"""A `%%job` cell in an IPython shell: it stays an ordinary cell."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import nbtasks as nb
from nbtasks.jobs import session
from nbtasks.jobs.runtime import runtime
from nbtasks.journal import current
from nbtasks.journal.database import queries
from nbtasks.journal.database.file import DatabaseFile
from nbtasks.journal.home.home_journal import HomeJournal
from nbtasks.notebook import cell as cells
from tests.notebook.shells import BOTH, Shell
from tests.stopping import EVERY, StopAt

# -- an ordinary cell -----------------------------------------------------------------------------


@BOTH
def test_names_land_in_the_namespace_and_the_last_expression_is_the_out(
    shell: Shell, awaits: str
) -> None:
    seen = shell.ok(f"%%job j\nx = {awaits}io.run_task('square', square, 4)\nx + 1")

    assert (shell.names["x"], seen.value, seen.text) == (16, 17, "Out[3]: 17\n")
    assert shell.names["_"] == shell.names["Out"][3] == 17


@BOTH
def test_executed_again_tasks_are_answered_from_the_journal(shell: Shell, awaits: str) -> None:
    cell = f"%%job j --as run\n{awaits}io.run_task('square', square, 4)"

    assert [shell.ok(cell).value for _ in range(3)] == [16, 16, 16]
    assert shell.names["calls"] == [4]
    assert shell.names["run"].executions == 3


def test_a_cell_may_change_its_form(shell: Shell) -> None:
    """The same run goes on when the body awaits where it did not before."""
    shell.ok("%%job j\nio.run_task('square', square, 4)")

    assert shell.ok("%%job j\nawait io.run_task('square', square, 4)").value == 16
    assert shell.names["calls"] == [4]


@BOTH
@pytest.mark.parametrize("end", [";", " ; ", ";  # a comment", ";\n# a comment\n"])
def test_a_trailing_semicolon_silences_the_out(shell: Shell, awaits: str, end: str) -> None:
    assert shell.ok(f"%%job j\n{awaits}io.run_task('square', square, 4){end}").text == ""


@BOTH
def test_statements_at_the_end_show_nothing(shell: Shell, awaits: str) -> None:
    seen = shell.ok(f"%%job j\nx = {awaits}io.run_task('square', square, 4)\nif x:\n    x")

    assert (seen.text, seen.value) == ("", None)


@pytest.mark.slow
def test_none_shows_nothing(shell: Shell) -> None:
    assert shell.ok("%%job j\nio.run_task('t', int)\nNone").text == ""


@pytest.mark.parametrize(
    "cell", ["%%job j", "%%job j\n", "%%job j\n\n# nothing yet\n", "\n\n%%job j\n\n"]
)
def test_an_empty_body_is_a_run_without_tasks(shell: Shell, cell: str) -> None:
    shell.ok(cell)

    assert nb.last_run("j").status == "COMPLETED"


def test_comments_may_stand_above_the_first_line(shell: Shell) -> None:
    assert shell.ok("# %% a cell\n\n%%job j\nctx.job.id").value == "j"


@BOTH
def test_shell_commands_and_magics_work_in_the_body(shell: Shell, awaits: str) -> None:
    seen = shell.ok(
        f"%%job j\n{awaits}io.run_task('square', square, 2)\n"
        "here = %pwd\nfiles = !echo one two\n!echo three\n%pwd"
    )

    assert shell.names["files"] == ["one two"]
    assert seen.value == shell.names["here"] == str(Path.cwd())
    assert seen.lines[0] == "three"


def test_outputs_stand_in_the_order_in_which_they_came(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal cannot redraw, so its tree comes at the end of the execution."""
    monkeypatch.setenv("NBTASKS_TREE", "1")
    body = (
        "print('one')\nio.run_task('noisy', print, 'two')\ndisplay('three')\nprint('four')\n'end'"
    )

    told = shell.ok(f"%%job j\n{body}").lines

    assert told[:4] == ["one", "two", "'three'", "four"]
    assert "noisy" in "\n".join(told[4:-1])
    assert told[-1] == "Out[3]: 'end'"
    assert shell.ok(f"%%job j --no-tree\n{body}").lines[:3] == ["one", "'three'", "four"]


def test_executed_again_it_shows_its_tree_without_opening_the_database(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NBTASKS_TREE", "1")
    cell = "%%job j\nio.run_task('square', square, 4); io.run_task('double', square, 2)"
    journal = HomeJournal(tmp_path / "home", durable=False)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the file was opened")

    with current.override(journal):
        shell.ok(cell)
        with monkeypatch.context() as patch:
            patch.setattr(DatabaseFile, "open_to_read", refuse)
            patch.setattr(DatabaseFile, "open_to_write", refuse)
            text = shell.ok(cell).text
        journal.close()

    assert "2 reused" in text
    assert re.search(r"↺ square .*\n.*↺ double ", text)


@pytest.mark.slow
def test_a_tree_of_many_recorded_tasks_is_that_of_few(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A new kernel reads all fields of a run's tasks at once only if they are few."""
    monkeypatch.setenv("NBTASKS_TREE", "1")
    cell = "%%job j\nfor n in range(4): io.run_task(('t', n), square, n)"
    trees = []
    for few in (500, 3):
        monkeypatch.setattr(queries, "_FEW_TASKS", few)
        home = tmp_path / str(few)
        for _ in range(2):
            journal = HomeJournal(home, durable=False)
            with current.override(journal):
                lines = shell.ok(cell).lines
            journal.close()
        trees.append([line.split()[:2] for line in lines if not line.startswith("run ")])

    assert trees[0] == trees[1]
    assert shell.names["calls"] == [0, 1, 2, 3] * 2


@pytest.mark.parametrize(
    ("interactivity", "told"),
    [
        ("last_expr", ["Out[3]: 3"]),
        ("none", []),
        ("all", ["Out[3]: 1", "Out[3]: 2", "Out[3]: 3"]),
        ("last_expr_or_assign", ["Out[3]: 3"]),
    ],
)
@BOTH
def test_what_the_shell_shows_is_up_to_its_setting(
    shell: Shell, interactivity: str, told: list[str], awaits: str
) -> None:
    shell.shell.ast_node_interactivity = interactivity

    seen = shell.ok(f"%%job j\n1\nx = {awaits}io.run_task('t', int, 2)\nx\nx + 1")

    assert seen.lines == told


def test_a_last_assignment_is_shown_where_the_shell_is_set_so(shell: Shell) -> None:
    shell.shell.ast_node_interactivity = "last_expr_or_assign"

    assert shell.ok("%%job j\nx = io.run_task('t', int, 2)").text == "Out[3]: 2\n"
    assert shell.ok("%%job j\nx += 1").text == "Out[4]: 3\n"
    assert shell.ok("%%job j\nx: int = 5;").text == ""


def test_where_autoawait_is_off_an_await_is_a_syntax_error_of_its_line(shell: Shell) -> None:
    shell.ok("%autoawait off")

    seen = shell.run("%%job j\nx = 1\nawait x")

    assert isinstance(seen.error, SyntaxError)
    assert seen.lines[0].strip() == "Cell In[4], line 3"
    assert shell.ok("%%job j\nx = 1\nx").value == 1


def test_it_works_within_other_cell_magics_that_run_cells(shell: Shell) -> None:
    shell.ok("%%capture told\n%%job j\nprint('captured')\nio.run_task('square', square, 3)")

    assert shell.names["told"].stdout.startswith("captured\n")
    assert "Wall time" in shell.ok("%%time\n%%job j\nio.run_task('square', square, 3)").text
    assert shell.names["calls"] == [3]


@pytest.mark.parametrize("outer", ["%%prun", "%%timeit -n1 -r1"])
@pytest.mark.parametrize("magic", ["%%job", "%%task"])
def test_within_magics_that_compile_their_body_themselves_it_is_refused(
    shell: Shell, outer: str, magic: str
) -> None:
    seen = shell.run(f"{outer}\n{magic} j\nio.run_task('square', square, 3)")

    assert not seen.success
    assert f"CellRefusedError: {magic} must be the first line of a cell" in seen.text
    assert shell.names["calls"] == []
    assert nb.runs().empty


# -- what the body is given -----------------------------------------------------------------------


@BOTH
def test_the_body_finds_io_ctx_and_payload(shell: Shell, awaits: str) -> None:
    seen = shell.ok(
        "%%job delays --name 'All delays' --version 1.2.0 --payload {'a': [1, calls]} --key k\n"
        f"{awaits}io.run_task('square', square, 1)\n"
        "type(io).__name__, ctx.job.id, ctx.job.name, ctx.job.version, ctx.run.key, payload"
    )

    form = "AsyncIO" if awaits else "SyncIO"
    assert seen.value == (form, "delays", "All delays", "1.2.0", "k", {"a": [1, [1]]})


@BOTH
@pytest.mark.parametrize("ending", ["1", "1 / 0", "raise KeyboardInterrupt", "exec('del io')"])
def test_they_are_put_back_however_the_cell_ends(shell: Shell, awaits: str, ending: str) -> None:
    shell.ok("io, payload = 'mine', 'too'")

    shell.run(f"%%job j\n{awaits}io.run_task('square', square, 1)\n{ending}")

    assert (shell.names["io"], shell.names["payload"]) == ("mine", "too")
    assert "ctx" not in shell.names


def test_the_payload_may_be_made_of_names_that_it_covers(shell: Shell) -> None:
    shell.ok("payload = 20")

    assert shell.ok("%%job j --payload payload + 1\npayload").value == 21
    assert shell.names["payload"] == 20


def test_another_payload_is_another_run(shell: Shell) -> None:
    for month in (1, 2, 1):
        shell.ok(f"month = {month}")
        shell.ok("%%job j --payload {'month': month}\nio.run_task('square', square, month)")

    assert shell.names["calls"] == [1, 2]
    assert nb.runs("j").executions.tolist() == [1, 2]


def test_new_begins_a_new_run_and_so_does_a_raised_version(shell: Shell) -> None:
    for options in ("", "--new", "", "--version 2"):
        shell.ok(f"%%job j {options}\nio.run_task('square', square, 1)")

    assert nb.runs("j")[["version", "executions"]].values.tolist() == [
        ["2", 1],
        ["0.0.1", 2],
        ["0.0.1", 1],
    ]


def test_the_text_of_the_cell_is_recorded(shell: Shell) -> None:
    cell = "%%job j --new\nx = !echo 1\nx\n"
    shell.ok(cell)

    assert runtime.journal.runs(job="j")[0].source == cell


@BOTH
def test_as_binds_the_run_even_if_the_cell_fails(shell: Shell, awaits: str) -> None:
    shell.run(f"%%job j --as mine\n{awaits}io.run_task('bad', bad, 0)")

    run = shell.names["mine"]
    assert isinstance(run, nb.Run)
    assert (run.status, run.id) == ("FAILED", nb.last_run("j").id)


def test_the_output_is_the_last_expression(shell: Shell) -> None:
    shell.ok("%%job j --as run\n{'n': 3};")

    assert shell.names["run"].output == {"n": 3}


def test_a_last_expression_may_be_something_that_cannot_be_recorded(shell: Shell) -> None:
    seen = shell.ok("%%job j --as run\nio")

    assert "SyncIO" in seen.text
    assert (shell.names["run"].status, shell.names["run"].output) == ("COMPLETED", None)


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.parametrize("magic", ["%%job j --as run", "%%task j --as run"])
@BOTH
def test_stopped_on_any_line_before_and_after_its_body_it_is_let_go(
    shell: Shell, awaits: str, magic: str
) -> None:
    """Else its run would be taken as long as the kernel lives."""
    functions = ("__enter__", "__aenter__", "_open", "_bind", "_begin", "_prepare", "_leave_body")
    text = f"{magic}\n{awaits}io.run_task('square', square, 4)"
    lines = 0
    for line in range(0, 300, EVERY):
        with StopAt(line, [cells, session], functions) as stop:
            shell.run(text)
        if not stop.pressed:
            break
        lines += EVERY
        assert shell.ok(text).value == 16
        assert shell.names["run"].status == "COMPLETED"

    assert lines > 30
    assert shell.names["calls"] == [4]


# -- elsewhere ------------------------------------------------------------------------------------


@BOTH
def test_its_plain_tasks_run_in_an_engine_of_the_notebook(shell: Shell, awaits: str) -> None:
    shell.ok("import threading\nfrom concurrent.futures import ThreadPoolExecutor")
    shell.ok("mine = ThreadPoolExecutor(1, thread_name_prefix='mine')")
    shell.ok("def here(): return threading.current_thread().name")

    seen = shell.ok(f"%%job elsewhere --on mine\n{awaits}io.run_task('t', here)")

    assert seen.value == "mine_0"
    shell.ok("mine.shutdown()")


def test_its_resources_go_to_the_engine_of_the_first_line(shell: Shell) -> None:
    shell.ok("from concurrent.futures import ThreadPoolExecutor\nmine = ThreadPoolExecutor(1)")
    body = "io.run_task('t', abs, -1)"

    said = shell.refused(f"%%job needs --on mine --resources GPU=1\n{body}")

    assert (
        "ThreadPoolExecutor doesn't support resources=" in said
    )  # as with on= and resources= of a job
    assert shell.ok(f"%%job stays --resources GPU=1\n{body}").value == 1
    shell.ok("mine.shutdown()")


def test_an_engine_that_is_none_is_refused_in_one_line(shell: Shell) -> None:
    line = shell.refused("%%job elsewhere --on claster\nio.run_task('t', abs, 1)")

    assert "There is no engine 'claster'" in line
    assert "nb.register_engine('claster', engine)" in line
    shell.ok("client = 3")
    assert "not 3" in shell.refused("%%job elsewhere --on client\nio.run_task('t', abs, 1)")
