"""What a run tells of itself while it goes on: statuses, each with its history."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from nbtasks import clock, keys, params
from nbtasks.driver import needs_loop
from nbtasks.errors import InvalidOptionError
from nbtasks.face import AsyncFace, Face
from nbtasks.model import StatusRow

__all__ = ["AsyncRunStatus", "AsyncStatuses", "RunStatus", "Snapshot", "SyncStatuses"]

State = Literal["loading", "success", "failure"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A status as it stood for a time.

    Attributes:
        label: What people see.
        state: "loading", "success", "failure", or None.
        data: What else is told.
    """

    label: str
    state: State | None = None
    data: dict[str, Any] | None = None


class _Status:
    """A status of a run."""

    def __init__(self, io: Face, id_: str) -> None:
        self._io = io
        self._id = id_
        self._snapshots: list[Snapshot] = []

    @property
    def now(self) -> Snapshot:
        """How it stands."""
        return self._snapshots[-1]

    @property
    def history(self) -> list[Snapshot]:
        """How it stood before, the oldest first."""
        return self._snapshots[:-1]

    def _task(self, key: keys.Key, wanted: Snapshot) -> Any:
        """The next snapshot, as a task that records it; to be awaited if io is."""
        _check(wanted)
        args, io = (wanted, len(self._snapshots) + 1), self._io
        return io._drive(io._own(key, self._put, args, "bell", asdict(wanted), depth=4))  # noqa: SLF001 - a part of that io

    def _put(self, wanted: Snapshot, number: int) -> Snapshot:
        execution = self._io._execution  # noqa: SLF001 - as above
        data = None if wanted.data is None else params.shown(wanted.data)
        now, run_id = clock.micros(), execution.run.run_id
        execution.journal.put(
            StatusRow(run_id, self._id, number, now, wanted.label, wanted.state, data)
        )
        return wanted

    def _changed(
        self, label: str | None, state: State | None, data: dict[str, Any] | None
    ) -> Snapshot:
        given = {"label": label, "state": state, "data": data}
        changes = {name: value for name, value in given.items() if value is not None}
        if not changes:
            raise InvalidOptionError(
                f"status {self._id!r}: update(key, ...) was given nothing to change: give it "
                "label=, state= or data=."
            )
        return replace(self.now, **changes)  # type: ignore[arg-type]  # they are its fields

    def __repr__(self) -> str:
        return f"<status {self._id!r}: {self.now}>"


def _check(wanted: Snapshot) -> None:
    label: object = wanted.label
    if not isinstance(label, str) or not label:
        raise InvalidOptionError(f"The label of a status is a text, not {label!r}.")
    if wanted.state not in (None, *get_args(State)):
        raise InvalidOptionError(
            f"The state of a status is one of {', '.join(get_args(State))}, not {wanted.state!r}."
        )
    if not isinstance(wanted.data, dict | None):
        raise InvalidOptionError(f"The data of a status is a dict, not {wanted.data!r}.")


class RunStatus(_Status):
    """A status of a run, changed by calls that block."""

    def update(
        self,
        key: keys.Key,
        *,
        label: str | None = None,
        state: State | None = None,
        data: dict[str, Any] | None = None,
    ) -> None:
        """Changes what is given; the rest stays as it is. `data` is changed as a whole.

        Args:
            key: The key of this change, as in `run_task`.
            label: What people see.
            state: "loading", "success" or "failure".
            data: What else is told, as names and values.

        Raises:
            InvalidOptionError: Nothing is given, or it cannot be one.
        """
        self._snapshots.append(self._task(key, self._changed(label, state, data)))


class AsyncRunStatus(_Status):
    """A status of a run, changed by calls that are awaited."""

    def update(
        self,
        key: keys.Key,
        *,
        label: str | None = None,
        state: State | None = None,
        data: dict[str, Any] | None = None,
    ) -> Coroutine[Any, Any, None]:
        """As `RunStatus.update`, awaited."""
        needs_loop("create_status")
        return self._take(self._task(key, self._changed(label, state, data)))

    async def _take(self, answer: Coroutine[Any, Any, Snapshot]) -> None:
        self._snapshots.append(await answer)


class SyncStatuses(Face):
    """`io.create_status` that blocks."""

    def create_status(
        self,
        key: keys.Key,
        label: str,
        state: State | None = None,
        data: dict[str, Any] | None = None,
    ) -> RunStatus:
        """Tells something of the run while it goes on, to those who look at it: the view `statuses`
        has each status with its history.

        Args:
            key: As in `run_task`.
            label: What people see.
            state: "loading", "success" or "failure".
            data: What else is told, as names and values.

        Returns:
            The status: `.update(key, ...)` changes it, `.now` is how it stands, `.history` how it
            stood.

        Raises:
            InvalidOptionError: One of them cannot be one.

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
        first = status._task(key, Snapshot(label, state, data))  # noqa: SLF001 - made here
        status._snapshots.append(first)  # noqa: SLF001 - as above
        return status


class AsyncStatuses(AsyncFace):
    """`io.create_status` that is awaited."""

    def create_status(
        self,
        key: keys.Key,
        label: str,
        state: State | None = None,
        data: dict[str, Any] | None = None,
    ) -> Coroutine[Any, Any, AsyncRunStatus]:
        """As `SyncIO.create_status`, awaited."""
        needs_loop("create_status")
        status = AsyncRunStatus(self, self._path(key))
        answer = status._task(key, Snapshot(label, state, data))  # noqa: SLF001 - made here
        return _made(status, answer)


async def _made(status: AsyncRunStatus, answer: Coroutine[Any, Any, Snapshot]) -> AsyncRunStatus:
    await status._take(answer)  # noqa: SLF001 - made here
    return status
