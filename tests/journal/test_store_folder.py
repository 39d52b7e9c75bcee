"""The folder of a home in the store: kept in order by gc and doctor, and never that of another."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nbtasks as nb
from nbtasks.core import clock
from nbtasks.jobs.runtime import runtime
from nbtasks.journal.home import store_folder
from nbtasks.values.stores import objects, refs

DAY = 86_400


@pytest.fixture(autouse=True)
def store(tmp_path: Path) -> Any:
    nb.configure(store=str(tmp_path / "store"))
    yield (tmp_path / "store")
    nb.configure(store=None)


def ref(seed: int = 0) -> nb.Ref:
    """A value that a worker of this home has written."""
    url = store_folder.folder(runtime.journal)
    assert url is not None
    about = objects.keep(url, np.arange(seed, 200_000 + seed))
    assert isinstance(about, dict)
    return refs.Ref.signed(about, url, "run", "make")


def values(store: Path) -> list[Path]:
    return sorted(path for path in store.rglob("values/*/*") if path.is_file())


def aged(store: Path) -> None:
    for path in store.rglob("*"):
        if path.is_file():
            os.utime(path, (time.time() - DAY,) * 2)


def a_run(*made: Any) -> nb.Run:
    @nb.job("refs")
    def body(io: nb.SyncIO) -> int:
        return 1

    run = body.run(new=True)
    for number, one in enumerate(made):
        run.set(["made", number], one)
    return run


@pytest.mark.slow
def test_gc_removes_what_no_row_refers_to_and_nothing_of_just_now(store):
    run = a_run(ref(1), [ref(2), {"a": ref(3)}])
    ref(4)
    nb.gc(dry_run=False)
    assert len(values(store)) == 4  # its row may be on its way
    aged(store)

    assert nb.gc().attrs["spare_bytes"] > 1_600_000
    nb.gc(dry_run=False)
    assert len(values(store)) == 3
    assert (run["made/1"][1]["a"].load() == np.arange(3, 200_003)).all()

    nb.gc(older_than=0, dry_run=False)
    assert values(store) == []


@pytest.mark.slow
def test_refs_in_large_lists_in_objects_and_in_the_store_of_a_job_count(store):
    a_run([ref(1), "x" * 2_000_000], Holder(ref(2)), [Holder(ref(3)), "y" * 2_000_000])

    @nb.job("keeps")
    def keeps(io: nb.SyncIO) -> None:
        io.store.env.set("set", "kept", ref(4))

    keeps.run()
    aged(store)
    nb.gc(dry_run=False)

    assert len(values(store)) == 4


class Holder:
    def __init__(self, held: Any) -> None:
        self.held = held


@pytest.mark.slow
def test_another_home_has_a_folder_of_its_own(store, tmp_path):
    a_run(ref(1))
    home, mine = nb.config.home, values(store)
    nb.configure(home=tmp_path / "other")
    a_run(ref(1))
    assert len(values(store)) == 2

    nb.gc(older_than=0, dry_run=False)
    aged(store)
    nb.gc(older_than=0, dry_run=False)
    assert values(store) == mine
    nb.configure(home=home)
    shutil.copytree(home, tmp_path / "copy")
    nb.configure(home=tmp_path / "copy")
    nb.gc(older_than=0, keep=0, dry_run=False)
    assert values(store) == mine  # a copy removes nothing that the first one needs
    nb.configure(home=None)


def test_a_home_keeps_its_folder(store):
    first = store_folder.folder(runtime.journal)
    store_folder._id_of.cache_clear()

    assert store_folder.folder(runtime.journal) == first


def test_outcomes_that_wait_keep_the_values_that_came_before_them(store):
    run = a_run(ref(1))
    url = store_folder.folder(runtime.journal)
    ref(2)
    objects.leave(str(url), f"{run.id}/{'0' * 40}", "secret", {})
    aged(store)
    nb.gc(dry_run=False)

    assert len(values(store)) == 1  # its run has ended: it is not looked at again
    assert [path for path in store.rglob("outcomes/*/*") if path.is_file()] == []


@pytest.mark.slow
def test_the_doctor_names_the_task_of_a_value_that_is_gone(store):
    run = a_run(ref(1))
    assert set(nb.doctor().state) == {"ok"}
    (path,) = values(store)
    path.unlink()

    findings = nb.doctor()
    (problem,) = findings[findings.state == "problem"].itertuples()
    assert "task 'make' of run run" in str(problem.detail)
    assert str(problem.what).startswith("file://")
    with pytest.raises(nb.UnreadableValueError):
        run["made/0"].load()


@pytest.mark.slow
def test_a_store_that_cannot_be_listed_is_a_finding(store):
    a_run(ref(1))
    nb.configure(store="nosuch://bucket")

    assert "nosuch" in str(nb.doctor()[nb.doctor().state == "problem"].detail.tolist())
    with pytest.raises(nb.StoreError, match="nosuch"):
        nb.gc(dry_run=False)


@pytest.mark.slow
def test_a_shared_run_refers_to_the_store_and_waits_for_trust(store, tmp_path, monkeypatch):
    run = a_run(ref(1))
    file = nb.export_run(run, tmp_path / "shared")
    monkeypatch.setattr("nbtasks.values.signing._sign", lambda *_: "another's")
    nb.configure(home=tmp_path / "colleague", store=None)
    (imported,) = nb.import_run(file)

    with pytest.raises(nb.UntrustedValueError, match="was not made by you"):
        imported["made/0"].load()
    nb.trust(imported)
    assert imported["made/0"].load().sum() == ref_sum()
    nb.configure(home=None)


def ref_sum() -> int:
    return int(np.arange(1, 200_001).sum())


# -- in tasks here ---------------------------------------------------------------------------------


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_task_here_takes_the_values_of_refs_wherever_they_stand(asynchronous):
    made = ref(1)
    seen: list[Any] = []

    def use(one: Any, held: dict[str, list[Any]], *, named: Any) -> int:
        seen.append((type(one), type(held["a"][0]), type(named)))
        return int(one.sum())

    async def use_async(one: Any, held: dict[str, list[Any]], *, named: Any) -> int:
        await asyncio.sleep(0)
        return use(one, held, named=named)

    if asynchronous:

        @nb.job("uses")
        async def uses(io: nb.AsyncIO) -> list[int]:
            first = await io.run_task("async", use_async, made, {"a": [made]}, named=made)
            return [first, await io.run_task("sync", use, made, {"a": [made]}, named=made)]

        assert uses.run().output == [ref_sum()] * 2
    else:

        @nb.job("uses")
        def uses_here(io: nb.SyncIO) -> list[int]:
            first = io.run_task("plain", use, made, {"a": [made]}, named=made)
            timed = io.run_task("timed", use, made, {"a": [made]}, named=made, timeout=60)
            return [first, timed]

        assert uses_here.run().output == [ref_sum()] * 2
    assert set(seen) == {(np.ndarray,) * 3}


@pytest.mark.slow
def test_the_items_of_a_map_are_loaded_one_by_one(monkeypatch):
    made = [ref(1), ref(2)]
    loads: list[int] = []
    load = refs.Ref.load

    def counted(self: nb.Ref) -> Any:
        loads.append(1)
        return load(self)

    monkeypatch.setattr(refs.Ref, "load", counted)

    def use(one: Any) -> int:
        return int(one.sum())

    @nb.job("mapped")
    def mapped(io: nb.SyncIO) -> Any:
        io.store.run.set("keep", "all", made)
        return io.map("use", use, made), io.store.run.get("get", "all")

    sums, kept = mapped.run().output
    assert sums[0] == ref_sum()
    assert kept == made
    assert len(loads) == 2
    mapped.run()
    assert len(loads) == 2


def test_a_ref_counts_by_its_content_without_being_loaded(monkeypatch):
    box = [ref(1)]
    calls: list[int] = []

    def use(one: Any) -> int:
        calls.append(1)
        return len(one)

    @nb.job("counts", on_change="rerun")
    def counts(io: nb.SyncIO) -> int:
        return io.run_task("use", use, box[0])

    counts.run()
    box[0] = ref(1)
    with monkeypatch.context() as patched:
        patched.setattr(refs.Ref, "load", lambda _: pytest.fail("it was loaded"))
        counts.run()
    assert len(calls) == 1
    box[0] = ref(2)
    counts.run()
    assert len(calls) == 2
    assert "nb.Ref ndarray 200,000" in nb.tasks().params[0]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"id": 1'])
def test_a_file_that_says_nothing_is_written_anew(text):
    a_run()
    assert nb.config.home is not None
    (nb.config.home / "store.json").write_text(text)
    store_folder._id_of.cache_clear()

    found = store_folder.folder(runtime.journal)
    store_folder._id_of.cache_clear()
    assert store_folder.folder(runtime.journal) == found


def test_a_home_keeps_its_folder_in_a_restarted_container_and_after_a_restart(monkeypatch):
    a_run()
    first = store_folder.folder(runtime.journal)

    def folder(**changed: str) -> str | None:
        store_folder._id_of.cache_clear()
        if host := changed.get("host"):
            monkeypatch.setattr(socket, "gethostname", lambda: host)
        if boot := changed.get("boot"):
            monkeypatch.setattr(clock, "boot_id", lambda: boot)
        return store_folder.folder(runtime.journal)

    assert folder() == folder(host="pod-2") == folder(boot="the next") == first
    assert folder(host="pod-3") == first
    assert folder(host="another", boot="machine") != first
