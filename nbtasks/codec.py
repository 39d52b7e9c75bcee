"""Python values to what a journal holds, and back, equal in type and value.

Three kinds of record:

- `json`: what JSON keeps exactly.
- `tagged`: JSON in which an object with one `$name` key stands for a value that JSON lacks.
- `pickle`: everything else, signed; `output` is then the signature, a colon, and base64.

>>> encoded = encode({"at": (1, 2.5), "ok": None})
>>> encoded.kind, encoded.text
('tagged', '{"at":{"$tuple":[1,2.5]},"ok":null}')
>>> decode(encoded.kind, encoded.text)
{'at': (1, 2.5), 'ok': None}
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any, NamedTuple

import orjson

from nbtasks import signing
from nbtasks.errors import UnreadableValueError, UntrustedValueError, ValueNotKeptError

__all__ = ["INLINE_BYTES", "Encoded", "decode", "decode_blob", "digest", "encode"]

#: Values above this size live in a file of their own beside the journal.
INLINE_BYTES = 1 << 20

_UNORDERED = {"$set", "$frozenset", "$dict"}
_SCALARS = frozenset({str, int, float, bool, type(None)})
_FINITE = float("inf")
_INT_BITS = 63


class Encoded(NamedTuple):
    """A value as it is recorded.

    Attributes:
        kind: `json`, `tagged` or `pickle`.
        text: What goes into the row. Of a large value only its signature, or None.
        size: Bytes of the encoded value.
        blob: The bytes of a large value, to be kept in a file.
    """

    kind: str
    text: str | None
    size: int
    blob: bytes | None = None


_NULL = Encoded("json", "null", 4)


def encode(value: object) -> Encoded:
    """Encodes any value that can be kept.

    Raises:
        ValueNotKeptError: The value is neither JSON, nor tagged JSON, nor can be pickled.
    """
    if value is None:  # the most frequent outputs, without looking any further
        return _NULL
    if type(value) is int and value.bit_length() <= _INT_BITS:
        text = str(value)
        return Encoded("json", text, len(text))
    kind, data = _to_bytes(value)
    if kind == "pickle":
        return _sign(data)
    if len(data) > INLINE_BYTES:
        return Encoded(kind, None, len(data), data)
    return Encoded(kind, data.decode(), len(data))


def decode(kind: str, text: str | None) -> Any:
    """The value of a row that holds it whole.

    Raises:
        UnreadableValueError: The record is damaged, or what it needs is missing here.
        UntrustedValueError: It is a pickle that this user did not sign.
    """
    if text is None:
        return None
    if kind == "json":
        return _loads(text)
    if kind == "tagged":
        return _untag(_loads(text))
    signature, _, content = text.partition(":")
    try:
        data = base64.b64decode(content, validate=True)
    except ValueError as error:
        raise UnreadableValueError(f"The recorded pickle is damaged: {error}.") from None
    return _unpickle(data, signature)


def decode_blob(kind: str, text: str | None, data: bytes) -> Any:
    """The value of a row whose bytes are in a file. `text` is the signature, if it has one."""
    if kind == "pickle":
        return _unpickle(data, text or "")
    value = _loads(data)
    return _untag(value) if kind == "tagged" else value


def digest(value: object) -> str:
    """A digest of a value, 16 hex digits. The order of a dict's keys does not count.

    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True
    >>> digest([1]) == digest((1,))
    False
    """
    kind, data = _to_bytes(value, orjson.OPT_SORT_KEYS)
    if kind == "tagged":
        data = orjson.dumps(_in_order(orjson.loads(data)), option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def content_hash(data: bytes) -> str:
    """The name of a content: 40 hex digits.

    >>> content_hash(b"")
    '3345524abf6bbe1809449224b5972c41790b6cf2'
    """
    return hashlib.blake2b(data, digest_size=20).hexdigest()


def _to_bytes(value: object, option: int = 0) -> tuple[str, bytes]:
    try:
        if _is_json(value):
            return "json", orjson.dumps(value, option=option)
    except (orjson.JSONEncodeError, RecursionError):
        pass  # an int above 64 bits, a lone surrogate, a structure that holds itself
    from nbtasks import tags  # lazily: it knows many types, and most values are plain

    try:
        return "tagged", orjson.dumps(tags.tag(value), option=option)
    except (tags.Untagged, orjson.JSONEncodeError, RecursionError):
        return "pickle", _pickle(value)


def _in_order(tagged: Any) -> Any:
    """Tagged JSON in which what has no order of its own is sorted."""
    if type(tagged) is list:
        return [_in_order(item) for item in tagged]
    if type(tagged) is not dict:
        return tagged
    result = {name: _in_order(item) for name, item in tagged.items()}
    for name in _UNORDERED & result.keys():
        result[name].sort(key=lambda item: orjson.dumps(item, option=orjson.OPT_SORT_KEYS))
    return result


def _is_json(value: object) -> bool:
    """Whether JSON gives back exactly this: by type, since a subclass would lose its class."""
    kind = type(value)
    if kind is float:
        return -_FINITE < value < _FINITE  # type: ignore[operator]  # a float, as just seen
    if kind in _SCALARS:
        return True
    if kind is list:
        return all(map(_is_json, value))  # type: ignore[call-overload]  # a list
    if kind is dict:
        return all(
            type(key) is str and key[:1] != "$" and _is_json(item)
            for key, item in value.items()  # type: ignore[attr-defined]  # a dict
        )
    return False


def _loads(text: str | bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise UnreadableValueError(f"The recorded value is damaged: {error}.") from None


def _untag(value: object) -> Any:
    from nbtasks import tags  # lazily, as above

    try:
        return tags.untag(value)
    except Exception as error:
        raise UnreadableValueError(
            f"The recorded value cannot be rebuilt: {type(error).__name__}: {error}."
        ) from error


def _pickle(value: object) -> bytes:
    import cloudpickle  # lazily: most journals hold JSON only

    try:
        return bytes(cloudpickle.dumps(value))
    except Exception as error:
        raise ValueNotKeptError(
            f"{_where(value)} cannot be recorded: {error}. Return plain data, or keep what "
            "cannot be recorded outside of the task."
        ) from error


def _where(value: object) -> str:
    """Which part of a value cannot be pickled, for the message."""
    import cloudpickle

    place = ""
    seen: set[int] = set()
    while True:
        seen.add(id(value))
        parts: Any = ()
        if isinstance(value, dict):
            parts = value.items()
        elif isinstance(value, list | tuple):
            parts = enumerate(value)
        for name, part in parts:
            if id(part) in seen:
                continue  # a structure that holds itself
            try:
                cloudpickle.dumps(part)
            except Exception:  # noqa: BLE001 - whatever pickling it raises
                place, value = f"{place}[{name!r}]", part
                break
        else:
            at = f" at {place} of the output" if place else ""
            return f"A value of type {type(value).__module__}.{type(value).__qualname__}{at}"


def _sign(data: bytes) -> Encoded:
    signature = signing.sign(content_hash(data))
    if len(data) > INLINE_BYTES:
        return Encoded("pickle", signature, len(data), data)
    return Encoded("pickle", f"{signature}:{base64.b64encode(data).decode()}", len(data))


def _unpickle(data: bytes, signature: str) -> Any:
    if not signing.verify(content_hash(data), signature):
        raise UntrustedValueError(
            "The recorded value is a pickle that was not signed by you, and loading a stranger's "
            "pickle may run any code. It was not loaded."
        )
    import cloudpickle

    try:
        return cloudpickle.loads(data)
    except Exception as error:
        raise UnreadableValueError(
            f"The recorded pickle cannot be loaded here: {type(error).__name__}: {error}."
        ) from error
