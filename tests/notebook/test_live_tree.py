"""The live tree, in a real kernel, a real console, a real terminal shell, and none at all."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import pexpect
import pytest
from jupyter_client.manager import start_new_kernel

from nbtasks.core.model import RunRow, Status, TaskRow
from nbtasks.notebook import live_tree
from nbtasks.notebook.live_tree import LiveTree
from nbtasks.testing import FakeClock
from tests.thorough import only_thorough

if TYPE_CHECKING:  # takes seconds to load
    from nbformat import NotebookNode

# What stands in for an engine: rows, and a number that grows with each change.
FAKE = '''
import threading
from nbtasks.core import clock
from nbtasks.core.model import RunRow, TaskRow
from nbtasks.notebook.live_tree import live

class Run:
    """A run that the test moves on by hand."""
    def __init__(self, job, recorded=0):
        self.row = RunRow("r1", job, job, "1.0.0", "k", executions=1, started_us=clock.micros())
        self.rows = [TaskRow("r1", f"old {n}", n, status="COMPLETED") for n in range(recorded)]
        self.revision = 0
        self.tree = live(lambda: (self.row, list(self.rows)), lambda: self.revision)

    def task(self, key, status="RUNNING"):
        self.rows.append(TaskRow("r1", key, len(self.rows), status=status))
        self.revision += 1

    def end(self):
        for row in self.rows:
            row.status = "COMPLETED"
        self.row.status, self.row.finished_us = "COMPLETED", clock.micros()
        self.revision += 1
        self.tree.finish()
'''

CELLS = {
    "in place": """
        one = Run("one")
        one.tree.start()
        one.task("first")
        print("printed")
        for n in range(300):
            one.task(f"task {n}")
            threading.Event().wait(0.005)
        one.end()
        one.tree.finish()
    """,
    "broken": """
        two = Run("two")
        two.tree.start()
        shell = get_ipython()
        publish, shell.display_pub.publish = shell.display_pub.publish, None
        two.task("unseen")
        two.tree._thread.join(10)
        two.end()
        shell.display_pub.publish = publish
        "the cell went on"
    """,
    "long history": """
        three = Run("three", recorded=5_000)
        three.tree.start()
        three.tree.finish()
    """,
    "reopened": """
        from nbtasks.views.tree.run_tree import RunTree
        from nbtasks.views.tree.nodes import build
        display(RunTree(build(one.row, one.rows[:2]), clock.micros()))
    """,
}


def execute(book: NotebookNode, folder: Path) -> list[dict[str, Any]]:
    """Gives what the kernel published."""
    from nbclient import NotebookClient

    published: list[dict[str, Any]] = []

    class Recorder(NotebookClient):
        def process_message(self, msg: dict[str, Any], *where: Any) -> Any:
            published.append(msg)
            return super().process_message(msg, *where)

    Recorder(book, timeout=60, resources={"metadata": {"path": str(folder)}}).execute()
    return published


class Notebook:
    """The executed notebook: what was published, and what would be saved."""

    def __init__(self, folder: Path) -> None:
        from nbformat import v4 as new

        folder.joinpath("fake.py").write_text(FAKE)
        sources = ["from fake import *", *map(_dedent, CELLS.values())]
        self.saved = new.new_notebook(cells=list(map(new.new_code_cell, sources)))
        self._published = execute(self.saved, folder)

    def outputs(self, name: str) -> list[NotebookNode]:
        return list(self.saved.cells[list(CELLS).index(name) + 1].outputs)

    def tree(self, name: str) -> dict[str, str]:
        """The one drawing in a cell's outputs."""
        (shown,) = [out.data for out in self.outputs(name) if out.output_type == "display_data"]
        return dict(shown)

    def messages(self, job: str) -> list[dict[str, Any]]:
        """Return the outputs that a job's live tree published."""
        return [
            msg
            for msg in self._published
            if "display_id" in msg["content"].get("transient", {})
            and msg["content"]["data"]["text/plain"].startswith(job)
        ]


def _dedent(source: str) -> str:
    return "\n".join(line[8:] for line in source.splitlines()).strip()


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Notebook:
    return Notebook(tmp_path_factory.mktemp("view"))


# ---------------------------------------------------------------- in a notebook


def test_a_cell_has_one_display_which_is_updated_in_place(notebook: Notebook) -> None:
    kinds = Counter(msg["msg_type"] for msg in notebook.messages("one"))
    places = {msg["content"]["transient"]["display_id"] for msg in notebook.messages("one")}

    assert kinds["display_data"] == 1
    assert kinds["update_display_data"] >= 2
    assert len(places) == 1


def test_the_tree_stands_above_what_the_cell_prints(notebook: Notebook) -> None:
    assert [out.output_type for out in notebook.outputs("in place")] == ["display_data", "stream"]


@pytest.mark.slow
@only_thorough
def test_the_saved_notebook_has_the_final_tree_in_both_forms(notebook: Notebook) -> None:
    saved = notebook.tree("in place")

    assert list(saved) == ["text/plain", "text/html"]
    assert "✔ completed" in saved["text/plain"].splitlines()[0]
    assert "· 301 tasks ·" in saved["text/plain"]
    assert "<em>301 tasks</em>" in saved["text/html"]


@pytest.mark.slow
def test_the_display_changes_at_most_five_times_a_second(notebook: Notebook) -> None:
    """The last one excepted, which the end of the job does not wait for."""
    times = [msg["header"]["date"] for msg in notebook.messages("one")][:-1]
    gaps = [(late - early).total_seconds() for early, late in pairwise(times)]

    assert gaps
    assert min(gaps) > 0.19


def test_a_running_tree_says_so(notebook: Notebook) -> None:
    seen = [msg["content"]["data"]["text/plain"] for msg in notebook.messages("one")]

    assert all("▶ running" in text.splitlines()[0] for text in seen[:-1])
    assert any("▶ first" in text for text in seen)


def test_while_it_runs_the_tree_shows_some_of_many_tasks_and_counts_the_rest(
    notebook: Notebook,
) -> None:
    *_, late, _ = [msg["content"]["data"]["text/plain"] for msg in notebook.messages("one")]

    assert re.search(r"… \d+ running", late)
    assert len(late.splitlines()) < 110


def test_a_front_end_that_breaks_costs_the_tree_and_not_the_job(notebook: Notebook) -> None:
    *_, warned, result = notebook.outputs("broken")

    assert warned.name == "stderr"
    assert warned.text.count("The tree could not be drawn (TypeError") == 1
    assert "The run is not affected" in warned.text
    assert result.data["text/plain"] == "'the cell went on'"


@pytest.mark.slow
def test_a_long_history_does_not_hold_up_its_continuation(notebook: Notebook) -> None:
    """Its title is there at once, its tasks with a later drawing."""
    first, *_, last = notebook.messages("three")

    assert "5,000" not in first["content"]["data"]["text/plain"]
    assert "… 5,000 completed" in last["content"]["data"]["text/plain"]


def test_a_finished_drawing_can_be_displayed(notebook: Notebook) -> None:
    saved = notebook.tree("reopened")

    assert list(saved) == ["text/plain", "text/html"]
    assert "<em>2 tasks</em>" in saved["text/html"]


@pytest.mark.slow
def test_the_tree_stays_in_its_cell_while_another_one_runs(tmp_path: Path) -> None:
    (tmp_path / "fake.py").write_text(FAKE)
    manager, client = start_new_kernel(cwd=str(tmp_path))
    seen: list[dict[str, Any]] = []

    def execute(code: str) -> str:
        reply = client.execute_interactive(
            code, allow_stdin=False, timeout=60, output_hook=seen.append
        )
        return str(reply["parent_header"]["msg_id"])

    try:
        first = execute("from fake import *; run = Run('one'); run.tree.start(); run.task('begun')")
        client.execute("threading.Event().wait(0.5); run.task('later'); run.end()")
        parents: list[tuple[str, str]] = []
        while not parents or "✔ completed" not in parents[-1][1]:
            msg = client.get_iopub_msg(timeout=60)
            if msg["msg_type"] == "update_display_data":
                text = msg["content"]["data"]["text/plain"]
                parents.append((msg["parent_header"]["msg_id"], text))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)

    assert {msg["msg_type"] for msg in seen} >= {"display_data"}
    assert {parent for parent, _ in parents} == {first}


# ---------------------------------------------------------------- elsewhere

SCRIPT = """
from fake import *
run = Run("one")
run.tree.start(); run.task("first"); print("printed"); run.end(); run.tree.finish()
"""


@pytest.mark.slow
def test_a_terminal_shows_the_final_tree_once(tmp_path: Path) -> None:
    (tmp_path / "fake.py").write_text(FAKE)
    command = [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", "-c", SCRIPT]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()

    assert lines[0] == "printed"
    assert lines[1].startswith("one · key k · ✔ completed")
    assert [line for line in lines if "first" in line] == ["└─ ✔ first  completed"]
    assert done.stderr == ""


@pytest.mark.slow
def test_a_console_on_a_kernel_shows_the_final_tree_once(tmp_path: Path) -> None:
    """It prints displays but ignores their updates."""
    (tmp_path / "fake.py").write_text(FAKE)
    (tmp_path / "script.py").write_text(SCRIPT)
    console = pexpect.spawn(
        sys.executable,
        ["-m", "jupyter_console", "--simple-prompt"],
        cwd=str(tmp_path),
        encoding="utf-8",
        timeout=60,
        dimensions=(50, 200),
    )
    try:
        console.expect(r"In \[1\]: ")
        console.sendline("%run script.py")
        console.expect(r"In \[2\]: ")
        shown = str(console.before)
        assert shown.count("version 1.0.0") == 1
        assert "one · key k · ✔ completed" in shown
        assert "└─ ✔ first  completed" in shown
        console.sendline("exit")
        console.expect(pexpect.EOF)
    finally:
        console.close(force=True)


def test_without_ipython_there_is_no_live_tree_and_nothing_is_loaded_for_it() -> None:
    code = (
        "import sys; from nbtasks.notebook.live_tree import live; "
        "print(live(None, None), 'IPython' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["None", "False"]


# ---------------------------------------------------------------- rates and faults


class Screen:
    """A front end that notes what it is given, and when."""

    def __init__(self) -> None:
        self.shown: list[tuple[float, str]] = []
        self._new = threading.Condition()

    def update(self, bundle: dict[str, str], *, raw: bool) -> None:
        with self._new:
            self.shown.append((perf_counter(), bundle["text/plain"]))
            self._new.notify_all()

    def wait_for(self, drawings: int) -> None:
        with self._new:
            assert self._new.wait_for(lambda: len(self.shown) >= drawings, timeout=20)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    screen = Screen()

    def display(bundle: dict[str, str], *, updatable: bool) -> Screen:
        screen.update(bundle, raw=True)
        return screen

    monkeypatch.setattr(live_tree, "show", display)
    return screen


@pytest.fixture
def now() -> Iterator[FakeClock]:
    with FakeClock() as clock:
        yield clock


def waiting(now: FakeClock, seconds: int) -> tuple[RunRow, list[TaskRow]]:
    at = int(now.now().timestamp()) * 1_000_000
    run = RunRow("r1", "job", "job", "1.0.0", "k", executions=1, started_us=at)
    due = at + seconds * 1_000_000
    return run, [TaskRow("r1", "wait", 1, status=Status.WAITING, due_us=due)]


@pytest.mark.slow
def test_a_countdown_goes_on_while_nothing_changes(screen: Screen, now: FakeClock) -> None:
    rows = waiting(now, 30)
    tree = LiveTree(lambda: rows, lambda: 0, updatable=True)
    tree.start()
    screen.wait_for(1)
    now.advance(10)
    screen.wait_for(2)
    now.advance(15)
    screen.wait_for(3)
    tree.finish()

    left = [text.splitlines()[-1].partition("due in ")[2] for _, text in screen.shown]
    assert left == ["30 s", "20 s", "5 s"]


@pytest.mark.slow
def test_what_looks_the_same_is_not_sent_again(screen: Screen, now: FakeClock) -> None:
    rows = waiting(now, 30)
    drawn = threading.Semaphore(0)

    def snapshot() -> tuple[RunRow, list[TaskRow]]:
        drawn.release()
        return rows

    revision = iter(range(1000))
    tree = LiveTree(snapshot, lambda: next(revision), updatable=True)
    tree.start()
    for _ in range(4):
        assert drawn.acquire(timeout=20)
    tree.finish()

    assert len(screen.shown) == 1


@pytest.mark.slow
def test_drawing_takes_at_most_a_tenth_of_the_time(screen: Screen, now: FakeClock) -> None:
    cost = 0.06
    run, rows = waiting(now, 30)
    revision = iter(range(1000))

    def snapshot() -> tuple[RunRow, list[TaskRow]]:
        end = perf_counter() + cost
        while perf_counter() < end:
            pass
        rows.append(TaskRow("r1", f"task {len(rows)}", len(rows)))
        return run, rows

    tree = LiveTree(snapshot, lambda: next(revision), updatable=True)
    tree.start()
    screen.wait_for(4)
    tree.finish()
    times = [when for when, _ in screen.shown[1:4]]

    assert min(late - early for early, late in pairwise(times)) >= 10 * cost


def test_a_fault_is_told_once_and_never_raised(screen: Screen) -> None:
    def snapshot() -> tuple[RunRow, list[TaskRow]]:
        raise OSError("the journal is gone")

    tree = LiveTree(snapshot, lambda: 0, updatable=True)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        tree.start()
        tree.finish()
        tree.finish()

    assert len(told) == 1
    assert str(told[0].message) == (
        "The tree could not be drawn (OSError: the journal is gone). The run is not affected, and "
        "nb.tree() draws it from the journal."
    )
    assert screen.shown == []


def test_a_fault_while_it_runs_ends_the_thread_and_not_the_job(
    screen: Screen, now: FakeClock
) -> None:
    rows = waiting(now, 30)

    def revision() -> int:
        raise LookupError("no such run")

    tree = LiveTree(lambda: rows, revision, updatable=True)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        tree.start()
        assert tree._thread is not None
        tree._thread.join(20)
        rows[0].status = Status.COMPLETED
        tree.finish()

    assert [str(warning.message).partition(":")[0] for warning in told] == [
        "The tree could not be drawn (LookupError"
    ]
    assert "✔ completed" in screen.shown[-1][1], "the last state is drawn all the same"


def test_a_tree_that_was_not_started_has_nothing_to_finish(screen: Screen) -> None:
    tree = LiveTree(lambda: pytest.fail("nothing to draw"), lambda: 0, updatable=False)
    tree.finish()

    assert screen.shown == []
