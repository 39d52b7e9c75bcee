"""Running of an awaitable: on a loop that is running already, and by a runner of its own."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

import nbtasks as nb

# In a process of its own: the loop must not have been patched by an earlier test.
SCRIPT = """
import asyncio
from nbtasks.core.event_loop import run_awaitable

done = []

async def main():
    loop = asyncio.get_running_loop()
    loop.call_soon(lambda: run_awaitable(asyncio.sleep(0.02)) or done.append("nested"))
    for n in range(3):
        loop.call_soon(done.append, n)
    await asyncio.sleep(0.1)
    print(sorted(map(str, done)))

with asyncio.Runner() as runner:
    runner.run(main())
"""


@pytest.mark.slow
def test_the_loop_goes_on_if_it_was_first_used_so_by_one_of_several_callbacks() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.stdout == "['0', '1', '2', 'nested']\n", done.stderr


def test_ctrl_c_goes_back_to_its_handler_after_an_interrupt_in_an_awaiting_body() -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    @nb.job("stopped")
    async def body(io: nb.AsyncIO) -> None:
        await io.run_task("stop", stop, options=nb.TaskOptions(inline=True))

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        body.run()

    assert signal.getsignal(signal.SIGINT) is before
