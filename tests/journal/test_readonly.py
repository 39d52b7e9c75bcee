"""A home that may not be written: it can be read, and says why no more than that."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbtasks.errors import JournalWriteError
from nbtasks.journal.database.exclusive import HomeLock
from tests.thorough import only_thorough


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

    statuses = "COMPLETED" if state == "all merged" else "INTERRUPTED COMPLETED"
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


MOUNTED = """
import os, sys
import nbtasks as nb

@nb.job("mounted")
def mounted(payload: int, io: nb.SyncIO) -> int:
    return io.run_task("t", abs, payload)

def gc():
    nb.gc(older_than="0s", dry_run=False)

mounted_calls = {
    "runs": lambda: nb.runs(), "run": lambda: mounted.run(1), "new": lambda: mounted.run(2),
    "event": lambda: nb.send_event("e", 1), "gc": gc, "repair": lambda: nb.doctor(repair=True),
    "set": lambda: nb.last_run().set("t", 5), "reset": lambda: nb.last_run().reset("t"),
    "import": lambda: nb.import_run(sys.argv[2]), "store": lambda: nb.last_run().rerun(),
    "export": lambda: nb.export_run(nb.last_run(), str(nb.config.home / "a.nbrun")),
}
if sys.argv[1] == "fill":
    mounted.run(1)
    nb.export_run(nb.last_run(), sys.argv[2])
    leftover = nb.config.home / "journal.new"  # of a process that died
    leftover.touch()
    os.utime(leftover, (0, 0))
    sys.exit()
for name, call in mounted_calls.items():
    try:
        call()
    except Exception as error:
        print(name, type(error).__name__, "give write access" in str(error), flush=True)
    else:
        print(name, "done", flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="only root mounts file systems")
@only_thorough
def test_on_a_file_system_mounted_read_only_every_write_asks_for_write_access(tmp_path):
    home, script, shared = tmp_path / "disk", tmp_path / "mounted.py", tmp_path / "run.nbrun"
    home.mkdir()
    script.write_text(MOUNTED)
    python = f"{sys.executable} {script}"
    other = f"NBTASKS_HOME={tmp_path}/other"
    commands = [
        f"mount -t tmpfs tmpfs {home}",
        f"{python} fill {shared} >/dev/null",
        f"{other} {python} fill {shared} >/dev/null",  # a run that this home does not know
        f"mount -o remount,ro {home}",
        f"{python} look {shared}",
    ]
    env = {**os.environ, "NBTASKS_HOME": f"{home}/home"}
    ended = subprocess.run(
        ["unshare", "-m", "sh", "-c", " && ".join(commands)],
        env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if ended.returncode and not ended.stdout:
        pytest.skip(f"this machine does not let us mount: {ended.stderr}")

    lines = dict(line.split(" ", 1) for line in ended.stdout.splitlines())
    assert lines.pop("runs") == "done"
    assert set(lines.values()) == {"JournalWriteError True"}, str(lines)
    assert len(lines) == 10


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "Make room"),
        (errno.EDQUOT, "Make room"),
        (errno.EROFS, "give write access"),
        (errno.EACCES, "give write access"),
        (errno.EPERM, "give write access"),
        (errno.EIO, "Check that the disk"),
        (errno.ESTALE, "Check that the disk"),
    ],
)
def test_a_refused_write_says_what_to_do(home, open_home, rows, monkeypatch, number, remedy):
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    journal = open_home()
    rows.finished(journal)
    monkeypatch.setattr(os, "pwrite", refuse)
    with pytest.raises(JournalWriteError) as refused:
        journal.claim(rows.claim("other"))

    assert remedy in str(refused.value)
    assert os.strerror(number) in str(refused.value)
    assert str(home) in str(refused.value)


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EDQUOT, errno.EROFS])
def test_a_lock_file_that_the_disk_refuses_is_no_bare_error(open_home, rows, monkeypatch, number):
    journal = open_home()
    rows.finished(journal)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(HomeLock, "acquire", refuse)
    if number in (errno.EIO, errno.ESTALE):
        with pytest.raises(JournalWriteError, match="Check that the disk"):
            journal.runs()
    else:
        assert len(journal.runs()) == 1


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
@only_thorough
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
@only_thorough
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
