"""`%load_ext nbtasks`: the magic as a function, and the other magics."""

from __future__ import annotations

import builtins
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell

import nbtasks as nb
from nbtasks.journal import current
from nbtasks.journal.home import merges
from nbtasks.notebook import cell_options
from nbtasks.notebook.line_parser import LineParser
from nbtasks.notebook.magics import SQL_PARSER
from tests.notebook.shells import BOTH, PACKAGE, Shell, frames
from tests.thorough import only_thorough


def completions(shell: Shell, text: str) -> list[str]:
    """The words that Tab offers at the end of the text."""
    with provisionalcompleter():
        return [word.text for word in shell.shell.Completer.completions(text, len(text))]


# -- the magic as a function ----------------------------------------------------------------------


@BOTH
def test_run_cell_magic_runs_a_body_and_gives_its_value(shell: Shell, awaits: str) -> None:
    call = f"""get_ipython().run_cell_magic("job", "j --as run", \"\"\"x = 3
{awaits}io.run_task("square", square, x)
\"\"\")"""

    assert shell.ok(call).value == 9
    assert shell.ok(f"[{call}, 1]").value == [9, 1]
    assert shell.names["calls"] == [3]
    assert (shell.names["x"], shell.names["run"].executions) == (3, 2)
    assert "io" not in shell.names


def test_run_cell_magic_in_the_body_of_another_job_gives_io_back(shell: Shell) -> None:
    seen = shell.ok(
        "%%job outer\n"
        "get_ipython().run_cell_magic('job', 'inner', 'io.run_task(\"square\", square, 2)')\n"
        "io.run_task('square', square, 3), ctx.job.id"
    )

    assert seen.value == (9, "outer")
    assert sorted(nb.tasks()[["job", "path"]].values.tolist()) == [
        ["inner", "square"],
        ["outer", "square"],
    ]


@pytest.mark.slow
def test_run_cell_magic_honours_a_semicolon_and_shows_own_frames_only(shell: Shell) -> None:
    body = 'io.run_task("t", int);'
    assert shell.ok(f"get_ipython().run_cell_magic('job', 'j', '{body}')").text == ""

    seen = shell.run(
        "get_ipython().run_cell_magic('job', 'j', 'x = 0\\nio.run_task(\"b\", bad, x)')"
    )

    assert frames(seen.text) == ["In[4], line 1", "In[4], line 3", "In[2], line 9, in bad(x)"]
    assert PACKAGE not in seen.text


# -- loading --------------------------------------------------------------------------------------


def state(shell: InteractiveShell) -> tuple[Any, ...]:
    tables = shell.magics_manager.magics
    return (
        {kind: sorted(table) for kind, table in tables.items()},
        list(shell.ast_transformers),
        list(shell.input_transformers_cleanup),
        list(shell.Completer.custom_matchers),
        dict(shell.builtin_trap.auto_builtins),
        "JobMagics" in shell.magics_manager.registry,
    )


def test_loading_adds_no_name(bare: Shell) -> None:
    bare.ok("1")
    before, outside = set(bare.names), set(vars(builtins))

    bare.ok("%load_ext nbtasks")

    assert {name for name in set(bare.names) - before if not name.startswith("_i")} == set()
    assert set(vars(builtins)) == outside
    assert bare.ok("%who").text.strip() == "Interactive namespace is empty."


def test_loading_twice_and_reloading_change_nothing(shell: Shell) -> None:
    loaded = len(shell.shell.ast_transformers), len(shell.shell.input_transformers_cleanup)

    nb.load_ipython_extension(shell.shell)
    shell.ok("%reload_ext nbtasks")

    assert loaded == (
        len(shell.shell.ast_transformers),
        len(shell.shell.input_transformers_cleanup),
    )
    assert shell.ok("%%job j\nio.run_task('square', square, 3)").value == 9


def test_unloading_restores_everything(bare: Shell) -> None:
    bare.shell.push({"mine": lambda line: "mine"})
    bare.ok("get_ipython().register_magic_function(mine, 'line', 'tasks')")
    before = state(bare.shell)

    bare.ok("%load_ext nbtasks")
    assert state(bare.shell) != before
    bare.ok("%unload_ext nbtasks")

    assert state(bare.shell) == before
    assert bare.ok("%tasks").value == "mine"
    assert "Cell magic `%%job` not found" in bare.run("%%job j\n1").text


def test_it_can_be_used_in_the_cell_that_loads_it(bare: Shell) -> None:
    seen = bare.ok("%load_ext nbtasks\nget_ipython().run_cell_magic('job', 'j', 'ctx.job.id')")

    assert seen.value == "j"


@pytest.mark.slow
@only_thorough
def test_it_survives_a_reset_of_the_namespace(shell: Shell) -> None:
    shell.ok("%reset -f")

    assert shell.ok("%%job j\nctx.job.id").value == "j"


def test_the_magic_is_found_by_help_completion_and_lsmagic(shell: Shell) -> None:
    assert "Make the cell durable" in shell.ok("%%job?").text
    assert "%%job" in completions(shell, "%%jo")
    assert "%%job" in str(shell.ok("%lsmagic").value)


@pytest.mark.parametrize("parser", [cell_options.PARSER, SQL_PARSER], ids=lambda p: p.prog)
def test_the_help_of_a_magic_shows_every_option_with_its_help(
    shell: Shell, parser: LineParser
) -> None:
    shown = " ".join(shell.ok(f"%{parser.prog}?").text.split())

    for option, action in parser._option_string_actions.items():
        assert option in shown
        assert " ".join((action.help or "nothing").split()) in shown


@pytest.mark.parametrize("parser", [cell_options.PARSER, SQL_PARSER], ids=lambda p: p.prog)
def test_completion_offers_every_option(shell: Shell, parser: LineParser) -> None:
    options = sorted(parser._option_string_actions)

    assert completions(shell, f"%{parser.prog} j --") == options
    for option in options:
        assert option in completions(shell, f"%{parser.prog} j {option[:-1]}")


def test_completion_offers_what_an_option_may_be(shell: Shell) -> None:
    assert completions(shell, "%%job j --on-change ") == ["error", "ignore", "rerun", "warn"]
    assert completions(shell, "%%job j --on-change=r") == ["rerun"]
    assert completions(shell, "%%job j --replay ") == ["only"]


def test_completion_offers_no_option_twice(shell: Shell) -> None:
    offered = completions(shell, "%%job j --new --key=k --")

    assert "--name" in offered
    assert {"--new", "--key"}.isdisjoint(offered)


@pytest.mark.slow
def test_completion_in_a_payload_and_in_the_body_is_that_of_python(shell: Shell) -> None:
    shell.ok("a_long_name = 1")

    assert "a_long_name" in completions(shell, "%%job j --payload [1, a_lo")
    assert "a_long_name" in completions(shell, "%%job j\na_lo")


def test_a_terminal_goes_on_asking_until_a_blank_line(shell: Shell) -> None:
    assert shell.shell.check_complete("%%job j")[0] == "incomplete"
    assert shell.shell.check_complete("%%job j\nx = 1")[0] == "incomplete"
    assert shell.shell.check_complete("%%job j\nx = 1\n\n")[0] == "complete"


# -- the other magics -----------------------------------------------------------------------------


@pytest.mark.slow
def test_the_line_magics_give_what_the_functions_give(shell: Shell) -> None:
    shell.ok("%%job a --as mine\nio.run_task('square', square, 3)")
    shell.ok("%%job b\nio.run_task('square', square, 3)")
    run = shell.names["mine"]

    assert shell.ok("%runs").value.equals(nb.runs())
    assert shell.ok("%runs a").value.equals(nb.runs("a"))
    assert shell.ok("%tasks").value.equals(nb.tasks())
    assert shell.ok("%tasks mine").value.equals(nb.tasks(run))
    assert shell.ok(f"%tasks {run.id}").value.equals(nb.tasks(run))
    assert str(shell.ok("%tree").value) == str(nb.tree())
    assert run.id in str(shell.ok("%tree mine").value)
    assert shell.run("%tree nope").lines[-1].startswith("NotFoundError: There is no run 'nope'")


def test_explain_says_what_an_error_means_and_knows_the_nearest(shell: Shell) -> None:
    told = shell.ok("%explain RunBusyError").text

    assert told.startswith("RunBusyError\n")
    assert told == shell.ok("%explain nb.RunBusyError").text
    assert "errors.html#nbtasks.RunBusyError" in told
    assert "Is it RunBusyError?" in shell.run("%explain RunBsyError").text


def test_job_status_tells_what_is_under_way(shell: Shell) -> None:
    assert shell.ok("%job_status").text.startswith("Nothing is running or waiting in ")

    shell.ok("%%job delays --version 2 --as run\ntold = !echo\n%job_status")
    told = shell.ok("%%job delays --version 2\nio.run_task('t', int);\n%job_status").lines

    assert len(told) == 1
    assert told[0].startswith("RUNNING  delays 2  since ")
    assert shell.names["run"].id in told[0]


def test_a_plain_cell_finds_what_the_cells_before_have_recorded_in_the_file(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current, "_override", None)
    monkeypatch.setattr(merges, "SETTLE_SECONDS", 60)
    shell.ok("%%job counted\nio.run_task('one', int)")
    shell.ok("%%task two\nx = 2")
    look = f"""import duckdb
with duckdb.connect({str(nb.config.home / "journal.duckdb")!r}, read_only=True) as con:
    paths = con.execute("select path from tasks order by path").fetchall()
[path for (path,) in paths]"""

    assert shell.ok(look).value == ["one", "two"]
