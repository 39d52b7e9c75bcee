"""References to large values that workers have written into a store."""

from __future__ import annotations

import asyncio
import functools
import inspect
import pickle
import sys
from collections.abc import Callable
from typing import Any, Final

from nbtasks.core import disk
from nbtasks.core.settings import config
from nbtasks.errors import StoreError, UnreadableValueError, UntrustedValueError
from nbtasks.values import signing
from nbtasks.values.content import VerifiedBytes, content_hash
from nbtasks.values.large import records
from nbtasks.values.pickles import unpickler

__all__ = [
    "Ref", "by_value", "call", "found_in", "holds", "loaded", "loading", "made", "refs_in",
    "refused", "sendable",
]  # fmt: skip

#: Types in the record of a reference.
_FIELDS: Final = (str, int, str, str, str, str, str, str)
_KILO: Final = 1000


class Ref:
    """Reference to a large value that a worker has made, and written into the store.

    The body of a run gets it in place of the value, with `nb.configure(store=URL)`. Where a task
    takes it as an argument, also within lists, tuples and dicts, its function gets the value:
    loaded there, if it runs on a cluster. A replay gives the same reference. References to equal
    bytes are equal.

    Attributes:
        kind: Form of the value, as in the column `output_kind`: arrow, npy, pickle, ...
        nbytes: Size in bytes.
        digest: Hash of the bytes, which names them in the store.
        url: Folder in the store.

    ```python
    from concurrent.futures import ProcessPoolExecutor

    import nbtasks as nb


    def body(io: nb.SyncIO, pool: ProcessPoolExecutor) -> int:
        made = io.run_task("make", bytes, 2_000_000, options=nb.TaskOptions(on=pool))
        if isinstance(made, nb.Ref):  # nb.configure(store="s3://bucket/nbtasks")
            print(made, made.nbytes, made.load()[:10])
        return io.run_task("use", len, made)  # takes the value
    ```
    """

    __slots__ = ("_path", "_run_id", "_shape", "_signature", "digest", "kind", "nbytes", "url")

    def __init__(  # noqa: PLR0913, PLR0917 - the fields of its record
        self, shape: str, nbytes: int, kind: str, digest: str, url: str, run_id: str, path: str,
        signature: str = "",
    ) -> None:  # fmt: skip
        self.kind, self.digest, self.nbytes, self.url = kind, digest, nbytes, url
        self._shape, self._run_id, self._path = shape, run_id, path
        self._signature = signature
        made.append(True)
        del made[1:]

    @classmethod
    def signed(cls, about: dict[str, Any], url: str, run_id: str, path: str) -> Ref:
        """Return the reference to what a worker of this user has just written.

        Args:
            about: Facts about it, from the worker.
            url: The folder in the store.
            run_id: The run.
            path: The path of its task.
        """
        ref = cls(
            about["shape"], about["nbytes"], about["kind"], about["digest"],
            disk.without_password(url), run_id, path,
        )  # fmt: skip
        ref._signature = signing.sign(ref.token)
        return ref

    @classmethod
    def of_record(cls, record: Any) -> Ref:
        """Return the reference from its record.

        Raises:
            ValueError: It is none.
        """
        if type(record) is not list or tuple(map(type, record)) != _FIELDS:
            raise ValueError("it is no reference")
        return cls(*record)

    @property
    def record(self) -> list[Any]:
        """The reference as JSON."""
        return [
            self._shape, self.nbytes, self.kind, self.digest, self.url, self._run_id, self._path,
            self._signature,
        ]  # fmt: skip

    @property
    def token(self) -> str:
        """Hash of what a signature of the reference signs."""
        return content_hash(f"ref {self.kind} {self.digest} {self.url}".encode())

    @property
    def is_trusted(self) -> bool:
        """True if this user has made the reference, or trusts it."""
        return signing.verify(self.token, self._signature)

    def load(self) -> Any:
        """Return the value.

        Raises:
            UntrustedValueError: Another user's run made the reference.
            UnreadableValueError: The bytes are gone or different, or cannot be read here.
            StoreError: The store cannot be reached.
        """
        from nbtasks.values.stores import objects  # lazily: most runs have no store

        self.check()
        try:
            data = memoryview(objects.read(self.place, self.digest))
            verified = VerifiedBytes(self.digest, data, lambda: self.lost("its bytes have changed"))
            if self.kind == "pickle":
                return unpickler.Unpickler(verified.data).load()
            try:
                value = objects.decode(self.kind, verified.unchecked)
            except UnreadableValueError:
                verified.check()  # its error says more
                raise
            verified.check()
        except objects.Lost as error:
            raise self.lost(str(error)) from None
        except objects.Refused as error:
            raise refused(self.url, str(error)) from None
        return value

    def check(self) -> None:
        """Check that the value may be loaded.

        Raises:
            UntrustedValueError: Another user's run made the reference.
        """
        if self.is_trusted or (self.kind != "pickle" and self._is_in_own_store()):
            return
        raise UntrustedValueError(
            f"{self!r} was not made by you, so its bytes were not read from {_shown(self.url)}. If "
            f"you trust whoever made run {self._run_id}, nb.trust({self._run_id!r}) lets it be "
            "loaded."
        )

    def _is_in_own_store(self) -> bool:
        own = config.store
        return own is not None and self.url.startswith(f"{disk.without_password(own).rstrip('/')}/")

    @property
    def place(self) -> str:
        """The folder in the store, with the password of the store in force."""
        own = config.store
        if own is None or not self._is_in_own_store():
            return self.url
        return f"{own.rstrip('/')}{self.url[len(disk.without_password(own).rstrip('/')) :]}"

    def lost(self, reason: str) -> UnreadableValueError:
        """Return the error for a value that is gone."""
        return UnreadableValueError(
            f"{self!r} cannot be loaded from {_shown(self.url)}: {reason}. It is the output of "
            f"task {self._path!r} of run {self._run_id}. To compute it again, reset the task with "
            f"nb.get_run({self._run_id!r}).reset({self._path!r}), and execute the run."
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ref) and (self.kind, self.digest) == (other.kind, other.digest)

    def __hash__(self) -> int:
        return hash((self.kind, self.digest))

    def __reduce__(self) -> tuple[Any, ...]:
        return Ref, tuple(self.record)

    def __repr__(self) -> str:
        return f"<nb.Ref {self._shape}, {_size(self.nbytes)}>"


#: Holds something once there is a reference in this process: arguments are then searched for some.
made: list[bool] = []


def refused(url: str, reason: str, where: str = "") -> StoreError:
    """Return the error for a store that cannot be read or written."""
    return StoreError(
        f"The store {_shown(url)} cannot be used{where}: {reason}. Give access to it there, name "
        "another one with nb.configure(store=URL), or nb.configure(store=None) to send values "
        "through this process. Nothing that was recorded is lost: execute the run again."
    )


def _shown(url: str) -> str:
    return disk.without_password(url)


def _size(count: float) -> str:
    units = ["bytes", "kB", "MB", "GB", "TB"]
    while count >= _KILO and len(units) > 1:
        count /= _KILO
        del units[0]
    return f"{count:.0f} {units[0]}"


def refs_in(kind: str, text: str | None, data: memoryview | None) -> list[Ref]:
    """Return the references in a record: those that stand in its JSON.

    Args:
        kind: The kind of the record.
        text: The text of the row.
        data: The bytes of its file, if there is one.
    """
    content = (text or "").encode() if data is None else bytes(data)
    if kind not in ("tagged", "parts", "bindings") or b'"$ref"' not in content:
        return []
    found: list[Ref] = []
    todo = [records.Record(kind, text, data).tagged()[0]]
    for node in todo:  # the list grows meanwhile
        if type(node) is dict:
            todo += node.values()
            if node.keys() == {"$ref"}:
                found.append(Ref.of_record(node["$ref"]))
        elif type(node) is list:
            todo += node
    return found


# -- references among arguments --------------------------------------------------------------------


def holds(value: Any) -> bool:
    """Return True if a value is a reference, or a list, a tuple or a dict that holds some."""
    kind = type(value)
    if kind is list or kind is tuple:
        return any(map(holds, value))
    if kind is dict:
        return any(map(holds, value.values()))
    return kind is Ref


def loaded(value: Any) -> Any:
    """Return a value with the values of the references in it in their place."""
    kind = type(value)
    if kind is Ref:
        return value.load()
    if not holds(value):
        return value
    if kind is dict:
        return {name: loaded(one) for name, one in value.items()}
    return kind(map(loaded, value))


def sendable(value: Any) -> Any:
    """Return a value in which any process that loads it has the values of the references in it.

    Raises:
        UntrustedValueError: Another user's run made a reference.
    """
    kind = type(value)
    if kind is Ref:
        value.check()
        return _Sendable(value)
    if not holds(value):
        return value
    if kind is dict:
        return {name: sendable(one) for name, one in value.items()}
    return kind(map(sendable, value))


def found_in(value: Any) -> list[Ref]:
    """Return the references in a value, as `holds` finds them."""
    kind = type(value)
    if kind is list or kind is tuple:
        return [ref for one in value for ref in found_in(one)]
    if kind is dict:
        return found_in([*value.values()])
    return [value] if kind is Ref else []


def loading(fn: Callable[..., Any], args: tuple[Any, ...]) -> Callable[..., Any]:
    """Return a function that loads the references among its arguments and calls `fn`.

    It is `fn` itself if there are none, or if it is one of io, which records or passes them on.
    """
    if type(fn) is functools.partial:
        if not holds(args) and not holds(fn.keywords):
            return fn
        return functools.partial(_loading(fn.func), *fn.args, **fn.keywords)
    return _loading(fn) if holds(args) else fn


def call(fn: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Call a function, with the values of the references among its arguments in their place."""
    return (loading(fn, args) if made else fn)(*args)


def _loading(fn: Callable[..., Any]) -> Callable[..., Any]:
    module = getattr(fn, "__module__", None) or ""
    if module.startswith("nbtasks.") and not module.startswith("nbtasks.integrations."):
        return fn
    if inspect.iscoroutinefunction(fn):

        async def load_and_await(*args: Any, **kwargs: Any) -> Any:
            args, kwargs = await asyncio.to_thread(loaded, (args, kwargs))
            return await fn(*args, **kwargs)

        return load_and_await

    def load_and_call(*args: Any, **kwargs: Any) -> Any:
        return fn(*loaded(args), **loaded(kwargs))

    return load_and_call


class _Sendable:
    """Reference on its way to another process, where its pickle loads as the value."""

    def __init__(self, ref: Ref) -> None:
        self._ref = ref

    def __reduce__(self) -> tuple[Any, ...]:
        return _FETCH, (self._ref.place, self._ref.digest, self._ref.kind)


class _Fetch:
    """`objects.fetch`, which any pickler sends by value."""

    def __call__(self, url: str, name: str, kind: str) -> Any:
        from nbtasks.values.stores import objects  # as above

        return objects.fetch(url, name, kind)

    def __reduce__(self) -> tuple[Any, ...]:
        return pickle.loads, (_fetch_by_value(),)


_FETCH: Final = _Fetch()


@functools.cache
def _fetch_by_value() -> bytes:
    from nbtasks.values.stores import objects  # as above

    return by_value(objects.fetch, objects.__name__)


def by_value(value: Any, *modules: str) -> bytes:
    """Return a pickle that holds the code of modules, and needs none of them."""
    import cloudpickle

    found = [sys.modules[name] for name in modules]
    for module in found:
        cloudpickle.register_pickle_by_value(module)
    try:
        return bytes(cloudpickle.dumps(value))
    finally:
        for module in found:
            cloudpickle.unregister_pickle_by_value(module)
