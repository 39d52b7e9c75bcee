"""What was recorded in the home, and a hold on it: the public functions that ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbtasks import clock
from nbtasks.errors import NotFoundError
from nbtasks.job import Job
from nbtasks.kit import kit
from nbtasks.recorded import draw
from nbtasks.run import Run

if TYPE_CHECKING:
    from nbtasks.drawing import RunTree
    from nbtasks.frames import DataFrame

__all__ = [
    "attempts",
    "cancel",
    "due",
    "get_run",
    "last_run",
    "logs",
    "runs",
    "sql",
    "tasks",
    "tree",
]


def get_run(id: str) -> Run:  # noqa: A002 - the name of the contract
    """The run with this id.

    Raises:
        NotFoundError: There is none in this home.

    ```python
    import nbtasks as nb


    @nb.job("get-run-example")
    def body(io: nb.SyncIO) -> None: ...


    run = body.run()
    assert nb.get_run(run.id).status == "COMPLETED"
    ```
    """
    if not kit.journal.runs(run_id=id):
        raise NotFoundError(f"There is no run {id!r} in this home. nb.runs() lists what there is.")
    return kit.hold(id)


def last_run(job: Job | str | None = None) -> Run:
    """The run that was begun last, of all or of one job.

    Raises:
        NotFoundError: There is none.

    ```python
    import nbtasks as nb


    @nb.job("last-run-example")
    def body(io: nb.SyncIO) -> None: ...


    run = body.run()
    assert nb.last_run(body).id == nb.last_run("last-run-example").id == run.id
    ```
    """
    wanted = _job_id(job)
    rows = kit.journal.runs(job=wanted)
    if not rows:
        of = f" of job {wanted!r}" if wanted else ""
        raise NotFoundError(f"There is no run{of} in this home yet.")
    return kit.hold(rows[-1].run_id)


def cancel(run: Run | str) -> None:
    """Cancels a run: the same as `run.cancel()`.

    Args:
        run: The run, or its id.

    Raises:
        NotFoundError: There is no such run.

    ```python
    import nbtasks as nb


    @nb.job("cancel-example")
    def body(io: nb.SyncIO) -> None:
        io.wait("until tomorrow", 24 * 3600)


    run = body.run(suspend_after=60)
    nb.cancel(run.id)
    assert run.status == "CANCELED"
    ```
    """
    get_run(_run_id(run) or "").cancel()


def due() -> DataFrame:
    """The suspended runs that can go on now, as a DataFrame: the one first that has been due for
    longest. Executing the cell or the job again continues one.

    Those that wait still are among `nb.runs()`, as WAITING; `select * from due` has them too.

    ```python
    import nbtasks as nb


    @nb.job("due-example")
    def body(io: nb.SyncIO) -> str:
        io.yield_("let others go first")
        return "done"


    body.run()
    assert nb.due().job.tolist() == ["due-example"]
    assert body.run().output == "done"
    assert nb.due().empty
    ```
    """
    from nbtasks import frames

    return frames.due(kit.journal, clock.micros())


def runs(job: Job | str | None = None) -> DataFrame:
    """All runs of the home, or those of one job, as a DataFrame: a row a run, oldest first.

    ```python
    import nbtasks as nb

    print(nb.runs().groupby("status", observed=True).size())
    ```
    """
    from nbtasks import frames

    return frames.runs(kit.journal, _job_id(job))


def tasks(run: Run | str | None = None) -> DataFrame:
    """All tasks of all runs, or of one run, as a DataFrame: a row a task.

    ```python
    import nbtasks as nb

    slowest = nb.tasks().sort_values("seconds").tail(5)
    ```
    """
    from nbtasks import frames

    return frames.tasks(kit.journal, _run_id(run))


def attempts(run: Run | str | None = None) -> DataFrame:
    """All attempts of all tasks, or of one run's, as a DataFrame: a row an attempt.

    ```python
    import nbtasks as nb

    failed = nb.attempts().query("status == 'FAILED'")
    ```
    """
    from nbtasks import frames

    return frames.attempts(kit.journal, _run_id(run))


def logs(run: Run | str | None = None) -> DataFrame:
    """What all runs, or one, logged, as a DataFrame: a row a line.

    ```python
    import nbtasks as nb

    errors = nb.logs().query("level == 'error'")
    ```
    """
    from nbtasks import frames

    return frames.logs(kit.journal, _run_id(run))


def sql(query: str, params: Any = None) -> DataFrame:
    """One SQL query over the views `runs`, `tasks`, `attempts` and `logs`, as a DataFrame.

    Args:
        query: A SELECT in DuckDB's SQL.
        params: Values for its `?` or `$name` places.

    Raises:
        JournalError: It is no SELECT, or DuckDB refuses it.

    ```python
    import nbtasks as nb

    nb.sql("select key, avg(duration) from tasks where job = ? group by key", ["delays"])
    ```
    """
    from nbtasks import frames

    return frames.sql(kit.journal, query, params)


def tree(run: Run | str | None = None) -> RunTree:
    """The tasks of a run, by default of the last one, as a tree to look at.

    ```python
    import nbtasks as nb


    @nb.job("tree-example")
    def body(io: nb.SyncIO) -> None:
        io.run_task("load", list)


    body.run()
    assert "load" in str(nb.tree())
    ```
    """
    held = last_run() if run is None else get_run(_run_id(run) or "")
    return draw(kit.journal, kit.journal.runs(run_id=held.id)[0])


def _job_id(job: Job | str | None) -> str | None:
    return job.id if isinstance(job, Job) else job


def _run_id(run: Run | str | None) -> str | None:
    if run is None or isinstance(run, Run):
        return None if run is None else run.id
    if not kit.journal.runs(run_id=run):
        raise NotFoundError(f"There is no run {run!r} in this home. nb.runs() lists what there is.")
    return run
