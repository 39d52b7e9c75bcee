"""Prints of tasks: they are shown, and are in the logs."""

from __future__ import annotations

import asyncio
import contextlib
import io as streams
import sys
import threading
from collections.abc import Iterator

import pytest

import nbtasks as nb


@pytest.fixture(autouse=True)
def _no_tree() -> Iterator[None]:
    nb.configure(tree=False, echo="hide")
    yield
    nb.configure(tree=None, echo=None)


def lines(run: nb.Run) -> list[tuple[str, str]]:
    logs = run.logs()
    return list(zip(logs.path, logs.message, strict=True))


def say(*words: str) -> None:
    for word in words:
        print(word)


@pytest.mark.slow
def test_what_a_task_prints_shows_and_is_in_its_log(capsys):
    @nb.job("prints")
    def body(io: nb.SyncIO) -> None:
        io.run_task("greet", say, "hello", "world")
        print("the body itself")

    run = body.run()

    assert capsys.readouterr().out == "hello\nworld\nthe body itself\n"
    assert lines(run) == [("greet", "hello"), ("greet", "world")]
    assert run.logs().level.tolist() == ["print", "print"]
    body.run()
    assert capsys.readouterr().out == "the body itself\n"
    assert len(run.logs()) == 2


def test_pieces_of_a_line_are_one_line_also_the_last(capsys):
    def pieces() -> None:
        print("a", end=" ")
        print("b", "c", sep="", end="\nlast")

    @nb.job("pieces")
    def body(io: nb.SyncIO) -> None:
        io.run_task("print", pieces)

    assert lines(body.run()) == [("print", "a bc"), ("print", "last")]
    assert capsys.readouterr().out == "a bc\nlast"


def test_of_a_line_that_is_drawn_over_the_last_state_counts(capsys):
    @nb.job("bar")
    def body(io: nb.SyncIO) -> None:
        io.run_task("load", say, "10 %\r55 %\r100 %")

    assert lines(body.run()) == [("load", "100 %")]
    assert capsys.readouterr().out


def test_each_of_many_tasks_gets_its_own_lines_in_threads_and_on_the_loop(capsys):
    async def talk(name: str) -> None:
        for part in range(3):
            print(name, part)
            await asyncio.sleep(0)

    @nb.job("many")
    async def body(io: nb.AsyncIO) -> None:
        await asyncio.gather(*(io.run_task(name, talk, name) for name in "ab"))
        await io.map("each", say, ["x", "y"], key_of=str)

    found = lines(body.run())
    for name in "ab":
        mine = [line for path, line in found if path == name]
        assert mine == [f"{name} {part}" for part in range(3)]
    assert {("each/x", "x"), ("each/y", "y")} <= set(found)
    assert len(capsys.readouterr().out.splitlines()) == 8


def test_what_failed_attempts_print_is_there_too_and_a_subtask_has_its_own(capsys):
    def broken() -> None:
        print("trying")
        nb.current_io().run_task("inner", say, "inside")
        raise OSError("down")

    @nb.job("broken")
    def body(io: nb.SyncIO) -> None:
        with contextlib.suppress(nb.TaskFailed):
            io.run_task("outer", broken, retry=nb.Retry(2, min_delay=0))

    run = body.run()

    assert lines(run) == [("outer", "trying"), ("outer/inner", "inside"), ("outer", "trying")]
    assert run.logs().attempt.tolist() == [1, 1, 2]
    assert capsys.readouterr().out


@pytest.mark.slow
def test_a_hundred_thousand_lines_are_cut_and_the_log_says_so(capsys):
    def flood() -> None:
        for number in range(100_000):
            print(number)

    @nb.job("flood")
    def body(io: nb.SyncIO) -> None:
        io.run_task("flood", flood)

    found = lines(body.run())

    assert len(found) == 1001
    assert found[999] == ("flood", "999")
    assert found[-1][1] == "... and 99,000 more lines, which are not recorded"
    assert len(capsys.readouterr().out.splitlines()) == 100_000


def test_stdout_is_as_it_was_when_nothing_is_executed():
    before = sys.stdout
    seen = []

    @nb.job("inner")
    def inner(io: nb.SyncIO) -> None:
        seen.append(sys.stdout)

    @nb.job("outer")
    def outer(io: nb.SyncIO) -> None:
        inner.run(tree=False)
        seen.append(sys.stdout)
        raise ValueError("no")

    with contextlib.suppress(ValueError):
        outer.run()

    assert seen[0] is seen[1] is not before
    assert sys.stdout is before


def test_what_somebody_redirects_does_not_show_and_is_not_recorded(capsys):
    def silent() -> str:
        with contextlib.redirect_stdout(streams.StringIO()) as kept:
            print("into a string")
        return kept.getvalue()

    @nb.job("silent")
    def body(io: nb.SyncIO) -> str:
        return io.run_task("silent", silent)

    run = body.run()

    assert run.output == "into a string\n"
    assert lines(run) == []
    assert capsys.readouterr().out == ""


def test_the_stream_of_a_task_is_otherwise_the_one_that_was_there(capsys):
    def look() -> tuple[bool, str]:
        sys.stdout.writelines(["a\n", "b\n"])
        return sys.stdout.isatty(), sys.stdout.encoding

    @nb.job("look")
    def body(io: nb.SyncIO) -> tuple[bool, str]:
        return io.run_task("look", look)

    run = body.run()

    assert run.output == (sys.stdout.isatty(), sys.stdout.encoding)
    assert [line for _, line in lines(run)] == ["a", "b"]
    assert capsys.readouterr().out == "a\nb\n"


def test_what_a_thread_prints_that_outlives_the_execution_is_dropped(capsys):
    started, stopped, ended = threading.Event(), threading.Event(), threading.Event()

    def slow() -> None:
        task = nb.current_task()
        started.set()
        stopped.wait(10)
        task.log("too late")
        print("too late")
        ended.set()

    @nb.job("late")
    async def body(io: nb.AsyncIO) -> None:
        io_task = asyncio.ensure_future(io.run_task("slow", slow))
        await asyncio.to_thread(started.wait, 10)
        io_task.cancel()

    run = body.run()
    stopped.set()

    assert ended.wait(10)
    assert run.logs().empty
    assert capsys.readouterr().out == "too late\n"
