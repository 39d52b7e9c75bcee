"""`%%job` where there is no JupyterLab: nbclient, papermill, the Jupyter console, plain IPython."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import pexpect
import pytest

import nbtasks as nb
from nbtasks.journal import current
from tests.thorough import only_thorough

if TYPE_CHECKING:  # takes seconds to load
    from nbformat import NotebookNode

LOAD = "%load_ext nbtasks"
CELL = """%%job delays --version 1.0.0 --payload {"month": month} --as run
import asyncio
def square(x):
    print("squaring", x)
    return x * x
parts = await asyncio.gather(*(io.run_task(["square", n], square, n) for n in range(month)))
sum(parts)"""

GENEROUS = 3.0


def needs(module: str) -> pytest.MarkDecorator:
    missing = importlib.util.find_spec(module) is None
    return pytest.mark.skipif(missing, reason=f"{module} is not installed")


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    """Close the journal after each test: the tests read the home that the kernel wrote."""
    yield
    current.close()


def notebook(*cells: str) -> NotebookNode:
    from nbformat import v4 as new

    book = new.new_notebook(cells=[new.new_code_cell(cell) for cell in cells])
    book.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python",
        "language": "python",
    }
    return book


def data(cell: NotebookNode, kind: str) -> list[dict[str, str]]:
    return [output.data for output in cell.outputs if output.output_type == kind]


def text(cell: NotebookNode) -> str:
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


@only_thorough
@pytest.mark.slow
@needs("nbclient")
def test_nbclient_stores_the_tree_the_prints_and_the_out(tmp_path: Path) -> None:
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    book = notebook(LOAD, "month = 3", CELL, "%%job j\nio.run_task('t', int, 'x')", "after = 1")
    client = NotebookClient(book, timeout=60, resources={"metadata": {"path": str(tmp_path)}})

    with pytest.raises(CellExecutionError, match="TaskFailed: task 't'"):
        client.execute()

    job, failed, after = book.cells[2:]
    (tree,) = data(job, "display_data")
    assert "delays · " in tree["text/plain"]
    assert "version 1.0.0" in tree["text/plain"]
    assert "completed" in tree["text/plain"]
    assert "nbtasks-tree" in tree["text/html"]
    assert text(job).count("squaring") == 3
    assert [out["text/plain"] for out in data(job, "execute_result")] == ["5"]
    assert [output.ename for output in failed.outputs if output.output_type == "error"] == [
        "ValueError"
    ]
    assert after.execution_count is None
    assert nb.runs().status.tolist() == ["FAILED", "COMPLETED"]
    nbformat.validate(book)


@only_thorough
@pytest.mark.slow
@needs("papermill")
def test_papermill_runs_a_notebook_for_each_of_its_parameters(tmp_path: Path) -> None:
    import nbformat

    book = notebook("month = 1", LOAD, CELL, "sum(parts), run.id")
    book.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(book, tmp_path / "in.ipynb")

    script = "import papermill, sys\nfor n, month in enumerate(map(int, sys.argv[1:])):\n"
    call = "    papermill.execute_notebook('in.ipynb', f'out{n}.ipynb', {'month': month})"
    subprocess.run(
        [sys.executable, "-c", script + call, "4", "2", "4"], cwd=tmp_path, check=True, timeout=100
    )
    books = [nbformat.read(tmp_path / f"out{n}.ipynb", as_version=4) for n in range(3)]

    outs = [data(book.cells[-1], "execute_result")[0]["text/plain"] for book in books]
    assert outs[0] == outs[2] != outs[1]
    assert [out.partition(",")[0] for out in outs] == ["(14", "(1", "(14"]
    assert [text(book.cells[-2]).count("squaring") for book in books] == [4, 2, 0]
    assert "reused" in data(books[2].cells[-2], "display_data")[0]["text/plain"]
    assert nb.runs().executions.tolist() == [1, 2]


# -- terminals ------------------------------------------------------------------------------------


def _hear_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """A program in a terminal of its own, read as a person would: without escape codes."""

    def __init__(self, folder: Path, *arguments: str, environment: dict[str, str]) -> None:
        given = {
            "NBTASKS_HOME": os.environ["NBTASKS_HOME"],
            "IPYTHONDIR": str(folder / "ipython"),
            "JUPYTER_CONFIG_DIR": str(folder / "jupyter"),
            "PROMPT_TOOLKIT_NO_CPR": "1",
            "TERM": "xterm",
        }
        self._child = pexpect.spawn(
            sys.executable, ["-m", *arguments], env={**os.environ, **given, **environment},
            encoding="utf-8", timeout=60, dimensions=(50, 200), cwd=str(folder),
            # A shell that starts the tests in the background may have left it ignored.
            preexec_fn=_hear_ctrl_c,
        )  # fmt: skip
        self._child.delaybeforesend = None

    def wait_for(self, pattern: str) -> str:
        self._child.expect(pattern)
        return str(self._child.before)

    def sees(self, pattern: str, *, within: float) -> bool:
        return self._child.expect([pattern, pexpect.TIMEOUT], timeout=within) == 0

    def prompt(self, number: int) -> str:
        """Return the text before the prompt of a number; prompt_toolkit colours the number."""
        return self.wait_for(rf"In \[(?:\x1b\[[0-9;]*m)*{number}(?:\x1b\[[0-9;]*m)*\]: ")

    def type(self, line: str, *, blanks: int = 0) -> None:
        """A line and Enter; then as many blank lines, each after the one before was read."""
        self._child.send(line + "\r")
        for _ in range(blanks):
            self.wait_for(r"\.\.\.")
            self._child.send("\r")

    def interrupt(self) -> None:
        self._child.sendintr()

    def close(self) -> None:
        self._child.close(force=True)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def open_(*arguments: str, **environment: str) -> Terminal:
        opened.append(Terminal(tmp_path, *arguments, environment=environment))
        return opened[-1]

    yield open_
    for one in opened:
        one.close()


PLAIN = ("IPython", "--simple-prompt", "--colors=nocolor", "--no-banner", "--no-confirm-exit")


@pytest.mark.slow
@needs("IPython")
def test_in_plain_ipython_ctrl_c_stops_an_awaiting_cell(
    terminal: Callable[..., Terminal],
) -> None:
    one = terminal(*PLAIN)
    one.prompt(1)
    one.type(LOAD)
    one.prompt(2)
    one.type("import asyncio, nbtasks as nb, signal; before = signal.getsignal(signal.SIGINT)")
    one.prompt(3)
    for line in ("%%job delays", "await io.run_task('one', int, '1')", "print('be' + 'gun')"):
        one.type(line)
        one.wait_for(r"\.\.\.: ")
    one.type("await io.run_task('sleep', asyncio.sleep, 60)", blanks=2)
    one.wait_for("begun")

    began = monotonic()
    one.interrupt()
    shown = one.prompt(4)

    seconds = monotonic() - began
    print(f"Ctrl-C took {seconds:.2f} s")
    assert seconds < GENEROUS
    assert "KeyboardInterrupt" in shown
    assert "----> 4 await io.run_task('sleep', asyncio.sleep, 60)" in shown
    assert "is CANCELED. Execute the cell again to resume it." in shown
    assert "nbtasks/" not in shown
    one.type("'io' in globals(), signal.getsignal(signal.SIGINT) == before")
    assert "(False, True)" in one.prompt(5)
    one.type("await asyncio.sleep(0, 'the next cell')")
    assert "'the next cell'" in one.prompt(6)
    assert nb.runs().status.tolist() == ["CANCELED"]
    assert nb.tasks().set_index("path").status.to_dict() == {
        "one": "COMPLETED",
        "sleep": "CANCELED",
    }


@pytest.mark.slow
@needs("IPython")
def test_in_plain_ipython_ctrl_c_stops_a_blocking_cell(terminal: Callable[..., Terminal]) -> None:
    one = terminal(*PLAIN)
    one.prompt(1)
    one.type(LOAD)
    one.prompt(2)
    for line in ("%%job delays", "import time", "def nap():"):
        one.type(line)
        one.wait_for(r"\.\.\.: ")
    # in slices: Python may miss a signal that comes as it is about to sleep
    one.type("    print('be' + 'gun'); [time.sleep(0.1) for _ in range(600)]")
    one.wait_for(r"\.\.\.: ")
    one.type("io.run_task('nap', nap)", blanks=2)
    one.wait_for("begun")

    one.interrupt()

    assert "KeyboardInterrupt" in one.prompt(3)
    assert nb.tasks().status.tolist() == ["CANCELED"]


@pytest.mark.slow
@only_thorough
def test_in_plain_ipython_a_cell_that_ignores_its_cancellation_is_ended_by_a_second_ctrl_c(
    terminal: Callable[..., Terminal],
) -> None:
    one = terminal(*PLAIN)
    one.prompt(1)
    one.type(LOAD)
    one.prompt(2)
    for line in ("%%job delays", "import asyncio", "await asyncio.sleep(0)", "print('be' + 'gun')"):
        one.type(line)
        one.wait_for(r"\.\.\.: ")
    one.type("while True: pass", blanks=2)
    one.wait_for("begun")

    one.interrupt()
    while not one.sees("KeyboardInterrupt", within=0.3):  # as somebody who loses patience does
        one.interrupt()

    one.prompt(3)
    assert nb.runs().status.tolist() == ["CANCELED"]


@only_thorough
@pytest.mark.slow
@needs("jupyter_console")
def test_the_jupyter_console_runs_a_cell_and_ctrl_c_stops_it(
    terminal: Callable[..., Terminal],
) -> None:
    one = terminal("jupyter_console", "--kernel=python3", "--JupyterConsoleApp.confirm_exit=False")
    one.prompt(1)
    one.type(LOAD)
    one.prompt(2)
    one.type("import asyncio")
    one.prompt(3)
    for line in ("%%job delays", "x = 6 * 7", "print('be' + 'gun')"):
        one.type(line)
        one.wait_for(r"\.\.\.: ")
    one.type("await io.run_task('sleep', asyncio.sleep, 60)", blanks=2)
    one.wait_for("begun")

    one.interrupt()
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", one.prompt(4))

    assert "CancelledError" in shown
    assert "canceled" in shown  # the tree, once, at the end
    assert nb.runs().status.tolist() == ["CANCELED"]
    assert nb.tasks().status.tolist() == ["CANCELED"]
    one.type("x")
    assert "42" in one.prompt(5)
