"""Recorded tasks whose code or inputs have changed: warn, rerun, error, ignore."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import nbtasks as nb
from nbtasks.core import event_loop
from nbtasks.core.model import TaskRow
from nbtasks.journal.memory import MemoryJournal
from nbtasks.testing import FakeClock, use_journal
from tests.engine.cells import Notebook
from tests.thorough import variants

FIVE = """
    calls = []
    def load(n):
        calls.append("load")
        return list(range(n))
    def clean(rows):
        calls.append("clean")
        return [row for row in rows if row % 2]
    def helper(x):
        return x * 10
    def fit(rows, c):
        calls.append(f"fit {c}")
        return sum(map(helper, rows)) + c
    def report(models):
        calls.append("report")
        return max(models)
    """
JOB = """
    import nbtasks as nb
    @nb.job("five")
    def five(io):
        rows = io.run_task("load", load, 6)
        rows = io.run_task("clean", clean, rows)
        models = [io.run_task(["fit", c], fit, rows, c) for c in range(3)]
        return io.run_task("report", report, models)
    """


class Book(Notebook):
    """A notebook whose job is executed.

    Attributes:
        warned: The warnings of the last execution.
    """

    def __init__(self, *texts: str) -> None:
        super().__init__()
        for text in texts:
            self(text)

    def run(self, job: str = "five") -> nb.Run:
        self.names.setdefault("calls", []).clear()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            # Of what another test has left behind: the collector may come by just now.
            warnings.simplefilter("ignore", ResourceWarning)
            run: nb.Run = self.names[job].run()
        self.warned = [str(warning.message) for warning in caught]
        assert {warning.category for warning in caught} <= {nb.StaleTaskWarning}
        return run

    @property
    def calls(self) -> list[str]:
        found: list[str] = self.names["calls"]
        return found

    def stale(self, run: nb.Run) -> list[str]:
        tasks = run.tasks()
        return [str(path) for path in tasks[tasks.stale].path]


@pytest.fixture(params=variants("home", "memory"))
def journal(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.param == "home":
        yield
    else:
        with use_journal(MemoryJournal()):
            yield


@pytest.fixture
def book() -> Book:
    book = Book(FIVE, JOB)
    book.run()
    assert book.calls == ["load", "clean", "fit 0", "fit 1", "fit 2", "report"]
    return book


ALL = ["load", "clean", "fit[0]", "fit[1]", "fit[2]", "report"]
NEW_CLEAN = """
    def clean(rows):
        calls.append("clean")
        return [row for row in rows if row > 2]
    """
SAME_AS_CLEAN = '''
    def clean( rows ):
        """Drops some rows."""
        calls.append('clean')   # as before
        return [
            row for row in rows
            if row % 2
        ]
    '''


def on_change(mode: str) -> str:
    return JOB.replace('"five"', f'"five", on_change="{mode}"')


# -- edit one of five -----------------------------------------------------------------------------


@pytest.mark.usefixtures("journal")
def test_nothing_changed_warns_of_nothing() -> None:
    book = Book(FIVE, JOB)
    book.run()
    again = book.run()

    assert (book.calls, book.warned, book.stale(again)) == ([], [], [])


@pytest.mark.slow
@pytest.mark.usefixtures("journal")
def test_warn_reuses_and_says_which_and_why() -> None:
    book = Book(FIVE, JOB)
    with FakeClock() as clock:
        book.run()
        clock.advance(3 * 86_400)
        book(NEW_CLEAN)
        run = book.run()

    assert book.calls == []
    assert run.output == 92
    assert book.stale(run) == ["clean"]
    (warned,) = book.warned
    assert "clean: its code changed (recorded 3 days ago)" in warned
    assert "--on-change rerun" in warned
    assert f"nb.get_run({run.id!r}).diff('clean')" in warned
    assert run.tasks().reused.all()


def test_a_comment_a_docstring_or_another_format_changes_nothing(book):
    book(SAME_AS_CLEAN)
    run = book.run()

    assert (book.calls, book.warned, book.stale(run)) == ([], [], [])


def test_a_changed_helper_changes_the_tasks_that_call_it(book):
    book("def helper(x):\n    return x * 11")
    run = book.run()

    assert book.stale(run) == ALL[2:5]
    assert book.warned[0].count("helper helper changed") == 3
    assert len(book.warned) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("journal")
def test_rerun_runs_what_changed_and_exactly_what_takes_its_changed_output() -> None:
    book = Book(FIVE, JOB)
    book.run()
    book(NEW_CLEAN)
    book(on_change("rerun"))
    run = book.run()

    assert book.calls == ["clean", "fit 0", "fit 1", "fit 2", "report"]
    assert run.output == 122
    assert (book.warned, book.stale(run)) == ([], [])
    assert run.tasks().set_index("path").attempts.to_dict() == dict.fromkeys(ALL, 2) | {"load": 1}

    again = book.run()
    assert (book.calls, again.output) == ([], 122)


def test_rerun_stops_where_an_output_is_the_same_again(book):
    book(NEW_CLEAN.replace("row > 2", "row % 2 == 1"))
    book(on_change("rerun"))
    run = book.run()

    assert book.calls == ["clean"]
    assert run.output == 92


def test_error_refuses_with_the_difference_and_changes_nothing(book):
    book(NEW_CLEAN)
    book(on_change("error"))
    with pytest.raises(nb.StaleTaskError) as caught:
        book.run()

    message = str(caught.value)
    assert book.calls == []
    assert "Task 'clean'" in message
    assert "its code changed" in message
    assert "-    return [row for row in rows if row % 2]" in message
    assert "+    return [row for row in rows if row > 2]" in message
    assert "on_change='rerun'" in message

    book(JOB)
    run = book.run()
    assert run.output == 92
    assert run.tasks().attempts.tolist() == [1] * 6


def test_ignore_says_nothing(book):
    book(NEW_CLEAN)
    book(on_change("ignore"))
    run = book.run()

    assert (book.calls, book.warned, book.stale(run)) == ([], [], [])


@pytest.mark.slow
def test_what_was_stale_is_not_when_the_old_code_is_back(book):
    book(NEW_CLEAN)
    assert book.stale(book.run()) == ["clean"]

    book(FIVE)
    run = book.run()
    assert (book.warned, book.stale(run)) == ([], [])


@pytest.mark.slow
def test_a_stale_task_stays_stale_until_it_runs(book):
    book(NEW_CLEAN)
    book.run()
    assert book.stale(book.run()) == ["clean"]
    assert len(book.warned) == 1

    book(on_change("rerun"))
    assert book.stale(book.run()) == []
    book(JOB)
    assert book.stale(book.run()) == []
    assert book.warned == []


# -- where the option is said ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("configured", "of_job", "of_task", "of_call", "runs"),
    [
        ("rerun", None, None, None, True),
        ("ignore", "rerun", None, None, True),
        ("rerun", "ignore", None, None, False),
        ("ignore", "ignore", "rerun", None, True),
        ("rerun", "rerun", "ignore", None, False),
        ("ignore", "ignore", "ignore", "rerun", True),
        ("rerun", "rerun", "rerun", "ignore", False),
    ],
)
def test_the_call_wins_over_the_function_the_job_and_the_configuration(
    configured, of_job, of_task, of_call, runs
):
    text = f"""
        import nbtasks as nb
        @nb.task(on_change={of_task!r})
        def f():
            calls.append("f")
            return {{}}
        @nb.job("five", on_change={of_job!r})
        def five(io):
            return io.run_task("f", f, options=nb.TaskOptions(on_change={of_call!r}))
        """
    book = Book(text.format(1))
    nb.configure(on_change=configured)
    try:
        book.run()
        book(text.format(2))
        run = book.run()
    finally:
        nb.configure(on_change=None)

    assert (book.calls, run.output) == ((["f"], 2) if runs else ([], 1))
    assert book.warned == []


def test_the_environment_may_say_it(book, monkeypatch):
    monkeypatch.setenv("NBTASKS_ON_CHANGE", "rerun")
    book(NEW_CLEAN)
    book.run()

    assert "clean" in book.calls


def test_an_unknown_choice_is_refused_where_it_is_said():
    with pytest.raises(nb.InvalidOptionError, match="warn, rerun, error, ignore"):
        nb.job("five", on_change="always")(lambda io: None)  # type: ignore[call-overload]  # on purpose
    with pytest.raises(nb.NbtasksError, match="on_change is 'warn', 'rerun', 'error' or 'ignore'"):
        nb.configure(on_change="always")


# -- inputs ---------------------------------------------------------------------------------------


def job(fn: Callable[..., Any], **options: Any) -> nb.Job:
    return nb.job("inputs", **options)(fn)


def warned(job: nb.Job, key: str = "k") -> list[str]:
    """Return the warnings of an execution, a line a task."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        job.run(key=key)
    assert len(caught) <= 1
    return str(caught[0].message).splitlines()[1:-1] if caught else []


def test_changed_arguments_are_named():
    @nb.job("inputs")
    def body(payload: list[Any], io: nb.SyncIO) -> None:
        io.run_task("sum", max, 1, *payload)

    body.run([2, 3], key="k")
    with pytest.warns(nb.StaleTaskWarning, match="sum: argument 3 is 4, was 3"):
        body.run([2, 4], key="k")
    with pytest.warns(nb.StaleTaskWarning, match="sum: its arguments changed"):
        body.run([2, 4, 5], key="k")


def test_redacted_arguments_are_not_told():
    @nb.job("inputs")
    def body(payload: str, io: nb.SyncIO) -> None:
        io.run_task("login", len, payload, options=nb.TaskOptions(redact=["$[0]"]))

    body.run("first secret", key="k")
    with pytest.warns(nb.StaleTaskWarning) as caught:
        body.run("second secret", key="k")

    assert "login: its arguments changed" in str(caught[0].message)
    assert "secret" not in str(caught[0].message)


class Fitted:
    """Pickles differently each time, as some objects do."""

    count = 0

    def __reduce__(self) -> Any:
        Fitted.count += 1
        return Fitted, (), {"pickled": Fitted.count}


@pytest.mark.slow
@pytest.mark.usefixtures("journal")
@pytest.mark.parametrize(
    "make",
    [
        Fitted,
        lambda: {"model": Fitted(), "score": 1.0},
        lambda: [1, (Fitted(), Fitted())],
        lambda: pd.DataFrame({"a": [1, 2], "b": ["x", None]}),
        lambda: {"train": pd.DataFrame({"a": [1.5]}), "rows": np.arange(5)},
        lambda: np.arange(10).reshape(2, 5),
        lambda: {1, 2, 3},
    ],
    ids=["object", "dict", "nested", "frame", "frames", "array", "set"],
)
def test_a_value_that_came_from_the_journal_is_no_changed_input(make):
    def body(io: nb.SyncIO) -> None:
        value = io.run_task("make", make)
        io.run_task("use", id_of, value, [value])
        if isinstance(value, dict | list):
            for n, part in enumerate(value.values() if isinstance(value, dict) else value):
                io.run_task(["part", n], id_of, part)

    for _ in range(3):
        assert warned(job(body)) == []


def id_of(*values: Any) -> int:
    return len(values)


def test_io_and_the_context_are_no_inputs():
    def child(io: Any, ctx: Any) -> int:
        assert ctx
        number: int = io.run_task("grandchild", len, [1])
        return number

    @nb.job("inputs")
    def body(payload: int, io: nb.SyncIO, ctx: nb.Context) -> int:
        captured = io.run_task("captured", lambda: io.run_task("below", len, [2]))
        return io.run_task("child", child, io, ctx) + captured

    assert body.run(1).output == body.run(1).output == 2


def test_the_bound_arguments_of_a_partial_and_the_object_of_a_method_are_inputs():
    @nb.job("inputs")
    def body(payload: str, io: nb.SyncIO) -> None:
        import functools

        io.run_task("partial", functools.partial(max, [payload]))
        io.run_task("method", payload.join, ["a", "b"])
        io.run_task("frame", pd.Series([payload]).sum)

    body.run("x", key="k")
    with pytest.warns(nb.StaleTaskWarning) as caught:
        body.run("y", key="k")

    told = str(caught[0].message)
    assert all(f"  {name}: " in told for name in ("partial", "method", "frame"))


# -- failures, subtasks, maps ---------------------------------------------------------------------


PARENT = """
    import nbtasks as nb
    calls = []
    def child(n):
        calls.append(f"child {n}")
        if n == fails:
            raise ValueError(n)
        return n + offset
    def parent():
        calls.append("parent")
        io = nb.current_io()
        total = 0
        for n in range(3):
            try:
                total += io.run_task(["child", n], child, n)
            except ValueError:
                total += 100
        return total
    @nb.job("five", on_change="rerun")
    def five(io):
        return io.run_task("parent", parent)
    fails, offset = 1, 0
    """


@pytest.mark.usefixtures("journal")
def test_subtasks_of_a_parent_that_reruns_decide_for_themselves() -> None:
    book = Book(PARENT)
    assert book.run().output == 102
    book("""
        def parent():
            calls.append("parent")
            io = nb.current_io()
            return [io.run_task(["child", n], child, n) for n in (0, 2, 3)]
        """)
    run = book.run()

    assert book.calls == ["parent", "child 3"]
    assert run.output == [0, 2, 3]


def test_a_changed_subtask_reruns_its_parent_and_its_failed_siblings(book):
    book = Book(PARENT)
    book.run()
    book("fails, offset = 5, 1")
    run = book.run()

    assert book.calls == ["parent", "child 0", "child 1", "child 2"]
    assert run.output == 6


@pytest.mark.slow
def test_a_failure_that_was_caught_runs_again_with_other_code():
    text = """
        import nbtasks as nb
        calls = []
        def f():
            calls.append("f")
            raise ValueError({})
        @nb.job("five", on_change={!r})
        def five(io):
            try:
                return io.run_task("f", f)
            except ValueError as error:
                return str(error.message)
        """
    book = Book(text.format(1, "warn"))
    assert book.run().output == "1"
    book(text.format(2, "warn"))
    run = book.run()
    assert (run.output, book.calls, len(book.warned)) == ("1", [], 1)
    assert book.stale(run) == ["f"]

    book(text.format(2, "rerun"))
    assert book.run().output == "2"
    assert book.calls == ["f"]


@pytest.mark.slow
def test_a_rerun_that_fails_leaves_no_old_answer(book):
    book("def report(models):\n    raise OSError('down')")
    book(on_change("rerun"))
    with pytest.raises(OSError, match="down"):
        book.run()

    assert nb.last_run().tasks().set_index("path").loc["report", "status"] == "FAILED"
    assert nb.last_run().tasks().set_index("path").output.isna()["report"]
    book(FIVE)
    assert book.run().output == 92


MAP = """
    import nbtasks as nb
    calls = []
    def fit(n):
        calls.append(f"fit {n}")
        return n * factor
    factor = 1
    items = [1, 2, 3]
    @nb.job("five", on_change=mode)
    def five(io):
        return io.map("fit", fit, items, key_of=str, concurrency=1)
    """


@pytest.mark.slow
@pytest.mark.usefixtures("journal")
def test_a_map_counts_by_its_function_and_its_items() -> None:
    book = Book("mode = 'warn'", MAP)
    assert book.run().output == [1, 2, 3]
    assert book.run().output == [1, 2, 3]
    assert book.warned == []

    book("items = [1, 2, 4]")
    assert book.run().output == [1, 2, 3]
    assert "fit: items is [1, 2, 4], was [1, 2, 3]" in book.warned[0]

    book("items = [1, 2, 3]; factor = 10")
    assert book.stale(book.run()) == ["fit"]
    assert "fit: factor is 10, was 1" in book.warned[0]


def test_of_a_map_that_reruns_only_the_items_that_changed_run(book):
    book = Book("mode = 'rerun'", MAP)
    book.run()
    book("items = [3, 4, 1]")
    run = book.run()
    assert (run.output, book.calls) == ([3, 4, 1], ["fit 4"])

    book("factor = 2")
    run = book.run()
    assert (run.output, book.calls) == ([6, 8, 2], ["fit 3", "fit 4", "fit 1"])


@pytest.mark.slow
def test_the_face_of_io_does_not_count():
    text = (
        "import nbtasks as nb\n@nb.job('five')\n{0}def five(io): return {1}io.map('m', len, ['a'])"
    )
    book = Book(text.format("", ""))
    book.run()
    book(text.format("async ", "await "))
    book.run()

    assert book.warned == []


@pytest.mark.slow
def test_tasks_side_by_side_share_one_warning():
    text = """
        import asyncio
        import nbtasks as nb
        def f(n): return {}
        @nb.job("five")
        async def five(io):
            return await asyncio.gather(*(io.run_task(["f", n], f, n) for n in range(30)))
        """
    book = Book(text.format("n"))
    book.run()
    book(text.format("-n"))
    run = book.run()

    assert len(book.warned) == 1
    assert book.warned[0].startswith("30 tasks reused their recorded outputs")
    assert "and 10 more" in book.warned[0]
    assert len(book.stale(run)) == 30


# -- what people see ------------------------------------------------------------------------------


def test_the_difference_can_be_asked_for(book):
    book(NEW_CLEAN)
    run = book.run()

    assert run.diff("clean").splitlines()[:2] == ["--- clean (recorded)", "+++ clean (now)"]
    assert "+    return [row for row in rows if row > 2]" in run.diff("clean")
    with pytest.raises(nb.NotFoundError, match="task 'load'"):
        run.diff("load")


def test_the_tree_says_that_a_task_is_stale_and_why(book):
    book(NEW_CLEAN)
    run = book.run()

    assert "stale: its code changed" in str(run.tree())
    assert str(run.tree()).count("stale") == 1
    assert "stale: its code changed" in run.tree()._repr_html_()


@pytest.mark.slow
def test_a_task_that_is_not_reached_any_more_is_not_called_stale(book):
    book(NEW_CLEAN)
    book.run()
    book("""
        @nb.job("five")
        def five(io):
            return io.run_task("load", load, 6)
        """)
    run = book.run()

    assert book.stale(run) == []
    assert "stale" not in str(run.tree())


def test_the_warning_stands_at_the_line_of_the_call(book):
    book(NEW_CLEAN)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        book.names["five"].run()

    filename = book.names["five"].fn.__code__.co_filename
    assert (caught[0].filename, caught[0].lineno) == (filename, 6)


def test_the_run_is_let_go_where_warnings_are_errors(book):
    book(NEW_CLEAN)
    with warnings.catch_warnings(), pytest.raises(nb.StaleTaskWarning):
        warnings.simplefilter("error")
        book.names["five"].run()

    assert nb.last_run().status == "COMPLETED"
    assert book.run().output == 92


def test_a_failed_execution_warns_as_well(book):
    book(NEW_CLEAN)
    book("""
        @nb.job("five")
        def five(io):
            io.run_task("clean", clean, io.run_task("load", load, 6))
            raise ValueError
        """)
    with pytest.warns(nb.StaleTaskWarning, match="clean"), pytest.raises(ValueError):
        book.names["five"].run()


# -- with other verbs -----------------------------------------------------------------------------


@pytest.mark.slow
def test_a_value_set_by_hand_is_never_stale(book):
    run = nb.last_run()
    run.set("clean", [1])
    run.skip("load")
    again = book.run()

    assert (book.stale(again), "clean" in str(book.warned)) == (ALL[2:5], False)


def test_the_source_of_a_function_is_recorded_once_in_a_run(book):
    book.run()
    counted = nb.sql("select count(*) as n, count(distinct fingerprint) as d from code")

    assert counted.to_dict("records") == [{"n": 4, "d": 4}]


@pytest.mark.slow
def test_a_loops_variable_does_not_fill_the_journal_with_sources():
    @nb.job("many")
    def body(io: nb.SyncIO) -> int:
        return sum(io.run_task(["n", n], lambda n=n: n) for n in range(700))

    body.run()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        body.run()

    assert nb.sql("select count(*) as n from code").n[0] == 500


def test_what_was_recorded_without_a_fingerprint_is_not_stale():
    """A version without fingerprints may have recorded it."""
    with use_journal(MemoryJournal()) as journal:
        book = Book(FIVE, JOB)
        run = book.run()
        journal.amend(run.id, lambda _, rows: [bare(TaskRow(*row)) for row in rows])
        book(NEW_CLEAN)
        book.run()

    assert book.warned == []


def bare(row: TaskRow) -> TaskRow:
    return replace(row, fingerprint=None, digest=None)


def test_async_bodies_do_the_same():
    text = """
        import nbtasks as nb
        calls = []
        async def f(): calls.append("f"); return {}
        @nb.job("five", on_change="rerun")
        async def five(io): return await io.run_task("f", f)
        """
    book = Book(text.format(1))
    book.run()
    book(text.format(2))

    assert event_loop.run_awaitable(book.names["five"].arun()).output == 2


def test_a_method_of_a_generator_of_random_numbers_is_never_stale():
    numbers, many, old = random.Random(1), np.random.default_rng(1), np.random.RandomState(1)

    @nb.job("chance")
    def body(io: nb.SyncIO) -> list[float]:
        return [
            io.run_task("library's", random.random),
            io.run_task("own", numbers.random),
            io.run_task("chosen", numbers.choice, [1, 2, 3]),
            io.run_task("numpy's", many.random),
            io.run_task("numpy's old", old.rand),
        ]

    first = body.run().output
    for draw in (numbers.random, random.random, many.random, old.rand):
        draw()

    assert body.run().output == first  # and no StaleTaskWarning, which would be an error here
