"""Values by name: whose they are, what a replay reads, what cannot be kept."""

from __future__ import annotations

from typing import Any

import pytest

import nbtasks as nb


def make(job: str, seen: list[Any]) -> nb.Job:
    @nb.job(job)
    def body(payload: str, io: nb.SyncIO) -> None:
        for scope in (io.store.run, io.store.job, io.store.env):
            seen.append(scope.get([repr(scope), "read"], "name"))
            scope.set([repr(scope), "write"], "name", payload)

    return body


@pytest.mark.slow
def test_a_value_is_that_of_its_run_of_its_job_or_of_all():
    seen: list[Any] = []

    make("one", seen).run("a")
    make("one", seen).run("b")
    make("two", seen).run("c")

    assert seen == [None, None, None, None, "a", "a", None, None, "b"]


@pytest.mark.slow
def test_a_replay_reads_what_was_read_first():
    reader_seen: list[Any] = []

    @nb.job("reader")
    def reader(io: nb.SyncIO) -> Any:
        reader_seen.append(io.store.env.get("read", "name"))

    @nb.job("writer")
    def writer(payload: int, io: nb.SyncIO) -> None:
        io.store.env.set("write", "name", payload)

    writer.run(1)
    reader.run()
    writer.run(2)
    reader.run()
    reader.run(new=True)

    assert reader_seen == [1, 1, 2]


@pytest.mark.slow
def test_what_is_deleted_is_not_there_any_more():
    @nb.job("deletes")
    def body(io: nb.SyncIO) -> list[Any]:
        store = io.store.run
        store.set("write", "name", 1)
        return [
            store.delete("delete", "name"),
            store.delete("delete again", "name"),
            store.has("has", "name"),
            store.get("get", "name"),
        ]

    assert body.run().output == [True, False, False, None]


@pytest.mark.slow
async def test_a_large_value_and_one_of_a_class_come_back_as_they_went_in():
    value = {"text": "x" * (3 << 20), "members": {1, 2}}

    @nb.job("large")
    async def body(io: nb.AsyncIO) -> Any:
        await io.store.job.set("write", "name", value)
        return await io.store.job.get("read", "name")

    assert (await body.arun()).output == value


@pytest.mark.slow
def test_a_task_of_the_store_says_its_scope_and_its_name():
    @nb.job("shows")
    def body(io: nb.SyncIO) -> None:
        io.store.job.set("write", "name", "secret")

    assert body.run().tasks().params.tolist() == ['{"scope":"job","name":"name"}']


@pytest.mark.parametrize("name", ["", 1, None, ["a"]])
def test_a_name_is_a_string_that_is_not_empty(name: Any):
    @nb.job("names")
    def body(io: nb.SyncIO) -> None:
        io.store.run.get("read", name)

    with pytest.raises(nb.InvalidKeyError, match="non-empty string"):
        body.run()


def test_what_no_journal_can_hold_fails_its_task_and_leaves_what_was_there():
    @nb.job("unkept")
    def body(io: nb.SyncIO) -> Any:
        io.store.run.set("write", "name", 1)
        try:
            io.store.run.set("write a generator", "name", (n for n in range(3)))
        except nb.ValueNotKeptError:
            return io.store.run.get("read", "name")

    assert body.run().output == 1


async def test_the_key_of_a_call_is_used_once_and_the_message_names_the_lines():
    @nb.job("twice")
    def blocking(io: nb.SyncIO) -> None:
        io.store.run.get("read", "a")
        io.store.run.get("read", "b")

    @nb.job("twice awaited")
    async def awaiting(io: nb.AsyncIO) -> None:
        await io.store.run.get("read", "a")
        await io.store.run.get("read", "b")

    for job in (blocking, awaiting):
        with pytest.raises(nb.DuplicateKeyError) as caught:
            await job.arun()

        assert 'io.store.run.get("read", "a")' in str(caught.value)
        assert 'io.store.run.get("read", "b")' in str(caught.value)
