"""Values stored by name beyond a task: for a run, for all runs of a job, or for all jobs."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from typing import Any

from nbtasks.core import clock, keys, text
from nbtasks.core.model import EntryRow, Row
from nbtasks.errors import InvalidKeyError
from nbtasks.io.base import AsyncBaseIO, BaseIO
from nbtasks.journal import outputs
from nbtasks.journal.protocol import Find, Journal
from nbtasks.values import codec

__all__ = ["AsyncShelf", "AsyncStore", "AsyncStores", "Shelf", "Store", "SyncStores"]


class _Entries:
    """Values of one scope, in the journal.

    Args:
        journal: Journal that holds the values.
        scope: `env`, `job:<id>` or `run:<id>`.
    """

    def __init__(self, journal: Journal, scope: str) -> None:
        self._journal = journal
        self._scope = scope

    def get(self, name: str) -> Any:
        entry = self._find(self._journal.find, name)
        if entry is None or entry.value_kind is None:
            return None
        return outputs.load(self._journal, entry.value_kind, entry.value, entry.blob)

    def has(self, name: str) -> bool:
        entry = self._find(self._journal.find, name)
        return entry is not None and entry.value_kind is not None

    def set(self, name: str, value: Any) -> None:
        encoded = codec.encode(value, put=self._journal.put_blob)
        self._put(name, encoded.text, encoded.kind, outputs.store(self._journal, encoded))

    def delete(self, name: str) -> bool:
        return self._put(name, None, None, None)

    def _put(self, name: str, text: str | None, kind: str | None, blob: str | None) -> bool:
        """Replace the value of a name, or delete it; return True if there was a value."""
        existed = False

        def transaction(find: Find) -> Iterable[Row]:
            nonlocal existed
            entry = self._find(find, name)
            existed = entry is not None and entry.value_kind is not None
            if kind is not None or existed:
                # Later than the entry it replaces, even where the clock was set back.
                earliest = 0 if entry is None else entry.changed_us + 1
                now = max(clock.micros(), earliest)
                yield EntryRow(self._scope, name, now, text, kind, blob)

        self._journal.transact(transaction)
        return existed

    def _find(self, find: Find, name: str) -> EntryRow | None:
        rows: list[EntryRow] = find("entry", scope=self._scope, key=name)
        return rows[0] if rows else None


class _Shelf:
    """Calls on the values of one scope, as tasks of an io."""

    def __init__(self, io: BaseIO, scope: str) -> None:
        self._io = io
        self._scope = scope
        self._entries = _Entries(io._execution.journal, scope)  # noqa: SLF001 - a part of that io

    def _task(self, verb: str, key: keys.Key, name: object, *value: Any) -> Any:
        if not isinstance(name, str) or not name:
            raise InvalidKeyError(
                f"io.store: {name!r} cannot name a value: a name is a non-empty string. The first "
                "argument is the key of the task, the second the name."
            )
        text.check("io.store: the name of a value,", name, InvalidKeyError)
        params = {"scope": self._scope.partition(":")[0], "name": name}
        fn, io = getattr(self._entries, verb), self._io
        effects = io._builtin_task(key, fn, (name, *value), "database", params, depth=4)  # noqa: SLF001 - a part of that io
        return io._drive(effects, f"io.store.{params['scope']}.{verb}")  # noqa: SLF001 - as above

    def __repr__(self) -> str:
        return f"<io.store of {self._scope}>"


class Shelf(_Shelf):
    """Values of one scope, through blocking calls. Each call is a task."""

    def get(self, key: keys.Key, name: str) -> Any:
        """Return the value of a name, or None. A replay returns the value of the first read.

        Args:
            key: Key of the task, as in `run_task`.
            name: Name of the value: any non-empty string.
        """
        return self._task("get", key, name)

    def set(self, key: keys.Key, name: str, value: Any) -> None:
        """Store a value, once in the life of the run. It replaces an earlier value.

        Args:
            key: Key of the task, as in `run_task`.
            name: Name of the value.
            value: Any value that a task may return.

        Raises:
            TaskFailed: No journal can record the value.
        """
        self._task("set", key, name, value)

    def has(self, key: keys.Key, name: str) -> bool:
        """Return True if the name has a value.

        Args:
            key: Key of the task, as in `run_task`.
            name: Name of the value.
        """
        return bool(self._task("has", key, name))

    def delete(self, key: keys.Key, name: str) -> bool:
        """Delete the value of a name, and return True if there was one.

        Args:
            key: Key of the task, as in `run_task`.
            name: Name of the value.
        """
        return bool(self._task("delete", key, name))


class AsyncShelf(_Shelf):
    """Values of one scope, through awaitable calls. Each call is a task."""

    def get(self, key: keys.Key, name: str) -> Coroutine[Any, Any, Any]:
        """Return the value of a name, or None. Awaitable form of `Shelf.get`."""
        awaited: Coroutine[Any, Any, Any] = self._task("get", key, name)
        return awaited

    def set(self, key: keys.Key, name: str, value: Any) -> Coroutine[Any, Any, None]:
        """Store a value. Awaitable form of `Shelf.set`."""
        awaited: Coroutine[Any, Any, None] = self._task("set", key, name, value)
        return awaited

    def has(self, key: keys.Key, name: str) -> Coroutine[Any, Any, bool]:
        """Return True if the name has a value. Awaitable form of `Shelf.has`."""
        awaited: Coroutine[Any, Any, bool] = self._task("has", key, name)
        return awaited

    def delete(self, key: keys.Key, name: str) -> Coroutine[Any, Any, bool]:
        """Delete the value of a name. Awaitable form of `Shelf.delete`."""
        awaited: Coroutine[Any, Any, bool] = self._task("delete", key, name)
        return awaited


class Store:
    """Values by name that outlive the task that stored them: `io.store` of `SyncIO`.

    Attributes:
        run: Values of this run.
        job: Values that all runs of the job share.
        env: Values that all jobs of the home share.
    """

    def __init__(self, io: BaseIO) -> None:
        self.run, self.job, self.env = (Shelf(io, scope) for scope in _scopes(io))


class AsyncStore:
    """Values by name that outlive the task that stored them: `io.store` of `AsyncIO`.

    Attributes:
        run: Values of this run.
        job: Values that all runs of the job share.
        env: Values that all jobs of the home share.
    """

    def __init__(self, io: AsyncBaseIO) -> None:
        self.run, self.job, self.env = (AsyncShelf(io, scope) for scope in _scopes(io))


def _scopes(io: BaseIO) -> tuple[str, str, str]:
    run = io._execution.run  # noqa: SLF001 - a part of that io
    return f"run:{run.run_id}", f"job:{run.job}", "env"


class SyncStores(BaseIO):
    """`io.store` with blocking calls."""

    @property
    def store(self) -> Store:
        """Values by name: `io.store.run`, `io.store.job` and `io.store.env`.

        Each has `get`, `set`, `has` and `delete`. Each call is a task: the key first, then the
        name.

        ```python
        import nbtasks as nb


        @nb.job("store-example")
        def body(io: nb.SyncIO) -> int:
            seen = io.store.job.get("seen before", "seen") or 0
            io.store.job.set("count", "seen", seen + 1)
            return seen + 1


        assert [body.run(key=day).output for day in ("mon", "tue", "tue")] == [1, 2, 2]
        ```
        """
        return Store(self)


class AsyncStores(AsyncBaseIO):
    """`io.store` with awaitable calls."""

    @property
    def store(self) -> AsyncStore:
        """Values by name, as in `SyncIO.store`, with awaitable calls."""
        return AsyncStore(self)
