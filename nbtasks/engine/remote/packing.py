"""Calls as bytes, which go to another process.

The function is apart from the call's own data, so that calls of one function can share it.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import pickle
import sys
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import MethodType
from typing import Any, Final, NamedTuple

from nbtasks.core import keys
from nbtasks.core.parameters import unwrapped
from nbtasks.engine.effects import CallFunction, Running
from nbtasks.engine.remote import stored
from nbtasks.engine.remote.reports import Sent
from nbtasks.errors import ExecutorError
from nbtasks.values.content import content_hash

__all__ = [
    "Group", "PackedFunction", "Parcel", "function_name", "pack", "pack_function",
    "pack_with_arguments", "plain",
]  # fmt: skip

#: Size from which on a function is sent once, and not with each call.
_LARGE: Final = 10_000


@dataclass(frozen=True, slots=True)
class PackedFunction:
    """Function on its way to another process.

    Attributes:
        data: The function, pickled.
        futures: The engine's own futures that it refers to, which the engine resolves.
        is_kept: Whether later calls may need it, too.
        digest: Digest of data and futures.
    """

    data: bytes
    futures: list[Any]
    is_kept: bool = True
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        found = hashlib.sha256(self.data)
        for future in self.futures:
            found.update(str(future).encode())
        object.__setattr__(self, "digest", found.hexdigest())

    @property
    def is_large(self) -> bool:
        """True if it should not be sent and loaded again for each call."""
        return len(self.data) > _LARGE

    @property
    def cached_as(self) -> str:
        """Name by which a worker process keeps it for its next call; empty for a small one."""
        return self.digest if self.is_large and self.is_kept else ""


class Parcel(NamedTuple):
    """Call on its way to another process.

    Attributes:
        name: Name of the call; no other call has it.
        payload: Facts of its task, its longest time and its arguments, pickled.
        futures: The engine's own futures among its arguments.
        function: The function.
        execution: The execution that makes the call.
        reply: The reply.
    """

    name: str
    payload: bytes
    futures: list[Any]
    function: PackedFunction
    execution: Running
    reply: Sent

    @property
    def size(self) -> int:
        """Number of bytes that only this call needs."""
        return len(self.payload) + (0 if self.function.is_kept else len(self.function.data))


@dataclass(eq=False, slots=True)
class Group:
    """Calls of one function that travel together.

    Attributes:
        parcels: The calls.
        number: Number of this sending.
        replies: Future of their replies.
    """

    parcels: list[Parcel]
    number: int = 1
    replies: Future[list[Any]] = field(default_factory=Future)

    @property
    def function(self) -> PackedFunction:
        """The function."""
        return self.parcels[0].function

    @property
    def name(self) -> str:
        """Name of the group; no other group has it.

        A resumed run joins a group by it, so it depends on the name of every call.
        """
        first, *others = (parcel.name for parcel in self.parcels)
        again = f"-{self.number}" if self.number > 1 else ""
        if not others:
            return f"{first}{again}"
        digest = content_hash("\n".join(others).encode())[:16]
        return f"{first}{again}+{len(others)}-{digest}"

    @property
    def calls(self) -> list[tuple[bytes, Sequence[Any]]]:
        """The calls, as the runner takes them."""
        return [(parcel.payload, parcel.futures) for parcel in self.parcels]


def pack(
    call: CallFunction,
    seconds: float | None,
    key: str,
    reply: Sent,
    function: PackedFunction,
    kind: type | None,
) -> Parcel:
    """Return a call as a parcel.

    Args:
        call: The call.
        seconds: The longest that it may take.
        key: Its name.
        reply: Its reply.
        function: Its function.
        kind: The class of the engine's own futures; None if it has none.

    Raises:
        ExecutorError: An argument cannot be sent.
    """
    row = call.context.row
    assert row is not None  # noqa: S101 - only tasks call functions
    facts = {
        "key": keys.display(row.path), "path": row.path, "run_id": row.run_id,
        "attempt": row.attempt, "idempotency_key": keys.token(row.run_id, row.path),
        "call": key, "store": stored.facts(call, key),
    }  # fmt: skip
    try:
        args, futures = _dumps(call.args, kind)
        payload, _ = _dumps((facts, seconds, args), None)
    except Exception as error:
        raise _refused(call, error) from error
    return Parcel(key, payload, futures, function, call.context.execution, reply)


def pack_function(call: CallFunction, kind: type | None) -> PackedFunction:
    """Return the function of a call as bytes; see `pack`."""
    return _packed(call, call.fn, kind)


def pack_with_arguments(
    call: CallFunction, seconds: float | None, parcel: Parcel, kind: type | None
) -> Parcel:
    """Return a parcel whose function has the arguments of the call; see `pack`."""
    whole = _packed(call, functools.partial(call.fn, *call.args), kind, is_kept=False)
    bare = call._replace(args=())
    return pack(bare, seconds, parcel.name, parcel.reply, whole, kind)


def _packed(
    call: CallFunction, fn: Any, kind: type | None, *, is_kept: bool = True
) -> PackedFunction:
    try:
        return PackedFunction(*_dumps(_importable(fn), kind), is_kept)
    except Exception as error:
        raise _refused(call, error) from error


def _refused(call: CallFunction, error: Exception) -> ExecutorError:
    subject = f"function {function_name(call.fn)}"
    named = call.fn.keywords if type(call.fn) is functools.partial else {}
    for number, value in (*enumerate(call.args), *named.items()):
        try:
            _dumps(value, None)
        except Exception:  # noqa: BLE001 - whatever pickling it raises
            kind = f"{type(value).__module__}.{type(value).__qualname__}"
            subject = f"argument {number} (a {kind}) of function {function_name(call.fn)}"
            break
    return ExecutorError(
        f"Task {call.context.path!r}: the {subject} cannot be sent to another process: "
        f"{type(error).__name__}: {error}. Use a function that needs only its arguments, "
        "and open files, connections and locks inside of it; or use a pool of threads, "
        "which share memory."
    )


def _importable(fn: Any) -> Any:
    """Return the task function of a plain function whose module has only that one under its name.

    Another process imports it. There is no run there, so it is the plain function.
    """
    if type(fn) is functools.partial:
        return functools.partial(_importable(fn.func), *fn.args, **fn.keywords)
    if type(fn) is MethodType:
        return MethodType(_importable(fn.__func__), fn.__self__)
    module = getattr(fn, "__module__", None) or "__main__"
    if module == "__main__":  # sent by value, as it is
        return fn
    found: Any = sys.modules.get(module)
    for name in str(getattr(fn, "__qualname__", "")).split("."):
        found = getattr(found, name, None)
    return found if unwrapped(found) is fn else fn


def plain(fn: Any) -> Any:
    """Return the function that partial ones call."""
    return plain(fn.func) if type(fn) is functools.partial else fn


def function_name(fn: Any) -> str:
    """Return the name of a function for people."""
    fn = plain(fn)
    return str(getattr(fn, "__qualname__", None) or repr(fn))


# -- pickles that leave futures to the engine ------------------------------------------------------


def _dumps(value: Any, kind: type | None) -> tuple[bytes, list[Any]]:
    """Return a value as bytes, and the futures of class `kind` in it, in the order of their ids.

    The content of large arrays and frames stands behind the pickle, so that it is copied once.
    """
    finder, pickler_of_futures = _picklers()
    for pickler_class in (finder, pickler_of_futures):
        stream, buffers = io.BytesIO(), list[memoryview]()

        def stays_inside(buffer: pickle.PickleBuffer, buffers: Any = buffers) -> bool:
            if (raw := buffer.raw()).nbytes < _LARGE:
                return True
            buffers.append(raw)
            return False

        pickler = pickler_class(stream, stays_inside, kind)
        with contextlib.suppress(_FutureFoundError):
            pickler.dump(value)
            break
    data = stream.getvalue()
    if buffers:
        head = pickle.dumps((data, [buffer.nbytes for buffer in buffers]))
        data = b"".join([len(head).to_bytes(8), head, *buffers])
    return data, list(pickler.futures.values())


class _FutureFoundError(Exception):
    pass


@functools.cache
def _picklers() -> tuple[Any, Any]:
    import cloudpickle

    class Finder(cloudpickle.Pickler):  # type: ignore[misc] # cloudpickle has no types
        """Pickler that stops at a future. Asking for each object's id would take longer."""

        def __init__(self, file: io.BytesIO, keep: Any, kind: type | None) -> None:
            super().__init__(file, 5, keep)
            self._kind = kind
            self.futures: dict[int, Any] = {}

        def reducer_override(self, obj: Any) -> Any:
            if self._kind is not None and isinstance(obj, self._kind):
                raise _FutureFoundError
            return super().reducer_override(obj)

    class PicklerOfFutures(cloudpickle.Pickler):  # type: ignore[misc] # cloudpickle has no types
        """Pickler that writes a number in place of a future."""

        def __init__(self, file: io.BytesIO, keep: Any, kind: type) -> None:
            super().__init__(file, 5, keep)
            self._kind = kind
            self.futures: dict[int, Any] = {}
            self._numbers: dict[int, int] = {}

        def persistent_id(self, obj: Any) -> int | None:
            if not isinstance(obj, self._kind):
                return None
            self.futures[id(obj)] = obj
            return self._numbers.setdefault(id(obj), len(self._numbers))

    return Finder, PicklerOfFutures
