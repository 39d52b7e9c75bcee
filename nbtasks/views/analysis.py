"""Comparison of runs, and statistics of tasks over all runs: the public functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbtasks.core import keys
from nbtasks.journal import current
from nbtasks.journal.lookup import job_id, no_run_error
from nbtasks.views import frames, plots
from nbtasks.views.history import locate_run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from nbtasks.core.keys import KeyPath
    from nbtasks.journal.protocol import AnyRun, JobHandle
    from nbtasks.views.frames import DataFrame

__all__ = ["compare", "history", "plot_history", "summary"]


def compare(run_a: AnyRun, run_b: AnyRun, *, metrics: bool = False) -> DataFrame:
    """Return the tasks of two runs side by side as a DataFrame: one row per path.

    The rows have the order of the first run; paths of either run are included.

    Args:
        run_a: A run, or its id; also a run of a file opened with `nb.open`.
        run_b: The run to compare it with.
        metrics: Add two columns for each metric, `metrics.NAME_a` and `metrics.NAME_b`.

    Returns:
        `path`, then `status`, `duration` and `seconds` of each run, as `status_a` and `status_b`;
        `output_changed`, missing where either has no output; `stale_a` and `stale_b`, whether the
        code or the inputs of the task had changed when it was last reused.

    Raises:
        NotFoundError: There is no such run.

    ```python
    import nbtasks as nb


    @nb.job("compare-example")
    def body(payload: int, io: nb.SyncIO) -> None:
        io.run_task("load", list)
        io.run_task("square", pow, payload, 2)


    changed = nb.compare(body.run(2), body.run(3)).query("output_changed")
    assert changed.path.tolist() == ["square"]
    ```
    """
    return frames.compare(locate_run(run_a), locate_run(run_b), metrics=metrics)


def history(job: JobHandle | str, *, path: KeyPath | None = None) -> DataFrame:
    """Return the runs of a job with the times and metrics of their tasks as a DataFrame.

    One row per run, oldest first.

    Args:
        job: The job, or its id.
        path: Include only the task at this path, or at these keys, and all tasks below it. By
            default, times are those of the tasks at the top, and metrics those of all tasks.

    Returns:
        `run_id version key status started_at duration seconds executions tasks failed retries`,
        then for each task `PATH.seconds`, and `PATH.NAME` for each of its metrics.

    Raises:
        NotFoundError: The job has no run.

    ```python
    import nbtasks as nb


    @nb.job("history-example")
    def body(payload: int, io: nb.SyncIO) -> None:
        io.run_task("fit", lambda: nb.current_task().metric(rmse=1 / payload))


    for size in (1, 2, 4):
        body.run(size)
    assert nb.history(body)["fit.rmse"].tolist() == [1.0, 0.5, 0.25]
    ```
    """
    name = job_id(job) or ""
    frame = frames.history(current.journal(), name, None if path is None else keys.path_of(path))
    if frame.empty:
        raise no_run_error(current.journal(), name)
    return frame


def plot_history(
    job: JobHandle | str, *, metric: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the runs of a job side by side with matplotlib.

    Each bar stacks the times of the tasks at the top; runs that did not complete are labeled.

    Args:
        job: The job, or its id.
        metric: A column of `nb.history(job)`, such as "fit.rmse", drawn as a line on a second axis.
        ax: Axes to draw on; by default those of a new figure, which a notebook shows.

    Raises:
        NotFoundError: The job has no run, or there is no such metric.
        NbtasksError: matplotlib is not installed.

    ```python
    import nbtasks as nb


    @nb.job("plot-example")
    def body(payload: int, io: nb.SyncIO) -> None:
        io.run_task("fit", lambda: nb.current_task().metric(rmse=1 / payload))


    for size in (1, 2, 4):
        body.run(size)
    ax = nb.plot_history(body, metric="fit.rmse")
    assert ax.get_title() == "plot-example: 3 runs"
    ```
    """
    frame = history(job)
    runs = f"{len(frame)} runs" if len(frame) > 1 else "1 run"
    return plots.trend(frame, f"{job_id(job)}: {runs}", metric, ax)


def summary(job: JobHandle | str | None = None) -> DataFrame:
    """Return statistics of tasks over all runs, of one job or of all, as a DataFrame.

    One row per task, those with the longest total time first: it shows which tasks are slow, fail
    or are retried.

    Returns:
        `job path runs attempts failed failure_rate mean_seconds median_seconds max_seconds
        total_seconds last_at`. `failed` counts attempts, and `failure_rate` is their share.

    ```python
    import nbtasks as nb


    @nb.job("summary-example")
    def body(payload: int, io: nb.SyncIO) -> None:
        io.run_task("work", abs, payload)


    for number in range(3):
        body.run(number)
    (work,) = nb.summary(body).itertuples()
    assert (work.path, work.runs, work.failure_rate) == ("work", 3, 0.0)
    ```
    """
    return frames.summary(current.journal(), job_id(job))
