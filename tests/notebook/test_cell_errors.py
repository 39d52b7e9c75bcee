"""A `%%job` cell that does not end well: what it shows, and how it goes on."""

from __future__ import annotations

import itertools
import signal
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.core import front_end
from nbtasks.jobs.runtime import runtime
from nbtasks.notebook.scopes import ENTRY
from tests.notebook.shells import BOTH, PACKAGE, Shell, frames

# -- errors ---------------------------------------------------------------------------------------


@BOTH
def test_a_failed_task_shows_the_line_of_the_cell_and_of_the_function(
    shell: Shell, awaits: str
) -> None:
    cell = f"%%job j --new\n\n# a comment\nx = 0\n{awaits}io.run_task('bad', bad, x)\nx"

    seen = shell.run(cell)

    assert isinstance(seen.error, nb.TaskFailed)
    assert isinstance(seen.error, ZeroDivisionError)
    assert frames(seen.text) == ["In[3], line 5", "In[2], line 9, in bad(x)"]
    assert f"----> 5 {awaits}io.run_task('bad', bad, x)" in seen.text
    assert "----> 9     return 1 / x" in seen.text
    assert "1 # %%job j --new" in seen.text
    assert seen.lines[-2] == "ZeroDivisionError: division by zero"
    assert seen.lines[-1].startswith("TaskFailed: task 'bad', run ")
    assert PACKAGE not in seen.text
    assert ENTRY not in seen.text


@BOTH
def test_an_error_of_the_body_shows_its_own_line(shell: Shell, awaits: str) -> None:
    body = f"x = {awaits}io.run_task('t', int, 0)\ndef inner():\n    return 1 / x\ninner()\n"

    seen = shell.run(f"%%job j\n{body}")

    assert frames(seen.text) == ["In[3], line 5", "In[3], line 4, in inner()"]
    assert seen.lines[-1] == "ZeroDivisionError: division by zero"


def test_no_frame_of_the_engine_shows_in_chained_errors_and_groups(shell: Shell) -> None:
    chained = (
        "try:\n    io.run_task('bad', bad, 0)\nexcept Exception as e:\n    raise KeyError('k')"
    )
    grouped = (
        "import asyncio\nasync with asyncio.TaskGroup() as group:\n"
        "    group.create_task(io.run_task('bad', bad, 0))"
    )

    for body in (chained, grouped):
        seen = shell.run(f"%%job j --new\n{body}")

        assert not seen.success
        assert "division by zero" in seen.text
        assert PACKAGE not in seen.text


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("x = 1\ny = = 2\n", 3),
        ("x = 1\nreturn x\n", 3),
        ("if x:\ny\n", 3),
        ("'''\nnever closed\n", 2),
        ("await x\nreturn\n", 3),
        ("def f():\n    await x\n", 3),
    ],
)
def test_a_syntax_error_points_at_its_line_and_nothing_runs(
    shell: Shell, body: str, line: int
) -> None:
    seen = shell.run(f"%%job j\n{body}")

    assert isinstance(seen.error, SyntaxError)
    assert seen.lines[0].strip().startswith(f"Cell In[3], line {line}")
    assert nb.runs().empty


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("%%job j\nx = 1\nimport io", "line 3: `import io` would rebind io, which %%job provides"),
        ("%%job j\nawait x\nctx = 1", "line 3: `ctx` as a target would rebind ctx"),
        (
            "%%job j\nfrom __future__ import annotations\nawait x",
            "line 2: `from __future__ import annotations` cannot be used in a %%job cell",
        ),
        ("%%job j --retries 3\nx = 1", "has no option --retries. It takes --name,"),
        ("%%job\nx = 1", "needs the id of the job first"),
        ("%%job j --payload nope + 1\nx = 1", "--payload nope + 1: NameError: name 'nope' is not"),
        ("%%job j --payload (1\nx = 1", "--payload (1: SyntaxError: '(' was never closed"),
        (
            "%%job j --payload 1 / 0\nawait x",
            "--payload 1 / 0: ZeroDivisionError: division by zero",
        ),
        ("%%job j --key ''\nx = 1", "key='': the key of a run is a non-empty string"),
        ("%%job j --payload (i for i in [])\nx = 1", "ValueNotKeptError"),
    ],
)
def test_a_refused_cell_says_why_in_one_line(shell: Shell, cell: str, message: str) -> None:
    assert message in shell.refused(cell)
    assert nb.runs().empty
    assert shell.ok("%%job j\nctx.job.id").value == "j"  # the next cell is none the worse


def test_a_user_mistake_is_one_line_without_a_traceback(shell: Shell) -> None:
    seen = shell.run("%%job j\nx = 1\nio.run_task('', square, 1)")

    assert isinstance(seen.error, nb.InvalidKeyError)
    assert len(seen.lines) == 1
    assert seen.lines[0].startswith("InvalidKeyError: ")


def test_a_key_used_twice_is_told_with_both_lines_of_the_cell(shell: Shell) -> None:
    seen = shell.run(
        "%%job j\nawait io.run_task('a', square, 1)\nawait io.run_task('a', square, 2)"
    )

    assert "first at line 2 of the cell: await io.run_task('a', square, 1)" in seen.text
    assert "again at line 3 of the cell: await io.run_task('a', square, 2)" in seen.text
    assert shell.names["calls"] == [1]


def test_a_run_that_is_being_executed_is_refused_and_goes_on(shell: Shell) -> None:
    cell = "%%job j\ninner = get_ipython().run_cell('%%job j\\n1')\nio.run_task('s', square, 3)"

    seen = shell.ok(cell)

    assert isinstance(shell.names["inner"].error_in_exec, nb.RunBusyError)
    assert seen.lines[-1] == "Out[3]: 9"


def test_stopped_while_the_tree_is_drawn_the_run_is_let_go(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped:
        def start(self) -> None:
            raise KeyboardInterrupt

        def finish(self) -> None:
            pass

    monkeypatch.setenv("NBTASKS_TREE", "1")
    with monkeypatch.context() as patch:
        patch.setattr(front_end.current(), "watch", lambda execution, **_: Stopped(), raising=False)
        assert isinstance(shell.run("%%job j\nx = 1").error, KeyboardInterrupt)
    assert nb.last_run("j").status == "CANCELED"
    assert "x" not in shell.names

    assert shell.ok("%%job j\n1").value == 1


@BOTH
def test_stopped_while_the_run_is_taken_it_is_let_go(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, awaits: str
) -> None:
    claim = runtime.journal.claim

    def slow_claim(wanted: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return claim(wanted)

    with monkeypatch.context() as patch:
        patch.setattr(runtime.journal, "claim", slow_claim)
        assert isinstance(shell.run(f"%%job j\n{awaits}f()").error, KeyboardInterrupt)

    assert nb.last_run("j").status == "CANCELED"
    assert shell.ok("%%job j\n1").value == 1


def test_what_hangs_while_a_run_is_taken_is_ended_by_insisting(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    pressed = itertools.count(1)

    def hang(wanted: Any) -> Any:
        for _ in pressed:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(runtime.journal, "claim", hang)
        assert isinstance(shell.run("%%job j\n1").error, KeyboardInterrupt)

    assert next(pressed) == 4
    assert shell.ok("%%job j\n1").value == 1


@BOTH
@pytest.mark.parametrize("first", ["pass", "raise KeyboardInterrupt"], ids=["ended", "stopped"])
def test_stopped_while_its_end_is_recorded_the_run_is_let_go(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, awaits: str, first: str
) -> None:
    release = runtime.journal.release

    def slow_release(run: Any) -> None:
        signal.raise_signal(signal.SIGINT)  # an impatient second Stop
        release(run)

    with monkeypatch.context() as patch:
        patch.setattr(runtime.journal, "release", slow_release)
        seen = shell.run(f"%%job j\n{awaits}io.run_task('square', square, 1)\n{first}")

    assert not seen.success
    assert PACKAGE not in seen.text
    assert nb.last_run("j").status == ("COMPLETED" if first == "pass" else "CANCELED")
    assert ("is CANCELED" in seen.text) == (first != "pass")
    assert "io" not in shell.names
    assert shell.ok("%%job j\n1").value == 1


def test_stopped_while_its_output_is_encoded_the_run_is_let_go(shell: Shell) -> None:
    shell.ok("class Slow:\n    def __reduce__(self):\n        raise KeyboardInterrupt")

    assert not shell.run("%%job j\nSlow();").success

    assert nb.last_run("j").status == "CANCELED"
    assert shell.ok("%%job j\n1").value == 1


# -- fixing and going on --------------------------------------------------------------------------


@pytest.mark.slow
@BOTH
def test_a_task_fixed_in_the_cell_runs_with_its_new_code_and_the_others_are_reused(
    shell: Shell, awaits: str
) -> None:
    cell = f"""%%job j --as run
first = {awaits}io.run_task("first", square, 3)
def second(x):
    calls.append("second")
    return FIX
{awaits}io.run_task("second", second, first)
"""
    assert not shell.run(cell.replace("FIX", "x.upper()")).success

    seen = shell.ok(cell.replace("FIX", "x + 1"))

    assert seen.value == 10
    assert shell.names["calls"] == [3, "second", "second"]
    tasks = shell.names["run"].tasks().set_index("path")
    assert tasks.status.to_dict() == {"first": "COMPLETED", "second": "COMPLETED"}
    assert tasks.reused.to_dict() == {"first": True, "second": False}


# -- usual slips ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell",
    [
        "import os\n%%job a\n1",
        '"""doc"""\n%%job a\n1',
        "  # c\n%%job a\n1",
        "%%job a\n%%job b\n1",
        "x = 1\nif x:\n    %%job a\n1",
    ],
)
def test_a_cell_with_the_magic_below_its_first_line_is_refused_before_it_runs(
    shell: Shell, cell: str
) -> None:
    assert "%%job must be the first line of its cell" in shell.refused(cell)
    assert nb.runs().empty


@pytest.mark.parametrize(
    ("line", "payload"),
    [
        ("k --key {month}", "--payload month:"),
        ("k --key $month", "--payload month:"),
        ("k --key ${month}", "--payload month:"),
        ("k --key run-{month}", "--payload month:"),
        ("k --key '{month + 1}'", "--payload month + 1:"),
        ("k --version {month}", "--payload month:"),
        ("{month}", "--payload month:"),
    ],
)
def test_a_variable_in_the_first_line_is_refused_and_the_payload_named(
    shell: Shell, line: str, payload: str
) -> None:
    assert payload in shell.refused(f"%%job {line}\nx = 1")
    assert nb.runs().empty


def test_an_amount_in_a_key_is_no_variable(shell: Shell) -> None:
    assert shell.ok("%%job j --key 5$-{}\nio.run_task('t', int)\nctx.run.key").value == "5$-{}"


@BOTH
def test_a_cell_without_a_task_says_so_in_one_line(shell: Shell, awaits: str) -> None:
    seen = shell.ok("%%job j --no-tree\nx = 1")

    assert len(seen.lines) == 1
    assert seen.text.startswith("No task was recorded")
    assert "io.run_task(" in seen.text
    assert "No task" not in shell.ok(f"%%job k\n{awaits}io.run_task('t', int);").text
    assert "No task" not in shell.ok("%%job k\nx = 1").text  # the task of the run is not reached
    assert "No task" not in shell.run("%%job l\n1 / 0").text


@pytest.mark.parametrize(
    ("call", "hint"),
    [
        ("io.runtask('t', int)", "Is it io.run_task?"),
        ("io.runTask('t', int)", "Is it io.run_task?"),
        ("io.StringI0('t')", "Is it io.StringIO?"),
        ("io.run_task('t', sorted, 'ba', revers=True)", "Is it reverse=?"),
        ("io.run_task('t', int, retries=3)", "Is it retry=?"),
        ("io.run_task('t', int, timeouts=3)", "Is it timeout=?"),
        ("io.map('t', int, '12', concurency=3)", "Is it concurrency=?"),
        ("io.map('t', int, '12', retries=3)", "@nb.task(retry=...)"),
        ("io.map('t', int, '12', base=3)", "functools.partial(int, base=3)"),
        ("io.run_task('t', int, inlined=True)", "Is it options=nb.TaskOptions(inline=...)?"),
    ],
)
@BOTH
def test_a_slip_in_a_call_of_io_is_answered_with_the_nearest_name(
    shell: Shell, awaits: str, call: str, hint: str
) -> None:
    assert hint in shell.run(f"%%job j\n{awaits}{call}").text
    assert nb.tasks().empty
