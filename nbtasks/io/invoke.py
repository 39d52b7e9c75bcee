"""The io part of `job.invoke`, `job.invoke_and_wait` and `job.batch_invoke_and_wait`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nbtasks.core import callsite, keys
from nbtasks.core.durations import Duration, to_seconds
from nbtasks.core.model import OPEN, Status, TaskRow
from nbtasks.engine.effects import Effects, ExternalWait, current, mapped
from nbtasks.io.base import BaseIO
from nbtasks.io.dispatcher import Invocable
from nbtasks.values import preview

if TYPE_CHECKING:
    from nbtasks.journal.protocol import RunHandle

__all__ = ["Invokes"]

_S = 1_000_000


class Invokes(BaseIO):
    """Invocations of other jobs, blocking or awaitable as the io class that this is a part of."""

    def _begin(self, key: keys.Key, job: Invocable, payload: Any) -> Effects:
        def begin() -> str:
            context = current.get()
            assert context is not None  # noqa: S101 - called as a task
            return self._ids(job, [payload], context.path)[0]

        def resume(run_id: str) -> RunHandle:
            if self._execution.replay_only is None:
                self._dispatcher.resume(run_id)
            return self._dispatcher.get_run(run_id)

        inputs = {"job": job.id, "payload": payload}
        return mapped(self._builtin_task(key, begin, (), "play", inputs, 4), resume)

    def _ids(self, job: Invocable, given: Sequence[Any], path: str) -> list[str]:
        run_id = self._execution.run.run_id
        return self._dispatcher.invoke(job, given, run_id, f"{run_id}/{path}")

    def _ended(
        self, key: keys.Key, job: Invocable, given: Sequence[Any], timeout: Duration
    ) -> Effects:
        seconds = to_seconds("timeout", timeout)
        journal = self._execution.journal
        ids: list[str] = []

        def look(row: TaskRow) -> tuple[Any] | None:
            first = not ids
            if first:
                ids.extend(self._ids(job, given, row.path))
            statuses = [journal.runs(run_id=run_id)[0].status for run_id in ids]
            for run_id, status in zip(ids, statuses, strict=True):
                if status in OPEN and (first or status != Status.RUNNING):
                    self._dispatcher.resume(run_id)
            return (list(ids),) if OPEN.isdisjoint(statuses) else None

        wait = ExternalWait(
            key,
            callsite.capture(3),
            round(seconds * _S),
            preview.to_display_json({"job": job.id, "payloads": list(given)}),
            json.dumps({"job": job.id}),
            look,
            f"job {job.id!r} did not end within {seconds:g} seconds",
            "play",
        )
        return mapped(self._wait_for(wait), lambda ids: list(map(self._dispatcher.get_run, ids)))

    def _invoke(self, job: Invocable, key: keys.Key, payload: Any) -> Any:
        return self._drive(self._begin(key, job, payload), "job.invoke")

    def _invoke_and_wait(
        self, job: Invocable, key: keys.Key, payload: Any, timeout: Duration
    ) -> Any:
        effects = mapped(self._ended(key, job, [payload], timeout), _first)
        return self._drive(effects, "job.invoke_and_wait")

    def _batch_invoke(
        self, job: Invocable, key: keys.Key, given: Sequence[Any], timeout: Duration
    ) -> Any:
        return self._drive(self._ended(key, job, given, timeout), "job.batch_invoke_and_wait")


def _first(runs: list[RunHandle]) -> RunHandle:
    return runs[0]
