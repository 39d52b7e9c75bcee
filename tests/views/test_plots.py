"""Runs and their history as plots."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nbtasks as nb
from tests.views.history import body


@pytest.fixture
def _agg(monkeypatch: pytest.MonkeyPatch) -> Any:
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    with mpl.rc_context():
        plt.switch_backend("agg")
        yield
        plt.close("all")


def texts(ax: Any) -> list[str]:
    return [text.get_text().strip() for text in ax.texts]


@pytest.mark.slow
@pytest.mark.usefixtures("_agg")
def test_a_timeline_has_a_bar_a_task_with_what_became_of_it() -> None:
    ax = body.run(2).plot()

    labels = [label.get_text().strip() for label in ax.get_yticklabels()]
    assert labels == ["load", "train", "AA", "B/6", "publish"]
    assert len(ax.patches) == 5
    assert texts(ax)[-1].endswith("failed")
    assert ax.get_title() == "frames 1.0.0, COMPLETED"
    ax.figure.canvas.draw()


@pytest.mark.slow
@pytest.mark.usefixtures("_agg")
def test_a_timeline_of_many_tasks_has_the_longest_and_says_so() -> None:
    @nb.job("many")
    def many(io: nb.SyncIO) -> None:
        for number in range(70):
            io.run_task(["step", number], int)

    ax = many.run().plot()

    assert len(ax.patches) == 60
    assert "the 60 longest of 70 tasks" in ax.get_title()


@pytest.mark.slow
@pytest.mark.usefixtures("_agg")
def test_a_run_without_tasks_has_no_timeline() -> None:
    run = nb.job("idle")(lambda io: None).run()

    with pytest.raises(nb.NbtasksError, match="nothing to draw"):
        run.plot()


@pytest.mark.slow
@pytest.mark.usefixtures("_agg")
def test_a_history_is_drawn_with_a_metric() -> None:
    for size in (2, 3):
        body.run(size)

    ax = nb.plot_history(body, metric="train/AA.rmse")

    (other,) = [axes for axes in ax.figure.axes if axes is not ax]
    assert np.asarray(other.lines[0].get_ydata()).tolist() == [1.0, 1.5]
    assert len(ax.containers) == 3
    with pytest.raises(nb.NotFoundError, match=r"'nope'; there are: train/AA\.rmse"):
        nb.plot_history(body, metric="nope")


@pytest.mark.slow
@pytest.mark.usefixtures("_agg")
def test_a_metric_that_is_named_as_the_duration_is_no_duration() -> None:
    @nb.job("timed")
    def timed(io: nb.SyncIO) -> None:
        io.run_task("step", lambda: nb.current_task().metric(seconds=7))

    timed.run()
    ax = nb.plot_history(timed)

    assert [bars.get_label() for bars in ax.containers] == ["step"]
    with pytest.raises(nb.NotFoundError, match=r"there are: step\.seconds \(metric\)"):
        nb.plot_history(timed, metric="nope")


def test_without_matplotlib_a_plot_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    run = body.run(2)
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    with pytest.raises(nb.NbtasksError, match=r"pip install 'nbtasks\[plot\]'"):
        run.plot()
