"""Jobs: functions that can be one, and the ways to begin a run."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import nbtasks as nb


@pytest.mark.parametrize(
    "fields", [{"id": ""}, {"id": "x", "version": ""}, {"id": "x", "log_level": "loud"}]
)
def test_a_job_that_cannot_be_one_is_refused_at_once(fields: dict[str, str]) -> None:
    with pytest.raises(nb.InvalidJobError):
        nb.job(**fields)(lambda io: None)  # type: ignore[arg-type]  # wrong on purpose


def test_a_function_with_too_many_parameters_is_refused_with_what_to_write() -> None:
    with pytest.raises(nb.InvalidJobError, match=r"\(payload, io, ctx\)"):
        nb.job("x")(lambda a, b, c, d: None)


def test_a_job_of_each_kind_runs_in_each_way_in_a_running_loop(tmp_path: Path) -> None:
    """`run` blocks, `arun` is awaited. In a process of its own: entering a running loop a second
    time patches asyncio for good."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import asyncio
            import nbtasks as nb

            @nb.job("plain")
            def plain(io):
                return io.run_task("one", int, "1")

            @nb.job("asynchronous")
            async def asynchronous(io):
                return await io.run_task("one", int, "1")

            @nb.job("mixed")
            def mixed(io):
                return io.run_task("two", two)

            async def two():
                loops.append(asyncio.get_running_loop())
                return await nb.current_io().run_task("inner", int, "2")

            loops = []

            async def main():
                for job in (plain, asynchronous):
                    assert (await job.arun()).output == 1
                    assert job.run().output == 1
                assert mixed.run().output == 2
                assert loops == [asyncio.get_running_loop()]
                print("all")

            asyncio.run(main())
            """
        )
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("all\n", 0), done.stderr
