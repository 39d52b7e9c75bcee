"""The turns of the loop while a body only calls tasks."""

from __future__ import annotations

import asyncio
import time

import pytest

import nbtasks as nb


async def step(number: int) -> int:
    return number


async def busy_step() -> None:
    end = time.perf_counter() + 0.001
    while time.perf_counter() < end:
        pass


def test_a_body_that_only_calls_tasks_lets_the_loop_look_for_other_things() -> None:
    """A timer is nothing that is ready to run, until the loop has looked at the clock."""

    @nb.job("looks")
    async def body(io: nb.AsyncIO) -> int:
        heard: list[int] = []
        asyncio.get_running_loop().call_later(0.02, heard.append, 1)
        for number in range(500):
            await io.run_task(["busy", number], busy_step)
            if heard:
                return number
        return -1

    assert 0 <= body.run().output < 400


def test_a_body_that_only_calls_tasks_can_be_cancelled_from_outside() -> None:
    @nb.job("times-out")
    async def body(io: nb.AsyncIO) -> None:
        async with asyncio.timeout(0.05):
            for number in range(2000):
                await io.run_task(["busy", number], busy_step)

    with pytest.raises(TimeoutError):
        body.run()

    statuses = nb.tasks().status.value_counts()
    assert statuses["COMPLETED"] < 2000
    assert statuses.get("RUNNING", 0) == 0


def test_what_is_ready_to_run_gets_its_turn_with_each_task() -> None:
    @nb.job("turns")
    async def body(io: nb.AsyncIO) -> None:
        turns = 0

        async def turn() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        other = asyncio.create_task(turn())
        for number in range(20):
            before = turns
            await io.run_task(["step", number], step, number)
            assert turns > before
        other.cancel()

    body.run()
