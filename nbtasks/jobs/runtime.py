"""Runtime of a process: registered jobs, the sessions that execute runs; `nb.job`, `nb.get_run`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, overload

from nbtasks.core import front_end
from nbtasks.core.model import RunRow
from nbtasks.core.parameters import with_nearest_option
from nbtasks.core.settings import Echo, config
from nbtasks.engine.capture import Screen
from nbtasks.engine.options import NOT_GIVEN, OnChange, Policy
from nbtasks.io.ask import Prompter
from nbtasks.jobs import claims
from nbtasks.jobs.definition.hooks import Hook, Hooks
from nbtasks.jobs.definition.identity import id_of
from nbtasks.jobs.definition.job import Job
from nbtasks.jobs.dispatch import HomeDispatcher
from nbtasks.jobs.resumption import Starter
from nbtasks.jobs.run import Run
from nbtasks.jobs.session import Session, Watcher
from nbtasks.jobs.starters import CellExecutor, CellStarter, JobStarter
from nbtasks.journal import current
from nbtasks.journal.lookup import require_last_run, require_run
from nbtasks.journal.protocol import Claim
from nbtasks.journal.readonly import Reader
from nbtasks.views.tree.run_tree import TreeDisplay

if TYPE_CHECKING:
    from nbtasks.engine.execution import Execution
    from nbtasks.engine.retries import Retry
    from nbtasks.engine.waiting.budget import TimeBudget
    from nbtasks.io.integration import Integration
    from nbtasks.jobs.triggers import Trigger
    from nbtasks.journal.protocol import AnyRun, Journal

__all__ = [
    "FrontEnd",
    "Runtime",
    "cancel",
    "configure",
    "get_run",
    "job",
    "last_run",
    "runtime",
]

_NO_POLICY = Policy()


class FrontEnd(Screen, Prompter, TreeDisplay, Protocol):
    """The whole front end; `%load_ext nbtasks` installs one.

    Attributes:
        execute_cell: Function that executes the recorded cell of a claim, with a payload; None
            where no notebook can.
    """

    execute_cell: CellExecutor | None

    def watch(self, execution: Execution, *, tree: bool, echo: Echo) -> Watcher | None:
        """Return what shows an execution while it runs; None if nothing does.

        Args:
            execution: The execution.
            tree: Whether to show its tasks.
            echo: Treatment of what reused tasks printed and displayed when they ran.
        """

    def tell_home(self, home: Path, origin: str) -> None:
        """Say which home is used, once, if nobody named it."""


def current_front_end() -> FrontEnd:
    """Return the current front end."""
    in_force: FrontEnd = front_end.current()
    return in_force


class Runtime:
    """State that a process shares: settings, registered jobs and open journals.

    Attributes:
        jobs: Registered jobs by id.
        own_journal: Journal that replaces the home's in tests.
        dispatcher: Dispatcher that starts runs for events and for other runs.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.own_journal: Journal | None = None  # a test's own journal
        self.dispatcher = HomeDispatcher(self)

    @property
    def journal(self) -> Journal:
        """The journal of the current home, or this runtime's own."""
        return self.own_journal or current.journal()

    @property
    def place(self) -> Path | Journal | None:
        """Current home, or this runtime's own journal; None if a test replaces all journals."""
        return self.own_journal or current.place()

    def session(  # noqa: PLR0913 - what an execution is made of
        self,
        claim: Claim,
        *,
        policy: Policy = _NO_POLICY,
        log_level: str = "info",
        tree: bool = True,
        keep_output: bool = True,
        budget: TimeBudget | None = None,
        only: bool = False,
        echo: Echo | None = None,
    ) -> Session:
        """Return the session that executes a claimed run or, with `only`, replays it."""
        front_end = current_front_end()
        watch = partial(front_end.watch, tree=tree and config.tree, echo=echo or config.echo)
        place = self.place
        if isinstance(place, Path) and (origin := config.take_origin()):
            front_end.tell_home(place, origin)
        only = only or config.replay_of(current.home()) == "only"
        if policy.options.on_change is None:
            options = replace(policy.options, on_change=config.on_change)
            policy = replace(policy, options=options)
        if policy.options.on is NOT_GIVEN and config.on is not None:
            policy = replace(policy, options=replace(policy.options, on=config.on))
        return Session(
            Reader(self.journal) if only else self.journal,
            claim,
            home=place if isinstance(place, Path) else None,
            policy=policy,
            log_level=log_level,
            watch=watch,
            keep_output=keep_output,
            budget=budget,
            dispatcher=self.dispatcher.at(place) if isinstance(place, Path) else self.dispatcher,
        )

    def get_run(self, run_id: str) -> Run:
        """Return the run with this id."""
        return Run(run_id, self.starter, self.place)

    def run_of(self, session: Session) -> Run:
        """Return the run that a session has executed. A replayed run reads the replay's journal."""
        execution = session.execution
        place = execution.journal if execution.replay_only else session.home or self.place
        return Run(session.ctx.run.id, self.starter, place)

    def starter(self, run: RunRow, payload: Any) -> Starter:
        """Return what executes a claim to a run or its fork by the code of the run.

        Raises:
            NbtasksError: That code is not available here, or does not take the payload.
        """
        if run.source is not None:
            return CellStarter(current_front_end().execute_cell, run, payload, self.get_run)
        job = self.jobs.get(run.job)
        if job is not None and self.own_journal is not None:
            job = job.with_runtime(self)
        return JobStarter(job, run, payload)

    def prepare(self, run: RunRow, claim: Claim, budget: TimeBudget | None) -> Callable[[], Run]:
        """Return a function that executes a claim in the background, by the job that made the run.

        Raises:
            NbtasksError: That job is not available here, or does not take the payload.
        """
        starter = JobStarter(self.jobs.get(run.job), run, claims.load_payload(run))
        return starter.prepare(claim, budget)


#: The runtime of this process.
runtime = Runtime()


def configure(**settings: object) -> None:
    """Change settings of this process; `None` restores the environment's value or the default.

    Args:
        **settings: `home`, the folder of the journal, or a shared file to replay; `durability`,
            `"task"` or `"relaxed"`; `on_change`, the reaction to recorded tasks that have
            changed; `replay`, `"only"` to run no task; `tree`, True to show the tree of a run;
            `echo`, `"fold"`, `"show"` or `"hide"` what reused tasks printed and displayed.
            Each setting can also come from the environment, as `NBTASKS_HOME` and so on.

    Raises:
        NbtasksError: A setting or its value is unknown.

    ```python
    import nbtasks as nb

    nb.configure(durability="relaxed")
    assert nb.config.durability == "relaxed"
    nb.configure(durability=None)
    ```
    """
    config.configure(**settings)


@overload
def job(id: Callable[..., Any], /) -> Job: ...
@overload
def job(
    id: str | None = None,
    *,
    name: str | None = None,
    version: str = "0.0.1",
    trigger: Trigger | None = None,
    integrations: Mapping[str, Integration] | None = None,
    retry: Retry | int | None = None,
    on_change: OnChange | None = None,
    on: Any = NOT_GIVEN,
    resources: Mapping[str, float] | None = None,
    on_success: Hook | None = None,
    on_failure: Hook | None = None,
    on_cancel: Hook | None = None,
    concurrency_limit: int | None = None,
    enabled: bool = True,
    log_level: str = "info",
) -> Callable[[Callable[..., Any]], Job]: ...
@with_nearest_option("nb.job")
def job(  # noqa: PLR0913 - the options of the contract
    id: str | Callable[..., Any] | None = None,  # noqa: A002 - the name of the contract
    *,
    name: str | None = None,
    version: str = "0.0.1",
    trigger: Trigger | None = None,
    integrations: Mapping[str, Integration] | None = None,
    retry: Retry | int | None = None,
    on_change: OnChange | None = None,
    on: Any = NOT_GIVEN,
    resources: Mapping[str, float] | None = None,
    on_success: Hook | None = None,
    on_failure: Hook | None = None,
    on_cancel: Hook | None = None,
    concurrency_limit: int | None = None,
    enabled: bool = True,
    log_level: str = "info",
) -> Job | Callable[[Callable[..., Any]], Job]:
    """Make a job from a function, whose parameters are filled by name.

    `payload`, `io` and `ctx` are the payload, the io and the context of the run, each only if it is
    there. Every other parameter is a field of the payload. Decorating another function with the
    same id replaces the job, as running a cell again does.

    Args:
        id: Permanent id of the job; by default the name of the function.
        name: Display name; by default the id.
        version: Version of the job; under a new version every key starts a new run.
        trigger: Source of the job's automatic runs: `nb.event_trigger`, `nb.cron_trigger`,
            `nb.interval_trigger` or `nb.invoke_trigger`. Each occurrence starts a new run.
        integrations: Clients by name, made by `nb.integration`; the body uses them as `io.NAME`.
        retry: Retry policy of the tasks that set none themselves.
        on_change: Reaction to changed code or inputs of a recorded task that sets none itself:
            "warn", "rerun", "error" or "ignore".
        on: Executor, `distributed.Client`, or name of one, to call the plain functions of the
            tasks in. Those that await, and those that take `io`, stay here.
        resources: What each call there needs of the executor, as in `{"GPU": 1}`.
        on_success: Callback that gets the run once an execution has ended and is recorded, if the
            run is COMPLETED. A plain or an `async def` function. An error in it is a
            RuntimeWarning and leaves the run unchanged.
        on_failure: The same, if the run is FAILED.
        on_cancel: The same, if the run is CANCELED.
        concurrency_limit: The largest number of the job's runs that execute at once, in all
            processes of the home. Further runs wait until one of these ends.
        enabled: False if the job must not run.
        log_level: Lowest level of `io.logger` to record.

    Raises:
        InvalidJobError: The id, the version, an option or the function's parameters cannot be
            used.

    ```python
    import nbtasks as nb


    @nb.job("greet", version="1.0.0")
    def greet(name: str, greeting: str = "Hello", *, io: nb.SyncIO) -> str:
        return io.run_task("shout", str.upper, f"{greeting}, {name}")


    @nb.job
    def count(payload: list[str], io: nb.SyncIO) -> int:
        return io.run_task("count", len, payload)


    assert greet.run(name="Ada").output == "HELLO, ADA"
    assert greet.run({"name": "Ada", "greeting": "Hi"}).output == "HI, ADA"
    assert (count.id, count.run(["a", "b"]).output) == ("count", 2)
    ```
    """
    if callable(id):  # decorated without parentheses
        return job(id_of(id))(id)

    def register(fn: Callable[..., Any]) -> Job:
        new_job = Job(
            fn, id_of(fn) if id is None else id, runtime, name=name, version=version,
            trigger=trigger, integrations=integrations, retry=retry, on_change=on_change, on=on,
            resources=resources, hooks=Hooks(on_success, on_failure, on_cancel),
            concurrency_limit=concurrency_limit, enabled=enabled, log_level=log_level,
        )  # fmt: skip
        runtime.jobs[new_job.id] = new_job
        return new_job

    return register


def get_run(id: str) -> Run:  # noqa: A002 - the name of the contract
    """Return the run with this id; for the id of a job its latest run.

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
    return runtime.get_run(require_run(runtime.journal, id).run_id)


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
    return runtime.get_run(require_last_run(runtime.journal, job).run_id)


def cancel(run: AnyRun) -> None:
    """Cancel a run, as `run.cancel()` does.

    Args:
        run: The run or its id; a job or its id stands for its latest run.

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
    found = (
        run if isinstance(run, Run) else runtime.get_run(require_run(runtime.journal, run).run_id)
    )
    found.cancel()
