"""Statuses: progress that a run reports while it executes, each status with its history."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from nbtasks.core import clock, keys, text
from nbtasks.core.model import StatusRow
from nbtasks.engine.effects import mapped
from nbtasks.errors import InvalidOptionError
from nbtasks.io.base import AsyncBaseIO, BaseIO
from nbtasks.values import preview

__all__ = ["AsyncRunStatus", "AsyncStatuses", "RunStatus", "Snapshot", "SyncStatuses"]

State = Literal["loading", "success", "failure"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """State of a status at one time.

    Attributes:
        label: Text to show.
        state: "loading", "success", "failure", or None.
        data: Further details.
    """

    label: str
    state: State | None = None
    data: dict[str, Any] | None = None


class _Status:
    """A status of a run."""

    def __init__(self, io: BaseIO, id_: str) -> None:
        self._io = io
        self._id = id_
        self._snapshots: list[Snapshot] = []

    @property
    def now(self) -> Snapshot:
        """Latest snapshot."""
        return self._snapshots[-1]

    @property
    def history(self) -> list[Snapshot]:
        """Earlier snapshots, the oldest first."""
        return self._snapshots[:-1]

    def _task(self, key: keys.Key, snapshot: Snapshot, result: Any = None) -> Any:
        """Record the next snapshot in a task, and return `result`; an awaitable with `AsyncIO`."""
        _check(snapshot)
        args, io = (snapshot, len(self._snapshots) + 1), self._io
        effects = io._builtin_task(key, self._put, args, "bell", asdict(snapshot), depth=4)  # noqa: SLF001 - a part of that io

        def keep(recorded: Snapshot) -> Any:
            self._snapshots.append(recorded)
            return result

        effects = mapped(effects, keep)
        return io._drive(effects, "status.update" if self._snapshots else "io.create_status")  # noqa: SLF001 - as above

    def _put(self, snapshot: Snapshot, number: int) -> Snapshot:
        execution = self._io._execution  # noqa: SLF001 - as above
        data = None if snapshot.data is None else preview.to_display_json(snapshot.data)
        now, run_id = clock.micros(), execution.run.run_id
        execution.journal.put(
            StatusRow(run_id, self._id, number, now, snapshot.label, snapshot.state, data)
        )
        return snapshot

    def _update_snapshot(
        self, label: str | None, state: State | None, data: dict[str, Any] | None
    ) -> Snapshot:
        fields = {"label": label, "state": state, "data": data}
        changes = {name: value for name, value in fields.items() if value is not None}
        if not changes:
            raise InvalidOptionError(
                f"status {self._id!r}: update(key, ...) was given nothing to change: give it "
                "label=, state= or data=."
            )
        return replace(self.now, **changes)  # type: ignore[arg-type]  # they are its fields

    def __repr__(self) -> str:
        return f"<status {self._id!r}: {self.now}>"


def _check(snapshot: Snapshot) -> None:
    label: object = snapshot.label
    if not isinstance(label, str) or not label:
        raise InvalidOptionError(f"The label of a status is a non-empty string, not {label!r}.")
    text.check("The label of a status,", label, InvalidOptionError)
    if snapshot.state not in (None, *get_args(State)):
        raise InvalidOptionError(
            f"The state of a status is one of {', '.join(get_args(State))}, not {snapshot.state!r}."
        )
    if not isinstance(snapshot.data, dict | None):
        raise InvalidOptionError(f"The data of a status is a dict, not {snapshot.data!r}.")


class RunStatus(_Status):
    """A status of a run, updated by blocking calls."""

    def update(
        self,
        key: keys.Key,
        *,
        label: str | None = None,
        state: State | None = None,
        data: dict[str, Any] | None = None,
    ) -> None:
        """Change the fields that are passed, and keep the others. Replace `data` as a whole.

        Args:
            key: Key of this change, as in `run_task`.
            label: Text to show.
            state: "loading", "success" or "failure".
            data: Further details, as names and values.

        Raises:
            InvalidOptionError: No field is passed, or the value of a field is not valid.
        """
        self._task(key, self._update_snapshot(label, state, data))


class AsyncRunStatus(_Status):
    """A status of a run, updated by awaitable calls."""

    def update(
        self,
        key: keys.Key,
        *,
        label: str | None = None,
        state: State | None = None,
        data: dict[str, Any] | None = None,
    ) -> Coroutine[Any, Any, None]:
        """Change the fields that are passed. Awaitable form of `RunStatus.update`."""
        pending: Coroutine[Any, Any, None] = self._task(
            key, self._update_snapshot(label, state, data)
        )
        return pending


class SyncStatuses(BaseIO):
    """`io.create_status` as a blocking call."""

    def create_status(
        self,
        key: keys.Key,
        label: str,
        state: State | None = None,
        data: dict[str, Any] | None = None,
    ) -> RunStatus:
        """Report progress of the run while it executes.

        The view `statuses` lists each status with its history.

        Args:
            key: Key of the task, as in `run_task`.
            label: Text to show.
            state: "loading", "success" or "failure".
            data: Further details, as names and values.

        Returns:
            The status: `.update(key, ...)` changes it, `.now` is its latest snapshot, `.history`
            its earlier ones.

        Raises:
            InvalidOptionError: An argument is not valid.

        ```python
        import nbtasks as nb


        @nb.job("create-status-example")
        def body(io: nb.SyncIO) -> None:
            status = io.create_status("import", "Importing", "loading", {"done": 0.1})
            status.update("half", data={"done": 0.5})
            status.update("imported", label="Imported", state="success")


        run = body.run()
        rows = nb.sql("select label, state from statuses where run_id = ?", [run.id])
        assert rows.label.tolist() == ["Importing", "Importing", "Imported"]
        ```
        """
        status = RunStatus(self, self._path(key))
        status._task(key, Snapshot(label, state, data))  # noqa: SLF001 - made here
        return status


class AsyncStatuses(AsyncBaseIO):
    """`io.create_status` as an awaitable call."""

    def create_status(
        self,
        key: keys.Key,
        label: str,
        state: State | None = None,
        data: dict[str, Any] | None = None,
    ) -> Coroutine[Any, Any, AsyncRunStatus]:
        """Report progress of the run. Awaitable form of `SyncIO.create_status`."""
        status = AsyncRunStatus(self, self._path(key))
        pending: Coroutine[Any, Any, AsyncRunStatus] = status._task(  # noqa: SLF001 - made here
            key, Snapshot(label, state, data), status
        )
        return pending
