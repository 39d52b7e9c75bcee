"""What a job is to other runs: they can begin runs of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nbtasks import here, keys
from nbtasks.options import Duration

__all__ = ["Invoked"]


class Invoked:
    """A job, as far as other runs begin runs of it."""

    id: str

    def invoke(self, key: keys.Key, payload: Any = None) -> Any:
        """Begins a new run of the job from within another run, as a task of that: it goes on by
        itself, in the background. Executed again, the task gives the same run; one that was
        interrupted goes on then.

        Args:
            key: The task's key, as in `io.run_task`.
            payload: What the run's body gets. The run of one that does not fit is INVALID.

        Returns:
            The `Run`; awaited in an `async def` body, as a call of `io` is.

        Raises:
            NoRunError: It was called outside of a run: there, call `run`.
            NbtasksError: The job is not enabled.

        ```python
        import nbtasks as nb


        @nb.job("invoke-example-child")
        def child(payload: int, io: nb.SyncIO) -> int:
            return payload * 2


        @nb.job("invoke-example")
        def parent(io: nb.SyncIO) -> list[int]:
            begun = child.invoke("in the background", 20)  # goes on by itself
            ended = child.invoke_and_wait("at once", 21)
            ended_too = child.batch_invoke_and_wait("several", [1, 2])
            return [ended.output, *(run.output for run in ended_too), begun.key.count("/")]


        assert parent.run().output == [42, 2, 4, 1]
        ```
        """
        return here.current_io()._invoke(self, key, payload)  # noqa: SLF001 - io's own half of it

    def invoke_and_wait(self, key: keys.Key, payload: Any = None, timeout: Duration = 3600) -> Any:
        """As `invoke`, and waits until the run has ended.

        Args:
            key: As there.
            payload: As there.
            timeout: The longest that it waits, in seconds or as a timedelta.

        Returns:
            The `Run`, whether it is COMPLETED, FAILED, CANCELED or INVALID: `.error` says what went
            wrong. Awaited in an `async def` body.

        Raises:
            WaitTimeout: It has not ended in time, wrapped as any failure of a task is.
        """
        io = here.current_io()
        return io._invoke_and_wait(self, key, payload, timeout)  # noqa: SLF001 - as above

    def batch_invoke_and_wait(
        self, key: keys.Key, payloads: Iterable[Any], timeout: Duration = 3600
    ) -> Any:
        """As `invoke_and_wait`, for several payloads at once.

        Args:
            key: As there.
            payloads: A payload for each run.
            timeout: The longest that it waits for all of them.

        Returns:
            A list of the `Run`s, in the order of the payloads. Awaited in an `async def` body.

        Raises:
            WaitTimeout: One has not ended in time.
        """
        io = here.current_io()
        return io._batch_invoke(self, key, list(payloads), timeout)  # noqa: SLF001 - as above
