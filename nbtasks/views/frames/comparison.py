"""Comparison of runs, and statistics of tasks over all runs, as DataFrames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbtasks.views.frames.decoded import metric_columns, with_metrics
from nbtasks.views.frames.from_arrow import framed
from nbtasks.views.frames.queries import Where

if TYPE_CHECKING:
    from nbtasks.core.model import RunRow
    from nbtasks.journal.protocol import Journal
    from nbtasks.views.frames.dataframe import DataFrame

__all__ = ["compare", "history", "summary"]

#: Tasks of one run. The digest of a pickle leaves out its signature, the part before the colon.
_SIDE = """
    select
        path, status::task_status as status,
        to_microseconds(if(finished_us < started_us, 0, finished_us - started_us)) as duration,
        if(finished_us < started_us, 0, finished_us - started_us) / 1e6 as seconds,
        case when output_kind is not null then md5(coalesce(
            blob, case when output_kind = 'pickle' then split_part(output, ':', 2) else output end
        )) end as digest,
        stale is not null as stale,
        metrics
    from task_now where run_id = $run order by seq
"""

_PAIRS = ("status", "duration", "seconds")

_RUNS = """
    select
        run_id, version, key, status, started_at, duration, seconds, executions, tasks, failed,
        coalesce(retries, 0)::bigint as retries
    from runs
    left join (
        select run_id, sum(greatest(attempts - 1, 0)) as retries from task group by run_id
    ) using (run_id)
    where job = $job order by started_at, run_id
"""

_SUMMARY = """
    with ended as (
        select run_id, path, count(*) as attempts, count(*) filter (status = 'FAILED') as failed
        from attempts where run_id in (select run_id from run where {where}) group by run_id, path
    )
    select
        job, path, count(*) as runs,
        coalesce(sum(ended.attempts), 0)::bigint as attempts,
        coalesce(sum(ended.failed), 0)::bigint as failed,
        sum(ended.failed) / sum(ended.attempts) as failure_rate,
        avg(seconds) as mean_seconds, median(seconds) as median_seconds,
        max(seconds) as max_seconds, coalesce(sum(seconds), 0) as total_seconds,
        max(started_at) as last_at
    from tasks left join ended using (run_id, path)
    where {where}
    group by job, path order by total_seconds desc, job, path
"""


def compare(
    left: tuple[Journal, RunRow], right: tuple[Journal, RunRow], *, metrics: bool = False
) -> DataFrame:
    """Return the tasks of two runs side by side; the runs may be in different journals."""
    import pandas as pd

    sides = [framed(journal.query(_SIDE, {"run": run.run_id})) for journal, run in (left, right)]
    if metrics:
        sides = [with_metrics(side) for side in sides]
    paths = dict.fromkeys(path for side in sides for path in side.path)
    a, b = (side.set_index("path").reindex(list(paths)) for side in sides)
    pairs = {
        f"{name}_{suffix}": side[name] for name in _PAIRS for suffix, side in (("a", a), ("b", b))
    }
    frame = pd.DataFrame(pairs)
    comparable = a.digest.notna() & b.digest.notna()
    frame["output_changed"] = (a.digest != b.digest).astype("boolean").where(comparable)
    frame["stale_a"], frame["stale_b"] = a.stale.astype("boolean"), b.stale.astype("boolean")
    for name in dict.fromkeys(name for name in (*a, *b) if str(name).startswith("metrics.")):
        for suffix, side in (("a", a), ("b", b)):
            frame[f"{name}_{suffix}"] = side.get(name, float("nan"))
    return frame.reset_index(names="path")


def history(journal: Journal, job: str, path: str | None = None) -> DataFrame:
    """Return the runs of a job with the times and metrics of their tasks, one row per run."""
    frame = framed(journal.query(_RUNS, {"job": job}))
    where = Where().of_job(job).below(path)
    if path is None:
        where.add("(depth = 0 or metrics is not null)")
    query = f"""
        select run_id, path, seconds, metrics, depth = 0 or $whole as timed
        from tasks where {where} order by run_id, seq
    """
    tasks = framed(journal.query(query, where.params | {"whole": path is not None}))
    return frame if tasks.empty else frame.join(_by_task(tasks), on="run_id")


def _by_task(tasks: DataFrame) -> DataFrame:
    """Return one row per run, with columns `PATH.seconds` and `PATH.NAME` for each metric."""
    import pandas as pd

    measures = metric_columns(tasks).rename(columns={"seconds": "seconds (metric)"})
    measures.insert(0, "seconds", tasks.seconds.where(tasks.timed))
    order = {path: index for index, path in enumerate(dict.fromkeys(tasks.path))}
    by_column: dict[tuple[str, str], Any] = {}
    for name in map(str, measures.columns):
        values = tasks[["run_id", "path"]].assign(value=measures[name]).dropna(subset="value")
        wide = values.pivot(index="run_id", columns="path", values="value")  # noqa: PD010 - one each
        by_column |= {(path, name): wide[path] for path in wide.columns}
    columns = sorted(by_column, key=lambda column: order[column[0]])
    return pd.DataFrame({f"{path}.{name}": by_column[path, name] for path, name in columns})


def summary(journal: Journal, job: str | None = None) -> DataFrame:
    """Return one row per task of a job, or of all jobs, over all runs; longest total time first."""
    where = Where().of_job(job)
    return framed(journal.query(_SUMMARY.format(where=where), where.params or None))
