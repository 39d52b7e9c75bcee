"""Displays of tasks: shown once, recorded, and shown again when the task is reused."""

from __future__ import annotations

import contextlib
import contextvars
import html
import json
import threading
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

import nbtasks as nb
from nbtasks.core.model import DisplayRow
from nbtasks.engine import capture
from nbtasks.jobs.runtime import runtime
from nbtasks.journal import current
from nbtasks.values import displays


@pytest.fixture(autouse=True)
def _no_tree() -> Iterator[None]:
    nb.configure(tree=False, echo="show")
    yield
    nb.configure(tree=None, echo=None)


def show(*values: object) -> int:
    for value in values:
        nb.current_task().display(value)
    return len(values)


def echoed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines below the title of what was shown again, without those that name a task."""
    title, *lines = capsys.readouterr().out.splitlines()
    assert title.startswith("↺ ")
    assert title.endswith("recorded just now")
    return [line.strip() for line in lines if line.startswith("    ")]


def recorded(run: nb.Run) -> list[DisplayRow]:
    rows: list[DisplayRow] = runtime.journal.find("display", run_id=run.id)
    return sorted(rows, key=lambda row: row.shown_us)


def test_a_reused_task_shows_again_what_it_displayed(capsys):
    @nb.job("shows")
    def body(io: nb.SyncIO) -> int:
        return io.run_task("load rows", show, {"rows": 3}, [1, 2])

    run = body.run()
    first = capsys.readouterr().out
    body.run()

    assert first == "{'rows': 3}\n[1, 2]\n"
    assert echoed(capsys) == ["{'rows': 3}", "[1, 2]"]
    assert run.logs().empty  # it is no line of the log


def test_what_is_below_a_reused_task_shows_again_too_in_the_order_of_the_first_time(capsys):
    def parent() -> None:
        io = nb.current_io()
        assert isinstance(io, nb.SyncIO)
        show("before")
        print("printed")
        io.run_task("child", show, "child")
        show("after")

    @nb.job("nested")
    def body(io: nb.SyncIO) -> None:
        io.run_task("parent", parent)
        io.run_task("par", show, "another")

    body.run()
    capsys.readouterr()
    body.run()

    assert echoed(capsys) == ["'before'", "printed", "'child'", "'after'", "'another'"]


def test_a_task_that_runs_again_shows_only_what_it_shows_now(capsys):
    def parent() -> None:
        io = nb.current_io()
        assert isinstance(io, nb.SyncIO)
        print("in the parent")
        io.run_task("child", show, "child")
        if len(tries) == 0:
            tries.append(1)
            raise OSError("down")

    tries: list[int] = []

    @nb.job("half")
    def body(io: nb.SyncIO) -> None:
        io.run_task("parent", parent)

    with contextlib.suppress(nb.TaskFailed):
        body.run()
    capsys.readouterr()
    body.run()

    live, title, *lines = capsys.readouterr().out.splitlines()
    assert live == "in the parent"
    assert title == "↺ 1 display of 1 reused task, recorded just now"
    assert lines == ["  parent/child", "    'child'"]


def test_only_the_latest_attempt_shows_again(capsys):
    tries = []

    def flaky() -> None:
        tries.append(1)
        print(f"printed by try {len(tries)}")
        show(f"try {len(tries)}")
        if len(tries) < 3:
            raise OSError("down")

    @nb.job("flaky")
    def body(io: nb.SyncIO) -> None:
        io.run_task("flaky", flaky, retry=nb.Retry(3, min_delay=0))

    body.run()
    capsys.readouterr()
    body.run()

    assert echoed(capsys) == ["printed by try 3", "'try 3'"]


def test_of_a_task_that_failed_in_an_execution_before_only_the_last_one_shows_again(capsys):
    tries = []

    def flaky() -> None:
        tries.append(1)
        print(f"printed by try {len(tries)}")
        if len(tries) == 1:
            raise OSError("down")

    @nb.job("failed")
    def body(io: nb.SyncIO) -> None:
        io.run_task("flaky", flaky)

    with contextlib.suppress(nb.TaskFailed):
        body.run()
    body.run()
    capsys.readouterr()
    body.run()

    assert echoed(capsys) == ["printed by try 2"]


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

    assert echoed(capsys) == ["'so far'"]


@pytest.mark.slow
def test_a_fork_shows_what_its_origin_showed_before_and_nothing_of_later(capsys):
    times: list[int] = []

    def load() -> None:
        times.append(1)
        show(f"load {len(times)}")

    @nb.job("forked")
    def body(io: nb.SyncIO) -> None:
        io.run_task("load", load)
        io.run_task("fit", lambda: 1)

    run = body.run()
    capsys.readouterr()
    fork = run.fork(from_="fit")
    assert echoed(capsys) == ["'load 1'"]
    run.rerun(from_="load")
    capsys.readouterr()

    fork.rerun(from_="fit")

    assert echoed(capsys) == ["'load 1'"]


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

    (line,) = echoed(capsys)
    assert line.startswith("'xxx")


def test_without_a_shell_nothing_shows_unless_it_is_asked_for(capsys):
    @nb.job("long")
    def body(io: nb.SyncIO) -> None:
        io.run_task("load", lambda: print(*range(100), sep="\n"))

    body.run()
    capsys.readouterr()
    for echo in ("fold", "hide"):
        nb.configure(echo=echo)
        body.run()
        assert capsys.readouterr().out == ""


def test_a_run_with_many_lines_shows_them_again_too(capsys):
    @nb.job("many")
    def body(io: nb.SyncIO) -> None:
        for number in range(3):
            io.run_task(["lines", number], lambda: print(*range(900), sep="\n"))

    body.run()
    capsys.readouterr()
    body.run()

    title, *lines = capsys.readouterr().out.splitlines()
    assert title == "↺ 2,700 lines of 3 reused tasks, recorded just now"
    assert len(lines) == 1000 + 2 + 1
    assert "nb.logs(" in lines[-1]


def test_a_run_without_outputs_shows_nothing_again(capsys):
    @nb.job("silent")
    def body(io: nb.SyncIO) -> None:
        io.run_task("load", lambda: 1)
        print("body")

    body.run()
    body.run()

    assert capsys.readouterr().out == "body\nbody\n"


@pytest.mark.slow
def test_what_an_attempt_displays_is_bounded_in_number_and_size(capsys):
    @nb.job("flood")
    def body(io: nb.SyncIO) -> None:
        io.run_task("many", show, *range(150))
        io.run_task("large", show, "x" * (33 << 20), "small")

    run = body.run()
    capsys.readouterr()

    texts = [displays.loads(row.output or "").data["text/plain"] for row in recorded(run)]
    assert texts[:100] == [str(number) for number in range(100)]
    assert texts[100:] == [
        "... and 50 more displays, which are not recorded",
        "'small'",
        "... and 1 more display, which is not recorded",
    ]


UPDATES = {
    "show a; clear; update a": ["a2"],
    "show a; show b; clear; update a": ["a2", "b"],
    "show a; clear; update a; show b": ["b"],
    "show a; clear; update a; print x": ["x"],
    "show a; clear; update a; update a": ["a3"],
    "show a; clear; update b": ["a"],
    "show a; clear; show a": ["a2"],
    "show a; clear; show b; update a": ["b"],
    "show a; clear; show b; update b": ["b2"],
    "show a; clear; show a; update a": ["a3"],
    "show a; clear": ["a"],
    "show a; clear now; update a": [],
    "show a; part; update a; part": ["a2", "partpart"],
    "show a; part; show b; part": ["a", "part", "b", "part"],
    "show a; clear; print": ["a"],
    "show a; clear; widget": [],
}


@pytest.mark.parametrize("steps", UPDATES)
def test_a_display_that_is_updated_before_a_clear_is_due_stays_until_then(
    steps: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> None:
        times: dict[str, int] = {}
        for what, *of in map(str.split, steps.split(";")):
            name = of[0] if of else ""
            if what in ("show", "update"):
                times[name] = times.get(name, 0) + 1
                shown = name if times[name] == 1 else f"{name}{times[name]}"
                output: Any = ({"text/plain": shown}, {})
                capture.record_display(output, name, update=what == "update")
            elif what == "clear":
                capture.record_clear(wait=name != "now")
            elif what == "widget":
                view = {"application/vnd.jupyter.widget-view+json": {}, "text/plain": "w"}
                capture.record_display((view, {}), None, update=False)
            else:
                print(name or ("part" if what == "part" else ""), end="\n" if name else "")

    @nb.job("updates")
    def body(io: nb.SyncIO) -> None:
        io.run_task("work", work)

    body.run()
    capsys.readouterr()
    body.run()

    lines = [line.strip() for line in capsys.readouterr().out.splitlines() if line[:4] == "    "]
    assert lines == UPDATES[steps]


# -- threads ---------------------------------------------------------------------------------------


def test_the_first_outputs_of_two_threads_are_both_recorded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    threads: list[threading.Thread] = []

    class Slow(capture._Outputs):
        def __init__(self, context: Any) -> None:
            super().__init__(context)
            if not threads:  # another thread prints, too, and has the time to
                copied = contextvars.copy_context()
                threads.append(threading.Thread(target=copied.run, args=(print, "second")))
                threads[0].start()
                threads[0].join(0.2)
                print("from a finalizer")

    def work() -> None:
        print("first")
        threads[0].join()

    @nb.job("threads")
    def body(io: nb.SyncIO) -> None:
        io.run_task("work", work)

    monkeypatch.setattr(capture, "_Outputs", Slow)
    run = body.run()

    assert sorted(nb.logs(run).message) == ["first", "from a finalizer", "second"]
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_a_secret_is_hidden_in_what_is_recorded_of_a_display(capsys):
    def log_in(token: str) -> None:
        show(f"logged in with {token}")

    @nb.job("secret")
    def body(io: nb.SyncIO) -> None:
        io.run_task("log in", log_in, "abracadabra", options=nb.TaskOptions(redact=["token"]))

    (row,) = recorded(body.run())

    assert "abracadabra" not in str(row.output)
    assert "abracadabra" in capsys.readouterr().out


CODE = 'abra"kada\\\\bra<é>'


class Logo:
    """An object that no JSON holds, in what is displayed."""

    def __repr__(self) -> str:
        return f"<Logo of {CODE!r}>"


@pytest.mark.parametrize(
    "data",
    [
        {"application/json": {"token_seen": CODE, "all": [[CODE, 1], (CODE,)]}},
        {"application/json": {CODE: 1}},
        {"application/json": [1234567, {"n": 1234567.0, 1234567: "x"}]},
        {"application/vnd.plotly.v1+json": {"data": [{"name": f"of {CODE}"}], "layout": {}}},
        {"application/json": {"logo": Logo()}},
        {"text/html": f"<script>var t = {json.dumps(CODE)}</script>"},
        {"text/html": f"<b title='{html.escape(json.dumps(CODE))}'>{html.escape(CODE)}</b>"},
        {"text/plain": repr({"token": CODE})},
    ],
)
@pytest.mark.parametrize("in_metadata", [False, True])
def test_a_secret_is_hidden_in_every_part_of_a_display(data: Any, in_metadata: bool) -> None:
    def log_in(token: str, pin: int) -> None:
        output = ({"text/plain": "x"}, {"text/plain": data}) if in_metadata else (data, {})
        capture.record_display(output, None, update=False)
        nb.current_task().log("denied", of={"seen": token, "then": pin})

    @nb.job("secret")
    def body(io: nb.SyncIO) -> None:
        options = nb.TaskOptions(redact=["token", "pin"])
        io.run_task("log in", log_in, token=CODE, pin=1234567, options=options)

    run = body.run()

    (row,) = recorded(run)
    for text in (str(row.output), nb.logs(run).astype(str).to_csv()):
        assert "REDACTED" in text
        assert "kada" not in text
        assert "1234567" not in text
    assert displays.loads(row.output or "").trusted


def test_a_display_that_no_json_holds_does_not_fail_the_task():
    def record_odd() -> None:
        odd = {"text/plain": "half a pair: \ud800", "application/json": 1 << 70}
        capture.record_display((odd, {}), None, update=False)

    @nb.job("odd")
    def body(io: nb.SyncIO) -> None:
        io.run_task("show", record_odd)

    (row,) = recorded(body.run())

    assert orjson.loads(row.output or "") == [
        {"text/plain": "'half a pair: \\ud800'"},
        {},
    ]
