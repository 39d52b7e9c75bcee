"""Tracebacks hold the user's own frames."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.core import tracebacks


def raising() -> None:
    raise ValueError("here")


async def raising_async() -> None:
    await asyncio.sleep(0)
    raising()


def names(error: BaseException) -> list[str]:
    """The functions whose frames an error shows."""
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


def caught(call: Callable[[], Any]) -> Exception:
    with pytest.raises(Exception) as info:
        call()
    return info.value


def test_frames_of_the_user_are_kept_in_order_with_their_lines():
    error = caught(raising)
    before = traceback.extract_tb(error.__traceback__)

    after = traceback.extract_tb(tracebacks.own_frames(error.__traceback__))

    assert [(f.name, f.lineno) for f in after] == [(f.name, f.lineno) for f in before]


def test_no_traceback_stays_none():
    assert tracebacks.own_frames(None) is None


def engine_frames(error: BaseException) -> list[str]:
    shown = traceback.extract_tb(error.__traceback__)
    return [
        frame.filename
        for frame in shown
        if "/nbtasks/" in frame.filename.replace("\\", "/")
        and "/tests/" not in frame.filename.replace("\\", "/")
    ]


def test_a_failed_blocking_job_shows_the_users_frames_alone():
    @nb.job("tracebacks-sync")
    def body(io: nb.SyncIO) -> None:
        io.run_task("fail", raising)

    error = caught(body.run)

    assert engine_frames(error) == []
    assert names(error)[-1] == "raising"
    assert "body" in names(error)


def test_a_failed_awaiting_job_shows_the_users_frames_alone():
    @nb.job("tracebacks-async")
    async def body(io: nb.AsyncIO) -> None:
        await io.run_task("fail", raising_async)

    error = caught(body.run)

    assert engine_frames(error) == []
    assert names(error)[-2:] == ["raising_async", "raising"]
    assert "body" in names(error)


def test_a_function_in_a_worker_thread_shows_no_frames_of_the_thread():
    @nb.job("tracebacks-thread")
    async def body(io: nb.AsyncIO) -> None:
        await io.run_task("fail", raising)

    error = caught(body.run)

    assert names(error)[-1] == "raising"
    assert not {"run", "run_sync", "_worker"} & set(names(error))


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_an_uncaught_error_of_the_body_has_no_context_of_the_engine(kind: str):
    """Nothing says "During handling of the above exception"."""

    @nb.job(f"tracebacks-context-{kind}")
    def body(io: nb.SyncIO) -> None:
        raise KeyError("own")

    @nb.job(f"tracebacks-context-{kind}")
    async def abody(io: nb.AsyncIO) -> None:
        raise KeyError("own")

    error = caught((body if kind == "sync" else abody).run)

    assert isinstance(error, KeyError)
    assert error.__context__ is None
    assert error.__cause__ is None


def test_the_text_is_what_python_prints_without_the_engine():
    @nb.job("tracebacks-text")
    def body(io: nb.SyncIO) -> None:
        io.run_task("fail", raising)

    with pytest.raises(nb.TaskFailed) as failed:
        body.run()

    text = failed.value.traceback
    assert text.splitlines()[0] == "Traceback (most recent call last):"
    assert text.splitlines()[-1] == "ValueError: here"
    assert "in raising" in text
    assert "engine.py" not in text
    assert "io.py" not in text


def test_users_of_asyncio_keep_its_frames_where_they_called_it():
    async def fails() -> None:
        raising()

    with asyncio.Runner() as runner:  # nest_asyncio2's asyncio.run would leave its loop open
        error = caught(lambda: runner.run(fails()))

    assert "run" in names(error)
    assert [f.name for f in traceback.extract_tb(tracebacks.own_frames(error.__traceback__))] == (
        names(error)
    )


def test_the_error_shows_the_users_frames_only() -> None:
    @nb.job("frames")
    async def body(io: nb.AsyncIO) -> None:
        await io.run_task("deep", deep)

    def deep() -> None:
        raise ValueError("here")

    with pytest.raises(ValueError, match="here") as caught:
        body.run()

    names = [entry.name for entry in caught.traceback]
    assert names[-2:] == ["body", "deep"]
    assert not any("nbtasks/engine" in str(entry.path) for entry in caught.traceback)
    assert "engine.py" not in (nb.last_run().error or pytest.fail("no error")).traceback


def test_errors_of_a_chain_come_once_each_and_the_outermost_first():
    cause, context, member = OSError("cause"), KeyError("context"), TypeError("member")
    item = nb.TaskFailed("fit/3", type="ValueError", message="")
    group = ExceptionGroup("group", [member, cause])
    outer = RuntimeError("outer")
    outer.__cause__, outer.__context__ = (
        group,
        nb.MapFailed("fit", type="", message="", failed={3: item}),
    )
    outer.__context__.__context__, context.__context__ = context, outer  # a cycle

    errors = list(tracebacks.iter_errors(outer))

    assert errors == [outer, group, outer.__context__, member, cause, context, item]
    assert list(tracebacks.iter_errors(None)) == []


def test_frames_are_selected_by_their_code_and_line():
    error = caught(raising)
    frames = traceback.extract_tb(error.__traceback__)

    selected = tracebacks.select_frames(
        error.__traceback__, lambda frame, _: frame.f_code is not raising.__code__
    )

    assert traceback.extract_tb(selected) == frames[:-1]
    assert tracebacks.select_frames(error.__traceback__, lambda *_: False) is None
