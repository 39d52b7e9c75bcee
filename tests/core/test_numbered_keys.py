"""Keys that are numbered as they are used."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import nbtasks as nb

calls: list[Any] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


def note(value: Any) -> Any:
    calls.append(value)
    return value


async def test_a_numbered_key_counts_when_it_is_called_and_not_when_it_is_awaited() -> None:
    @nb.job("gathered")
    async def body(io: nb.AsyncIO) -> list[int]:
        made = [io.run_task(nb.numbered("part"), note, n) for n in range(4)]
        return await asyncio.gather(*reversed(made))

    run = await body.arun()

    assert run.output == [3, 2, 1, 0]
    assert [run[path] for path in ("part", "part#2", "part#3", "part#4")] == [0, 1, 2, 3]


@pytest.mark.slow
def test_a_loop_of_ten_thousand_numbered_calls_resumes_at_its_end() -> None:
    stop_at = 10_000

    def poll(n: int) -> int:
        if n == stop_at:
            raise OSError("not yet")
        calls.append(n)
        return n

    @nb.job("polling", on_change="ignore")  # of `stop_at`, which stands for the world
    def body(io: nb.SyncIO) -> int:
        return sum(io.run_task(nb.numbered("poll"), poll, n) for n in range(10_001))

    nb.configure(durability="relaxed")
    try:
        with pytest.raises(OSError, match="not yet"):
            body.run()
        stop_at = -1
        run = body.run()
    finally:
        nb.configure(durability=None)

    assert run.output == sum(range(10_001))
    assert calls == list(range(10_001))
    assert run["poll#10001"] == 10_000


@pytest.mark.parametrize("key", ["", 3, None, ["a"]], ids=repr)
def test_a_numbered_key_is_a_string(key: Any) -> None:
    with pytest.raises(nb.InvalidKeyError, match=r"nb\.numbered"):
        nb.numbered(key)
