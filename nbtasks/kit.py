"""The composition root: one journal per home, the registered jobs, and the public functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nbtasks import claims, starters
from nbtasks.delivery import HomeDesk
from nbtasks.errors import NotFoundError
from nbtasks.hooks import Hook, Hooks
from nbtasks.job import Job
from nbtasks.journal import current
from nbtasks.journal.reader import Reader
from nbtasks.options import OnChange, Policy
from nbtasks.run import Run
from nbtasks.session import Session, Watcher
from nbtasks.settings import config

if TYPE_CHECKING:
    from nbtasks.engine import Execution
    from nbtasks.integration import Integration
    from nbtasks.journal.port import Claim, Journal
    from nbtasks.model import RunRow
    from nbtasks.parking import Budget
    from nbtasks.replay import Retry
    from nbtasks.triggers import Trigger

__all__ = ["Kit", "cancel", "configure", "get_run", "job", "kit", "last_run"]

_NO_POLICY = Policy()


class Kit:
    """Everything that a process shares.

    Attributes:
        jobs: The registered jobs by id.
        watch: Makes what shows an execution; the notebook edge sets it.
        cells: Executes the recorded cell of a claim, with a payload; the notebook edge sets it.
        desk: Begins runs for events, and for other runs.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.watch: Callable[[Execution], Watcher | None] | None = None
        self.cells: starters.Cells | None = None
        self.given: Journal | None = None  # a test's own journal, instead of the home's
        self.desk = HomeDesk(self)

    @property
    def journal(self) -> Journal:
        """The journal of the home in force, or a journal of this runtime's own."""
        return self.given or current.journal()

    def session(  # noqa: PLR0913 - what an execution is made of
        self,
        claim: Claim,
        *,
        policy: Policy = _NO_POLICY,
        log_level: str = "info",
        tree: bool = True,
        keep_output: bool = True,
        budget: Budget | None = None,
        only: bool = False,
    ) -> Session:
        """The session that executes a claimed run, or `only` replays it."""
        watch = self.watch if tree and config.tree else None
        only = only or config.replay == "only"
        if policy.options.on_change is None:
            options = replace(policy.options, on_change=config.on_change)
            policy = replace(policy, options=options)
        return Session(
            Reader(self.journal) if only else self.journal,
            claim,
            policy=policy,
            log_level=log_level,
            watch=watch,
            keep_output=keep_output,
            budget=budget,
            desk=self.desk,
        )

    def hold(self, run_id: str) -> Run:
        """The run with this id."""
        return Run(run_id, self)

    def held(self, session: Session) -> Run:
        """The run that a session has executed. One that it only replayed reads what it saw."""
        execution = session.execution
        return Run(session.ctx.run.id, self, execution.journal if execution.only else None)

    def starter(self, run: RunRow, payload: Any) -> starters.Starter:
        """What executes a claim to a run, or to a fork of it, by the code that made it.

        Raises:
            NbtasksError: That is not here, or does not take the payload.
        """
        if run.source is not None:
            return starters.by_cell(self.cells, run, payload, self.hold)
        return starters.by_job(self.jobs.get(run.job), run, payload)

    def prepared(self, run: RunRow, claim: Claim, budget: Budget | None) -> Callable[[], Run]:
        """What executes a claim to a run in the background, by the job that made it.

        Raises:
            NbtasksError: That is not here, or does not take the payload.
        """
        job, payload = self.jobs.get(run.job), claims.payload_of(run)
        starters.by_job(job, run, payload)  # refuses it
        assert job is not None  # noqa: S101 - as said there
        return job.prepared(claim, payload, budget=budget)


#: The one of this process.
kit = Kit()


def configure(**settings: object) -> None:
    """Sets what holds for this process; `None` goes back to the environment or the default.

    Args:
        **settings: `home`, the folder of the journal, or a shared file to replay; `durability`,
            `"task"` or `"relaxed"`; `on_change`, what is done about recorded tasks that have
            changed; `replay`, `"only"` where nothing is to run; `tree`, whether a run shows its
            tree. Each can also be set in the environment, as `NBTASKS_HOME` and so on.

    Raises:
        NbtasksError: A setting is unknown or has no such value.

    ```python
    import nbtasks as nb

    nb.configure(durability="relaxed")
    assert nb.config.durability == "relaxed"
    nb.configure(durability=None)
    ```
    """
    config.configure(**settings)


def job(  # noqa: PLR0913 - the options of the contract
    id: str,  # noqa: A002 - the name of the contract
    *,
    name: str | None = None,
    version: str = "0.0.1",
    trigger: Trigger | None = None,
    integrations: Mapping[str, Integration] | None = None,
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
        trigger: What begins runs of it by itself: `nb.event_trigger`, `nb.cron_trigger`,
            `nb.interval_trigger`; or `nb.invoke_trigger`. Each makes a new run.
        integrations: Clients by name, as `nb.integration` makes them: in the body, `io.NAME`.
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
            fn, id, kit, name=name, version=version, trigger=trigger,
            integrations=integrations, retry=retry, on_change=on_change,
            hooks=Hooks(on_success, on_failure, on_cancel),
            concurrency_limit=concurrency_limit, enabled=enabled, log_level=log_level,
        )  # fmt: skip
        kit.jobs[made.id] = made
        return made

    return register


def get_run(id: str) -> Run:  # noqa: A002 - the name of the contract
    """Return the run with this id.

    Raises:
        NotFoundError: This home has no such run.

    ```python
    import nbtasks as nb


    @nb.job("get-run-example")
    def body(io: nb.SyncIO) -> None: ...


    run = body.run()
    assert nb.get_run(run.id).status == "COMPLETED"
    ```
    """
    if not kit.journal.runs(run_id=id):
        raise NotFoundError(f"There is no run {id!r} in this home. nb.runs() lists all runs.")
    return kit.hold(id)


def last_run(job: Job | str | None = None) -> Run:
    """Return the run that started last, of all jobs or of one.

    Raises:
        NotFoundError: There is no run yet.

    ```python
    import nbtasks as nb


    @nb.job("last-run-example")
    def body(io: nb.SyncIO) -> None: ...


    run = body.run()
    assert nb.last_run(body).id == nb.last_run("last-run-example").id == run.id
    ```
    """
    name = job.id if isinstance(job, Job) else job
    rows = kit.journal.runs(job=name)
    if not rows:
        scope = f" of job {name!r}" if name else ""
        raise NotFoundError(f"There is no run{scope} in this home yet.")
    return kit.hold(rows[-1].run_id)


def cancel(run: Run | str) -> None:
    """Cancel a run, as `run.cancel()` does.

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
    get_run(run.id if isinstance(run, Run) else run).cancel()
