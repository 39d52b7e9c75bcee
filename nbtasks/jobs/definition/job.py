"""Jobs: functions with an id and a version whose runs are durable."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol

from nbtasks.core import event_loop, tracebacks
from nbtasks.core.durations import Duration
from nbtasks.core.model import RunRow
from nbtasks.engine.options import NOT_GIVEN, OnChange, Policy, TaskOptions
from nbtasks.engine.retries import Retry
from nbtasks.engine.waiting.budget import TimeBudget
from nbtasks.errors import InvalidJobError, NbtasksError, Suspended
from nbtasks.io.integration import check as check_integrations
from nbtasks.io.io import AsyncIO
from nbtasks.jobs import claims
from nbtasks.jobs.definition.hooks import Hooks, LimitedSession, check_limit
from nbtasks.jobs.definition.identity import check_names, name_of
from nbtasks.jobs.definition.invocation import Invoked
from nbtasks.jobs.definition.parameters import JobParameters, is_asynchronous
from nbtasks.jobs.definition.run_options import FALSE, NONE, TRUE, RunOptions
from nbtasks.jobs.run import Run
from nbtasks.jobs.triggers import Trigger, check_trigger
from nbtasks.journal.protocol import Claim
from nbtasks.values import failures

if TYPE_CHECKING:
    from nbtasks.io.integration import Integration
    from nbtasks.jobs.session import Session
    from nbtasks.journal.protocol import Journal

__all__ = ["Job", "RuntimeProtocol"]

Replay = Literal["only"]


class RuntimeProtocol(Protocol):
    """Runtime as jobs and the dispatcher use it; `jobs.runtime.Runtime` is one.

    Attributes:
        jobs: Registered jobs by id.
    """

    jobs: dict[str, Job]

    @property
    def journal(self) -> Journal:
        """Journal of the current home."""

    def session(
        self,
        claim: Claim,
        *,
        policy: Policy,
        log_level: str,
        tree: bool,
        only: bool,
        budget: TimeBudget | None,
    ) -> Session:
        """Return the session that executes a claimed run or, with `only`, replays it."""

    def get_run(self, run_id: str) -> Run:
        """Return the run with this id."""

    def run_of(self, session: Session) -> Run:
        """Return the run that a session has executed."""

    def prepare(self, run: RunRow, claim: Claim, budget: TimeBudget | None) -> Callable[[], Run]:
        """Return a function that executes a claim to a run in the background."""


class Job(Invoked):
    """Function whose runs are durable; made by `nb.job`.

    Attributes:
        id: Id of the job. With version and key it identifies the run to continue.
        name: Display name.
        version: Version of the job; under a new version every key starts a new run.
        trigger: Event, schedule or invocation that starts runs of the job.
        fn: The plain function.
        enabled: False if the job must not run.

    ```python
    import nbtasks as nb


    @nb.job("job-example", version="1.0.0")
    def total(month: int, region: str = "EU", *, io: nb.SyncIO) -> str:
        return io.run_task("total", "{}, month {}".format, region, month)


    first = total.run(month=3)
    again = total.run(month=3)  # the same run: "total" is answered from the journal
    assert first.id == again.id and again.executions == 2
    assert total.run({"month": 3, "region": "US"}).output == "US, month 3"  # another one
    ```
    """

    def __init__(  # noqa: PLR0913 - the options of the contract
        self,
        fn: Callable[..., Any],
        id: str,  # noqa: A002 - the name of the contract
        runtime: RuntimeProtocol,
        *,
        name: str | None = None,
        version: str = "0.0.1",
        trigger: Trigger | None = None,
        integrations: Mapping[str, Integration] | None = None,
        retry: Retry | int | None = None,
        on_change: OnChange | None = None,
        on: Any = NOT_GIVEN,
        resources: Mapping[str, float] | None = None,
        hooks: Hooks | None = None,
        concurrency_limit: int | None = None,
        enabled: bool = True,
        log_level: str = "info",
    ) -> None:
        if isinstance(fn, Job):
            raise InvalidJobError(
                f"Job {id!r}: {fn!r} is a job already. Decorate its function once."
            )
        check_names(id, name, version, log_level)
        check_limit(concurrency_limit, id)
        self.id = id
        self.name = name or id
        self.version = version
        self.fn = fn
        self._runtime = runtime
        options = TaskOptions(on_change=on_change, on=on, resources=resources)
        self._policy = Policy(retry=Retry.of(retry), options=options)
        self._log_level = log_level
        self._limit = concurrency_limit
        self._hooks = hooks or Hooks()
        self._hooks.check(id)
        self.enabled = enabled
        self.trigger = check_trigger(trigger, id)
        self._integrations = check_integrations(integrations, AsyncIO)
        self._parameters = JobParameters(fn, id, self.trigger)
        self._asynchronous = is_asynchronous(fn)
        self._call_name = name_of(fn) or "job"  # in messages
        self.__doc__ = fn.__doc__

    def run(  # noqa: PLR0913 - the options of the contract
        self,
        payload: Any = None,
        *,
        key: str | None = NONE,
        new: bool = FALSE,
        replay: Replay | None = NONE,
        max_time: Duration | None = NONE,
        suspend_after: Duration | None = NONE,
        tree: bool = TRUE,
        **fields: Any,
    ) -> Run:
        """Execute the job's run for a key: continue the latest run, or start a new one.

        Blocks until the execution ends, even in a notebook and for an `async def` job.

        Args:
            payload: The payload, validated by the annotations of the function's parameters.
            key: The key of the run; by default a digest of the payload, in which neither the order
                of a dict's keys counts, nor a field that has its default.
            new: Start a new run even if the key has a run already.
            replay: With "only", every task is answered from the journal: no task runs, no run is
                started, nothing is written, and no hook is called.
            max_time: Time limit: seconds, a timedelta, or text such as "5m". After it no task
                starts: tasks in flight finish, then the run is suspended. Every execution makes
                some progress.
            suspend_after: Longest wait, likewise. A longer one suspends the run once no task runs.
            tree: Show the tasks as a tree in the notebook.
            **fields: Fields of the payload: the function's parameters by name. Those with the name
                of an option go into `payload`.

        Returns:
            The run: COMPLETED, or WAITING if it was suspended. With `replay`, its `output` is the
            value that the body has just returned, even if another value or none is recorded.

        Raises:
            Exception: The error that the body raised.
            Cancelled: The run was canceled.
            RunBusyError: The run is being executed, in this process or another one.
            InvalidPayloadError: The payload is invalid. No run has started.
            NotRecordedError: With `replay`, the run or the outcome of a task is not recorded.
            InvalidOptionError: `replay` has an unknown value, or is combined with `new`.
            NbtasksError: The job is not enabled.
        """
        with tracebacks.HidingEngine():
            options = RunOptions.of(
                self.id, key=key, new=new, replay=replay, max_time=max_time,
                suspend_after=suspend_after, tree=tree,
            )  # fmt: skip
            return self._block(*self._begin(payload, fields, options))

    async def arun(  # noqa: PLR0913 - as `run`
        self,
        payload: Any = None,
        *,
        key: str | None = NONE,
        new: bool = FALSE,
        replay: Replay | None = NONE,
        max_time: Duration | None = NONE,
        suspend_after: Duration | None = NONE,
        tree: bool = TRUE,
        **fields: Any,
    ) -> Run:
        """Execute the job's run like `run`, as a coroutine.

        If canceled, a `def` body, which runs in a worker thread, ends at its next io call.
        """
        options = RunOptions.of(
            self.id, key=key, new=new, replay=replay, max_time=max_time,
            suspend_after=suspend_after, tree=tree,
        )  # fmt: skip
        return await self._await(*self._begin(payload, fields, options, "arun"))

    def with_runtime(self, runtime: RuntimeProtocol) -> Job:
        """Return a copy of this job that runs in another runtime."""
        job = copy.copy(self)
        job._runtime = runtime  # noqa: SLF001 - an instance of this very class
        return job

    def execute(self, claim: Claim, payload: Any) -> Run:
        """Execute the run of an existing claim, like `run`."""
        arguments = self.validate_payload(payload)
        return self._block(self._session(claim), arguments)

    async def aexecute(self, claim: Claim, payload: Any) -> Run:
        """Execute the run of an existing claim, like `arun`."""
        arguments = self.validate_payload(payload)
        return await self._await(self._session(claim), arguments)

    def prepare(
        self, claim: Claim, payload: Any, budget: TimeBudget | None = None
    ) -> Callable[[], Run]:
        """Return a function that executes a claim in any thread, on the current journal."""
        arguments = self.validate_payload(payload)
        limited = self._session(claim, budget=budget, tree=False)
        return lambda: self._block(limited, arguments)

    def merge_payload(
        self, payload: Any, fields: Mapping[str, Any], options: Collection[str], how: str
    ) -> Any:
        """Implement `Invoked.merge_payload`."""
        return self._parameters.merge(
            payload, fields, options, lambda given: how.format(job=self._call_name, given=given)
        )

    def _begin(
        self, payload: Any, fields: Mapping[str, Any], options: RunOptions, how: str = "run"
    ) -> tuple[LimitedSession, dict[str, Any]]:
        """Return the session of a call of `run`, and the arguments of the body."""
        payload = self.merge_payload(payload, fields, options.names, f"{{job}}.{how}({{given}})")
        arguments = self.validate_payload(payload)
        claim = claims.make_claim(
            self.id, self.name, self.version, key=options.key, payload=payload, new=options.new,
            identity=self._parameters.identity(payload, arguments),
        )  # fmt: skip
        limited = self._session(claim, only=options.only, budget=options.budget, tree=options.tree)
        return limited, arguments

    def _block(self, limited: LimitedSession, arguments: Mapping[str, Any]) -> Run:
        if self._asynchronous:
            run: Run = failures.run_awaitable(self._await(limited, arguments))
            return run
        with _until_suspended(limited), limited as session:
            session.value = self.fn(**self._with_given(arguments, session))
        return self._runtime.run_of(limited.session)

    async def _await(self, limited: LimitedSession, arguments: Mapping[str, Any]) -> Run:
        if not self._asynchronous:
            return await self._await_thread(limited, arguments)
        with _until_suspended(limited):
            async with limited as session:
                session.value = await self.fn(**self._with_given(arguments, session))
        return self._runtime.run_of(limited.session)

    async def _await_thread(self, limited: LimitedSession, arguments: Mapping[str, Any]) -> Run:
        import anyio.to_thread

        try:
            return await anyio.to_thread.run_sync(
                lambda: self._block(limited, arguments), abandon_on_cancel=True
            )
        except asyncio.CancelledError:
            limited.cancel()
            raise

    def _with_given(self, arguments: Mapping[str, Any], session: Session) -> dict[str, Any]:
        given = {"io": session.io, "ctx": session.ctx}
        names = self._parameters.given
        return {**arguments, **{name: given[name] for name in given if name in names}}

    def _session(
        self,
        claim: Claim,
        *,
        only: bool = False,
        budget: TimeBudget | None = None,
        tree: bool = True,
    ) -> LimitedSession:
        session = self._runtime.session(
            dataclasses.replace(claim, limit=self._limit),
            policy=self._policy,
            log_level=self._log_level,
            tree=tree,
            only=only,
            budget=budget,
        )
        session.integrations = self._integrations
        return LimitedSession(session, Hooks() if only else self._hooks, self._runtime.run_of)

    def tell_end(self, run: Run) -> None:
        """Call the callback for the end of a run that no execution has recorded."""
        pending = self._hooks.call(self.id, run.status, lambda: run)
        if pending is not None:
            event_loop.run_awaitable(pending)

    def validate_payload(self, payload: Any) -> dict[str, Any]:
        """Return the arguments that a payload gives the body, by name, validated.

        Raises:
            InvalidPayloadError: The payload is invalid.
            NbtasksError: The job is not enabled.
        """
        self.check_enabled()
        return self._parameters.bind(payload)

    def check_enabled(self) -> None:
        """Check that runs of the job may start and continue.

        Raises:
            NbtasksError: The job is not enabled.
        """
        if not self.enabled:
            raise NbtasksError(
                f"Job {self.id!r} is not enabled, so no run of it starts or continues. Define it "
                "with enabled=True to run it."
            )

    def __call__(self, *_: Any, **__: Any) -> Any:
        """Refuse to be called like the function, which would run without being recorded.

        Raises:
            NbtasksError: Always. The message says what to call instead.
        """
        name = self._call_name
        raise NbtasksError(
            f"Job {self.id!r} is not called like a function: {name}.run(...) executes its run, "
            f"{name}.invoke_and_wait(key, ...) starts one from within another run, and "
            f"{name}.fn is the plain function."
        )

    def __repr__(self) -> str:
        return f"<Job {self.id!r} version {self.version}>"


@contextlib.contextmanager
def _until_suspended(limited: LimitedSession) -> Iterator[None]:
    """Suppress the `Suspended` of this very run: the returned run is WAITING instead."""
    try:
        yield
    except Suspended as suspended:
        if suspended.run_id != limited.run_id:
            raise
