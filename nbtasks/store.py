"""Values that are kept by name, beyond a task: for the run, for all runs of its job, for all."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from typing import Any

from nbtasks import clock, codec, kept, keys
from nbtasks.driver import needs_loop
from nbtasks.errors import InvalidKeyError
from nbtasks.face import AsyncFace, Face
from nbtasks.journal.port import Find, Journal
from nbtasks.model import EntryRow, Row

__all__ = ["AsyncShelf", "AsyncStore", "AsyncStores", "Shelf", "Store", "SyncStores"]


class _Entries:
    """The values of one scope, in the journal.

    Args:
        journal: It.
        scope: `env`, `job:<id>` or `run:<id>`.
    """

    def __init__(self, journal: Journal, scope: str) -> None:
        self._journal = journal
        self._scope = scope

    def get(self, name: str) -> Any:
        entry = self._find(self._journal.find, name)
        if entry is None or entry.value_kind is None:
            return None
        return kept.value(self._journal, entry.value_kind, entry.value, entry.blob)

    def has(self, name: str) -> bool:
        entry = self._find(self._journal.find, name)
        return entry is not None and entry.value_kind is not None

    def set(self, name: str, value: Any) -> None:
        encoded = codec.encode(value)
        self._put(name, encoded.text, encoded.kind, kept.keep(self._journal, encoded))

    def delete(self, name: str) -> bool:
        return self._put(name, None, None, None)

    def _put(self, name: str, text: str | None, kind: str | None, blob: str | None) -> bool:
        """Puts a value in the place of the one that is there, and says whether there was one."""
        there = False

        def deal(find: Find) -> Iterable[Row]:
            nonlocal there
            entry = self._find(find, name)
            there = entry is not None and entry.value_kind is not None
            if kind is not None or there:
                later = 0 if entry is None else entry.changed_us + 1
                now = max(clock.micros(), later)
                yield EntryRow(self._scope, name, now, text, kind, blob)

        self._journal.transact(deal)
        return there

    def _find(self, find: Find, name: str) -> EntryRow | None:
        found: list[EntryRow] = find("entry", scope=self._scope, key=name)
        return found[0] if found else None


class _Shelf:
    """The calls of one scope, as tasks of an io."""

    def __init__(self, io: Face, scope: str) -> None:
        self._io = io
        self._scope = scope
        self._entries = _Entries(io._execution.journal, scope)  # noqa: SLF001 - a part of that io

    def _task(self, verb: str, key: keys.Key, name: object, *value: Any) -> Any:
        if not isinstance(name, str) or not name:
            raise InvalidKeyError(
                f"io.store: {name!r} is no name of a value, which is a non-empty string. The first "
                "argument is the key of the task, the second the name."
            )
        params = {"scope": self._scope.partition(":")[0], "name": name}
        fn, io = getattr(self._entries, verb), self._io
        if isinstance(io, AsyncFace):
            needs_loop("store")
        return io._drive(io._own(key, fn, (name, *value), "database", params, depth=4))  # noqa: SLF001 - a part of that io

    def __repr__(self) -> str:
        return f"<io.store of {self._scope}>"


class Shelf(_Shelf):
    """The values of one scope, by calls that block. Each call is a task."""

    def get(self, key: keys.Key, name: str) -> Any:
        """The value of a name; None if there is none. A replay gives what was read first.

        Args:
            key: The task's key, as in `run_task`.
            name: What the value is kept by: any string.
        """
        return self._task("get", key, name)

    def set(self, key: keys.Key, name: str, value: Any) -> None:
        """Keeps a value, in the place of an earlier one, once in the life of the run.

        Args:
            key: As of `get`.
            name: As there.
            value: Anything that a task may return.

        Raises:
            TaskFailed: No journal can hold the value.
        """
        self._task("set", key, name, value)

    def has(self, key: keys.Key, name: str) -> bool:
        """Whether there is a value of a name.

        Args:
            key: As of `get`.
            name: As there.
        """
        return bool(self._task("has", key, name))

    def delete(self, key: keys.Key, name: str) -> bool:
        """Forgets the value of a name, and says whether there was one.

        Args:
            key: As of `get`.
            name: As there.
        """
        return bool(self._task("delete", key, name))


class AsyncShelf(_Shelf):
    """The values of one scope, by calls that are awaited."""

    def get(self, key: keys.Key, name: str) -> Coroutine[Any, Any, Any]:
        """As `Shelf.get`, awaited."""
        awaited: Coroutine[Any, Any, Any] = self._task("get", key, name)
        return awaited

    def set(self, key: keys.Key, name: str, value: Any) -> Coroutine[Any, Any, None]:
        """As `Shelf.set`, awaited."""
        awaited: Coroutine[Any, Any, None] = self._task("set", key, name, value)
        return awaited

    def has(self, key: keys.Key, name: str) -> Coroutine[Any, Any, bool]:
        """As `Shelf.has`, awaited."""
        awaited: Coroutine[Any, Any, bool] = self._task("has", key, name)
        return awaited

    def delete(self, key: keys.Key, name: str) -> Coroutine[Any, Any, bool]:
        """As `Shelf.delete`, awaited."""
        awaited: Coroutine[Any, Any, bool] = self._task("delete", key, name)
        return awaited


class Store:
    """`io.store`: values by name, which outlive the task that put them there.

    Attributes:
        run: Those of this run.
        job: Those that all runs of the job share.
        env: Those that all jobs of the home share.
    """

    def __init__(self, io: Face) -> None:
        self.run, self.job, self.env = (Shelf(io, scope) for scope in _scopes(io))


class AsyncStore:
    """As `Store`, with calls that are awaited."""

    def __init__(self, io: AsyncFace) -> None:
        self.run, self.job, self.env = (AsyncShelf(io, scope) for scope in _scopes(io))


def _scopes(io: Face) -> tuple[str, str, str]:
    run = io._execution.run  # noqa: SLF001 - a part of that io
    return f"run:{run.run_id}", f"job:{run.job}", "env"


class SyncStores(Face):
    """`io.store` of the io that blocks."""

    @property
    def store(self) -> Store:
        """Values by name: `io.store.run`, `io.store.job` and `io.store.env`, each with `get`,
        `set`, `has` and `delete`. Each call is a task: the key first, then the name.

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


class AsyncStores(AsyncFace):
    """`io.store` of the io that is awaited."""

    @property
    def store(self) -> AsyncStore:
        """As `SyncIO.store`, with calls that are awaited."""
        return AsyncStore(self)
