"""Runs that are given to others: exported, opened, imported, replayed, trusted."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import types
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydantic
import pytest

import nbtasks as nb
from nbtasks.core import front_end
from nbtasks.core.front_end import Terminal
from nbtasks.jobs.runtime import runtime
from nbtasks.values import signing
from nbtasks.views.tree.run_tree import RunTree
from tests.kinds import figure, frame, same
from tests.thorough import only_thorough

CALLS: list[Any] = []
#: Where things happen now: in a list, which is no input of the functions that look at it.
MACHINE = ["A"]


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """From the call on, the user is another one, with a home and a key of their own."""

    def become(name: str = "colleague") -> None:
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / name / "data"))
        signing._key.cache_clear()
        nb.configure(home=tmp_path / name / "home")

    yield become
    nb.configure(home=None)
    signing._key.cache_clear()


@pytest.fixture(autouse=True)
def _home() -> Any:
    CALLS.clear()
    yield
    nb.configure(home=None, replay=None)


class Login(pydantic.BaseModel):
    user: str
    password: pydantic.SecretStr


def job_of_many() -> nb.Job:
    @nb.job("study", version="1.0.0")
    def study(payload: dict[str, Any], io: nb.SyncIO) -> dict[str, Any]:
        def work() -> Any:
            CALLS.append("work")
            nb.current_task().log("at work", rows=4)
            nb.current_task().metric(score=0.5)
            return frame()

        loaded = io.run_task("load", work)
        squares = io.map("square", lambda n: n * n, range(3))
        large = io.run_task("large", lambda: np.arange(300_000))
        with contextlib.suppress(ZeroDivisionError):
            io.run_task("fails", lambda: 1 / 0)
        io.logger.info("done", of=payload["n"])
        return {"rows": len(loaded), "squares": squares, "large": int(large.sum())}

    return study


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    return nb.export_run(job_of_many().run({"n": 1}), tmp_path / "study.nbrun")


class TestASharedFile:
    @pytest.mark.slow
    def test_shows_the_same_frames_and_tree(self, shared):
        opened = nb.open(shared)

        for name in ("runs", "tasks", "attempts", "logs"):
            mine = getattr(nb, name)()
            pd.testing.assert_frame_equal(getattr(opened, name)(), mine)
        assert str(opened.tree()) == str(nb.tree())
        assert opened.sql("select count(*) as n from tasks").n.tolist() == [7]
        assert opened.runs("other").empty
        assert opened.runs(status="FAILED").empty
        assert opened.tasks(status="FAILED").path.tolist() == ["fails"]
        assert opened.tasks(path="square", outputs=True).output.tolist()[1:] == [0, 1, 4]
        assert len(opened.tasks(opened.last_run())) == 7
        assert "study COMPLETED" in repr(opened)

    @only_thorough
    @pytest.mark.slow
    def test_draws_its_trees_where_a_page_would_follow_those_of_the_home(
        self, shared, stranger, monkeypatch
    ):

        class Living(Terminal):
            def live_view(self, tree: RunTree) -> dict[str, str]:
                return {"living": tree.tree.run.run_id}

        monkeypatch.setattr(front_end, "_current", Living())
        mine = nb.last_run()
        assert mine.tree()._repr_mimebundle_() == {"living": mine.id}
        stranger()
        opened = nb.open(shared)

        for tree in (opened.tree(), opened.last_run().tree()):
            assert "study" in tree._repr_mimebundle_()["text/html"]

    @pytest.mark.slow
    def test_gives_the_values(self, shared, stranger):
        stranger()
        run = nb.open(shared).last_run("study")

        same(run["load"], frame())
        assert run["large"].sum() == np.arange(300_000).sum()
        assert run.output["squares"] == [0, 1, 4]

    @only_thorough
    @pytest.mark.slow
    def test_says_where_it_comes_from(self, shared):
        said = nb.open(shared).manifest

        assert said["runs"][0]["job"] == "study"
        assert said["nbtasks"] == nb.__version__
        assert said["modules"]["pandas"] == pd.__version__

    @pytest.mark.slow
    def test_is_only_read(self, shared):
        run = nb.open(shared).last_run()

        for change in (lambda: run.set("load", 1), lambda: run.reset("load")):
            with pytest.raises(nb.JournalWriteError, match=r"read-only\. Import it into a home"):
                change()

    @only_thorough
    @pytest.mark.slow
    def test_names_a_run_that_it_does_not_hold(self, shared):
        with pytest.raises(nb.NotFoundError, match=r"no run 'x' in .*study\.nbrun"):
            nb.open(shared).get_run("x")
        with pytest.raises(nb.NotFoundError, match=r"no run of job 'another' in .*study\.nbrun"):
            nb.open(shared).last_run("another")
        with pytest.raises(nb.NotFoundError, match=r"no run 'x' in .*study\.nbrun"):
            nb.open(shared).tasks("x")

    @only_thorough
    @pytest.mark.slow
    def test_may_hold_several_runs(self, tmp_path):
        job = job_of_many()
        runs = [job.run({"n": n}) for n in (1, 2)]

        file = nb.export_run(runs, tmp_path / "two")

        assert file.name == "two.nbrun"
        with nb.open(file) as opened:
            assert opened.runs().run_id.tolist() == [run.id for run in reversed(runs)]
        with zipfile.ZipFile(file) as members:  # what both have is in there once
            assert len([name for name in members.namelist() if name.startswith("blobs/")]) == 1

    @pytest.mark.slow
    def test_holds_the_runs_that_a_run_has_begun(self, tmp_path, stranger):
        @nb.job("child")
        def child(payload: int, io: nb.SyncIO) -> int:
            return io.run_task("double", lambda: 2 * payload)

        @nb.job("parent")
        def parent(io: nb.SyncIO) -> int:
            return int(child.invoke_and_wait("go", 21).output)

        file = nb.export_run(parent.run(), tmp_path / "family")
        stranger()
        nb.configure(home=file)

        assert parent.run().output == 42
        assert nb.runs().job.tolist() == ["child", "parent"]

    def test_is_written_whole_or_not_at_all(self, tmp_path, monkeypatch):
        run = job_of_many().run({"n": 1})
        blobs = nb.config.home / "blobs"
        next(path for path in blobs.rglob("*") if path.is_file()).unlink()

        with pytest.raises(nb.UnreadableValueError, match="is missing"):
            nb.export_run(run, tmp_path / "study.nbrun")

        assert not list(tmp_path.glob("*nbrun*"))

    def test_of_nothing_is_refused(self, tmp_path):
        with pytest.raises(nb.NotFoundError, match="list is empty"):
            nb.export_run([], tmp_path / "none.nbrun")
        with pytest.raises(nb.NotFoundError, match="no run 'x'"):
            nb.export_run("x", tmp_path / "none.nbrun")


class TestAnImport:
    @pytest.mark.slow
    def test_takes_a_run_as_it_was_recorded(self, shared, stranger):
        tree, mine = str(nb.tree()), nb.tasks()
        stranger()

        (run,) = nb.import_run(shared)

        assert str(run.tree()) == tree
        pd.testing.assert_frame_equal(nb.tasks(), mine)
        same(run["load"], frame())

    @only_thorough
    @pytest.mark.slow
    def test_goes_on_where_it_was(self, shared, stranger):
        stranger()
        nb.import_run(shared)
        CALLS.clear()

        run = job_of_many().run({"n": 1})

        assert (run.executions, CALLS) == (2, [])

    @only_thorough
    @pytest.mark.slow
    def test_twice_changes_nothing(self, shared, stranger):
        stranger()

        first, again = nb.import_run(shared), nb.import_run(shared)

        assert [run.id for run in first] == [run.id for run in again]
        assert len(nb.runs()) == 1

    @only_thorough
    @pytest.mark.slow
    def test_leaves_alone_what_has_gone_on_since(self, shared):
        job_of_many().run({"n": 1})

        (run,) = nb.import_run(shared)

        assert run.executions == 2

    @pytest.mark.slow
    def test_of_a_run_that_was_going_on_is_interrupted(self, tmp_path, stranger):
        @nb.job("open")
        def body(io: nb.SyncIO) -> Path:
            io.run_task("first", int, "1")
            return io.run_task("export", lambda: nb.export_run(nb.last_run(), tmp_path / "a"))

        file = body.run().output
        stranger()
        (run,) = nb.import_run(file)

        assert run.status == "INTERRUPTED"
        assert run.tasks().status.tolist() == ["COMPLETED", "INTERRUPTED"]

    @only_thorough
    @pytest.mark.slow
    def test_of_a_fork_knows_what_its_functions_were(self, tmp_path, stranger):
        @nb.job("forked")
        def body(payload: int, io: nb.SyncIO) -> int:
            first = io.run_task("first", lambda: 1)
            return io.run_task("second", lambda: first + payload)

        fork = body.run(1).fork(from_="second", payload=2)
        file = nb.export_run(fork, tmp_path / "fork")
        stranger()
        nb.import_run(file)

        assert set(nb.open(file).sql("select fingerprint from code").fingerprint) == set(
            nb.sql("select fingerprint from code").fingerprint
        )


def fit(n: int) -> int:
    CALLS.append(n)
    if n == 2 and MACHINE == ["A"]:
        raise OSError("out of memory")
    return n


class Elsewhere:
    """A run that goes to another machine and comes back: on A it fails, on B it does not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.at("A")

        @nb.job("study")
        def study(io: nb.SyncIO) -> list[int]:
            fitted = io.map("fit", fit, range(4), concurrency=1)
            io.logger.info("fitted")
            return fitted

        self.study = study

    def at(self, machine: str) -> None:
        """From now on, all happens on that machine."""
        MACHINE[:] = [machine]
        CALLS.clear()
        nb.configure(home=self.folder / machine)

    def fails(self) -> None:
        with pytest.raises(nb.MapFailed):
            self.study.run()

    def export(self) -> Path:
        file = self.folder / f"from-{MACHINE[0]}.nbrun"
        return nb.export_run(nb.last_run("study"), file)


class TestARunThatWasElsewhere:
    @pytest.fixture
    def trip(self, tmp_path: Path) -> Elsewhere:
        trip = Elsewhere(tmp_path)
        trip.fails()
        there = trip.export()
        trip.at("B")
        nb.import_run(there)
        return trip

    @pytest.mark.slow
    def test_continues_where_it_began(self, trip, capsys):
        trip.study.run()
        assert CALLS == [2, 3]
        back = trip.export()
        mine = nb.tasks(), nb.attempts(), nb.logs()
        trip.at("A")
        capsys.readouterr()

        (run,) = nb.import_run(back)

        assert capsys.readouterr().out == (
            f"run {run.id} of job study: COMPLETED, continued here from FAILED: from 1 to 2 "
            "executions\n"
        )
        assert nb.runs().run_id.tolist() == [run.id]
        for found, expected in zip((nb.tasks(), nb.attempts(), nb.logs()), mine, strict=True):
            pd.testing.assert_frame_equal(found, expected)
        assert nb.attempts().query("path == 'fit/2'").status.tolist() == ["FAILED", "COMPLETED"]
        assert trip.study.run().output == [0, 1, 2, 3]
        assert (CALLS, nb.last_run().executions) == ([], 3)

    @only_thorough
    @pytest.mark.slow
    def test_goes_away_again(self, trip):
        for other in ("A", "B", "A"):
            trip.study.run()
            back = trip.export()
            trip.at(other)
            nb.import_run(back)
            pd.testing.assert_frame_equal(nb.tasks(), nb.open(back).tasks())
        assert nb.last_run().executions == 4

    @only_thorough
    @pytest.mark.slow
    def test_is_left_alone_if_nothing_has_happened_to_it(self, trip, capsys):
        file = trip.export()
        trip.at("A")
        before = nb.tasks()
        capsys.readouterr()

        nb.import_run(file)

        assert "FAILED, unchanged: it is here as it is in the file" in capsys.readouterr().out
        pd.testing.assert_frame_equal(nb.tasks(), before)

    @only_thorough
    @pytest.mark.slow
    def test_is_left_alone_if_it_has_gone_further_here(self, trip, capsys):
        old = trip.folder / "from-A.nbrun"
        trip.study.run()
        before = nb.tasks()
        capsys.readouterr()

        nb.import_run(old)

        assert "COMPLETED, unchanged: it has gone further here" in capsys.readouterr().out
        pd.testing.assert_frame_equal(nb.tasks(), before)

    @only_thorough
    @pytest.mark.slow
    def test_is_refused_if_it_has_gone_further_here_and_there(self, trip):
        trip.study.run()
        back = trip.export()
        trip.at("A")
        trip.fails()
        before = nb.tasks()

        with pytest.raises(nb.RunDivergedError, match="FAILED after 2 executions") as caught:
            nb.import_run(back)

        assert "COMPLETED after 2 executions" in str(caught.value)
        assert "import the file into another home" in str(caught.value)
        pd.testing.assert_frame_equal(nb.tasks(), before)

    @only_thorough
    @pytest.mark.slow
    @pytest.mark.parametrize("side", ["here", "there"])
    def test_takes_its_changes_by_hand_along(self, trip, side):
        trip.study.run()
        if side == "there":
            nb.last_run().reset("fit/0")
        back = trip.export()
        trip.at("A")
        if side == "here":
            nb.last_run().set("fit/2", 5)
            with pytest.raises(nb.RunDivergedError):
                nb.import_run(back)
            return
        nb.import_run(back)

        trip.study.run()

        assert CALLS == [0]
        assert nb.sql("from edits").action.tolist() == ["reset"]

    @only_thorough
    @pytest.mark.slow
    def test_is_refused_while_it_is_executed_here(self, trip, tmp_path):
        trip.study.run()
        back = trip.export()
        trip.at("A")

        @nb.job("study")
        def again(io: nb.SyncIO) -> None:
            with pytest.raises(nb.RunBusyError, match="executed by this very process"):
                nb.import_run(back)

        assert again.run().executions == 2

    @only_thorough
    @pytest.mark.slow
    def test_brings_the_runs_along_that_it_has_begun(self, tmp_path):
        trip = Elsewhere(tmp_path)

        def double(n: int) -> int:
            CALLS.append(n)
            return 2 * n

        @nb.job("child")
        def child(payload: int, io: nb.SyncIO) -> int:
            return io.run_task("double", double, payload)

        @nb.job("study")
        def parent(io: nb.SyncIO) -> int:
            first = int(child.invoke_and_wait("first", 1).output)
            if MACHINE == ["A"]:
                raise OSError("out of memory")
            return first + int(child.invoke_and_wait("second", 2).output)

        with pytest.raises(OSError, match="memory"):
            parent.run()
        there = trip.export()
        trip.at("B")
        nb.import_run(there)
        assert (parent.run().output, CALLS) == (6, [2])
        back = trip.export()
        trip.at("A")

        nb.import_run(back)

        assert sorted(nb.runs().job) == ["child", "child", "study"]
        MACHINE[:] = ["B"]
        assert (parent.run().output, CALLS) == (6, [])

    @only_thorough
    @pytest.mark.slow
    def test_waits_for_what_is_left(self, tmp_path):
        trip = Elsewhere(tmp_path)

        @nb.job("study")
        def waits(io: nb.SyncIO) -> str:
            io.wait("a while", "1h")
            return "waited"

        assert waits.run(suspend_after=0).status == "WAITING"
        until = nb.sql("select resume_at from due").resume_at[0]
        there = trip.export()
        trip.at("B")
        (run,) = nb.import_run(there)
        assert run.status == "WAITING"
        assert waits.run(suspend_after=0).executions == 2
        back = trip.export()
        trip.at("A")

        nb.import_run(back)

        assert nb.sql("select resume_at from due").resume_at[0] == until

    @only_thorough
    @pytest.mark.slow
    def test_takes_what_it_has_stored_along(self, tmp_path, stranger):
        trip = Elsewhere(tmp_path)

        @nb.job("study")
        def stores(io: nb.SyncIO) -> list[Any]:
            for name, value in {"n": 5, "large": "x" * 2_000_000, "at": re.compile("a")}.items():
                io.store.run.set(f"set {name}", name, value)
            io.store.run.set("password", "password", "enigma")
            io.store.run.set("login", "login", {"user": "ada", "token": "enigma"})
            if MACHINE == ["A"]:
                raise OSError("out of memory")
            found = [io.store.run.get("n", "n"), len(io.store.run.get("large", "large"))]
            io.store.run.set("n again", "n", 6)
            with pytest.raises(nb.UnreadableValueError, match="hidden when the run was exported"):
                io.store.run.get("secret", "login")
            return found

        with pytest.raises(OSError, match="memory"):
            stores.run()
        there = trip.export()
        with zipfile.ZipFile(there) as members:
            assert b"enigma" not in b"".join(members.read(name) for name in members.namelist())
        data = os.environ["XDG_DATA_HOME"]
        stranger()
        MACHINE[:] = ["B"]
        (run,) = nb.import_run(there)
        assert nb.trust(run).imports.tolist() == ["re._compile"]
        assert stores.run().output == [5, 2_000_000]
        back = trip.export()
        os.environ["XDG_DATA_HOME"] = data
        signing._key.cache_clear()
        trip.at("A")

        (run,) = nb.import_run(back)

        entries = runtime.journal.find("entry", scope=f"run:{run.id}")
        assert {entry.key: entry.value for entry in entries}["n"] == "6"
        assert {entry.key: entry.value for entry in entries}["password"] == '"enigma"'

    @only_thorough
    @pytest.mark.slow
    def test_keeps_what_its_export_has_hidden(self, tmp_path):
        trip = Elsewhere(tmp_path)
        hide = nb.TaskOptions(redact=["token"])

        @nb.job("study")
        def secretive(payload: dict[str, str], io: nb.SyncIO) -> None:
            io.run_task("login", lambda: {"token": "enigma"}, options=hide)
            if MACHINE == ["A"]:
                raise OSError("out of memory")

        given = {"password": "enigma"}
        with pytest.raises(OSError, match="memory"):
            secretive.run(given, key="k")
        there = trip.export()
        trip.at("B")
        nb.import_run(there)
        secretive.run(given, key="k")
        back = trip.export()
        trip.at("A")

        (run,) = nb.import_run(back)

        assert (run.status, run["login"]) == ("COMPLETED", {"token": "enigma"})

    @only_thorough
    @pytest.mark.slow
    def test_is_trusted_as_far_as_it_is_mine(self, tmp_path, stranger):
        trip = Elsewhere(tmp_path)

        @nb.job("study")
        def pickles(io: nb.SyncIO) -> None:
            io.run_task("mine", re.compile, "mine")
            if MACHINE == ["A"]:
                raise OSError("out of memory")
            io.run_task("theirs", re.compile, "theirs")

        with pytest.raises(OSError, match="memory"):
            pickles.run()
        there = trip.export()
        data = os.environ["XDG_DATA_HOME"]
        stranger()
        MACHINE[:] = ["B"]
        nb.import_run(there)
        nb.trust(nb.last_run())
        pickles.run()
        back = trip.export()
        os.environ["XDG_DATA_HOME"] = data
        signing._key.cache_clear()
        trip.at("A")

        (run,) = nb.import_run(back)

        assert run["mine"].pattern == "mine"
        with pytest.raises(nb.UntrustedValueError, match=r"nb\.trust"):
            run["theirs"]
        nb.trust(run)
        assert run["theirs"].pattern == "theirs"


class TestAFileAtAUrl:
    @pytest.fixture(autouse=True)
    def bucket(self) -> Any:
        import fsspec

        bucket = fsspec.filesystem("memory")
        yield bucket
        bucket.store.clear()

    def run(self) -> nb.Run:
        @nb.job("study")
        def body(io: nb.SyncIO) -> int:
            return io.run_task("large", lambda: "x" * 2_000_000).count("x")

        return body.run()

    @only_thorough
    @pytest.mark.slow
    def test_is_written_opened_and_imported(self, bucket, tmp_path):
        file = nb.export_run(self.run(), "memory://team/study")

        assert file == "memory://team/study.nbrun"
        assert bucket.find("/team") == ["/team/study.nbrun"]
        opened = nb.open(file)
        assert len(opened.last_run()["large"]) == 2_000_000
        assert repr(opened) == f"<Shared {file}: study COMPLETED>"
        with pytest.raises(nb.NotFoundError, match=rf"no run 'x' in {file}"):
            opened.get_run("x")
        nb.configure(home=tmp_path / "another")
        (run,) = nb.import_run(file)
        assert len(run["large"]) == 2_000_000

    def test_goes_to_another_machine_and_comes_back(self, bucket, tmp_path):
        """It is looked at there before it is imported, by its URL alone."""
        trip = Elsewhere(tmp_path)
        trip.fails()
        run_id, done = nb.last_run("study").id, [*CALLS]
        there = nb.export_run(nb.last_run("study"), "memory://team/there")
        trip.at("B")
        assert nb.open(there).runs().status.tolist() == ["FAILED"]
        nb.import_run(there)
        trip.study.run()
        done += CALLS
        back = nb.export_run(nb.last_run("study"), "memory://team/back")
        trip.at("A")
        assert nb.open(back).last_run().output == [0, 1, 2, 3]
        nb.import_run(back)
        trip.study.run()
        done += CALLS

        assert done == [0, 1, 2, 2, 3]  # what had failed was called again, and nothing else
        assert nb.runs().run_id.tolist() == [run_id]
        assert nb.attempts().query("path == 'fit/2'").status.tolist() == ["FAILED", "COMPLETED"]
        assert nb.logs().message.tolist() == nb.open(back).logs().message.tolist()
        assert nb.last_run().executions == 3

    def test_stays_as_it_was_opened(self, bucket):
        run = self.run()
        opened = nb.open(nb.export_run(run, "memory://team/study"))
        bucket.pipe_file("/team/study.nbrun", b"something else")

        assert len(opened.last_run()["large"]) == 2_000_000

    @pytest.mark.slow
    def test_leaves_nothing_on_this_machine(self, tmp_path, monkeypatch):
        import gc
        import tempfile

        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        opened = nb.open(nb.export_run(self.run(), "memory://team/study"))
        assert len(list(tmp_path.glob("*.nbrun"))) == 1
        del opened
        gc.collect()

        assert not [path for path in tmp_path.iterdir() if path.name.endswith(("nbrun", "part"))]

    @only_thorough
    @pytest.mark.slow
    def test_may_be_one_of_this_machine(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        run = self.run()

        assert nb.export_run(run, f"file://{tmp_path}/a%20b") == tmp_path / "a b.nbrun"
        assert nb.export_run(run, "~/c.nbrun") == tmp_path / "c.nbrun"
        for file in (f"file://{tmp_path}/a%20b.nbrun", "~/c.nbrun", Path("~/c.nbrun")):
            assert nb.open(file).runs().run_id.tolist() == [run.id]

    def test_is_no_folder_named_like_one(self, tmp_path, monkeypatch, bucket):
        monkeypatch.chdir(tmp_path)
        nb.export_run(self.run(), Path("memory://team/study"))  # which has one slash less

        assert bucket.find("/team") == ["/team/study.nbrun"]
        assert not list(tmp_path.glob("memory*"))

    @pytest.mark.parametrize(
        ("url", "why"),
        [
            ("memory://team/none.nbrun", r"There is no file memory://team/none\.nbrun"),
            ("cloud://team/a.nbrun", "is not a URL that can be opened: Protocol not known: cloud"),
            ("http://ada:enigma@127.0.0.1:9/a.nbrun", r"ada:\.\.\.@127.*is refused|not installed"),
        ],
    )
    def test_that_cannot_be_read_is_named(self, url, why):
        with pytest.raises(nb.NbtasksError, match=why) as caught:
            nb.open(url)
        assert "enigma" not in str(caught.value)

    def test_that_cannot_be_written_is_named(self, bucket, monkeypatch):
        def refuse(*_: Any, **__: Any) -> None:
            raise RuntimeError("no credentials")  # as libraries of buckets do, each in its way

        monkeypatch.setattr(type(bucket), "put_file", refuse)

        with pytest.raises(nb.JournalWriteError, match=r"team/a\.nbrun could.*no cred"):
            nb.export_run(self.run(), "memory://team/a")


class TestAReplay:
    @pytest.mark.slow
    def test_from_a_shared_file_runs_nothing(self, shared, stranger):
        stranger()
        nb.configure(home=shared)
        CALLS.clear()

        run = job_of_many().run({"n": 1})

        assert (run.output["rows"], CALLS) == (4, [])
        assert nb.last_run().executions == 1

    @pytest.mark.slow
    def test_names_what_is_not_recorded(self, shared):
        @nb.job("study", version="1.0.0")
        def longer(payload: dict[str, Any], io: nb.SyncIO) -> None:
            io.run_task("more", CALLS.append, "more")

        nb.configure(home=shared)
        CALLS.clear()

        with pytest.raises(nb.NotRecordedError, match="'more'"):
            longer.run({"n": 1})
        with pytest.raises(nb.NotRecordedError, match="has no run with the key"):
            longer.run({"n": 2})
        assert CALLS == []

    @pytest.mark.slow
    def test_may_be_a_setting_of_the_process(self):
        job = job_of_many()
        job.run({"n": 1})
        nb.configure(replay="only")
        CALLS.clear()

        assert job.run({"n": 1}).output["rows"] == 4
        assert CALLS == []
        with pytest.raises(nb.NotRecordedError):
            job.run({"n": 2})

    def test_asks_for_nothing_else(self):
        with pytest.raises(nb.NbtasksError, match="replay is 'only', not 'all'"):
            nb.configure(replay="all")


class TestWhatIsHidden:
    SECRET = "enigma-1234"

    def run(self) -> nb.Run:
        secret = self.SECRET

        @nb.job("secretive")
        def body(payload: dict[str, str], io: nb.SyncIO) -> Login:
            def connect(url: str, token: str) -> dict[str, str]:
                print("with", token)
                return {"url": url, "token": token}

            def break_(password: str) -> None:
                raise ValueError(f"{password} was refused")

            hide = nb.TaskOptions(redact=["token"])
            io.run_task("connect", connect, "a.org", secret, options=hide)
            io.run_task("frame", lambda: pd.DataFrame({"token": [secret]}), options=hide)
            io.run_task("pickle", lambda: re.compile(secret), options=hide)
            io.run_task("settings", len, {"api_key": secret})
            with contextlib.suppress(ValueError):
                io.run_task("breaks", break_, secret)
            io.logger.info("logged in", password=secret)
            return Login(user="ada", password=pydantic.SecretStr(secret))

        return body.run({"user": "ada", "password": secret})

    def everything_shown(self, run: nb.Run) -> str:
        frames = [nb.runs(), nb.tasks(), nb.attempts(), nb.logs()]
        texts = [found.to_csv() for found in frames] + [str(run.tree()), repr(run.error)]
        return "".join([*texts, json.dumps(run.tree()._repr_mimebundle_(), default=str)])

    @pytest.mark.slow
    def test_is_in_no_view(self):
        run = self.run()

        assert self.SECRET not in self.everything_shown(run)
        assert "[REDACTED] was refused" in nb.attempts(run).error_message.tolist()
        assert nb.runs().payload.tolist() == ['{"user":"ada","password":"[REDACTED]"}']

    @pytest.mark.slow
    def test_is_not_in_the_details_of_a_task(self):
        from nbtasks.notebook.widgets import details_pane

        run = self.run()

        shown = "".join(str(details_pane._details(run.id, path)) for path in run.tasks().path)

        assert self.SECRET not in shown
        assert shown.count("[REDACTED]") >= 5

    def test_comes_back_whole(self):
        run = self.run()

        assert run.output.password.get_secret_value() == self.SECRET
        assert run["connect"]["token"] == self.SECRET
        assert run["frame"].token.tolist() == [self.SECRET]

    @pytest.mark.slow
    def test_is_in_no_export(self, tmp_path):
        file = nb.export_run(self.run(), tmp_path / "hidden")

        with zipfile.ZipFile(file) as members:
            content = b"".join(members.read(name) for name in members.namelist())
        assert self.SECRET.encode() not in content
        assert not [name for name in members.namelist() if name.startswith("blobs/")]

    @pytest.mark.slow
    def test_is_plain_in_what_was_shared(self, tmp_path, stranger):
        file = nb.export_run(self.run(), tmp_path / "hidden")
        stranger()
        (run,) = nb.import_run(file)

        assert run["connect"] == {"url": "a.org", "token": "[REDACTED]"}
        assert run.output == Login(user="ada", password=pydantic.SecretStr("[REDACTED]"))
        for path in ("frame", "pickle"):
            with pytest.raises(nb.UnreadableValueError, match="hidden when the run was exported"):
                run[path]
        with pytest.raises(nb.UnreadableValueError, match="payload"):
            run.rerun()

    @pytest.mark.slow
    def test_a_pickle_with_a_pydantic_secret_stays_at_home(self, tmp_path):
        class Holder:
            def __init__(self, secret: str) -> None:
                self.secret = pydantic.SecretStr(secret)

        @nb.job("pickled")
        def body(io: nb.SyncIO) -> None:
            io.run_task("hold", Holder, self.SECRET)

        file = nb.export_run(body.run(), tmp_path / "pickled")

        assert nb.open(file).tasks().output_kind.tolist() == ["hidden"]


class TestTrust:
    def shared(self, tmp_path: Path) -> Path:
        @nb.job("pickles")
        def body(io: nb.SyncIO) -> None:
            io.run_task("compile", re.compile, "[a-z]+")
            io.run_task("large", lambda: np.array([re.compile("b"), "x" * 2_000_000], dtype=object))
            io.run_task("plot", lambda: {"figure": figure()})
            io.run_task("plain", int, "1")

        return nb.export_run(body.run(), tmp_path / "pickles")

    @pytest.mark.slow
    def test_is_needed_for_pickles_of_others(self, tmp_path, stranger):
        file = self.shared(tmp_path)
        stranger()
        (run,) = nb.import_run(file)

        for path in ("compile", "large"):
            with pytest.raises(nb.UntrustedValueError) as caught:
                run[path]
            assert f"nb.trust('{run.id}')" in str(caught.value)
            assert "re._compile" in str(caught.value)
        assert isinstance(run["plot"]["figure"], nb.Picture)
        assert run["plain"] == 1

    @only_thorough
    @pytest.mark.slow
    def test_is_asked_for_by_an_advice_that_works_in_the_file(self, tmp_path, stranger):
        file = self.shared(tmp_path)
        stranger()
        with pytest.raises(nb.UntrustedValueError) as caught:
            nb.open(file).last_run()["compile"]

        message = str(caught.value)
        advice = re.search(r"nb\.trust\(.*?\)\)", message)
        assert advice is not None
        assert eval(advice[0]).trusted.all()
        assert nb.open(file).last_run()["compile"] == re.compile("[a-z]+")
        assert f"nb.import_run({str(file)!r})" in message

    @pytest.mark.slow
    def test_is_asked_for_also_while_the_file_is_replayed(self, tmp_path, stranger):
        file = self.shared(tmp_path)
        stranger()
        nb.configure(home=file)

        @nb.job("pickles")
        def body(io: nb.SyncIO) -> None:
            io.run_task("compile", re.compile, "[a-z]+")

        with pytest.raises(nb.UntrustedValueError, match=r"nb\.trust\(nb\.open\(") as caught:
            body.run()
        advice = re.search(r"nb\.trust\(.*?\)\)", str(caught.value))
        assert advice is not None
        eval(advice[0])
        body.run()

    @only_thorough
    @pytest.mark.slow
    def test_of_a_payload_is_asked_for(self, tmp_path, stranger):
        @nb.job("payload")
        def body(payload: object, io: nb.SyncIO) -> str:
            return str(payload)

        file = nb.export_run(body.run(re.compile("a")), tmp_path / "payload")
        stranger()
        (run,) = nb.import_run(file)
        with pytest.raises(nb.UntrustedValueError, match=rf"nb\.trust\('{run.id}'\)"):
            run.rerun()
        nb.trust(run)
        run.rerun()

    @pytest.mark.slow
    def test_of_how_many_values_an_export_says(self, tmp_path, capsys):
        file = self.shared(tmp_path)

        said = capsys.readouterr().out
        assert said == (
            f"{file}: {file.stat().st_size:,} bytes; 3 of its 6 values are pickles, which others "
            "can load only after nb.trust(run)\n"
        )

    @pytest.mark.slow
    def test_is_not_needed_says_an_export_without_pickles(self, tmp_path, capsys):
        nb.export_run(job_of_many().run({"n": 1}), tmp_path / "study.nbrun")
        assert "none of its" in capsys.readouterr().out

    @pytest.mark.slow
    def test_is_shown_before_it_is_given(self, tmp_path, stranger):
        file = self.shared(tmp_path)
        stranger()
        run = nb.open(file).last_run()

        before = nb.trust(run, dry_run=True)

        assert before.path.tolist() == ["compile", "large", "plot"]
        assert before.imports[0] == "re._compile"
        assert not before.trusted.any()
        with pytest.raises(nb.UntrustedValueError):
            run["compile"]

    @only_thorough
    @pytest.mark.slow
    @pytest.mark.parametrize("where", ["in the file", "in a home"])
    def test_lets_them_be_loaded(self, tmp_path, stranger, where):
        file = self.shared(tmp_path)
        stranger()
        run = nb.open(file).last_run() if where == "in the file" else nb.import_run(file)[0]

        assert nb.trust(run).trusted.all()

        assert run["compile"] == re.compile("[a-z]+")
        assert run["large"][0] == re.compile("b")
        assert type(run["plot"]["figure"]).__name__ == "Figure"

    @only_thorough
    @pytest.mark.slow
    def test_of_one_run_is_not_that_of_another(self, tmp_path, stranger):
        file = self.shared(tmp_path)

        @nb.job("more")
        def more(io: nb.SyncIO) -> None:
            io.run_task("compile", re.compile, "another")

        other = nb.export_run(more.run(), tmp_path / "more")
        stranger()
        nb.trust(nb.import_run(file)[0])

        with pytest.raises(nb.UntrustedValueError):
            nb.import_run(other)[0]["compile"]

    @pytest.mark.slow
    def test_is_only_of_the_user_who_gave_it(self, tmp_path, stranger):
        file = self.shared(tmp_path)
        stranger()
        nb.trust(nb.open(file).last_run())
        stranger("another")

        with pytest.raises(nb.UntrustedValueError):
            nb.open(file).last_run()["compile"]

    @only_thorough
    @pytest.mark.slow
    def test_keeps_its_list_from_others(self, tmp_path, stranger):
        file = self.shared(tmp_path)
        stranger()
        nb.trust(nb.open(file).last_run())

        (trusted,) = (tmp_path / "colleague" / "data").rglob("trusted")
        assert trusted.stat().st_mode & 0o777 == 0o600


def test_a_pickle_that_no_longer_loads_says_what_has_changed(monkeypatch):
    @nb.job("changing")
    def body(io: nb.SyncIO) -> Any:
        return io.run_task("make", Gone)

    class Gone:
        pass

    module = types.ModuleType("library_of_then")
    vars(module).update(Gone=Gone, __version__="1.5.0")
    Gone.__module__, Gone.__qualname__ = "library_of_then", "Gone"
    monkeypatch.setitem(sys.modules, "library_of_then", module)
    run = body.run()
    monkeypatch.delitem(sys.modules, "library_of_then")

    with pytest.raises(nb.UnreadableValueError) as caught:
        run["make"]

    message = str(caught.value)
    assert "library_of_then 1.5.0 then and not installed now" in message
    assert "reset the task" in message


# -- end to end ------------------------------------------------------------------------------------


NOTEBOOK = """
%load_ext nbtasks
---
def square(n):
    print("called")
    return n * n
---
%%job shared-notebook
import pandas as pd
numbers = await io.map("square", square, [1, 2, 3])
frame = await io.run_task("frame", lambda: pd.DataFrame({"n": numbers}))
int(frame.n.sum())
"""


OTHERS = {"grace": os.environ.get("NBTASKS_OTHER_PYTHON", sys.executable)}
EXTRA = 'await io.run_task("extra", int, "1")\nint(frame'


def notebook(path: Path, text: str = NOTEBOOK) -> Path:
    import nbformat

    cells = [nbformat.v4.new_code_cell(cell.strip()) for cell in text.split("---")]
    made = nbformat.v4.new_notebook(cells=cells)
    nbformat.write(made, path)
    return path


def nbtasks(*arguments: object, cwd: Path, user: str) -> subprocess.CompletedProcess[str]:
    """The command, as another user on another machine would give it. In CI, with a Python and
    packages of their own."""
    folder = cwd / user
    folder.mkdir(exist_ok=True)
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return subprocess.run(
        [OTHERS.get(user, sys.executable), "-m", "nbtasks", *map(str, arguments)],
        cwd=folder, env={**kept, "HOME": str(folder)}, capture_output=True, text=True,
        check=False, timeout=100,
    )  # fmt: skip


@only_thorough
@pytest.mark.slow
def test_a_notebook_and_its_run_are_shared_with_somebody_on_another_machine(tmp_path):
    made = notebook(tmp_path / "study.ipynb")
    first = nbtasks("run", made, cwd=tmp_path, user="ada")
    assert first.returncode == 0, first.stdout + first.stderr
    exported = nbtasks("export", tmp_path / "study.nbrun", cwd=tmp_path, user="ada")
    assert exported.returncode == 0, exported.stderr

    replayed = nbtasks(
        "run", made, "--replay", "only", "--home", tmp_path / "study.nbrun", "--output",
        tmp_path / "replayed.ipynb", cwd=tmp_path, user="grace",
    )  # fmt: skip
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    assert '"14"' in (tmp_path / "replayed.ipynb").read_text()
    assert not (tmp_path / "grace" / ".nbtasks").exists()


@pytest.mark.slow
@only_thorough
def test_what_a_shared_run_lacks_is_named_and_a_run_that_is_imported_is_there(tmp_path):
    made = notebook(tmp_path / "study.ipynb")
    for command in (("run", made), ("export", tmp_path / "study.nbrun")):
        assert nbtasks(*command, cwd=tmp_path, user="ada").returncode == 0

    longer = notebook(
        tmp_path / "more.ipynb",
        NOTEBOOK.replace("int(frame", EXTRA),
    )
    missing = nbtasks(
        "run", longer, "--replay", "only", "--home", tmp_path / "study.nbrun", cwd=tmp_path,
        user="grace",
    )  # fmt: skip
    assert missing.returncode == 1
    assert "Task 'extra' of run" in missing.stdout

    imported = nbtasks("import", tmp_path / "study.nbrun", cwd=tmp_path, user="grace")
    assert imported.returncode == 0, imported.stderr
    assert "COMPLETED" in imported.stdout
