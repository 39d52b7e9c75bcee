"""Codec of pickles, for all other values; only pickles signed by this user are loaded."""

from __future__ import annotations

import dataclasses
import io
import pickle
from collections.abc import Iterable
from typing import Any

from nbtasks.errors import UnreadableValueError, UntrustedValueError, ValueNotKeptError
from nbtasks.values import signing
from nbtasks.values.content import content_hash
from nbtasks.values.pickles import promises

__all__ = ["dump", "load", "names", "sign"]

_MOST_NAMES = 20
_LONGEST_PLACE = 160


def dump(value: object) -> bytes:
    """Return the pickle of a value.

    Raises:
        ValueNotKeptError: The value cannot be pickled. The message names the part to blame.
    """
    from nbtasks.values.pickles import pickler  # lazily: most journals hold JSON only

    try:
        return pickler.dumps(value)
    except Exception as error:
        place, part = _locate(value)
        at = f" at {place} of the output" if place else ""
        kind = f"{type(part).__module__}.{type(part).__qualname__}"
        if isinstance(error.__cause__ or error, RecursionError):
            reason = (
                "it is nested too deeply, as a long chain of objects is. Return plain data, such "
                "as a list of what is in it"
            )
        elif promise := promises.explain(type(part)):
            reason = f"it is {promise}"
        else:
            reason = (
                f"{error}. Return plain data, keep the object outside the task, or register a "
                "codec for it with nb.register_codec"
            )
        raise ValueNotKeptError(
            f"A value of type {kind}{at} cannot be recorded: {reason}."
        ) from error


def sign(data: bytes | memoryview) -> str:
    """Return this user's signature of a pickle."""
    return signing.sign(content_hash(data))


def is_signed(data: bytes | memoryview, signature: str) -> bool:
    """Return True if this user has signed or trusted a pickle."""
    return signing.verify(content_hash(data), signature)


def load(data: bytes | memoryview, signature: str) -> Any:
    """Return the value of a pickle.

    Raises:
        UntrustedValueError: This user has not signed the pickle, so it was not loaded.
        UnreadableValueError: The pickle cannot be loaded here.
    """
    if not is_signed(data, signature):
        raise UntrustedValueError(
            "The recorded value is a pickle that was not signed by you, and loading a stranger's "
            f"pickle may run any code. It was not loaded. It would import "
            f"{_join_names(names(data))}."
        )
    from nbtasks.values.pickles import unpickler

    source = unpickler.Unpickler(data)
    try:
        return source.load()
    except UnreadableValueError:
        raise
    except Exception as error:
        raise UnreadableValueError(
            f"The recorded pickle cannot be loaded here: {type(error).__name__}: {error}."
            f"{_describe_needs(source.names)}"
        ) from error


def names(data: bytes | memoryview) -> list[str]:
    """Return the names that a pickle would import, without importing any.

    The pickle is executed with a dummy in place of each imported object. So it does nothing, and
    no intermediate value can hide a name.
    """
    unpickler = _NameCollector(bytes(data))
    try:
        unpickler.load()
    except Exception:  # noqa: BLE001 - a stranger's bytes may raise anything
        unpickler.collected["(and names that only loading it would show)"] = None
    return list(unpickler.collected)


class _Dummy:
    """Dummy object that accepts every operation of a pickle and does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> Any:
        return object.__new__(_Dummy)  # also if `cls` is a dummy instance, as the class in a pickle

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __call__(self, *_: Any, **__: Any) -> Any:
        return _Dummy()

    append = extend = add = __setitem__ = __setstate__ = __call__


class _NameCollector(pickle._Unpickler):  # noqa: SLF001 - the one in C allocates as much as a stranger asks
    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        self.collected: dict[str, None] = {}

    def find_class(self, module: str, name: str) -> Any:
        self.collected[f"{module}.{name}"] = None
        return _Dummy

    def persistent_load(self, _: Any) -> Any:
        return _Dummy()

    def get_extension(self, code: int) -> None:
        self.find_class("copyreg", f"extension {code}")
        self.append(_Dummy)  # type: ignore[attr-defined]  # of the stack


def _describe_needs(names: list[str]) -> str:
    """Return what to do about the notebook's classes that a pickle needs, if it needs any."""
    if not names:
        return ""
    needed = _join_names(list(dict.fromkeys(names)))
    return (
        f" It needs {needed} of this notebook. If a definition has changed since the value was "
        "recorded, the recorded state may no longer fit it: define it as it was."
    )


def _join_names(names: list[str]) -> str:
    listed = [name[:80] for name in names[:_MOST_NAMES]]
    more = len(names) - len(listed)
    return ", ".join(listed) + (f" and {more} more" if more else "") or "nothing"


def _locate(value: object) -> tuple[str, object]:
    """Return the place of the part of a value that cannot be pickled, and the part."""
    from nbtasks.values.pickles import pickler

    place = ""
    seen: set[int] = set()
    while True:
        seen.add(id(value))
        for name, part in () if promises.explain(type(value)) else _list_parts(value):
            if id(part) in seen:
                continue  # a structure that contains itself
            try:
                pickler.dumps(part)
            except Exception:  # noqa: BLE001 - pickling may raise anything
                place, value = f"{place}{name}", part
                break
        else:
            if len(place) > _LONGEST_PLACE:
                place = f"{place[: _LONGEST_PLACE // 2]}...{place[-_LONGEST_PLACE // 2 :]}"
            return place, value


def _list_parts(value: object) -> Iterable[tuple[str, object]]:
    """Return the parts of a value, each with the expression to access it."""
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
