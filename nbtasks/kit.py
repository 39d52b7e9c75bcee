"""The composition root: one journal per home, the registered jobs, and the public functions."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbtasks.errors import NotFoundError
from nbtasks.hooks import Hook, Hooks
from nbtasks.job import Job
from nbtasks.options import OnChange, Policy
from nbtasks.run import Run, draw
from nbtasks.session import Session, Watcher
from nbtasks.settings import Settings

if TYPE_CHECKING:
    from nbtasks.engine import Execution
    from nbtasks.frames import DataFrame
    from nbtasks.journal.port import Claim, Journal
    from nbtasks.render import RunTree
    from nbtasks.replay import Retry

__all__ = [
    "Kit",
    "attempts",
    "config",
    "configure",
    "get_run",
    "job",
    "kit",
    "last_run",
    "logs",
    "runs",
    "sql",
    "tasks",
    "tree",
]

_NO_POLICY = Policy()


class Kit:
    """Everything that a process shares.

    Attributes:
        settings: The settings in force.
        jobs: The registered jobs by id.
        watch: Makes what shows an execution; the notebook edge sets it.
    """

    def __init__(self) -> None:
        self.settings = Settings()
        self.jobs: dict[str, Job] = {}
        self.watch: Callable[[Execution], Watcher | None] | None = None
        self.given: Journal | None = None  # a test's own journal, instead of the home's
        self._journals: dict[tuple[Path, str], Journal] = {}

    @property
    def journal(self) -> Journal:
        """The journal of the home in force."""
        if self.given is not None:
            return self.given
        home, durability = self.settings.home, self.settings.durability
        journal = self._journals.get((home, durability))
        if journal is None:
            from nbtasks.journal.home import HomeJournal

            journal = HomeJournal(home, durable=durability == "task", notebook=_notebook())
            self._journals[home, durability] = journal
        return journal

    def session(
        self,
        claim: Claim,
        *,
        policy: Policy = _NO_POLICY,
        log_level: str = "info",
        tree: bool = True,
        keep_output: bool = True,
    ) -> Session:
        """The session that executes a claimed run."""
        watch = self.watch if tree and self.settings.tree else None
        if policy.options.on_change is None:
            options = replace(policy.options, on_change=self.settings.on_change)
            policy = replace(policy, options=options)
        return Session(
            self.journal,
            claim,
            policy=policy,
            log_level=log_level,
            watch=watch,
            keep_output=keep_output,
        )

    def hold(self, run_id: str) -> Run:
        """The run with this id."""
        return Run(run_id, self)

    def close(self, home: Path | None = None) -> None:
        """Closes all journals, or those of one home; the next use opens them again."""
        for place in [place for place in self._journals if home in (None, place[0])]:
            self._journals.pop(place).close()


def _notebook() -> str | None:
    """The notebook of this kernel, where the front end says so."""
    name = os.environ.get("JPY_SESSION_NAME")
    return Path(name).name if name else None


#: The one of this process.
kit = Kit()
config = kit.settings


def configure(**settings: object) -> None:
    """Sets what holds for this process; `None` goes back to the environment or the default.

    Args:
        **settings: `home`, the folder of the journal; `durability`, `"task"` or `"relaxed"`;
            `on_change`, what is done about recorded tasks that have changed; `tree`, whether a
            run shows its tree. Each can also be set in the environment, as
            `NBTASKS_HOME` and so on.

    Raises:
        NbtasksError: A setting is unknown or has no such value.

    ```python
    import nbtasks as nb

    nb.configure(durability="relaxed")
    assert nb.config.durability == "relaxed"
    nb.configure(durability=None)
    ```
    """
    kit.settings.configure(**settings)


def job(  # noqa: PLR0913 - the options of the contract
    id: str,  # noqa: A002 - the name of the contract
    *,
    name: str | None = None,
    version: str = "0.0.1",
    retry: Retry | int | None = None,
    on_change: OnChange | None = None,
    on_success: Hook | None = None,
    on_failure: Hook | None = None,
    on_cancel: Hook | None = None,
    concurrency_limit: int | None = None,
    enabled: bool = True,
    log_level: str = "info",
) -> Callable[[Callable[..., Any]], Job]:
    """Makes a job of a function `f(io)`, `f(payload, io)` or `f(payload, io, ctx)`.

    Decorating another function with the same id replaces the job, as running a cell again does.

    Args:
        id: What names the job, for good.
        name: What people see instead of the id.
        version: Raising it makes the next run start afresh.
        retry: What its tasks do that say nothing of retries themselves.
        on_change: What is done when the code or the inputs of a recorded task have changed, where
            the task says nothing itself: "warn", "rerun", "error" or "ignore".
        on_success: Called with the run when an execution has ended and is recorded: here, when it
            is COMPLETED. A plain function or an `async def` one. An error in it changes nothing
            but is a RuntimeWarning.
        on_failure: The same, when it is FAILED.
        on_cancel: The same, when it is CANCELED.
        concurrency_limit: How many of its runs may be executed at once, in all processes of the
            home. One more waits until there is room.
        enabled: Whether it may be run.
        log_level: The least level of `io.logger` that is kept.

    Raises:
        InvalidJobError: The id, the version, an option or the function's parameters cannot be
            used.

    ```python
    import nbtasks as nb


    @nb.job("greet", version="1.0.0")
    def greet(payload: str, io: nb.SyncIO) -> str:
        return io.run_task("shout", str.upper, payload)


    assert greet.run("hello").output == "HELLO"
    ```
    """

    def register(fn: Callable[..., Any]) -> Job:
        made = Job(
            fn, id, kit, name=name, version=version, retry=retry, on_change=on_change,
            hooks=Hooks(on_success, on_failure, on_cancel), concurrency_limit=concurrency_limit,
            enabled=enabled, log_level=log_level,
        )  # fmt: skip
        kit.jobs[made.id] = made
        return made

    return register


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
