"""The history of a team: published from many homes, and read over all of them."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import pandas as pd
import pytest

import nbtasks as nb
from nbtasks.core.model import LogRow, RunRow, TaskRow
from nbtasks.jobs.runtime import runtime
from nbtasks.journal.bundle import home_names, published
from nbtasks.journal.database import dataset
from tests.thorough import only_thorough

SECRET = "enigma-1234"


@pytest.fixture(autouse=True)
def bucket() -> Iterator[Any]:
    bucket = fsspec.filesystem("memory")
    yield bucket
    bucket.store.clear()
    nb.configure(home=None)


def record(run_id: str, month: int, tasks: int = 1, status: str = "COMPLETED") -> None:
    """Record a run that began in that month of 2026."""
    began = int(datetime(2026, month, 5, tzinfo=UTC).timestamp() * 1e6)
    rows: list[Any] = [
        RunRow(run_id, "job", "job", "1", run_id, status, started_us=began, executions=1)
    ]
    rows += [
        TaskRow(run_id, f"fit/{n}", n + 1, status=status, started_us=began, finished_us=began + n)
        for n in range(tasks)
    ]
    rows.append(LogRow(run_id, "", 0, began, "info", f"begun in {month}"))
    runtime.journal.import_rows(rows)


def files(team: Path) -> list[str]:
    return sorted(path.relative_to(team).as_posix() for path in team.rglob("*.*") if path.is_file())


@nb.job("study")
def study(payload: int, io: nb.SyncIO) -> dict[str, str]:
    def fit(n: int) -> int:
        nb.current_task().metric(score=n / 2)
        return n

    def fails() -> None:
        raise OSError("no such carrier")

    io.map("fit", fit, range(payload))
    io.logger.info("fitted", n=payload)
    hide = nb.TaskOptions(redact=["token"])
    io.run_task("login", lambda: {"token": SECRET}, options=hide)
    with contextlib.suppress(nb.TaskFailed):
        io.run_task("fails", fails)
    return {"password": SECRET}


class TestWhatIsPublished:
    @pytest.mark.slow
    @pytest.mark.parametrize("place", ["memory://team/nb", "a te'am", "file"])
    def test_is_read_as_the_frames_of_the_home(self, place, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        place = f"file://{tmp_path}/team" if place == "file" else place
        for n in (1, 2):
            study.run(n)
        mine = {name: getattr(nb, name)() for name in ("runs", "tasks", "logs")}

        found = nb.publish(place)

        assert found[["state", "runs", "tasks", "logs"]].to_numpy().tolist() == [
            ["written", 2, 9, 2]
        ]
        for name, frame in mine.items():
            theirs = getattr(nb, name)(over=place)
            assert set(theirs.pop("home")) == {found.attrs["home"]}
            pd.testing.assert_frame_equal(theirs, frame)

    @pytest.mark.slow
    @only_thorough
    def test_can_be_filtered_as_a_home_can(self, tmp_path):
        run = study.run(2)
        study.run(1)
        team = tmp_path / "team"
        nb.publish(team)

        assert nb.tasks(run, over=team).equals(nb.tasks(run.id, over=team))
        for chosen in (
            {"run": run, "path": "fit"},
            {"status": "FAILED", "job": "study"},
            {"since": "1h", "path": "fit/1", "metrics": True},
            {"job": "another"},
        ):
            theirs = nb.tasks(over=team, **chosen).drop(columns="home")
            mine = nb.tasks(**chosen)
            pd.testing.assert_frame_equal(theirs[mine.columns], mine)
        assert nb.runs("study", status="COMPLETED", over=team).shape[0] == 2
        assert nb.logs(run, over=team).message.tolist() == ["fitted"]
        query = "select home, count(*) as n from tasks where job = ? group by home"
        assert nb.sql(query, ["study"], over=team).n.tolist() == [9]
        owners = pd.DataFrame({"job": ["study"], "owner": ["Ada"]})
        assert len(owners) == 1
        joined = nb.sql("select owner from runs join owners using (job)", over=team)
        assert joined.owner.tolist() == ["Ada", "Ada"]

    @pytest.mark.slow
    def test_holds_nothing_that_is_hidden(self, tmp_path):
        study.run(1)
        nb.publish(tmp_path / "team")

        tasks = nb.tasks(over=tmp_path / "team").set_index("path")
        assert tasks.output["login"] == '{"token":"[REDACTED]"}'
        for file in files(tmp_path / "team"):
            with duckdb.connect() as con:
                rows = con.execute(f"from '{tmp_path / 'team' / file}'").fetchall()
            assert file.startswith("runs") or SECRET not in str(rows)

    @pytest.mark.slow
    def test_cannot_be_asked_for_more(self, tmp_path):
        study.run(1)
        team = tmp_path / "team"
        nb.publish(team)
        (tmp_path / "secret.csv").write_text("a\nb\n")

        with pytest.raises(nb.JournalError, match=r"'attempts'.* The views are runs, tasks, logs"):
            nb.sql("from attempts", over=team)
        with pytest.raises(nb.JournalError, match="Permission Error"):
            nb.sql(f"from read_csv('{tmp_path}/secret.csv')", over=team)
        with pytest.raises(nb.JournalError, match="a SELECT"):
            nb.sql("drop view runs", over=team)
        with pytest.raises(nb.NotFoundError, match=r"no run 'nope' in .*team"):
            nb.logs("nope", over=team)
        for name in ("runs", "tasks"):
            with pytest.raises(nb.InvalidOptionError, match="Leave out outputs=True"):
                getattr(nb, name)(outputs=True, over=team)

    def test_is_missing_where_nobody_has_published(self, tmp_path):
        for place in (tmp_path / "none", "memory://none"):
            with pytest.raises(
                nb.NotFoundError, match=r"no published runs in .*none\. nb\.publish"
            ):
                nb.runs(over=place)

    @pytest.mark.slow
    def test_may_be_of_other_versions(self, tmp_path):
        record("r1", 1)
        team = tmp_path / "team"
        home = nb.publish(team).attrs["home"]
        for view in ("runs", "tasks", "logs"):
            (path,) = (team / view / f"home={home}").rglob("*.parquet")
            other = team / view / "home=old" / "month=2026-01" / path.name
            other.parent.mkdir(parents=True)
            with duckdb.connect() as con:
                con.execute(
                    f"copy (select * exclude (run_id), run_id || 'old' as run_id, 1 as added "
                    f"from '{path}') to '{other}'"
                )
                if view == "tasks":
                    con.execute(
                        f"copy (select * exclude (metrics) replace ('NEW' as status, "
                        f"seconds::varchar as seconds) from '{other}') to '{other}'"
                    )

        tasks, mine = nb.tasks(over=team), nb.tasks()

        assert [*tasks] == [*mine, "home"]
        assert (tasks.drop(columns="home").dtypes == mine.dtypes).all()
        assert tasks.home.tolist() == [home, "old"]
        assert tasks.status.isna().tolist() == [False, True]
        assert tasks.seconds.tolist() == [0.0, 0.0]
        assert nb.runs(over=team).run_id.tolist() == ["r1old", "r1"]

    @pytest.mark.slow
    @pytest.mark.parametrize("what", ["garbage", "types", "columns", "half"])
    def test_may_be_by_anybody(self, tmp_path, what):
        record("r1", 1)
        team = tmp_path / "team"
        nb.publish(team)
        for path in list(team.rglob("*.parquet")):
            folder = Path(str(path.parent).replace("home=", "home=it's "))
            folder.mkdir(parents=True)
            other = folder / path.name
            if what == "garbage":
                other.write_bytes(b"PAR1 no")
            elif what == "half":
                other.write_bytes(path.read_bytes()[:-20])
            else:
                chosen = "{'a': 1} as run_id, 'soon' as started_at, [1] as path, '<b>' as job"
                chosen = f'1 as "RUN_ID", {chosen}' if what == "columns" else chosen
                with duckdb.connect() as con:
                    quoted = str(other).replace("'", "''")
                    con.execute(f"copy (select {chosen}, 1 as seconds) to '{quoted}'")
        for ask in (nb.runs, nb.tasks, nb.logs):
            with contextlib.suppress(nb.JournalError):  # and no other error
                ask(over=team)
                assert what == "columns"


class TestAMonth:
    @pytest.mark.slow
    def test_is_written_again_only_if_it_has_changed(self, tmp_path):
        record("r1", 1)
        record("r2", 2)
        team = tmp_path / "team"
        assert nb.publish(team).state.tolist() == ["written", "written"]
        before = files(team)
        assert nb.publish(team).state.tolist() == ["unchanged", "unchanged"]
        assert files(team) == before
        record("r3", 2, tasks=2)

        found = nb.publish(team)

        assert found.to_numpy().tolist() == [
            ["2026-01", "unchanged", 1, 1, 1], ["2026-02", "written", 2, 3, 2],
        ]  # fmt: skip
        assert {file for file in files(team) if "2026-01" in file} == {
            file for file in before if "2026-01" in file
        }
        assert len(files(team)) == 6
        assert nb.runs(over=team).run_id.tolist() == ["r3", "r2", "r1"]

    @pytest.mark.slow
    def test_changes_with_any_of_its_rows(self, tmp_path):
        @nb.job("logs")
        def body(payload: str, io: nb.SyncIO) -> None:
            io.logger.info(payload)
            io.logger.info(payload)

        body.run("a", key="k")
        nb.publish(tmp_path)
        assert nb.publish(tmp_path).state.tolist() == ["unchanged"]
        body.run("b", key="k")

        assert nb.publish(tmp_path).state.tolist() == ["written"]
        assert nb.logs(over=tmp_path).message.tolist() == ["a", "a", "b", "b"]

    @pytest.mark.slow
    @only_thorough
    def test_loses_the_runs_that_the_home_has_lost(self, tmp_path):
        record("r1", 1)
        record("r2", 2)
        record("r3", 2)
        nb.publish(tmp_path / "team")
        nb.gc(older_than="0s", keep=1, dry_run=False)

        found = nb.publish(tmp_path / "team")

        assert found.state.tolist() == ["removed", "written"]
        assert nb.runs(over=tmp_path / "team").run_id.tolist() == nb.runs().run_id.tolist()
        assert not [file for file in files(tmp_path / "team") if "2026-01" in file]


class TestSomebodyWhoReadsMeanwhile:
    """A month is seen as it was, or as it is."""

    @pytest.fixture
    def team(self, tmp_path: Path) -> Path:
        record("r1", 1)
        nb.publish(tmp_path / "team")
        return tmp_path / "team"

    def seen(self, team: Path) -> tuple[int, ...]:
        return tuple(
            nb.sql(f"select count(*) as n from {view}", over=team).n[0]
            for view in ("runs", "tasks", "logs")
        )

    @pytest.mark.slow
    def test_sees_the_old_files_until_all_new_ones_are_there(self, team, monkeypatch):
        seen, put = [], published._put

        def look_and_put(*args: Any) -> None:
            seen.append(self.seen(team))
            put(*args)
            seen.append(self.seen(team))

        monkeypatch.setattr(published, "_put", look_and_put)
        record("r2", 1, tasks=2)
        nb.publish(team)

        assert seen == [(1, 1, 1)] * 5 + [(2, 3, 2)]
        assert len(files(team)) == 3

    @pytest.mark.slow
    @pytest.mark.parametrize("place", ["memory://team", "folder"])
    def test_looks_again_if_the_files_are_gone(self, place, tmp_path, monkeypatch):
        record("r1", 1)
        place = str(tmp_path / "team") if place == "folder" else place
        nb.publish(place)
        record("r2", 1)
        query = dataset.query_files
        calls: list[Any] = []

        def query_late(*args: Any) -> Any:
            if not calls:
                nb.publish(place)
            calls.append(args)
            return query(*args)

        monkeypatch.setattr(dataset, "query_files", query_late)

        assert sorted(nb.runs(over=place).run_id) == ["r1", "r2"]
        assert len(calls) == 2

    @pytest.mark.slow
    @only_thorough
    def test_sees_the_old_files_if_the_publisher_died(self, team, monkeypatch):
        record("r2", 1, tasks=2)
        put = published._put

        def die(place: Any, path: str, draft: Path) -> None:
            if path.startswith("runs"):
                raise OSError(28, "No space left on device")
            put(place, path, draft)

        with monkeypatch.context() as patched:
            patched.setattr(published, "_put", die)
            with pytest.raises(
                nb.JournalWriteError, match=r"No space left.*Make room.*still there"
            ):
                nb.publish(team)

        assert self.seen(team) == (1, 1, 1)
        assert nb.publish(team).state.tolist() == ["written"]
        assert self.seen(team) == (2, 3, 2)
        assert len(files(team)) == 3


class TestABucket:
    """S3, as far as moto has it, on loopback."""

    @pytest.fixture
    def s3(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
        pytest.importorskip("s3fs", reason="s3fs is in the extra `test`")
        from moto.server import ThreadedMotoServer

        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "ada",
            "AWS_SECRET_ACCESS_KEY": "enigma", "AWS_DEFAULT_REGION": "us-east-1",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        s3 = fsspec.filesystem("s3", skip_instance_cache=True)
        s3.mkdir("team")
        yield s3
        server.stop()

    @pytest.mark.slow
    def test_has_the_history_of_a_team_and_its_runs(self, s3):
        run = study.run(1)
        assert nb.publish("s3://team/nb").state.tolist() == ["written"]
        assert nb.publish("s3://team/nb").state.tolist() == ["unchanged"]
        study.run(2)
        assert nb.publish("s3://team/nb").state.tolist() == ["written"]

        mine = nb.tasks()
        pd.testing.assert_frame_equal(nb.tasks(over="s3://team/nb").drop(columns="home"), mine)
        assert len(s3.find("team/nb")) == 3
        file = nb.export_run(run, "s3://team/study")
        assert nb.open(file).runs().run_id.tolist() == [run.id]
        with pytest.raises(nb.SharedFileError, match=r"There is no file s3://team/none\.nbrun"):
            nb.open("s3://team/none.nbrun")
        with pytest.raises(
            nb.JournalWriteError, match=r"bucket does not exist\. Check the address"
        ):
            nb.export_run(run, "s3://nobody/study")


class TestHomes:
    @pytest.mark.slow
    def test_of_one_name_never_meet(self, tmp_path, bucket):
        names = []
        for folder in ("a", "b"):
            nb.configure(home=tmp_path / folder / "proj" / ".nbtasks")
            record(f"r-{folder}", 1)
            names.append(nb.publish("memory://team").attrs["home"])

        assert len(set(names)) == 2
        assert all("-proj-" in name for name in names)
        frame = nb.runs(over="memory://team")
        assert dict(zip(frame.home, frame.run_id, strict=True)) == {
            names[0]: "r-a", names[1]: "r-b"
        }  # fmt: skip

    @pytest.mark.slow
    @pytest.mark.parametrize("place", ["memory://team", "folder"])
    @pytest.mark.parametrize("first", ["one", "two"])
    @only_thorough
    def test_that_are_copies_of_one_lose_nothing_and_count_each_run_once(
        self, tmp_path, place, first
    ):
        team = str(tmp_path / "team") if place == "folder" else place
        nb.configure(home=tmp_path / "one")
        record("r", 1)
        nb.publish(team)
        runtime.journal.close()
        shutil.copytree(tmp_path / "one", tmp_path / "two")
        second = {"one": "two", "two": "one"}[first]
        names: dict[str, str] = {}
        for home in (first, second, first, second):  # each twice, and in both orders
            nb.configure(home=tmp_path / home)
            record(f"r-{home}-{len(names)}", 1, tasks=2)
            names[home] = nb.publish(team).attrs["home"]
            runtime.journal.close()

        assert names["one"] != names["two"]
        runs = nb.runs(over=team)
        assert runs.run_id.is_unique
        assert set(runs.run_id) == {"r", *(f"r-{home}-{n}" for home, n in (
            (first, 0), (second, 1), (first, 2), (second, 2),
        ))}  # fmt: skip
        assert len(nb.tasks(over=team)) == 1 + 4 * 2
        assert len(nb.logs(over=team)) == 5
        query = "select count(*) as n from tasks join runs using (run_id, home)"
        assert nb.sql(query, over=team).n[0] == 9

    @pytest.mark.slow
    @only_thorough
    def test_have_a_run_once_as_the_one_has_it_that_executed_it_further(self, tmp_path):
        team = tmp_path / "team"
        for home, executions, status in (
            ("one", 2, "COMPLETED"), ("two", 1, "FAILED"), ("three", 2, "CANCELED"),
        ):  # fmt: skip
            nb.configure(home=tmp_path / home)
            began = int(datetime(2026, 1, 5, tzinfo=UTC).timestamp() * 1e6)
            row = RunRow("r", "job", "job", "1", "r", status, started_us=began)
            row.executions = executions
            task = TaskRow("r", f"by-{home}", 1, status=status, started_us=began)
            runtime.journal.import_rows([row, task])
            nb.publish(team)

        assert nb.runs(over=team).status.tolist() == ["CANCELED"]  # published last among equals
        assert nb.tasks(over=team).path.tolist() == ["by-three"]
        assert nb.tasks("r", over=team).path.tolist() == ["by-three"]

    @pytest.mark.slow
    def test_keep_their_name_when_they_move_and_their_machine_is_renamed(
        self, tmp_path, monkeypatch
    ):
        team = tmp_path / "team"
        nb.configure(home=tmp_path / "one")
        record("r1", 1)
        before = nb.publish(team).attrs["home"]
        assert before.startswith(f"{socket.gethostname()}-one-")
        runtime.journal.close()
        (tmp_path / "one").rename(tmp_path / "two")
        monkeypatch.setattr(socket, "gethostname", lambda: "a1b2c3")
        nb.configure(home=tmp_path / "two")
        record("r2", 1)

        assert nb.publish(team).attrs["home"] == before
        assert nb.runs(over=team).run_id.tolist() == ["r2", "r1"]
        assert len(files(team)) == 3

    def test_that_were_put_back_from_a_backup_take_a_new_name(self, tmp_path):
        team = tmp_path / "team"
        record("r1", 1)
        before = nb.publish(team).attrs["home"]
        (nb.config.home / "published").write_text(f"{before}\n")

        assert nb.publish(team).attrs["home"] != before
        assert nb.publish(team).state.tolist() == ["unchanged"]
        assert nb.runs(over=team).run_id.tolist() == ["r1"]

    def test_that_may_only_be_read_are_named_by_their_place(self, tmp_path, monkeypatch):
        def refuse(*_: Any) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

        record("r1", 1)
        monkeypatch.setattr(Path, "write_text", refuse)

        names = {nb.publish(tmp_path / "team").attrs["home"] for _ in range(2)}

        assert len(names) == 1
        assert nb.runs(over=tmp_path / "team").run_id.tolist() == ["r1"]

    def test_on_a_full_disk_say_so_and_publish_nothing(self, tmp_path, monkeypatch):
        def refuse(*_: Any) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        record("r1", 1)
        monkeypatch.setattr(Path, "write_text", refuse)
        with pytest.raises(nb.JournalWriteError, match=r"No space left on device\. Make room"):
            nb.publish(tmp_path / "team")

        assert not (tmp_path / "team").exists()

    @pytest.mark.parametrize("text", ["", "\n\n", "../../etc\n", "..\n", "\x00\n", "01m8q1zj9\n"])
    def test_of_which_the_name_was_damaged_are_named_again(self, tmp_path, text):
        record("r1", 1)
        (nb.config.home / "published").write_text(text)
        names = {nb.publish(tmp_path / "team").attrs["home"] for _ in range(2)}

        assert len(names) == 1
        assert names == {(nb.config.home / "published").read_text().split()[0]}
        assert nb.runs(over=tmp_path / "team").run_id.tolist() == ["r1"]

    def test_need_no_hard_links(self, tmp_path, monkeypatch):
        def refuse(*_: Any) -> None:
            raise OSError(errno.ENOTSUP, "Operation not supported")

        record("r1", 1)
        monkeypatch.setattr(os, "link", refuse)
        names = {nb.publish(tmp_path / "team").attrs["home"] for _ in range(2)}

        assert names == {(nb.config.home / "published").read_text().split()[0]}

    @only_thorough
    def test_forget_what_they_published_long_ago(self, tmp_path, monkeypatch):
        monkeypatch.setattr(home_names, "_KEPT", 3)
        record("r1", 1)
        names = {nb.publish(tmp_path / "team").attrs["home"]}
        for n in range(12):
            record(f"r{n + 2}", 1)
            names.add(nb.publish(tmp_path / "team").attrs["home"])

        assert len(names) == 1
        assert len((nb.config.home / "published").read_text().split()) <= 1 + 2 * 3 + 2

    @pytest.mark.slow
    def test_may_be_published_by_two_kernels_at_once(self, tmp_path):
        record("r1", 1)
        team = tmp_path / "team"
        barrier = threading.Barrier(3)

        def publish() -> None:
            barrier.wait()
            nb.publish(team)

        threads = [threading.Thread(target=publish) for _ in range(2)]
        for thread in threads:
            thread.start()
        barrier.wait()
        record("r2", 1)
        for thread in threads:
            thread.join()

        assert nb.runs(over=team).run_id.is_unique
        nb.publish(team)
        assert nb.runs(over=team).run_id.tolist() == ["r2", "r1"]
        assert len(files(team)) == 3

    def test_are_named_once_for_all_their_kernels(self, tmp_path):
        record("r1", 1)
        names: list[str] = []

        def claim() -> None:
            names.append(home_names.claim(nb.config.home, lambda _: "")[0])

        threads = [threading.Thread(target=claim) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(set(names)) == 1
        assert [path.name for path in nb.config.home.glob("published*")] == ["published"]

    def test_that_are_shared_files_are_not_published(self, tmp_path):
        nb.configure(home=nb.export_run(study.run(1), tmp_path / "study.nbrun"))
        with pytest.raises(nb.JournalError, match=r"study\.nbrun is not a home"):
            nb.publish(tmp_path / "team")
