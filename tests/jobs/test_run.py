"""Runs: their facts, for their body and for others."""

from __future__ import annotations

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


def test_a_run_gives_outputs_by_path_and_says_what_is_missing() -> None:
    @nb.job("paths")
    def body(io: nb.SyncIO) -> None:
        io.run_task("a/b", note, 1)
        io.run_task(["c", 2], note, 3)

    run = body.run()
    assert (run["a%2Fb"], run[["a/b"]], run[[["c", 2]]]) == (1, 1, 3)
    with pytest.raises(nb.NotFoundError, match="no task 'd'"):
        run["d"]


@pytest.mark.slow
def test_unknown_runs_and_jobs_are_named() -> None:
    for wrong in (lambda: nb.get_run("nope"), lambda: nb.tasks("nope"), lambda: nb.tree("nope")):
        with pytest.raises(LookupError, match="nope"):
            wrong()
    with pytest.raises(nb.NotFoundError, match="of job 'nope'"):
        nb.last_run("nope")


def test_the_context_tells_job_and_run() -> None:
    seen: list[nb.Context] = []

    @nb.job("context", name="The context", version="2.0.0")
    def body(payload: int, io: nb.SyncIO, ctx: nb.Context) -> None:
        seen.append(ctx)

    run = body.run(7, key="k")
    body.run(7, key="k")

    assert (seen[0].job.id, seen[0].job.name, seen[0].job.version) == (
        "context",
        "The context",
        "2.0.0",
    )
    assert [ctx.run.execution for ctx in seen] == [1, 2]
    assert [ctx.run.is_new for ctx in seen] == [True, False]
    assert seen[1].run.started_at == run.started_at
    assert seen[1].run.key == "k"
