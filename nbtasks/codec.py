"""Python values to what a journal holds, and back, equal in type and value.

The kinds of record:

- `json`: what JSON keeps exactly.
- `tagged`: JSON in which an object with one `$name` key stands for a value that JSON lacks.
- `arrow`, `npy`, `figure`: a table, an array, a figure; `parts`: a structure with some of them.
  Tagged JSON as well, in which what is small stands as base64. What is large is in a file with it.
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
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from nbtasks.errors import UnreadableValueError
from nbtasks.redaction import REDACTED, REDACTED_JSON
from nbtasks.values.content import Content, Find, Secret, join, split

__all__ = [
    "EXPIRED",
    "HIDDEN",
    "INLINE_BYTES",
    "Encoded",
    "decode",
    "decode_blob",
    "digest",
    "encode",
    "hide",
    "pickles_in",
]

#: Values above this size live in a file of their own beside the journal.
INLINE_BYTES = 1 << 20
#: The kind of a value of which only what people may see came with a run that was shared.
HIDDEN = "hidden"
#: The kind of a value whose time to live was over, and which was removed to make room.
EXPIRED = "expired"


_UNORDERED = {"$set", "$frozenset", "$dict"}
_SCALARS = frozenset({str, int, float, bool, type(None)})
_FINITE = float("inf")
_INT_BITS = 63
#: The kind of a value that is nothing but one of these.
_WHOLE = {
    "$pandas": "arrow", "$polars": "arrow", "$arrow": "arrow", "$npy": "npy", "$figure": "figure",
}  # fmt: skip


class Encoded(NamedTuple):
    """A value as it is recorded.

    Attributes:
        kind: What the record is, as above.
        text: What goes into the row. Of a large value only its signature, or None.
        size: Bytes of the encoded value, before tables are compressed.
        blob: The bytes of a large value, to be kept in a file.
        shown: What people may see of it, where that is not all.
    """

    kind: str
    text: str | None
    size: int
    blob: Content | None = None
    shown: str | None = None


_NULL = Encoded("json", "null", 4)
#: A pickle, and its signature.
Pickle = tuple[bytes | memoryview, str]


class _Json(NamedTuple):
    """A value as JSON, and the contents that stand in it by their numbers."""

    kind: str
    data: bytes
    tagged: Any = None
    parts: Sequence[Content] = ()
    secrets: bool = False


def encode(value: object, *, inline: bool = False) -> Encoded:
    """Encodes any value that can be kept.

    Args:
        value: The value.
        inline: Whether all of it is to be text, however large it is.

    Raises:
        ValueNotKeptError: The value is neither JSON, nor tagged JSON, nor can be pickled.
    """
    if value is None:  # the most frequent outputs, without looking any further
        return _NULL
    if type(value) is int and value.bit_length() <= _INT_BITS:
        text = str(value)
        return Encoded("json", text, len(text))
    found = _to_json(value)
    if found is None:
        return _pickled(value, inline=inline)
    encoded = _encoded(found, inline=inline)
    return encoded._replace(shown=_shown(found)) if found.secrets else encoded


def _encoded(found: _Json, *, inline: bool) -> Encoded:
    size, data = len(found.data), found.data
    if found.parts:
        whole = join(data, found.parts)
        if whole.size > INLINE_BYTES and not inline:
            return Encoded(found.kind, None, whole.size, whole)
        data = orjson.dumps(found.tagged, default=_based)
        size = len(data)
    elif size > INLINE_BYTES and not inline:
        return Encoded(found.kind, None, size, Content.of(data))
    return Encoded(found.kind, data.decode(), size)


def hide(encoded: Encoded) -> Encoded:
    """With what people may see in the row, where that is not all, and the whole in a file. A
    pickle stays as it is, since nobody sees it."""
    if encoded.shown is None or encoded.kind == "pickle":
        return encoded
    whole = encoded.blob or Content.of((encoded.text or "").encode())
    return encoded._replace(text=encoded.shown, blob=whole)


def decode(kind: str, text: str | None) -> Any:
    """The value of a row that holds it whole.

    Raises:
        UnreadableValueError: The record is damaged, or what it needs is missing here.
        UntrustedValueError: It is a pickle that this user did not sign.
    """
    if kind == EXPIRED:
        raise UnreadableValueError(
            "The recorded value is gone: its ttl was over, and nb.gc removed it."
        )
    if text is None:
        return None
    if kind == "json":
        return _loads(text)
    if kind == HIDDEN:
        return _seen(text)
    if kind == "pickle":
        from nbtasks.values import pickles

        signature, _, content = text.partition(":")
        return pickles.load(_unbased(content), signature)
    return _untag(_loads(text), _based_part)


def decode_blob(kind: str, text: str | None, data: bytes | memoryview) -> Any:
    """The value of a row whose bytes are in a file. `text` is the signature, if it has one."""
    if kind == "pickle":
        from nbtasks.values import pickles

        return pickles.load(data, text or "")
    if kind == "json":
        return _loads(data)
    found = _split(data)
    if found is None:
        return _untag(_loads(data), _based_part)
    tagged, parts = found
    return _untag(tagged, parts.__getitem__)


def pickles_in(kind: str, text: str | None, data: memoryview | None) -> list[Pickle]:
    """The pickles that a record holds, of which none is loaded.

    Args:
        kind: As recorded.
        text: What is in the row.
        data: What is in the file, if there is one.

    Raises:
        UnreadableValueError: The record is damaged.
    """
    if kind in ("json", HIDDEN, EXPIRED):
        return []
    if kind == "pickle":
        signature, _, content = (text or "").partition(":")
        return [(_unbased(content) if data is None else data, signature)]
    tagged: Any
    find: Find
    found = None if data is None else _split(data)
    if found is None:
        tagged, find = _loads(text or "null" if data is None else data), _based_part
    else:
        tagged, find = found[0], found[1].__getitem__
    return [(find(content[2]), str(content[1])) for content in _figures(tagged) if content[2:]]


def _figures(tagged: Any) -> Iterator[list[Any]]:
    parts: Any = tagged if type(tagged) is list else ()
    if type(tagged) is dict:
        parts = tagged.values()
        if type(tagged.get("$figure")) is list:
            yield tagged["$figure"]
    for part in parts:
        yield from _figures(part)


def digest(value: object) -> str:
    """A digest of a value, 16 hex digits. The order of a dict's keys does not count.

    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True
    >>> digest([1]) == digest((1,))
    False
    """
    found = _to_json(value, orjson.OPT_SORT_KEYS)
    if found is None:
        from nbtasks.values import pickles  # lazily, here and below, as `tags`

        data = pickles.dump(value)
    else:
        data = found.data
        if found.kind != "json":
            data = orjson.dumps(_in_order(orjson.loads(data)), option=orjson.OPT_SORT_KEYS)
        data += b"".join(part.hash().encode() for part in found.parts)
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def _to_json(value: object, option: int = 0) -> _Json | None:
    """The value as JSON; None, where only a pickle can hold it."""
    try:
        if _is_json(value):
            return _Json("json", orjson.dumps(value, option=option))
    except (orjson.JSONEncodeError, RecursionError):
        pass  # an int above 64 bits, a lone surrogate, a structure that holds itself
    from nbtasks import tags  # lazily: it knows many types, and most values are plain

    parts: list[Content] = []

    secrets = False

    def number(part: Content | Secret) -> Any:
        nonlocal secrets
        if isinstance(part, Secret):
            secrets = True
            return part.whole
        parts.append(part)
        return len(parts) - 1

    try:
        tagged = tags.tag(value)
        data = orjson.dumps(tagged, option=option, default=number)
    except (tags.Untagged, orjson.JSONEncodeError, RecursionError):
        return None
    if not parts:
        return _Json("tagged", data, tagged, secrets=secrets)
    name = next(iter(tagged)) if type(tagged) is dict and len(tagged) == 1 else ""
    return _Json(_WHOLE.get(name, "parts"), data, tagged, parts, secrets)


def _based(part: Content | Secret) -> Any:
    return part.whole if isinstance(part, Secret) else base64.b64encode(bytes(part)).decode()


def _shown(found: _Json) -> str:
    """The JSON without its secrets; nothing of one in which there is more than JSON."""
    if found.parts:
        return REDACTED_JSON

    def shown(secret: Secret) -> Any:
        return {"$secret": [secret.whole["$secret"][0], REDACTED]}

    return orjson.dumps(found.tagged, default=shown).decode()


def _seen(text: str) -> Any:
    """Of a value that is hidden, what people may see of it."""
    if text == REDACTED_JSON:
        raise UnreadableValueError(
            "The recorded value was hidden when the run was exported, since its task redacts it or "
            "it holds a secret."
        )
    return _untag(_loads(text), _no_part)


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


def _loads(text: str | bytes | memoryview) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise UnreadableValueError(f"The recorded value is damaged: {error}.") from None


def _untag(value: object, find: Find) -> Any:
    from nbtasks import tags  # lazily, as above

    try:
        return tags.untag(value, find)
    except Exception as error:
        raise UnreadableValueError(
            f"The recorded value cannot be rebuilt: {type(error).__name__}: {error}."
        ) from error


def _split(data: bytes | memoryview) -> tuple[Any, list[memoryview]] | None:
    try:
        return split(memoryview(data))
    except (ValueError, TypeError, KeyError) as error:
        raise UnreadableValueError(f"The file of a recorded value is damaged: {error}.") from None


def _based_part(part: Any) -> memoryview:
    return memoryview(_unbased(part))


def _unbased(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, TypeError) as error:
        raise UnreadableValueError(f"The recorded value is damaged: {error}.") from None


def _no_part(part: Any) -> memoryview:
    raise UnreadableValueError(f"Part {part!r} of the recorded value is missing.")


def _pickled(value: object, *, inline: bool) -> Encoded:
    from nbtasks.values import pickles

    data = pickles.dump(value)
    signature = pickles.sign(data)
    if len(data) > INLINE_BYTES and not inline:
        return Encoded("pickle", signature, len(data), Content.of(data))
    return Encoded("pickle", f"{signature}:{base64.b64encode(data).decode()}", len(data))
