"""Failures of nested tasks, as a cell and plain Python show them."""

from __future__ import annotations

import logging
import re
import traceback
from typing import Any

import pytest

import nbtasks as nb
from tests.notebook.shells import BOTH, Shell
from tests.thorough import only_thorough

DEFINE = """
import nbtasks as nb
def plain(n):
    return 1 / 0 if n == 0 else 1 + plain(n - 1)
def nested(n):
    return 1 / 0 if n == 0 else 1 + nb.current_io().run_task(f"level {n}", nested, n - 1)
def a(): nb.current_io().run_task("b", b)
def b(): nb.current_io().run_task("c", c)
def c(): raise KeyError("deep")
"""


@BOTH
def test_a_cell_shows_each_frame_of_nested_tasks_once(shell: Shell, awaits: str):
    shell.run(DEFINE)

    seen = shell.run(f"%%job nested --no-tree\n{awaits}io.run_task('a', a)")

    assert seen.text.count("Traceback") == 1
    assert "direct cause" not in seen.text
    assert [len(re.findall(rf", in {name}\(", seen.text)) for name in "abc"] == [1, 1, 1]
    assert "task 'a/b/c'" in seen.lines[-1]


@pytest.mark.slow
def test_a_recursion_of_tasks_is_shown_like_one_of_functions(shell: Shell):
    shell.run(DEFINE)
    plain = shell.run("plain(30)")

    seen = shell.run("%%job recursion --no-tree\nnested(30)")

    assert len(seen.text) < 3 * len(plain.text)
    assert isinstance(seen.error, ZeroDivisionError)


@only_thorough
@pytest.mark.slow
def test_a_recursion_of_hundreds_of_tasks_does_not_hang(shell: Shell):
    shell.run(DEFINE)

    seen = shell.run("%%job recursion --no-tree\nnested(400)")

    assert isinstance(seen.error, ZeroDivisionError | RecursionError)
    assert len(seen.text) < 30_000


def fail(depth: int) -> None:
    if depth == 0:
        raise OSError(5, "broken")
    nb.current_io().run_task(f"level-{depth}", fail, depth - 1)


@nb.job("nested-failures-plain")
def body(io: nb.SyncIO) -> None:
    fail(20)


def test_plain_python_and_a_log_show_each_frame_once_and_the_causes_are_linked(
    caplog: pytest.LogCaptureFixture,
):
    with pytest.raises(OSError, match="broken") as info:
        body.run()
    error: Any = info.value

    text = "".join(traceback.format_exception(error))
    assert text.count("Traceback") == 1
    assert text.rstrip().splitlines()[-1].startswith("TaskFailed: task 'level-20/")
    logging.getLogger("nested").error("it failed", exc_info=error)
    assert caplog.text.count("Traceback") == 1
    links = []
    while error is not None:
        links.append(error.path)
        error = error.__cause__
    assert links == [links[0]] * 20


def test_a_failure_that_a_parent_raises_from_another_shows_both():
    @nb.job("nested-failures-own")
    def own(io: nb.SyncIO) -> None:
        def parent() -> None:
            try:
                nb.current_io().run_task("child", int, "x")
            except ValueError as error:
                raise LookupError("no number") from error

        io.run_task("parent", parent)

    with pytest.raises(LookupError) as info:
        own.run()

    text = "".join(traceback.format_exception(info.value))
    assert text.count("Traceback") == 2
    assert text.count("direct cause") == 1
    assert isinstance(info.value.__cause__, ValueError)
