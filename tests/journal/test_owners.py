"""Owners of segments: processes of this machine, of its containers, and of other machines."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.core import clock
from nbtasks.errors import RunBusyError
from nbtasks.journal.database import owners, segments
from nbtasks.journal.database.owners import SILENT_SECONDS
from nbtasks.journal.home.home_journal import HomeJournal
from nbtasks.journal.wal import Segment, SegmentReader

OWNER = """
journal = HomeJournal(HOME)
run = journal.claim(claim()).run
journal.put(task(run, "t", 1, status="RUNNING"))
journal.sync()
say(run.run_id)
heard()
"""


def can_box() -> bool:
    """True if this user may make namespaces, as containers have."""
    if shutil.which("unshare") is None:
        return False
    command = ["unshare", "--uts", "--pid", "--fork", "--mount-proc", "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def box(host: str) -> list[str]:
    """The command before a command that executes it as in a container with this host name."""
    named = f'hostname {host} && exec "$@"'
    apart = ["--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return ["unshare", *apart, "sh", "-c", named, "sh"]


@pytest.mark.skipif(not can_box(), reason="only who may make namespaces can")
@pytest.mark.slow
class TestAContainerOfThisMachine:
    def test_that_has_died_leaves_its_run_to_the_next_at_once(self, home, python, open_home, rows):
        old = python(OWNER, box=box("pod-1"))
        run_id = old.line()
        old.kill_box()

        here = open_home()  # which has another host name
        assert here.runs()[0].host == "pod-1"
        assert here.tasks(run_id)[0][4] == "INTERRUPTED"
        assert here.claim(rows.claim()).run.executions == 2

    def test_that_lives_keeps_its_run(self, home, python, open_home, rows):
        other = python(OWNER, box=box("pod-1"))
        other.line()
        here = open_home()

        with pytest.raises(RunBusyError, match="on pod-1") as caught:
            here.claim(rows.claim())
        assert "nb.doctor" not in str(caught.value)  # nothing is in doubt
        other.kill_box()
        assert here.claim(rows.claim()).run.executions == 2

    def test_with_the_same_name_lives_although_its_process_has_no_number_here(
        self, home, python, open_home, rows
    ):
        other = python(OWNER, box=box(socket.gethostname()))
        other.line()

        assert open_home().runs()[0].status == "RUNNING"
        with pytest.raises(RunBusyError):
            open_home().claim(rows.claim())

    def test_is_waited_for_on_a_network_file_system(
        self, home, python, open_home, rows, mounted, tmp_path
    ):
        old = python(OWNER, box=box("pod-1"))
        old.line()
        old.kill_box()
        mounted("srv:/export HERE nfs4 rw 0 0")

        with pytest.raises(RunBusyError, match="five minutes after its last sign of life"):
            open_home().claim(rows.claim())
        assert owners.release(home, "pod-1")
        assert open_home().claim(rows.claim()).run.executions == 2

    def test_runs_on_where_its_home_is_copied_but_not_in_the_copy(
        self, home, python, open_home, rows, tmp_path
    ):
        other = python(OWNER, box=box("pod-1"))
        other.line()
        shutil.copytree(home, tmp_path / "copy")

        assert open_home().runs()[0].status == "RUNNING"
        assert open_home(tmp_path / "copy").runs()[0].status == "INTERRUPTED"


class TestTheOwnerOfAFreeLock:
    """Its header says where it was, which decides what the lock proves."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        segment = Segment(tmp_path, durable=False)
        segment.close()
        return segment.path

    @pytest.fixture
    def header(self, path: Path) -> dict[str, Any]:
        found = SegmentReader(path).read_header()
        assert found is not None
        return found

    def test_is_dead_after_a_start_of_this_machine(self, path, header):
        assert not owners.is_alive(path, {**header, "boot_id": "before"})

    def test_is_dead_after_this_machine_got_another_name(self, path, header):
        assert not owners.is_alive(path, {**header, "host": "ada.office.example"})

    def test_may_live_on_another_machine(self, path, header):
        there = {**header, "host": "elsewhere", "boot_id": "another"}
        assert owners.is_alive(path, there)
        assert owners.other_host(path, there) == "elsewhere"

    @pytest.mark.parametrize("said", [None, ""])
    def test_is_told_by_its_host_where_the_system_has_no_boot_id(
        self, path, header, monkeypatch, said
    ):
        monkeypatch.setattr(clock, "boot_id", lambda: None)  # as on a Mac
        assert not owners.is_alive(path, {**header, "boot_id": said})
        assert owners.is_alive(path, {**header, "boot_id": said, "host": "elsewhere"})

    def test_is_dead_if_it_says_nothing_of_itself(self, path):
        assert not owners.is_alive(path, None)
        assert not owners.is_alive(path, {"host": 7})


def test_a_process_that_the_system_hides_is_not_gone(tmp_path, monkeypatch):
    """The mount option `hidepid` hides those of other users."""
    segment = Segment(tmp_path, durable=False)
    header = SegmentReader(segment.path).read_header()
    monkeypatch.setattr(owners, "process_start", lambda pid: None)

    assert owners.is_alive(segment.path, header)
    assert not owners.is_alive(segment.path, {**(header or {}), "pid": 2**22 + 1})
    segment.close()


class TestAProcessOfAnotherMachine:
    """Its lock is free, as where locks do not reach from one machine to another."""

    @pytest.fixture
    def there(self, open_home: Any, rows: Any, monkeypatch: pytest.MonkeyPatch) -> HomeJournal:
        with monkeypatch.context() as patched:
            patched.setattr(socket, "gethostname", lambda: "elsewhere")
            patched.setattr(clock, "boot_id", lambda: "another")
            journal: HomeJournal = open_home()
            self.run = journal.claim(rows.claim(key="k", host="elsewhere")).run
        self.run.host = "elsewhere"
        journal.put(self.run)
        journal.put(rows.task(self.run, "t", 1, status="RUNNING"))
        journal.sync()
        segment = journal.segments.own
        assert segment is not None
        fcntl.flock(segment._fd, fcntl.LOCK_UN)
        self.segment = segment.path
        return journal

    def silent(self, seconds: float) -> None:
        changed = self.segment.stat().st_mtime - seconds
        os.utime(self.segment, (changed, changed))

    def test_executes_its_run_as_long_as_it_gives_signs_of_life(self, there, open_home, rows):
        here = open_home()
        for seconds in (0, SILENT_SECONDS / 2):
            self.silent(seconds)
            assert here.runs()[0].status == "RUNNING"
            with pytest.raises(RunBusyError) as caught:
                here.claim(rows.claim())
        assert "on elsewhere" in str(caught.value)
        assert "nb.doctor(release='elsewhere')" in str(caught.value)
        assert SILENT_SECONDS == 5 * 60
        assert "five minutes after its last sign of life" in str(caught.value)

    @pytest.mark.slow
    def test_is_dead_once_it_gives_none(self, there, open_home, rows):
        here = open_home()
        assert here.runs()[0].status == "RUNNING"
        self.silent(SILENT_SECONDS + 10)

        assert here.runs()[0].status == "INTERRUPTED"
        assert here.tasks(self.run.run_id)[0][4] == "INTERRUPTED"
        assert here.claim(rows.claim()).run.executions == 2

    def test_gives_a_sign_of_life_whenever_it_looks_for_requests(self, there):
        self.silent(SILENT_SECONDS * 2)
        before = self.segment.stat().st_mtime
        there.cancel_requests()
        assert self.segment.stat().st_mtime > before + SILENT_SECONDS

        self.silent(SILENT_SECONDS * 2)
        there.cancel_requests()
        assert self.segment.stat().st_mtime < before + SILENT_SECONDS  # not ten times a second
        there.segments._beat_us -= (segments._BEAT_SECONDS + 1) * 1_000_000
        there.cancel_requests()
        assert self.segment.stat().st_mtime > before + SILENT_SECONDS

    @pytest.mark.slow
    def test_may_be_said_to_be_gone(self, there, home):
        nb.configure(home=home)
        finding = nb.doctor().query("remedy.str.contains('elsewhere')")
        assert finding.what.tolist() == [f"wal/{self.segment.name}"]
        assert nb.doctor(release="another").query("state == 'repaired'").empty
        assert nb.runs().status.tolist() == ["RUNNING"]

        released = nb.doctor(release="elsewhere").query("state == 'repaired'")

        assert released.what.tolist() == [f"wal/{self.segment.name}"]
        assert nb.runs().status.tolist() == ["INTERRUPTED"]
        nb.configure(home=None)

    def test_that_has_removed_nothing_of_ours_is_not_in_the_way(self, there, open_home, rows):
        here = open_home()
        rows.finished(here, "another")
        assert {run.status for run in here.runs()} == {"RUNNING", "COMPLETED"}
