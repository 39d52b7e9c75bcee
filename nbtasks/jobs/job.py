"""Jobs: functions with an id and a version whose runs are durable."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol

from nbtasks.core import tracebacks
from nbtasks.core.durations import Duration
from nbtasks.core.model import RunRow
from nbtasks.engine.options import OnChange, Policy, TaskOptions
from nbtasks.engine.retries import Retry
from nbtasks.engine.waiting.budget import TimeBudget
from nbtasks.errors import (
    InvalidJobError,
    InvalidOptionError,
    InvalidPayloadError,
    NbtasksError,
    Suspended,
)
from nbtasks.io.base import LEVELS
from nbtasks.io.integration import check as check_integrations
from nbtasks.io.io import AsyncIO
from nbtasks.jobs import claims
from nbtasks.jobs.hooks import Hooks, LimitedSession, check_limit
from nbtasks.jobs.invocation import Invoked
from nbtasks.jobs.run import Run
from nbtasks.jobs.triggers import EventTrigger, InvokeTrigger, Trigger
from nbtasks.journal.protocol import Claim
from nbtasks.values import failures, validation

if TYPE_CHECKING:
    from nbtasks.io.integration import Integration
    from nbtasks.jobs.session import Session
    from nbtasks.journal.protocol import Journal

__all__ = ["Job", "RuntimeProtocol"]

Replay = Literal["only"]
_MISSING = inspect.Parameter.empty


class RuntimeProtocol(Protocol):
    """Runtime as jobs and the dispatcher use it; `jobs.runtime.Runtime` is one.

    Attributes:
        jobs: Registered jobs by id.
    """

    jobs: dict[str, Job]

    @property
    def journal(self) -> Journal:
        """Journal of the home in force."""

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
        enabled: False if the job must not run.

    ```python
    import nbtasks as nb


    @nb.job("job-example", version="1.0.0")
    def total(payload: list[int], io: nb.SyncIO) -> int:
        return io.run_task("sum", sum, payload)


    first = total.run([1, 2, 3])
    again = total.run([1, 2, 3])  # the same run: "sum" is answered from the journal
    assert first.id == again.id and again.executions == 2
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
        hooks: Hooks | None = None,
        concurrency_limit: int | None = None,
        enabled: bool = True,
        log_level: str = "info",
    ) -> None:
        _check_names(id, version, log_level)
        check_limit(concurrency_limit, id)
        self.id = id
        self.name = name or id
        self.version = version
        self.fn = fn
        self._runtime = runtime
        self._policy = Policy(retry=Retry.of(retry), options=TaskOptions(on_change=on_change))
        self._log_level = log_level
        self._limit = concurrency_limit
        self._hooks = hooks or Hooks()
        self._hooks.check(id)
        self.enabled = enabled
        self.trigger = _check_trigger(trigger, id)
        self._integrations = check_integrations(integrations, AsyncIO)
        self._parameters = _parameters(fn, id)
        self.__doc__ = fn.__doc__

    def run(  # noqa: PLR0913 - the options of the contract
        self,
        payload: Any = None,
        *,
        key: str | None = None,
        new: bool = False,
        replay: Replay | None = None,
        max_time: Duration | None = None,
        suspend_after: Duration | None = None,
        tree: bool = True,
    ) -> Run:
        """Execute the job's run for a key: continue the latest run, or start a new one.

        Blocks until the execution ends, also in a notebook and also for an `async def` job.

        Args:
            payload: The body's payload, validated by the annotation of its parameter.
            key: The key of the run; by default a digest of the payload.
            new: Start a new run even if the key has a run already.
            replay: With "only", every task is answered from the journal: no task runs, no run is
                started, nothing is written, and no callback is called.
            max_time: Time limit: seconds, a timedelta, or text such as "5m". After it no task
                starts: tasks in flight finish, then the run is suspended. Every execution makes
                some progress.
            suspend_after: Longest wait, likewise. A longer one suspends the run once no task runs.
            tree: Show the tasks as a tree in the notebook.

        Returns:
            The run: COMPLETED, or WAITING if it was suspended. With `replay`, its `output` is the
            value that the body has just returned, even if another value or none is recorded.

        Raises:
            Exception: The error that the body raised.
            Cancelled: The run was cancelled.
            RunBusyError: The run is being executed, in this process or another one.
            InvalidPayloadError: The payload is invalid.
            NotRecordedError: With `replay`, the run or the outcome of a task is not recorded.
            InvalidOptionError: `replay` has an unknown value, or is combined with `new`.
            NbtasksError: The job is not enabled.
        """
        try:
            only = _check_replay(self.id, replay, new=new)
            budget = TimeBudget.of(max_time, suspend_after)
            claim = self._claim(payload, key, new=new)
            return self.execute(claim, payload, only=only, budget=budget, tree=tree)
        except BaseException as error:
            error.__traceback__ = tracebacks.own_frames(error.__traceback__)
            raise

    async def arun(  # noqa: PLR0913 - as `run`
        self,
        payload: Any = None,
        *,
        key: str | None = None,
        new: bool = False,
        replay: Replay | None = None,
        max_time: Duration | None = None,
        suspend_after: Duration | None = None,
        tree: bool = True,
    ) -> Run:
        """Execute the job's run like `run`, as a coroutine.

        If cancelled, a `def` body, which runs in a worker thread, ends at its next io call.
        """
        only = _check_replay(self.id, replay, new=new)
        budget = TimeBudget.of(max_time, suspend_after)
        claim = self._claim(payload, key, new=new)
        value = self.validate_payload(payload)
        limited = self._session(claim, only=only, budget=budget, tree=tree)
        if inspect.iscoroutinefunction(self.fn):
            return await self._await(limited, value)
        import anyio.to_thread

        try:
            return await anyio.to_thread.run_sync(
                lambda: self._block(limited, value), abandon_on_cancel=True
            )
        except asyncio.CancelledError:
            limited.cancel()
            raise

    def with_runtime(self, runtime: RuntimeProtocol) -> Job:
        """Return a copy of this job that runs in another runtime."""
        job = copy.copy(self)
        job._runtime = runtime  # noqa: SLF001 - an instance of this very class
        return job

    def execute(
        self,
        claim: Claim,
        payload: Any,
        *,
        only: bool = False,
        budget: TimeBudget | None = None,
        tree: bool = True,
    ) -> Run:
        """Execute the run of an existing claim, like `run`."""
        return self.prepare(claim, payload, only=only, budget=budget, tree=tree)()

    def prepare(
        self,
        claim: Claim,
        payload: Any,
        *,
        only: bool = False,
        budget: TimeBudget | None = None,
        tree: bool = False,
    ) -> Callable[[], Run]:
        """Return a function that executes a claim in any thread, on the journal in force now."""
        value = self.validate_payload(payload)
        limited = self._session(claim, only=only, budget=budget, tree=tree)

        def execute() -> Run:
            if inspect.iscoroutinefunction(self.fn):
                run: Run = failures.run_awaitable(self._await(limited, value))
                return run
            return self._block(limited, value)

        return execute

    def _block(self, limited: LimitedSession, value: Any) -> Run:
        with _until_suspended(limited), limited as session:
            session.value = self.fn(*self._arguments(value, session))
        return self._runtime.run_of(limited.session)

    async def _await(self, limited: LimitedSession, value: Any) -> Run:
        with _until_suspended(limited):
            async with limited as session:
                session.value = await self.fn(*self._arguments(value, session))
        return self._runtime.run_of(limited.session)

    def _claim(self, payload: Any, key: str | None, *, new: bool) -> Claim:
        return claims.make_claim(
            self.id, self.name, self.version, key=key, payload=payload, new=new
        )

    def _session(
        self, claim: Claim, *, only: bool, budget: TimeBudget | None, tree: bool
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

    def validate_payload(self, payload: Any) -> Any:
        """Return the payload validated for the body.

        Raises:
            InvalidPayloadError: The payload is invalid.
            NbtasksError: The job is not enabled.
        """
        self.check_enabled()
        return self._validate(payload)

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

    def _arguments(self, payload: Any, session: Session) -> tuple[Any, ...]:
        if len(self._parameters) == 1:
            return (session.io,)
        return (payload, session.io, session.ctx)[: len(self._parameters)]

    def _validate(self, payload: Any) -> Any:
        if isinstance(self.trigger, EventTrigger | InvokeTrigger):
            payload = validation.validate(self.trigger.schema, payload, f"job {self.id!r}")
        if len(self._parameters) == 1:
            if payload is not None:
                raise InvalidPayloadError(
                    f"Job {self.id!r} takes no payload, since its function is f(io). Make it "
                    "f(payload, io)."
                )
            return None
        return validation.validate(self._parameters[0], payload, f"job {self.id!r}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the decorated function directly, without a run."""
        return self.fn(*args, **kwargs)

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


def _check_replay(job: str, replay: object, *, new: bool) -> bool:
    """Check the `replay` option. Return True if the execution only replays."""
    if replay is None:
        return False
    if replay != "only":
        raise InvalidOptionError(
            f'Job {job!r}: replay={replay!r}: it is "only", or None to run what is not recorded.'
        )
    if new:
        raise InvalidOptionError(
            f'Job {job!r}: new=True starts a new run, and replay="only" never does. Leave one out.'
        )
    return True


def _check_names(job: object, version: object, log_level: object) -> None:
    if not isinstance(job, str) or not job.strip():
        raise InvalidJobError(f"The id of a job is a non-empty string, not {job!r}.")
    if not isinstance(version, str) or not version.strip():
        raise InvalidJobError(
            f"Job {job!r}: the version is a string like '1.0.0', not {version!r}."
        )
    if log_level not in LEVELS:
        levels = ", ".join(LEVELS)
        raise InvalidJobError(f"Job {job!r}: log_level is one of {levels}, not {log_level!r}.")


def _check_trigger(trigger: object, job: str) -> Trigger | None:
    if trigger is None or isinstance(trigger, Trigger):
        return trigger
    kinds = "nb.event_trigger, nb.cron_trigger, nb.interval_trigger or nb.invoke_trigger"
    raise InvalidJobError(f"Job {job!r}: trigger={trigger!r}: make it with {kinds}.")


def _parameters(fn: Callable[..., Any], job: str) -> list[Any]:
    """Return the annotations of the one to three positional parameters of a body."""
    try:
        signature = inspect.signature(fn, eval_str=True)
    except NameError:  # an annotation is defined for type checkers only
        signature = inspect.signature(fn)
    positional = [
        p.annotation
        for p in signature.parameters.values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is _MISSING
    ]
    if not 1 <= len(positional) <= 3:  # noqa: PLR2004 - payload, io, ctx
        raise InvalidJobError(
            f"Job {job!r}: the function takes (io), (payload, io) or (payload, io, ctx), not "
            f"{signature}."
        )
    return positional
