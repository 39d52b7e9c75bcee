"""A job: a function with an id and a version, whose runs are durable."""

from __future__ import annotations

import copy
import dataclasses
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from nbtasks import clock, codec, loops, tracebacks
from nbtasks.errors import InvalidJobError, InvalidPayloadError, NbtasksError
from nbtasks.hooks import Admitted, Hooks, check_limit
from nbtasks.journal.port import Claim
from nbtasks.logger import LEVELS
from nbtasks.model import RunRow
from nbtasks.options import OnChange, Policy, TaskOptions
from nbtasks.replay import Retry
from nbtasks.run import Run

if TYPE_CHECKING:
    from nbtasks.session import Session

__all__ = ["Host", "Job", "make_claim"]

_MISSING = inspect.Parameter.empty


class Host(Protocol):
    """What a job needs of the place it runs in."""

    def session(self, claim: Claim, *, policy: Policy, log_level: str, tree: bool) -> Session:
        """The session that executes a claimed run."""

    def hold(self, run_id: str) -> Run:
        """The run with this id."""


class Job:
    """A function whose runs are durable; made by `nb.job`.

    Attributes:
        id: What names the job. With the version and a run's key it finds the run to continue.
        name: What people see.
        version: Raising it starts afresh.
        enabled: Whether it may be run.

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
        host: Host,
        *,
        name: str | None = None,
        version: str = "0.0.1",
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
        self._host = host
        self._policy = Policy(retry=Retry.of(retry), options=TaskOptions(on_change=on_change))
        self._log_level = log_level
        self._limit = concurrency_limit
        self._hooks = hooks or Hooks()
        self._hooks.check(id)
        self.enabled = enabled
        self._parameters = _parameters(fn, id)
        self.__doc__ = fn.__doc__

    def run(
        self, payload: Any = None, *, key: str | None = None, new: bool = False, tree: bool = True
    ) -> Run:
        """Executes the job's run for a key: the latest one goes on, or a new one begins.

        Blocks until the execution ends, everywhere: also in a notebook, also for an `async def`
        job.

        Args:
            payload: What the body gets; validated by the annotation of its parameter.
            key: What names the run; by default a digest of the payload.
            new: Begin a new run even if there is one.
            tree: Whether the notebook shows the tasks as a tree.

        Returns:
            The run, COMPLETED.

        Raises:
            Exception: What the body raised.
            RunBusyError: The run is being executed, here or elsewhere.
            InvalidPayloadError: The payload does not fit.
            NbtasksError: The job is not enabled.
        """
        try:
            if inspect.iscoroutinefunction(self.fn):
                done: Run = loops.run(self.arun(payload, key=key, new=new, tree=tree))
                return done
            value = self._validate(payload)
            with self._session(payload, key, new=new, tree=tree) as session:
                session.value = self.fn(*self._arguments(value, session))
            return self._host.hold(session.ctx.run.id)
        except BaseException as error:
            error.__traceback__ = tracebacks.own_frames(error.__traceback__)
            raise

    async def arun(
        self, payload: Any = None, *, key: str | None = None, new: bool = False, tree: bool = True
    ) -> Run:
        """As `run`, as a coroutine. A `def` body runs in a worker thread."""
        value = self._validate(payload)
        if not inspect.iscoroutinefunction(self.fn):
            import anyio.to_thread

            return await anyio.to_thread.run_sync(
                lambda: self.run(payload, key=key, new=new, tree=tree), abandon_on_cancel=True
            )
        async with self._session(payload, key, new=new, tree=tree) as session:
            session.value = await self.fn(*self._arguments(value, session))
        return self._host.hold(session.ctx.run.id)

    def at(self, host: Host) -> Job:
        """This job, with another place to run in."""
        moved = copy.copy(self)
        moved._host = host  # noqa: SLF001 - it is a job like this one
        return moved

    def _session(self, payload: Any, key: str | None, *, new: bool, tree: bool) -> Admitted:
        if not self.enabled:
            raise NbtasksError(
                f"Job {self.id!r} is not enabled, so no run of it is begun or continued. Define "
                "it with enabled=True to run it."
            )
        claim = make_claim(self.id, self.name, self.version, key=key, payload=payload, new=new)
        claim = dataclasses.replace(claim, limit=self._limit)
        session = self._host.session(
            claim, policy=self._policy, log_level=self._log_level, tree=tree
        )
        return Admitted(session, self._hooks, self._host.hold)

    def _arguments(self, payload: Any, session: Session) -> tuple[Any, ...]:
        if len(self._parameters) == 1:
            return (session.io,)
        return (payload, session.io, session.ctx)[: len(self._parameters)]

    def _validate(self, payload: Any) -> Any:
        if len(self._parameters) == 1:
            if payload is not None:
                raise InvalidPayloadError(
                    f"Job {self.id!r} takes no payload, since its function is f(io). Make it "
                    "f(payload, io)."
                )
            return None
        annotation = self._parameters[0]
        if annotation in (_MISSING, Any, object):
            return payload
        import pydantic  # lazily: it is most of what an import would cost

        try:
            return pydantic.TypeAdapter(annotation).validate_python(payload)
        except pydantic.ValidationError as error:
            raise InvalidPayloadError(_explain(self.id, error)) from None
        except pydantic.PydanticSchemaGenerationError:
            return payload  # an annotation that pydantic knows nothing of promises nothing

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The plain function, as it was decorated."""
        return self.fn(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<Job {self.id!r} version {self.version}>"


def make_claim(  # noqa: PLR0913 - what identifies a run
    job: str, name: str, version: str, *, key: str | None, payload: Any, new: bool = False,
    source: str | None = None,
) -> Claim:  # fmt: skip
    """The claim to the latest run of a job, version and key."""
    if key == "" or not isinstance(key, str | None):
        raise InvalidJobError(f"key={key!r}: the key of a run is a non-empty string.")
    encoded = codec.encode(payload)
    row = RunRow(
        run_id=clock.new_id(),
        job=job,
        name=name,
        version=version,
        key=key or codec.digest(payload),
        started_us=clock.micros(),
        payload=encoded.text if encoded.blob is None else encoded.blob.decode("utf-8", "replace"),
        payload_kind=encoded.kind,
        source=source,
    )
    return Claim(row, new=new)


def _check_names(job: object, version: object, log_level: object) -> None:
    if not isinstance(job, str) or not job.strip():
        raise InvalidJobError(f"The id of a job is a non-empty string, not {job!r}.")
    if not isinstance(version, str) or not version.strip():
        raise InvalidJobError(
            f"Job {job!r}: the version is a string like '1.0.0', not {version!r}."
        )
    if log_level not in LEVELS:
        known = ", ".join(LEVELS)
        raise InvalidJobError(f"Job {job!r}: log_level is one of {known}, not {log_level!r}.")


def _parameters(fn: Callable[..., Any], job: str) -> list[Any]:
    """The annotations of the parameters that a body is called with."""
    try:
        signature = inspect.signature(fn, eval_str=True)
    except NameError:  # an annotation that only a type checker can see
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


def _explain(job: str, error: Any) -> str:
    lines = [f"The payload does not fit job {job!r}:"]
    for problem in error.errors(include_url=False):
        place = ".".join(map(str, problem["loc"])) or "payload"
        lines.append(f"  {place}: {problem['msg']} (got {problem['input']!r:.80})")
    return "\n".join(lines)
