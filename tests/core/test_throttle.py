"""Pauses after work in proportion to its cost."""

from __future__ import annotations

import pytest

from nbtasks.core import throttle as throttle_module
from nbtasks.core.throttle import Throttle


@pytest.fixture
def now(monkeypatch):
    """The real time in seconds, in a list."""
    time = [100.0]
    monkeypatch.setattr(throttle_module, "perf_counter", lambda: time[0])
    return time


def test_work_is_due_at_first_and_again_after_a_pause_in_proportion_to_its_cost(now) -> None:
    throttle = Throttle(20)
    assert throttle.is_due()

    with throttle:
        now[0] += 0.5

    assert throttle.pause == 10.0
    now[0] += 9.0
    assert not throttle.is_due()
    now[0] += 1.0
    assert throttle.is_due()


def test_a_pause_after_cheap_work_has_the_minimum_length(now) -> None:
    throttle = Throttle(20, least=1.0)
    assert throttle.pause == 1.0

    with throttle:
        now[0] += 0.001

    assert throttle.pause == 1.0
    assert throttle.pause_after(0.001) == 1.0
    assert throttle.pause_after(0.1) == 2.0


def test_work_that_fails_is_followed_by_a_pause(now) -> None:
    throttle = Throttle(20)

    with pytest.raises(ValueError, match="broken"), throttle:
        now[0] += 1.0
        raise ValueError("broken")

    assert throttle.pause == 20.0
    assert not throttle.is_due()
