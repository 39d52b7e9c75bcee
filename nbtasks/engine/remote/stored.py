"""Calls with a store: references go there, large values stay there, outcomes wait there.

A worker writes a large result into the store of `nb.configure(store=)`, and what its call has given
beside it before it answers. So a run whose process has died takes what was finished without it.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from typing import TYPE_CHECKING, Any, Final

from nbtasks.core import clock
from nbtasks.errors import StoreError
from nbtasks.journal.home import store_folder
from nbtasks.values import signing
from nbtasks.values.content import content_hash
from nbtasks.values.stores import objects, refs

if TYPE_CHECKING:
    from nbtasks.engine.effects import CallFunction, Running

__all__ = ["facts", "has_left", "left", "result", "sendable"]

#: Time after which what has been left is listed again.
_FRESH_US: Final = 2_000_000


def sendable(call: CallFunction) -> CallFunction:
    """Return a call in which something that any worker turns into its value stands for each
    reference.

    Raises:
        UntrustedValueError: Another user's run made a reference.
    """
    if not refs.made:
        return call
    fn = call.fn
    if type(fn) is functools.partial and refs.holds(fn.keywords):
        fn = functools.partial(fn.func, *fn.args, **refs.sendable(fn.keywords))
    return call._replace(fn=fn, args=refs.sendable(call.args))


def facts(call: CallFunction, key: str) -> dict[str, str] | None:
    """Return what a worker has to know of the store; None without one.

    Args:
        call: The call.
        key: Its key: the same one for the same attempt, function and inputs.

    Raises:
        StoreError: The store cannot be opened here.
    """
    url = store_folder.folder(call.context.execution.journal)
    if url is None:
        return None
    try:
        objects.open_store(url)
    except objects.Refused as error:
        raise refs.refused(url, str(error)) from None
    place = f"{call.context.execution.run.run_id}/{content_hash(key.encode())}"
    _outcomes_of(call.context.execution, url).note(place)
    return {"url": url, "place": place, "secret": _secret(place)}


def _secret(place: str) -> str:
    """Return what a worker needs to leave an outcome: no other one, and none of another user."""
    return signing.sign(content_hash(f"outcome {place}".encode()))


def left(call: CallFunction, store: dict[str, str] | None) -> Any:
    """Return the reply that a worker has left after the process that began the attempt had died;
    None if there is none."""
    row = call.context.row
    if store is None or row is None or row.sent is None or row.sent == row.attempts:
        return None
    return _outcomes_of(call.context.execution, store["url"]).take(store["place"])


def has_left(call: CallFunction, store: dict[str, str] | None) -> bool:
    """Return True if a worker has left the reply to a call, which `left` then returns."""
    if store is None:
        return False
    return _outcomes_of(call.context.execution, store["url"]).keep(store["place"])


def result(kind: str, content: Any, call: CallFunction) -> Any:
    """Return the reference to a value in the store, from the outcome of a call.

    Raises:
        StoreError: The store cannot be read or written there.
        UnreadableValueError: A value that the function takes is gone.
    """
    run, path = call.context.execution.run, call.context.path
    if kind == "stored":
        return refs.Ref.signed(content, content["url"], run.run_id, path)
    url = store_folder.folder(call.context.execution.journal) or "of a reference"
    if kind == "lost":
        raise _lost(str(content), call)
    raise refs.refused(url, str(content), f" by a worker for task {path!r} of run {run.run_id}")


def _lost(reason: str, call: CallFunction) -> Exception:
    named = call.fn.keywords if type(call.fn) is functools.partial else {}
    given = refs.found_in([call.args, named])
    ref = next((one for one in given if one.digest in reason), None)
    if ref is not None:
        return ref.lost("its bytes are gone, or are others")
    return StoreError(f"A value that task {call.context.path!r} takes cannot be loaded: {reason}.")


class _Outcomes:
    """Outcomes that workers have left for an execution.

    Its end removes them: what counts is recorded then.
    """

    def __init__(self, execution: Running, url: str) -> None:
        self._url, self._run_id = url, execution.run.run_id
        self._execution = execution
        self._found: set[str] = set()
        self._own: set[str] = set()
        self._kept: dict[str, Any] = {}
        self._listed_us = 0
        self._lock = threading.Lock()
        execution.pending.add(self)  # whose end calls `cancel`

    def note(self, place: str) -> None:
        """Note a place that the end of the execution clears."""
        self._own.add(place.rpartition("/")[2])

    def keep(self, place: str) -> bool:
        """Keep the reply at a place for `take`, whatever becomes of the store; return False if
        there is none."""
        self._kept[place] = reply = self._read(place)
        return reply is not None

    def take(self, place: str) -> Any:
        """Return the reply at a place; None if there is none."""
        reply = self._kept.pop(place, None)
        return self._read(place) if reply is None else reply

    def _read(self, place: str) -> Any:
        with contextlib.suppress(Exception):  # then the function is called again
            fs, folder = objects.open_store(self._url)
            with self._lock:
                if clock.micros() - self._listed_us > _FRESH_US:
                    self._found = self._list(fs, folder)
                    self._listed_us = clock.micros()
            if place.rpartition("/")[2] in self._found:
                return objects.take(fs, f"{folder}/outcomes/{place}", place, _secret(place))
        return None

    def cancel(self) -> None:
        """Remove what this execution has sent and taken. Others wait for the next one."""
        self._execution.pending.discard(self)
        with _lock:
            _known.pop(self._execution, None)
        with contextlib.suppress(Exception):  # else nb.gc does
            fs, folder = objects.open_store(self._url)
            own = self._own & self._list(fs, folder)
            if own:
                fs.rm([f"{folder}/outcomes/{self._run_id}/{name}" for name in sorted(own)])

    def _list(self, fs: Any, folder: str) -> set[str]:
        fs.invalidate_cache()
        return {path.rpartition("/")[2] for path in fs.find(f"{folder}/outcomes/{self._run_id}")}


def _outcomes_of(execution: Running, url: str) -> _Outcomes:
    with _lock:
        outcomes = _known.get(execution)
        if outcomes is None:
            outcomes = _known[execution] = _Outcomes(execution, url)
    return outcomes


_known: dict[Running, _Outcomes] = {}
_lock = threading.Lock()
