"""Methods by which other runs invoke a job."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar, cast

from nbtasks.core import keys
from nbtasks.core.durations import Duration
from nbtasks.errors import InvalidPayloadError
from nbtasks.io.io import current_io
from nbtasks.jobs.definition.run_options import HOUR, given

__all__ = ["Invoked"]

_INVOKE_AND_WAIT = "{job}.invoke_and_wait(key, {given})"


_CallT = TypeVar("_CallT", bound=Callable[..., Any])


def _with_one_key(call: _CallT) -> _CallT:
    """Let a call say what to do about a field `key` of the job beside the task's key."""

    @functools.wraps(call)
    def checked(job: Invoked, *args: Any, **kwargs: Any) -> Any:
        if args and "key" in kwargs:
            given = f"{args[0]!r}, payload={{'key': {kwargs['key']!r}, ...}}"
            raise InvalidPayloadError(
                f"Job {job.id!r}: key= is the key of the task, which is given already. A field "
                f"key of the job goes into the payload, as in {job.id}.{call.__name__}({given})."
            )
        return call(job, *args, **kwargs)

    return cast("_CallT", checked)


class Invoked(ABC):
    """Mixin of a job that other runs invoke."""

    id: str

    @abstractmethod
    def merge_payload(
        self, payload: Any, fields: Mapping[str, Any], options: Collection[str], how: str
    ) -> Any:
        """Return the payload of a call that gives fields by keyword, too.

        Args:
            payload: The payload.
            fields: The fields.
            options: The names of the options that the call gives.
            how: The call, with `{job}` and `{given}` for the job and its payload.

        Raises:
            InvalidPayloadError: They do not fit together.
        """

    @_with_one_key
    def invoke(self, key: keys.Key, payload: Any = None, **fields: Any) -> Any:
        """Start a new run of the job in the background, as a task of the calling run.

        When the calling run is executed again, the task returns the same run, and resumes it if
        it was interrupted.

        Args:
            key: The task's key, as in `io.run_task`.
            payload: The payload of the new run. A run with an invalid payload is INVALID.
            **fields: Fields of the payload, as in `run`.

        Returns:
            The `Run`; an `async def` body awaits it, like any call of `io`.

        Raises:
            NoRunError: The caller is not inside a run: call `run` there.
            InvalidPayloadError: A keyword is not a parameter of the job.
            NbtasksError: The job is not enabled.

        ```python
        import nbtasks as nb


        @nb.job("invoke-example-child")
        def child(number: int, factor: int = 2) -> int:
            return number * factor


        @nb.job("invoke-example")
        def parent(io: nb.SyncIO) -> list[int]:
            begun = child.invoke("in the background", number=20)  # runs by itself
            ended = child.invoke_and_wait("at once", {"number": 21})
            ended_too = child.batch_invoke_and_wait("several", [{"number": 1}, {"number": 2}])
            return [ended.output, *(run.output for run in ended_too), begun.key.count("/")]


        assert parent.run().output == [42, 2, 4, 1]
        ```
        """
        payload = self.merge_payload(payload, fields, (), "{job}.invoke(key, {given})")
        return current_io()._invoke(self, key, payload)  # noqa: SLF001 - io implements the call

    @_with_one_key
    def invoke_and_wait(
        self, key: keys.Key, payload: Any = None, timeout: Duration = HOUR, **fields: Any
    ) -> Any:
        """Start a new run of the job like `invoke`, and wait until the run has ended.

        Args:
            key: The task's key, as in `io.run_task`.
            payload: The payload of the new run. A run with an invalid payload is INVALID.
            timeout: The longest time to wait: seconds, a timedelta, or text such as "5m".
            **fields: Fields of the payload, as in `run`.

        Returns:
            The `Run`, whether it is COMPLETED, FAILED, CANCELED or INVALID: `.error` holds the
            failure. An `async def` body awaits it.

        Raises:
            InvalidPayloadError: A keyword is not a parameter of the job.
            WaitTimeout: The run has not ended in time; wrapped like any failure of a task.
        """
        options, names = given({"timeout": timeout})
        payload = self.merge_payload(payload, fields, names, _INVOKE_AND_WAIT)
        io = current_io()
        return io._invoke_and_wait(self, key, payload, options["timeout"])  # noqa: SLF001 - as above

    def batch_invoke_and_wait(
        self, key: keys.Key, payloads: Iterable[Any], timeout: Duration = 3600
    ) -> Any:
        """Start a run for each payload, and wait like `invoke_and_wait` until all have ended.

        Args:
            key: The task's key, as in `io.run_task`.
            payloads: A payload for each run.
            timeout: The longest time to wait for all runs together: seconds, a timedelta, or text
                such as "5m".

        Returns:
            A list of the `Run`s, in the order of the payloads. An `async def` body awaits it.

        Raises:
            WaitTimeout: A run has not ended in time.
        """
        io = current_io()
        return io._batch_invoke(self, key, list(payloads), timeout)  # noqa: SLF001 - as above
