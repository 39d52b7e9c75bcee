"""Durability of awaited tasks: on the disk before the call returns, and with as few syncs as
those who finish together need."""

from __future__ import annotations

import asyncio

import pytest

import nbtasks as nb
from nbtasks.journal import wal

AT_ONCE = 64


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The file of each sync of the journal."""
    done: list[int] = []
    real = wal._sync_data

    def sync(fd: int) -> None:
        real(fd)
        done.append(fd)

    monkeypatch.setattr(wal, "_sync_data", sync)
    return done


async def step(number: int) -> int:
    return number


async def after_a_turn(number: int) -> int:
    await asyncio.sleep(0)
    return number


@pytest.mark.parametrize("fn", [step, after_a_turn])
def test_tasks_that_finish_together_share_a_sync(syncs, fn) -> None:
    @nb.job("together")
    async def body(io: nb.AsyncIO) -> int:
        before = len(syncs)
        await asyncio.gather(*(io.run_task(["step", n], fn, n) for n in range(AT_ONCE)))
        return len(syncs) - before

    assert 1 <= body.run().output <= 3


def test_items_of_a_map_that_finish_together_share_a_sync(syncs) -> None:
    @nb.job("map-together")
    async def body(io: nb.AsyncIO) -> int:
        before = len(syncs)
        await io.map("step", step, range(10 * AT_ONCE), concurrency=AT_ONCE)
        return len(syncs) - before

    assert 10 <= body.run().output <= 30


def test_one_after_the_other_each_is_on_the_disk_before_the_next_begins(syncs) -> None:
    counts: list[int] = []

    async def count() -> None:
        counts.append(len(syncs))

    @nb.job("one-by-one")
    async def body(io: nb.AsyncIO) -> None:
        for number in range(100):
            await io.run_task(["count", number], count)

    body.run()

    assert counts == list(range(counts[0], counts[0] + 100))


def test_two_lines_of_tasks_side_by_side_need_no_more_syncs_than_one(syncs) -> None:
    @nb.job("two-lines")
    async def body(io: nb.AsyncIO) -> int:
        async def line(name: str) -> None:
            for number in range(100):
                await io.run_task([name, number], step, number)

        before = len(syncs)
        await asyncio.gather(line("a"), line("b"))
        return len(syncs) - before

    assert 100 <= body.run().output <= 110
