"""Runs that other runs begin."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.jobs import active_runs
from tests.thorough import THOROUGH


@nb.job("child")
def child(payload: int, io: nb.SyncIO) -> int:
    return io.run_task("double", lambda: payload * 2)


@pytest.fixture(autouse=True)
def _children() -> None:
    nb.job("child")(child.fn)


def ended(run: nb.Run) -> nb.Run:
    """The run, once it has come to its end in the background."""
    rest = threading.Event()
    while run.status in ("RUNNING", "WAITING"):
        rest.wait(0.01)
    return run


def test_an_invoked_run_goes_on_by_itself_and_names_its_parent():
    @nb.job("parent")
    def parent(io: nb.SyncIO) -> str:
        run = child.invoke("begin", 21)
        assert isinstance(run, nb.Run)
        return run.id

    run = parent.run()

    begun = ended(nb.get_run(run.output))
    assert begun.output == 42
    (row,) = nb.runs("child").to_dict("records")
    assert (row["trigger"], row["parent_run"]) == ("invoke", run.id)
    assert begun.id == parent.run().output
    assert begun.executions == 1


@pytest.mark.slow
def test_in_a_body_that_awaits_it_is_awaited():
    @nb.job("parent")
    async def parent(io: nb.AsyncIO) -> list[Any]:
        begun = await child.invoke("begin", 1)
        one, many = await asyncio.gather(
            child.invoke_and_wait("one", 2), child.batch_invoke_and_wait("many", [3, 4])
        )
        return [begun.job, one.output, [run.output for run in many]]

    assert parent.run().output == ["child", 4, [6, 8]]


def test_a_failure_is_a_result_and_stays_one():
    calls: list[int] = []

    @nb.job("fails")
    def fails(io: nb.SyncIO) -> None:
        calls.append(1)
        raise ValueError("no")

    @nb.job("parent")
    def parent(io: nb.SyncIO) -> list[Any]:
        run = fails.invoke_and_wait("fail")
        assert run.error is not None
        return [run.status, run.error.message]

    assert parent.run().output == ["FAILED", "no"]
    assert parent.run().output == ["FAILED", "no"]
    assert calls == [1]


def test_outside_of_a_run_it_says_what_to_call_instead():
    with pytest.raises(nb.NoRunError, match=r"outside a run"):
        child.invoke("begin", 1)


def test_a_disabled_job_is_not_invoked():
    off = nb.job("off", enabled=False)(child.fn)

    @nb.job("parent")
    def parent(io: nb.SyncIO) -> None:
        off.invoke("begin", 1)

    with pytest.raises(nb.NbtasksError, match="'off' is not enabled"):
        parent.run()


def test_a_key_used_twice_is_refused():
    @nb.job("parent")
    def parent(io: nb.SyncIO) -> None:
        child.batch_invoke_and_wait("again", [1])
        child.batch_invoke_and_wait("again", [2])

    with pytest.raises(nb.DuplicateKeyError, match="again"):
        parent.run()


@pytest.mark.slow
def test_a_key_that_looks_like_one_of_a_batch_is_another_run():
    @nb.job("parent")
    def parent(io: nb.SyncIO) -> list[int]:
        several = child.batch_invoke_and_wait("a", [1, 2])
        single = [child.invoke_and_wait(key, n).output for n, key in enumerate(("a#1", "a//1"), 5)]
        return [*(run.output for run in several), *single]

    assert parent.run().output == [2, 4, 10, 12]
    assert len(nb.runs("child")) == 4


def test_only_replayed_nothing_goes_on():
    gate = threading.Event()

    @nb.job("slow")
    def slow(io: nb.SyncIO) -> str:
        io.run_task("wait", gate.wait, 30)
        return "done"

    @nb.job("parent")
    def parent(io: nb.SyncIO) -> str:
        return str(slow.invoke("begin").id)

    run_id = parent.run().output
    assert parent.run(replay="only").output == run_id
    gate.set()
    assert ended(nb.get_run(run_id)).executions == 1


@pytest.mark.slow
def test_a_run_whose_process_died_goes_on_with_its_parent(nb_home: Any):
    """A new kernel finds the background runs of the old one interrupted."""

    @nb.job("long")
    def long(io: nb.SyncIO) -> str:
        io.wait("its time", 3600 if waits else 0.01)
        return "done"

    @nb.job("parent")
    def parent(io: nb.SyncIO) -> str:
        return str(long.invoke("begin").id)

    waits = True
    run = nb.get_run(parent.run().output)
    run.cancel()
    assert active_runs.stop() == []
    run.reset("its time")
    waits = False
    assert run.status == "CANCELED"

    parent.run()  # one that was cancelled stays so

    assert run.status == "CANCELED"


@pytest.mark.slow
@pytest.mark.thorough
def test_many_are_invoked_at_once():
    many = 30 if THOROUGH else 10

    @nb.job("parent")
    def parent(io: nb.SyncIO) -> int:
        return sum(run.output for run in child.batch_invoke_and_wait("all", range(many)))

    assert parent.run().output == 2 * sum(range(many))
    assert nb.runs("child").key.nunique() == many


@pytest.mark.slow
def test_invoked_runs_of_a_job_with_a_limit_take_turns():
    active: list[int] = []
    most: list[int] = []

    @nb.job("one at a time", concurrency_limit=1)
    def single(payload: int, io: nb.SyncIO) -> int:
        active.append(payload)
        most.append(len(active))
        threading.Event().wait(0.05)
        active.remove(payload)
        return payload

    @nb.job("parent")
    def parent(io: nb.SyncIO) -> list[int]:
        return [run.output for run in single.batch_invoke_and_wait("all", [1, 2, 3])]

    assert parent.run().output == [1, 2, 3]
    assert max(most) == 1
