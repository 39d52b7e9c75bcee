"""A cell whose kernel is killed again and again: what was acknowledged is kept and runs no more."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from tests.thorough import THOROUGH

KILLS, TASKS = (100, 4000) if THOROUGH else (20, 800)

# A process that has loaded everything forks, and its fork is the kernel that is killed: so a
# hundred kernels take seconds. Each notes what it does in a file, by writes that only append.
KERNELS = """
import asyncio, random, warnings
import anyio, duckdb, filelock, pandas
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config
import nbtasks.notebook.magics

# A kill in the middle of a write may leave half a line, which each start reports until one has
# the time to set it aside.
warnings.filterwarnings("ignore", ".* of a write that was never acknowledged")
# Of Python 3.12: the threads here are those of libraries, at rest.
warnings.filterwarnings("ignore", ".* is multi-threaded, use of fork", DeprecationWarning)

notes = os.open(os.environ["NOTES"], os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)

def note(*words):
    os.write(notes, (" ".join(map(str, words)) + "\\n").encode())

CELLS = ['''SYNC''', '''ASYNC''']

def kernel(number, started):
    config = Config({"HistoryManager": {"enabled": False}})
    shell = InteractiveShell.instance(config=config)
    shell.run_line_magic("load_ext", "nbtasks")
    shell.user_ns.update(note=note, begun=lambda: os.write(started, b"!"))
    result = shell.run_cell(CELLS[number % 2])
    note("ended" if result.success else f"failed {result.error_in_exec!r}")

chance = random.Random(20130101)
for number in range(KILLS + 1):
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            kernel(number, write)
        finally:
            os._exit(0)
    os.close(write)
    if number < KILLS:
        if number % 5:  # the others may die before their run has begun
            os.read(read, 1)
        clock.current().sleep_until(clock.micros() + chance.randrange(25_000))
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(read)
    say(number)
    heard()
"""

SYNC_CELL = """%%job killed --no-tree --on-change ignore
begun()
for n in range(TASKS):
    assert io.run_task(f"t{n}", lambda: note("ran", n) or n) == n
    note("acknowledged", n)
"""

ASYNC_CELL = """%%job killed --no-tree --on-change ignore
import asyncio
begun()
async def call(n):
    await asyncio.sleep(0)
    note("ran", n)
    return n
async def one(n):
    assert await io.run_task(f"t{n}", call, n) == n
    note("acknowledged", n)
for start in range(0, TASKS, 20):
    await asyncio.gather(*[one(n) for n in range(start, start + 20)])
"""


def look(home: Path) -> int:
    """Return the number of tasks that any DuckDB tool sees, each counted once."""
    if not (home / "journal.duckdb").exists():
        return 0  # killed before it came to that
    with duckdb.connect(str(home / "journal.duckdb"), read_only=True) as con:
        runs = con.execute("select count(*) from run").fetchall()
        tasks = con.execute("select count(*), count(distinct path) from task").fetchall()
    assert runs[0][0] <= 1
    assert tasks[0][0] == tasks[0][1]
    return int(tasks[0][0])


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.timeout(300)
def test_a_cell_whose_kernel_is_killed_many_times_ends_with_no_acknowledged_task_run_again(
    home, open_home, python, tmp_path, monkeypatch
):
    """At random moments, in cells that await and in cells that do not, on one and the same run."""
    notes = tmp_path / "notes"
    monkeypatch.setenv("NOTES", str(notes))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    process = python(
        KERNELS.replace("ASYNC", ASYNC_CELL)
        .replace("SYNC", SYNC_CELL)
        .replace("KILLS", str(KILLS))
        .replace("TASKS", str(TASKS))
    )

    for number in range(KILLS + 1):
        process.expect(str(number))
        look(home)
        process.tell("go on")
    assert process.end() == ""

    *lines, last = notes.read_text().splitlines()
    assert last == "ended"
    assert [line for line in lines if line.startswith("failed")] == []
    acknowledged: set[str] = set()
    ran_again: list[str] = []
    for word, number in (line.split() for line in lines if " " in line):
        if word == "acknowledged":
            acknowledged.add(number)
        elif number in acknowledged:
            ran_again.append(number)
    assert ran_again == []
    assert len(acknowledged) == TASKS
    assert lines.count("ended") < KILLS / 2, "most kills should have hit a running cell"
    open_home().runs()  # the last kernel was gone before it merged its rows
    assert look(home) == TASKS
    with duckdb.connect(str(home / "journal.duckdb"), read_only=True) as con:
        ((status, executions),) = con.execute("select status, executions from runs").fetchall()
        assert status == "COMPLETED"
        assert executions <= KILLS + 1
        assert con.execute("select distinct status from tasks").fetchall() == [("COMPLETED",)]
