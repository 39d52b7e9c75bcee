"""A job whose runs have all that history can have: subtasks, metrics, logs, a failure."""

from __future__ import annotations

import contextlib

import pandas as pd

import nbtasks as nb


@nb.task(retry=nb.Retry(attempts=2, min_delay=0.001, jitter=False))
def flaky() -> None:
    raise ValueError("no such carrier")


def fit(carrier: str, size: int) -> tuple[str, int]:
    task = nb.current_task()
    task.metric(rmse=size / 2)
    task.progress(1, 2)
    return carrier, size


def train(size: int) -> None:
    io = nb.current_io()
    assert isinstance(io, nb.SyncIO)
    for carrier in ("AA", "B/6"):
        io.run_task(carrier, fit, carrier, size)


@nb.job("frames", version="1.0.0")
def body(payload: int, io: nb.SyncIO) -> dict[int, str]:
    io.run_task("load", pd.DataFrame, {"x": [payload]})
    io.run_task("train", train, payload)
    io.logger.info("trained", size=payload)
    with contextlib.suppress(nb.TaskFailed):
        io.run_task("publish", flaky)
    return {payload: "done"}
