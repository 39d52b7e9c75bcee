"""State of an error as JSON: its arguments, attributes, notes and members, as far as they are data.

A value is an object with one key: `v` for data as `tagged_json` writes it; `list`, `tuple` and
`dict` for containers that hold other things than data; `error` for an exception; `object` for the
part of any other object that is data; `arg` for an element of the error's own `args`.
"""

from __future__ import annotations

import base64
import contextlib
import types
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final

import orjson

from nbtasks.values import redaction, tagged_json
from nbtasks.values.failures.objects import RecordedMapping, RecordedObject

__all__ = ["NotKept", "Reader", "describe", "name_of", "scrub", "text_of"]

#: Most bytes of JSON of one value, and of the whole state of an error.
_VALUE_BYTES: Final = 16 << 10
_TOTAL_BYTES: Final = 64 << 10
#: Levels of objects, containers and errors below an error.
_DEPTH: Final = 6
#: What is neither data nor has any.
_OPAQUE = (type, types.ModuleType, types.FunctionType, types.MethodType, types.BuiltinFunctionType)
#: Properties that are read of the requests and responses of HTTP clients, besides attributes.
_HTTP: Final = (
    "status_code",
    "status",
    "reason",
    "reason_phrase",
    "method",
    "url",
    "headers",
    "text",
)
_HTTP_CLIENTS: Final = ("aiohttp", "httpx", "requests", "urllib", "urllib3", "http")
_DESCRIPTORS = (types.MemberDescriptorType, types.GetSetDescriptorType)


class NotKept(Exception):  # noqa: N818 - a signal inside of this package
    """Signal that a value is not kept; its text is the reason."""


def name_of(kind: type) -> list[str]:
    """Return the module and the qualified name of a class."""
    return [str(kind.__module__), str(kind.__qualname__)]


def text_of(error: BaseException) -> str:
    """Return `str(error)` as text that JSON can hold."""
    try:
        message = str(error)
    except Exception as broken:  # noqa: BLE001 - a user-defined __str__ may raise anything
        message = f"(its __str__ failed: {broken!r})"
    return valid(message)


def valid(text: str) -> str:
    """Return the text without lone surrogates, which JSON does not have."""
    return text.encode("utf-8", "replace").decode()


def describe(error: BaseException) -> dict[str, Any]:
    """Return the state of an error, without its class and its message."""
    return _Writer().state(error, 0)


class _Writer:
    """Writer of one state, within its limits of size."""

    def __init__(self) -> None:
        self._left = _TOTAL_BYTES
        self._above: list[int] = []

    def state(self, error: BaseException, depth: int) -> dict[str, Any]:
        kind, state = type(error), dict[str, Any]()
        if kind.__module__ != "builtins":
            state["bases"] = list(_bases(kind))
        notes = [valid(str(note)) for note in getattr(error, "__notes__", None) or ()]
        if notes:
            state["notes"] = notes
        if isinstance(error, BaseExceptionGroup):
            state["group"] = valid(error.message)
            state["members"] = [self._error(member, depth + 1) for member in error.exceptions]
            is_plain = tuple(map(type, error.args)) in ((str, list), (str, tuple))
        else:
            is_plain = [*map(type, error.args)] == [str] and error.args[0] == text_of(error)
        if not is_plain:
            state["args"] = [self._argument(value, depth) for value in error.args]
        self._write_attributes(error, state, depth)
        return state

    def _argument(self, value: object, depth: int) -> Any:
        try:
            return self.value(value, depth)
        except NotKept:
            return {"object": {"kind": type(value).__qualname__}}

    def _write_attributes(self, error: BaseException, state: dict[str, Any], depth: int) -> None:
        kept: dict[str, Any] = {}
        lost: dict[str, str] = {}
        for name, value in _attributes(error):
            position = next((i for i, arg in enumerate(error.args) if arg is value), None)
            try:
                if position is not None and "args" in state and value is not None:
                    kept[name] = {"arg": position}
                else:
                    shown = redaction.hide_secrets(value) if name == "headers" else value
                    kept[name] = self.value(shown, depth)
            except NotKept as reason:
                lost[name] = str(reason)
        native = _find_constructor(error)
        if native is not None:
            # Without its arguments, its nearest base that needs none takes its place.
            with contextlib.suppress(NotKept):
                state["made"] = [*native[:3], self.value(native[3], depth)]
        if kept:
            state["attributes"] = kept
        if lost:
            state["lost"] = lost

    def value(self, value: object, depth: int) -> Any:
        """Return a value as JSON.

        Raises:
            NotKept: Nothing of it is data, or it is too large.
        """
        if depth > _DEPTH or id(value) in self._above:
            raise NotKept("it is nested too deeply")
        if isinstance(value, BaseException):
            return {"error": self._error(value, depth + 1)}
        self._above.append(id(value))
        try:
            return self._data(value, depth)
        finally:
            self._above.pop()

    def _data(self, value: Any, depth: int) -> Any:
        if not _is_small(value):
            raise NotKept("it is too large")
        try:
            written = orjson.dumps(tagged_json.tag(value))
        except Exception:  # noqa: BLE001 - NotTaggable, a codec's own error, what orjson refuses
            return self._parts(value, depth)
        return {"v": orjson.loads(self._take(written))}

    def _parts(self, value: Any, depth: int) -> Any:
        """Return a container or an object as JSON, as far as it is data."""
        kind = type(value)
        if kind in (list, tuple):
            return {kind.__name__: [self._argument(item, depth + 1) for item in value]}
        if kind is dict:
            pairs = value.items()
            below = depth + 1
            return {"dict": [[self.value(k, below), self._argument(v, below)] for k, v in pairs]}
        if isinstance(value, _OPAQUE) or getattr(value, "ndim", None) is not None:
            raise NotKept(f"a {kind.__qualname__} is no data")
        parts = _object_parts(value)
        kept = {name: part for name, part in parts.items() if not callable(part)}
        written: dict[str, Any] = {"kind": kind.__qualname__}
        attributes = self._named(kept, depth)
        if isinstance(value, Mapping) or _is_message(value):
            items = {str(key): item for key, item in value.items()}
            written["items"] = self._named(items, depth)
            written["folds"] = _folds(value)
        elif not attributes:
            raise NotKept(f"a {kind.__qualname__} is no data")
        if attributes:
            written["attributes"] = attributes
        return {"object": written}

    def _named(self, values: Mapping[str, Any], depth: int) -> dict[str, Any]:
        written: dict[str, Any] = {}
        for name, value in values.items():
            if redaction.SECRET.search(name):
                written[name] = {"v": redaction.REDACTED}  # headers, above all
                continue
            try:
                written[name] = self.value(value, depth + 1)
            except NotKept:
                continue
        return written

    def _error(self, error: BaseException, depth: int) -> dict[str, Any]:
        recorded = vars(error).get("_record")
        if recorded is not None:  # the failure of a subtask
            return dict(recorded)
        module, name = name_of(type(error))
        message = text_of(error)
        if depth > _DEPTH or self._left <= 0 or id(error) in self._above:
            return {"type": name, "module": module, "message": message[:_VALUE_BYTES]}
        self._above.append(id(error))
        try:
            state = self.state(error, depth)
        finally:
            self._above.pop()
        self._left -= len(message)
        return {"type": name, "module": module, "message": message, "state": state}

    def _take(self, written: bytes) -> bytes:
        if len(written) > min(_VALUE_BYTES, self._left):
            raise NotKept("it is too large")
        self._left -= len(written)
        return written


def _bases(kind: type) -> Iterator[list[str]]:
    """Yield the names of the bases of a class, up to the first one that is a builtin."""
    for base in kind.__mro__[1:]:
        if base is Exception:
            return
        if issubclass(base, Exception):
            yield name_of(base)
            if base.__module__ == "builtins":
                return


def _attributes(error: BaseException) -> Iterator[tuple[str, Any]]:
    """Yield the attributes of an error, also those in slots and in C structures."""
    for kind in type(error).__mro__:
        if kind is BaseException or issubclass(BaseExceptionGroup, kind):
            continue  # what an exception and a group have is no attribute of theirs alone
        for name, value in _slots(kind, error, _DESCRIPTORS):
            if value is not None or kind.__module__ != "builtins":
                yield name, value
    yield from [item for item in vars(error).items() if item[0] != "__notes__"]


def _slots(kind: type, value: object, descriptors: Any) -> Iterator[tuple[str, Any]]:
    """Yield what the descriptors of one class hold."""
    for name, descriptor in list(vars(kind).items()):
        if isinstance(descriptor, descriptors) and not name.startswith("__"):
            with contextlib.suppress(Exception):  # a slot that was never set
                yield name, descriptor.__get__(value)


def _find_constructor(error: BaseException) -> tuple[str, str, str, Any] | None:
    """Return the base in C, not one of Python's own, that made an error, and how it made it.

    These are the module and the name of the class, the name of its class method, or "" for the
    class itself, and the arguments.
    """
    for kind in type(error).__mro__:
        if kind.__module__ == "builtins":
            return None
        if isinstance(vars(kind).get("__new__"), types.BuiltinFunctionType):
            reduce: Any = kind.__reduce__
            try:
                make, args = reduce(error)[:2]
            except Exception:  # noqa: BLE001 - no arguments are known then
                return None
            name = getattr(make, "__name__", "")
            is_method = isinstance(make, types.BuiltinMethodType) and hasattr(kind, name)
            module, qualname = name_of(kind)
            return module, qualname, name if is_method else "", tuple(args)
    return None


def _object_parts(value: Any) -> dict[str, Any]:
    """Return the public attributes of an object, without calling code of its class."""
    parts: dict[str, Any] = {}
    for kind in type(value).__mro__:
        parts.update(_slots(kind, value, types.MemberDescriptorType))
    parts.update(getattr(value, "__dict__", None) or {})
    if type(value).__module__.partition(".")[0] in _HTTP_CLIENTS:
        is_unread = parts.get("_content", b"") is False  # requests would read it from the network
        for name in _HTTP[: -1 if is_unread else None]:
            with contextlib.suppress(Exception):  # it has none, or not yet
                parts.setdefault(name, getattr(value, name))
        if type(parts.get("url")).__name__ == "URL":
            parts["url"] = str(parts["url"])
    return {name: part for name, part in parts.items() if not name.startswith("_")}


def _is_message(value: object) -> bool:
    return type(value).__module__ in ("email.message", "http.client") and hasattr(value, "items")


def _folds(value: Any) -> bool:
    """Return True if a mapping finds a key in another case."""
    for key in value:
        if isinstance(key, str) and key.swapcase() != key:
            try:
                return bool(
                    value[key.swapcase()] == value[key] and key.swapcase() not in list(value)
                )
            except Exception:  # noqa: BLE001 - a KeyError, or whatever the mapping raises
                return False
    return False


def _is_small(value: Any) -> bool:
    """Return True if a value has no more than about `_VALUE_BYTES`, without walking all of it."""
    left, todo = _VALUE_BYTES, [value]
    while todo and left > 0:
        part = todo.pop()
        if isinstance(part, str | bytes | bytearray):
            left -= len(part)
        elif isinstance(part, Mapping):
            left -= 2 * len(part)
            if left > 0:
                todo += [*part.keys(), *part.values()]
        elif isinstance(part, list | tuple | set | frozenset):
            left -= len(part)
            todo += list(part) if left > 0 else []
        else:
            left -= 2
    return left > 0


def scrub(written: Any, secrets: Collection[str]) -> Any:
    """Return a copy of a state with the secrets hidden in all of its texts."""
    if isinstance(written, str):
        return redaction.scrub(written, secrets)
    if isinstance(written, list):
        return [scrub(item, secrets) for item in written]
    if isinstance(written, dict):
        for tag in ("$bytes", "$bytearray", "$str"):
            if isinstance(written.get(tag), str):
                content = base64.b64decode(written[tag]).decode("utf-8", "replace")
                if redaction.scrub(content, secrets) != content:
                    return redaction.REDACTED
        return {scrub(key, secrets): scrub(item, secrets) for key, item in written.items()}
    is_number = isinstance(written, int | float) and not isinstance(written, bool)
    return redaction.REDACTED if is_number and str(written) in secrets else written


# -- and back --------------------------------------------------------------------------------------


class Reader:
    """Reader of the values of a state.

    Args:
        make: Function that makes the error of an `error`.
        args: The error's own arguments.
    """

    def __init__(self, make: Callable[[Any], BaseException], args: tuple[Any, ...] = ()) -> None:
        self._make = make
        self._args = args

    def argument(self, written: Any) -> Any:
        """Return a value, or a stand-in if it cannot be read here."""
        try:
            return self.value(written)
        except Exception:  # noqa: BLE001 - a class that is gone, a damaged record
            return RecordedObject("value", {})

    def value(self, written: Any) -> Any:
        """Return the value of `describe`.

        Raises:
            Exception: It cannot be read here, for example because its class is gone.
        """
        ((form, content),) = written.items()
        if form == "v":
            return tagged_json.untag(content)
        if form == "arg":
            return self._args[content]
        if form == "error":
            return self._make(content)
        if form == "dict":
            return {self.value(key): self.argument(item) for key, item in content}
        if form == "object":
            return self._object(content)
        items = [self.argument(item) for item in content]
        return tuple(items) if form == "tuple" else items

    def _object(self, content: Any) -> RecordedObject:
        kept = self._named(content.get("attributes") or {})
        if "items" not in content:
            return RecordedObject(content["kind"], kept)
        items = self._named(content["items"])
        return RecordedMapping(content["kind"], kept, items, folds=bool(content.get("folds")))

    def _named(self, written: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self.argument(value) for name, value in written.items()}
