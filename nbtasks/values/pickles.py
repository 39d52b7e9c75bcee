"""Pickles: what nothing else can hold, and what is loaded only where this user has signed it."""

from __future__ import annotations

import dataclasses
import io
import pickle
from collections.abc import Iterable
from typing import Any

from nbtasks import signing
from nbtasks.errors import UnreadableValueError, UntrustedValueError, ValueNotKeptError
from nbtasks.values.content import content_hash

__all__ = ["dump", "load", "names", "sign"]

_MOST_NAMES = 20


def dump(value: object) -> bytes:
    """The pickle of a value.

    Raises:
        ValueNotKeptError: There is none; it names the part of the value that is why.
    """
    import cloudpickle  # lazily: most journals hold JSON only

    try:
        return bytes(cloudpickle.dumps(value))
    except Exception as error:
        raise ValueNotKeptError(
            f"{_where(value)} cannot be recorded: {error}. Return plain data, keep what cannot be "
            "recorded outside of the task, or say how with nb.register_codec."
        ) from error


def sign(data: bytes | memoryview) -> str:
    """This user's signature of a pickle."""
    return signing.sign(content_hash(data))


def is_signed(data: bytes | memoryview, signature: str) -> bool:
    """Whether this user has signed a pickle."""
    return signing.verify(content_hash(data), signature)


def load(data: bytes | memoryview, signature: str) -> Any:
    """The value of a pickle.

    Raises:
        UntrustedValueError: Somebody else has made it, and it was not loaded.
        UnreadableValueError: It cannot be loaded here.
    """
    if not is_signed(data, signature):
        raise UntrustedValueError(
            "The recorded value is a pickle that was not signed by you, and loading a stranger's "
            f"pickle may run any code. It was not loaded. It asks for {_listed(names(data))}."
        )
    import cloudpickle

    try:
        return cloudpickle.loads(data)
    except Exception as error:
        raise UnreadableValueError(
            f"The recorded pickle cannot be loaded here: {type(error).__name__}: {error}."
        ) from error


def names(data: bytes | memoryview) -> list[str]:
    """What a pickle would import, told by carrying it out with nothing: whatever it looks up is a
    thing that does nothing, so that no value on its way can hide a name."""
    found = _Names(bytes(data))
    try:
        found.load()
    except Exception:  # noqa: BLE001 - a stranger's bytes: what they raise says no more
        found.found["(and what cannot be told without loading it)"] = None
    return list(found.found)


class _Nothing:
    """What takes whatever a pickle does to it."""

    def __new__(cls, *_: Any, **__: Any) -> Any:
        return object.__new__(_Nothing)  # also where `cls` is one, as a class that a pickle makes

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __call__(self, *_: Any, **__: Any) -> Any:
        return _Nothing()

    append = extend = add = __setitem__ = __setstate__ = __call__


class _Names(pickle._Unpickler):  # noqa: SLF001 - the one in C reserves what a stranger's numbers say
    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        self.found: dict[str, None] = {}

    def find_class(self, module: str, name: str) -> Any:
        self.found[f"{module}.{name}"] = None
        return _Nothing

    def persistent_load(self, _: Any) -> Any:
        return _Nothing()

    def get_extension(self, code: int) -> None:
        self.find_class("copyreg", f"extension {code}")
        self.append(_Nothing)  # type: ignore[attr-defined]  # its stack


def _listed(found: list[str]) -> str:
    shown = [name[:80] for name in found[:_MOST_NAMES]]
    more = len(found) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "") or "nothing"


def _where(value: object) -> str:
    """Which part of a value cannot be pickled, for the message."""
    import cloudpickle

    place = ""
    seen: set[int] = set()
    while True:
        seen.add(id(value))
        for name, part in _parts(value):
            if id(part) in seen:
                continue  # a structure that holds itself
            try:
                cloudpickle.dumps(part)
            except Exception:  # noqa: BLE001 - whatever pickling it raises
                place, value = f"{place}{name}", part
                break
        else:
            at = f" at {place} of the output" if place else ""
            return f"A value of type {type(value).__module__}.{type(value).__qualname__}{at}"


def _parts(value: object) -> Iterable[tuple[str, object]]:
    """The parts of a value, each with how it is got at."""
    if isinstance(value, dict):
        return [(f"[{key!r}]", part) for key, part in value.items()]
    if isinstance(value, list | tuple):
        return [(f"[{place}]", part) for place, part in enumerate(value)]
    if isinstance(value, set | frozenset):
        return [("{...}", part) for part in value]
    if dataclasses.is_dataclass(value) or hasattr(value, "__dict__"):
        fields = dict(getattr(value, "__dict__", {}))
        if dataclasses.is_dataclass(value):
            fields |= {f.name: getattr(value, f.name, None) for f in dataclasses.fields(value)}
        return [(f".{name}", part) for name, part in fields.items()]
    return ()
