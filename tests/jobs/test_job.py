"""Jobs: functions that can be one, and the ways to begin a run."""

from __future__ import annotations

import functools
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
        nb.job(**fields)(lambda io: None)  # type: ignore[call-overload]  # wrong on purpose


def test_a_job_without_parentheses_has_the_name_of_its_function_as_id() -> None:
    @nb.job
    def bare(io: nb.SyncIO) -> int:
        return io.run_task("one", int, "1")

    @nb.job(version="2.0.0")
    async def with_options(io: nb.AsyncIO) -> int:
        return await io.run_task("one", int, "1")

    assert (bare.id, bare.name, bare.version) == ("bare", "bare", "0.0.1")
    assert (with_options.id, with_options.version) == ("with_options", "2.0.0")
    assert bare.run().output == with_options.run().output == 1
    assert nb.runs().job.tolist() == ["with_options", "bare"]


def test_a_function_without_a_name_needs_an_id() -> None:
    for fn in (lambda io: None, functools.partial(int, "3")):
        with pytest.raises(nb.InvalidJobError, match=r'no name.*nb\.job\("report"\)'):
            nb.job(fn)
    assert nb.job("named")(lambda: 3).run().output == 3


def test_a_job_that_is_called_like_its_function_says_what_to_call() -> None:
    calls: list[int] = []

    @nb.job
    def report(month: int) -> None:
        calls.append(month)

    with pytest.raises(nb.NbtasksError, match=r"report\.run\(\.\.\.\).*report\.fn is the plain"):
        report(month=3)
    with pytest.raises(nb.NbtasksError, match=r"report\.run\("):
        report()
    assert calls == []
    assert nb.runs().empty
    report.fn(3)
    assert calls == [3]


def test_a_job_is_not_made_of_a_job() -> None:
    @nb.job
    def report() -> None: ...

    with pytest.raises(nb.InvalidJobError, match="is a job already"):
        nb.job("again")(report)


@pytest.mark.slow
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
