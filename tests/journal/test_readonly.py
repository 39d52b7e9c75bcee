"""A home that may not be written: it can be read, and says why no more than that."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter; pytest's own are closed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        for path in (folder, *folder.rglob("*")):
            if path.is_dir():
                path.chmod(0o755)


# No permission stops root, so that it has to become somebody else. Before that it loads all that
# is loaded late: the other one may not even read the standard library.
STRANGER = """
import tempfile
import nbtasks as nb
from nbtasks.journal import current

with tempfile.TemporaryDirectory() as scratch:
    nb.configure(home=scratch)
    # All of nbtasks is loaded here: its folder may be closed to the stranger.
    warm_up = nb.job("warm up")(lambda io: io.run_task("a", bytes, 1))
    warm_up.run(), warm_up.run(replay="only")
    nb.runs(), nb.tasks(), nb.sql("select 1")
    current.close()
    nb.configure(home=None)
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
os.chdir("/")
"""


def make_read_only(home: Path) -> None:
    for path in (home, *home.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)


READ_ONLY = (
    STRANGER
    + """
@nb.job("reading")
def reading(io: nb.SyncIO) -> int:
    return io.run_task("a", int, "1")

say(*nb.runs().status)
say(*nb.tasks().path)
say(*nb.sql("select path from tasks order by path").path)
try:
    reading.run()
except Exception as error:
    say(type(error).__name__)
    say(error)
say(*nb.runs().status)
"""
)


@pytest.mark.slow
@pytest.mark.parametrize("state", ["all merged", "some of it in a segment"])
def test_a_read_only_home_can_be_read_and_says_why_it_cannot_be_written(
    open_folder, monkeypatch, python, state
):
    home = open_folder / "home"
    monkeypatch.setenv("NBTASKS_HOME", str(home))
    ends = "journal.close()" if state == "all merged" else "os._exit(0)"
    python(
        f"""
        journal = HomeJournal(HOME)
        run = journal.claim(claim()).run
        journal.put(task(run, "t1", 1))
        run.status = "COMPLETED"
        journal.release(run)
        if {state != "all merged"}:
            run = journal.claim(claim("other")).run
            journal.put(task(run, "t2", 1))
            journal.sync()
        {ends}
        """
    ).end()
    make_read_only(home)
    before = sorted(home.rglob("*"))

    process = python(READ_ONLY)

    statuses = "COMPLETED" if state == "all merged" else "COMPLETED INTERRUPTED"
    tasks = "t1" if state == "all merged" else "t1 t2"
    process.expect(statuses)
    process.expect(tasks)
    process.expect(tasks)
    process.expect("JournalWriteError")
    said = process.line()
    assert "Permission denied" in said
    assert str(home) in said
    assert "write access" in said
    process.expect(statuses)
    process.end()
    assert sorted(home.rglob("*")) == before


SHARED = """
@nb.job("shared", on_change="ignore")
def shared(payload, io: nb.SyncIO) -> int:
    io.run_task("large", lambda: b"x" * 2_000_000)
    return io.run_task("sum", sum, [payload, 1])
"""


@pytest.mark.slow
@pytest.mark.parametrize("ends", ["current.close()", "os._exit(0)"], ids=["merged", "in a segment"])
def test_a_read_only_home_will_do_to_replay_a_run(open_folder, monkeypatch, python, ends):
    home = open_folder / "home"
    monkeypatch.setenv("NBTASKS_HOME", str(home))
    imports = "import nbtasks as nb\nfrom nbtasks.journal import current\n"
    python(f"{imports}{SHARED}shared.run(1)\n{ends}").end()
    make_read_only(home)
    before = {path: path.is_file() and path.read_bytes() for path in home.rglob("*")}

    process = python(
        f"""{STRANGER}{SHARED}
say(shared.run(1, replay="only").output)
try:
    shared.run(2, replay="only")
except nb.NotRecordedError as error:
    say(error)
"""
    )

    process.expect("2")
    assert "has no run with the key" in process.line()
    process.end()
    assert {path: path.is_file() and path.read_bytes() for path in home.rglob("*")} == before


@pytest.mark.slow
def test_who_may_only_read_sees_a_run_that_goes_on(open_folder, monkeypatch, python):
    home = open_folder / "home"
    monkeypatch.setenv("NBTASKS_HOME", str(home))
    owner = python(
        """
        journal = HomeJournal(HOME)
        run = journal.claim(claim()).run
        journal.put(task(run, "t1", 1, status="RUNNING"))
        journal.sync()
        say("running")
        heard()
        """
    )
    owner.expect("running")
    if os.getuid():
        make_read_only(home)

    reader = python(
        STRANGER
        + """
journal = HomeJournal(HOME)
for _ in range(2):
    say(journal.runs()[0].status, *frames.sql(journal, "from tasks").status)
    heard()
"""
    )
    reader.expect("RUNNING RUNNING")
    owner.kill()
    reader.tell("look again")

    reader.expect("INTERRUPTED INTERRUPTED")


@pytest.mark.slow
def test_a_home_that_cannot_be_made_says_how_to_choose_another(open_folder, monkeypatch, python):
    closed = open_folder / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    monkeypatch.setenv("NBTASKS_HOME", str(closed / "home"))

    process = python(READ_ONLY)

    for _ in range(3):
        process.expect("")
    process.expect("JournalWriteError")
    said = process.line()
    assert "Permission denied" in said
    assert "NBTASKS_HOME" in said
    process.expect("")
    process.end()
