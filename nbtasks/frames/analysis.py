"""What history tells: runs beside each other, and tasks over all their runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbtasks.frames.arrow import framed
from nbtasks.frames.decoded import metric_columns, with_metrics
from nbtasks.frames.views import Where

if TYPE_CHECKING:
    from nbtasks.frames.kind import DataFrame
    from nbtasks.journal.port import Journal

__all__ = ["compare", "history", "summary"]

#: Of a pickle, what stands before the colon is the signature of whoever made it.
_SIDE = """
    select
        path, status::task_status as status,
        to_microseconds(finished_us - started_us) as duration,
        (finished_us - started_us) / 1e6 as seconds,
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
    one: tuple[Journal, str], other: tuple[Journal, str], *, metrics: bool = False
) -> DataFrame:
    """The tasks of two runs side by side; the runs may be of different journals."""
    import pandas as pd

    sides = [framed(journal.query(_SIDE, {"run": run})) for journal, run in (one, other)]
    if metrics:
        sides = [with_metrics(side) for side in sides]
    paths = dict.fromkeys(path for side in sides for path in side.path)
    a, b = (side.set_index("path").reindex(list(paths)) for side in sides)
    pairs = {f"{name}_{of}": side[name] for name in _PAIRS for of, side in (("a", a), ("b", b))}
    both = pd.DataFrame(pairs)
    known = a.digest.notna() & b.digest.notna()
    both["output_changed"] = (a.digest != b.digest).astype("boolean").where(known)
    both["stale_a"], both["stale_b"] = a.stale.astype("boolean"), b.stale.astype("boolean")
    for name in dict.fromkeys(name for name in (*a, *b) if str(name).startswith("metrics.")):
        for of, side in (("a", a), ("b", b)):
            both[f"{name}_{of}"] = side.get(name, float("nan"))
    return both.reset_index(names="path")


def history(journal: Journal, job: str, path: str | None = None) -> DataFrame:
    """The runs of a job, a row each, with what their tasks took and measured."""
    frame = framed(journal.query(_RUNS, {"job": job}))
    where = Where().add("job = $job", job=job).below(path)
    if path is None:
        where.add("(depth = 0 or metrics is not null)")
    query = f"""
        select run_id, path, seconds, metrics, depth = 0 or $whole as timed
        from tasks where {where} order by run_id, seq
    """
    tasks = framed(journal.query(query, where.params | {"whole": path is not None}))
    return frame if tasks.empty else frame.join(_by_task(tasks), on="run_id")


def _by_task(tasks: DataFrame) -> DataFrame:
    """A row for each run, and for each task a column of its seconds, and of each metric."""
    import pandas as pd

    measures = metric_columns(tasks).rename(columns={"seconds": "seconds (metric)"})
    measures.insert(0, "seconds", tasks.seconds.where(tasks.timed))
    order = {path: place for place, path in enumerate(dict.fromkeys(tasks.path))}
    found: dict[tuple[str, str], Any] = {}
    for name in map(str, measures.columns):
        there = tasks[["run_id", "path"]].assign(value=measures[name]).dropna(subset="value")
        wide = there.pivot(index="run_id", columns="path", values="value")  # noqa: PD010 - one each
        found |= {(path, name): wide[path] for path in wide.columns}
    chosen = sorted(found, key=lambda column: order[column[0]])
    return pd.DataFrame({f"{path}.{name}": found[path, name] for path, name in chosen})


def summary(journal: Journal, job: str | None = None) -> DataFrame:
    """The tasks of a job, or of all, a row each over all runs; those that took longest first."""
    where = Where().add("job = $job", job=job)
    return framed(journal.query(_SUMMARY.format(where=where), where.params or None))
