"""Options of a task: the call wins over the function, the function over the job."""

from __future__ import annotations

import functools
from datetime import timedelta
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.engine.options import NOT_GIVEN, RUN_OPTIONS, Policy, resolve


def _resolve(default: Policy, fn: Any, **given: Any) -> Policy:
    given = {"on": NOT_GIVEN, **given}
    return resolve(default, fn, (), *map(given.get, RUN_OPTIONS))[1]


@nb.task(name="Marked", retry=3, once=True, ttl=timedelta(hours=1))
def marked() -> None: ...


def test_without_any_word_the_job_decides() -> None:
    job = Policy(retry=nb.Retry(2))

    assert _resolve(job, print) is job


def test_the_function_wins_over_the_job_where_it_says_something() -> None:
    job = Policy(retry=nb.Retry(2), timeout=9.0)

    policy = _resolve(job, marked)

    assert (policy.name, policy.retry, policy.timeout) == ("Marked", nb.Retry(3), 9.0)
    assert policy.options.once


def test_the_call_wins_over_the_function_option_by_option() -> None:
    policy = _resolve(Policy(), marked, retry=7, options=nb.TaskOptions(once=False, icon="x"))

    assert policy.retry == nb.Retry(7)
    assert policy.name == "Marked"
    assert policy.options == nb.TaskOptions(once=False, icon="x", ttl=timedelta(hours=1))


def test_a_partial_of_a_marked_function_is_marked() -> None:
    assert _resolve(Policy(), functools.partial(marked)).name == "Marked"


@pytest.mark.parametrize("bad", [0, -1, True, "soon", float("nan"), timedelta(0)])
def test_a_duration_is_above_zero(bad: Any) -> None:
    with pytest.raises(nb.InvalidOptionError, match="timeout is a time above 0"):
        _resolve(Policy(), print, timeout=bad)
    with pytest.raises(nb.InvalidOptionError, match="ttl"):
        nb.TaskOptions(ttl=bad)


@pytest.mark.parametrize("bad", [3, "ValueError", (ValueError, 3), int])
def test_retry_on_is_classes_of_exceptions_or_a_function(bad: Any) -> None:
    with pytest.raises(nb.InvalidOptionError, match="retry_on is"):
        _resolve(Policy(), print, retry_on=bad)


def test_other_options_are_checked_early_too() -> None:
    with pytest.raises(nb.InvalidOptionError, match="on_change is one of"):
        nb.TaskOptions(on_change="maybe")  # type: ignore[arg-type]  # on purpose
    with pytest.raises(nb.InvalidOptionError, match=r"options is an nb\.TaskOptions"):
        _resolve(Policy(), print, options={"once": True})
    with pytest.raises(nb.InvalidOptionError, match="on_error is a function"):
        _resolve(Policy(), print, on_error="log")
    with pytest.raises(nb.InvalidOptionError, match="decorates a function"):
        nb.task()(3)  # type: ignore[arg-type]  # on purpose


def test_options_that_make_no_sense_are_refused_early() -> None:
    with pytest.raises(nb.InvalidOptionError, match="properties is a dict"):
        nb.TaskOptions(properties=["rows"])  # type: ignore[arg-type]  # wrong
    with pytest.raises(nb.InvalidOptionError, match="icon is"):
        nb.TaskOptions(icon=3)  # type: ignore[arg-type]  # wrong
