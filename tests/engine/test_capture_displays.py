"""Displays of tasks: shown once, recorded, and shown again when the task is reused."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

import nbtasks as nb
from nbtasks.journal import current


@pytest.fixture(autouse=True)
def _no_tree() -> Iterator[None]:
    nb.configure(tree=False)
    yield
    nb.configure(tree=None)


def show(*values: object) -> int:
    for value in values:
        nb.current_task().display(value)
    return len(values)


def test_a_reused_task_shows_again_what_it_displayed_with_the_date(capsys):
    @nb.job("shows")
    def body(io: nb.SyncIO) -> int:
        return io.run_task("load rows", show, {"rows": 3}, [1, 2])

    run = body.run()
    first = capsys.readouterr().out
    body.run()
    again = capsys.readouterr().out.splitlines()

    assert first == "{'rows': 3}\n[1, 2]\n"
    assert again[1::2] == ["{'rows': 3}", "[1, 2]"]
    for line in again[::2]:
        assert line.startswith("load rows: reused, as recorded 20")
    assert run.logs().empty  # it is no line of the log


def test_what_is_below_a_reused_task_shows_again_too_in_the_order_of_the_first_time(capsys):
    def parent() -> None:
        io = nb.current_io()
        assert isinstance(io, nb.SyncIO)
        show("before")
        io.run_task("child", show, "child")
        show("after")

    @nb.job("nested")
    def body(io: nb.SyncIO) -> None:
        io.run_task("parent", parent)
        io.run_task("par", show, "another")

    body.run()
    capsys.readouterr()
    body.run()

    lines = capsys.readouterr().out.splitlines()
    assert lines[1::2] == ["'before'", "'child'", "'after'", "'another'"]


def test_only_the_latest_attempt_shows_again(capsys):
    tries = []

    def flaky() -> None:
        tries.append(1)
        show(f"try {len(tries)}")
        if len(tries) < 3:
            raise OSError("down")

    @nb.job("flaky")
    def body(io: nb.SyncIO) -> None:
        io.run_task("flaky", flaky, retry=nb.Retry(3, min_delay=0))

    body.run()
    capsys.readouterr()
    body.run()

    assert capsys.readouterr().out.splitlines()[1:] == ["'try 3'"]


def test_a_task_that_failed_and_was_caught_shows_again_what_it_displayed(capsys):
    def broken() -> None:
        show("so far")
        raise ValueError("no")

    @nb.job("caught")
    def body(io: nb.SyncIO) -> None:
        with contextlib.suppress(ValueError):
            io.run_task("broken", broken)

    body.run()
    capsys.readouterr()
    body.run()

    assert capsys.readouterr().out.splitlines()[1:] == ["'so far'"]


@pytest.mark.slow
@pytest.mark.parametrize("replay", [None, "only"])
def test_it_is_shown_again_in_another_process_and_where_nothing_runs(capsys, replay):
    @nb.job("elsewhere")
    def body(io: nb.SyncIO) -> None:
        io.run_task("large", show, "x" * (1 << 21))

    body.run()
    current.close()  # what this process remembers
    capsys.readouterr()
    body.run(replay=replay)

    assert capsys.readouterr().out.splitlines()[1] == repr("x" * (1 << 21))
