"""Statuses: what is told, what may be told, and where it is seen."""

from __future__ import annotations

from typing import Any

import pytest

import nbtasks as nb


def test_the_view_has_each_status_of_each_run_with_its_history():
    def inner() -> None:
        io = nb.current_io()
        assert isinstance(io, nb.SyncIO)
        io.create_status("import", "Inner")

    @nb.job("tells")
    def body(io: nb.SyncIO) -> None:
        status = io.create_status("import", "Importing", "loading")
        io.run_task("task", inner)
        status.update("failed", state="failure", data={"reason": "no disk"})

    run = body.run()
    body.run()  # tells nothing twice

    rows = nb.sql("select * exclude changed_at from statuses")
    assert rows.fillna("").to_numpy().tolist() == [
        [run.id, "import", 1, "Importing", "loading", ""],
        [run.id, "import", 2, "Importing", "failure", '{"reason":"no disk"}'],
        [run.id, "task/import", 1, "Inner", "", ""],
    ]


def test_what_was_told_before_a_task_died_counts_once():
    @nb.job("again")
    def body(io: nb.SyncIO) -> None:
        io.create_status("import", "Importing")

    run = body.run()
    run.reset("import")
    body.run()

    assert nb.sql("select number from statuses").number.tolist() == [1]


@pytest.mark.parametrize(
    ("label", "state", "data"),
    [("", None, None), (1, None, None), ("a", "done", None), ("a", None, [1])],
)
def test_what_cannot_be_told_is_refused_at_once(label: Any, state: Any, data: Any):
    @nb.job("refused")
    def body(io: nb.SyncIO) -> None:
        io.create_status("import", label, state, data)

    with pytest.raises(nb.InvalidOptionError):
        body.run()
    assert nb.tasks().empty


async def test_an_update_that_changes_nothing_is_a_mistake():
    @nb.job("nothing")
    async def body(io: nb.AsyncIO) -> Any:
        status = await io.create_status("import", "Importing")
        with pytest.raises(nb.InvalidOptionError, match="give it label="):
            await status.update("nothing")
        return status.history

    assert (await body.arun()).output == []


async def test_a_key_that_is_used_twice_is_named_with_its_lines():
    @nb.job("twice")
    async def body(io: nb.AsyncIO) -> None:
        status = await io.create_status("import", "Importing")
        await status.update("import", label="Imported")

    with pytest.raises(nb.DuplicateKeyError) as caught:
        await body.arun()

    assert 'io.create_status("import"' in str(caught.value)
    assert 'status.update("import"' in str(caught.value)
